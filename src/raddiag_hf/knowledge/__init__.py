"""What the words mean: labels, their codes and definitions; no pixels.

Start with `corpus/pairs.py`, what is learnt, then `encoder/pretrain.py`, how.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
