"""Publishing on the Hugging Face Hub.

Start with `publishing.py`; `dataset_files.py` says what may leave.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
