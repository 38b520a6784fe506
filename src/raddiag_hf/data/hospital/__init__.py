"""A hospital's files to cases: manifests, DICOM tags, pseudonyms.

Start with `importing.py`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
