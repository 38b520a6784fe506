"""Files in, scans out: DICOM, NIfTI, NPY and pictures, and synthetic anatomy to practise on."""
