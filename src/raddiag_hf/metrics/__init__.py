"""How good are the predictions? Every metric with its interval, thresholds and calibration.

Start with `class_metrics.py`; thresholds are chosen in `thresholds.py`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
