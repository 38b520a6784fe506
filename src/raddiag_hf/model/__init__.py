"""The network and its image processor; imports nothing else of this package.

Importing it registers RadDiag with the Auto classes of transformers.
"""

from .configuration_raddiag import RadDiagConfig
from .image_processing_raddiag import RadDiagImageProcessor
from .modeling_raddiag import RadDiagForImageClassification, RadDiagModel
from .registration import register_auto_classes

__all__ = [
    "RadDiagConfig",
    "RadDiagForImageClassification",
    "RadDiagImageProcessor",
    "RadDiagModel",
]

register_auto_classes()
