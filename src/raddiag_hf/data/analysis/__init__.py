"""A data set as a whole: splits, leakage, statistics.

Start with `splits.py`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
