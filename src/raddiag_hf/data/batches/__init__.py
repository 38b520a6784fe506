"""Cases to packed batches: augmentation, sampling, streaming.

Start with `training_cases.py`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
