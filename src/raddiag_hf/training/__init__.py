"""Training RadDiag with the Trainer of transformers.

Start with `driver.py`, what every training does; `train.py` and `finetuning.py` are its two uses.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
