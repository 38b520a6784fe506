"""Files in, scans out: DICOM, NIfTI, NPY and pictures."""
