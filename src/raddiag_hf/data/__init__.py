"""Many cases: their rows on disk, splits, statistics, and the batches made of them.

Start with `opening.py`, which opens a folder, a builder or a Hub id alike.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
