"""Why a case was diagnosed so: saliency and the slices that show it.

Start with `explanation.py`; `saliency.py` is Score-CAM.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
