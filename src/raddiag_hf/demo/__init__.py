"""The whole way in a few minutes, without network or patients: phantoms in, a report out.

Start with `demo_run.py`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
