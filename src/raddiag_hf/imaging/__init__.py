"""Files in, scans out: DICOM, NIfTI, NPY and pictures.

Start with `reading.py`, which finds the scans of a folder; `scan.py` says what a scan is.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
