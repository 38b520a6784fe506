"""Label sets, their embeddings, and labels that were never trained.

Start with `label_set.py`; `open_labels.py` and `zero_shot.py` are the two ways to new labels.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
