"""Registration of RadDiag with the Auto classes of transformers."""

from transformers import AutoConfig, AutoModel, AutoModelForImageClassification

# transformers 5.17, for one, offers this name at the top only where torchvision is installed
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from .configuration_raddiag import RadDiagConfig
from .image_processing_raddiag import RadDiagImageProcessor
from .modeling_raddiag import RadDiagForImageClassification, RadDiagModel


def register_auto_classes() -> None:
    """Register RadDiag, so that ``AutoModel.from_pretrained`` and its kin find it.

    Calling it again changes nothing.
    """
    AutoConfig.register("raddiag", RadDiagConfig, exist_ok=True)
    AutoModel.register(RadDiagConfig, RadDiagModel, exist_ok=True)
    AutoModelForImageClassification.register(
        RadDiagConfig, RadDiagForImageClassification, exist_ok=True
    )
    AutoImageProcessor.register(
        RadDiagConfig, image_processor_classes={"pil": RadDiagImageProcessor}, exist_ok=True
    )
