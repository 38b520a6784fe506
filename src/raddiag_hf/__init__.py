"""RadDiag for the Hugging Face ecosystem: case-level, long-tailed diagnosis on radiology images.

The names of ``__init__.pyi`` are imported at first use. RadDiag is registered with the Auto classes
of transformers as soon as both packages are imported, in either order, so that importing this one
costs milliseconds, and help and shell completion answer without torch.
"""

import importlib
from types import ModuleType

import lazy_loader
import wrapt

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


@wrapt.when_imported("transformers")
def _register_auto_classes(_: ModuleType) -> None:
    importlib.import_module("raddiag_hf.model")  # registers itself
