"""DICOM files to scans: headers, series, geometry, intensities.

Start with `scan.py`, which goes from the headers of a series to its scans; `grouping.py` and
`stacks.py` sort the slices.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
