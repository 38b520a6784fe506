"""Builders of public data sets from the publishers' own files.

Start with `builder.py`, what each script of `dataset_scripts/` extends.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
