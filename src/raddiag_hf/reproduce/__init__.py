"""The tables and figures of the paper: grids of trainings and evaluations, each one command.

Start with `grids.py`, what is trained for which cell; `reproduction.py` does it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
