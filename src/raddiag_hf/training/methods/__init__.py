"""Ways to fit a model to cases: all weights, adapters, a linear probe.

Start with `weights.py`; `linear_probe.py` fits on features alone.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
