"""The network and its image processor; imports nothing else of this package.

Importing it registers RadDiag with the Auto classes of transformers.

The folder is flat because it travels as remote code. Transformers lays all files that are imported
relatively into one folder, and takes ``.a.b`` for a file ``a.b.py`` (5.23, `custom_object_save` and
`get_relative_import_files`): a sub-folder could not be loaded.
"""

from transformers import AutoConfig, AutoModel, AutoModelForImageClassification

# transformers 5.17, for one, offers this name at the top only where torchvision is installed
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from .configuration_raddiag import RadDiagConfig
from .image_processing_raddiag import RadDiagImageProcessor
from .modeling_raddiag import RadDiagForImageClassification, RadDiagModel

__all__ = [
    "RadDiagConfig",
    "RadDiagForImageClassification",
    "RadDiagImageProcessor",
    "RadDiagModel",
]

AutoConfig.register("raddiag", RadDiagConfig, exist_ok=True)
AutoModel.register(RadDiagConfig, RadDiagModel, exist_ok=True)
AutoModelForImageClassification.register(
    RadDiagConfig, RadDiagForImageClassification, exist_ok=True
)
AutoImageProcessor.register(
    RadDiagConfig, image_processor_classes={"pil": RadDiagImageProcessor}, exist_ok=True
)
