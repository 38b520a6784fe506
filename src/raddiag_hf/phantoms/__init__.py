"""Synthetic anatomy for the demo, benchmarks and tests.

Start with `cases.py`, where a case is drawn.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
