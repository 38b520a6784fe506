"""The text encoder: contrastive training, embedding, retrieval.

Start with `text_encoder.py`; `pretraining_run.py` is a training from corpus to comparison.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
