"""The figures of an evaluation, one file each: for the report on screen, and for papers.

Start with `evaluation_figure.py`, which draws them all.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
