"""A model on a data set: predictions, breakdowns, comparison, tables, figures.

Start with `evaluation_run.py`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
