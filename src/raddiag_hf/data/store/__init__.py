"""Cases as they are stored: records, pixels, Parquet shards.

Start with `case.py`, a case and its row; `case_writer.py` writes many.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
