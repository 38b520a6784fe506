"""Medical concepts, their names and relations, from ICD-10-CM, UMLS and articles.

Start with `pairs.py`, which makes pairs of what the readers beside it yield.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
