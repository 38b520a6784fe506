"""The report of an evaluation: sections, tables, wording.

Start with `evaluation_report.py`; `tables.py` is for papers.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
