"""Models of any origin: loading, the authors' weights converted, adapters, devices.

Start with `loading.py`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
