"""Self-contained HTML reports from plain sections.

Start with `report.py`; `sections.py` lists what a report can hold.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
