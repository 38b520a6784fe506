"""From scans to a diagnosis, its record and its report.

Start with `diagnose.py`; `case.py` reads the files of a case.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
