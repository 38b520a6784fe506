"""DICOM files to scans: headers, series, geometry, intensities."""
