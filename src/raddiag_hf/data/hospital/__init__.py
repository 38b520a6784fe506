"""A hospital's files to cases: manifests, DICOM tags, pseudonyms."""
