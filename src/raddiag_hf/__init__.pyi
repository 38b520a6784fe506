# The public names and where they live; `__init__.py` imports them from there at first use.

from .checkpoints.loading import load_model as load_model
from .data.publishers.loading import load_dataset as load_dataset
from .evaluation.evaluation_run import evaluate_model as evaluate_model
from .imaging.reading import read_scan as read_scan, read_scans as read_scans
from .imaging.scan import Scan as Scan, ScanReadError as ScanReadError
from .inference.case import read_case as read_case
from .inference.diagnose import diagnose_case as diagnose_case
from .inference.embedding import (
    embed_case as embed_case,
    embed_file as embed_file,
    embed_scans as embed_scans,
)
from .inference.explain.explanation import explain_case as explain_case
from .knowledge.encoder.text_encoder import TextEncoder as TextEncoder
from .labels.open_labels import open_labels_of as open_labels_of, set_open_labels as set_open_labels
from .model.configuration_raddiag import RadDiagConfig as RadDiagConfig
from .model.image_processing_raddiag import RadDiagImageProcessor as RadDiagImageProcessor
from .model.modeling_raddiag import (
    RadDiagForImageClassification as RadDiagForImageClassification,
    RadDiagModel as RadDiagModel,
)
from .training.finetuning import finetune as finetune
from .training.trainer import RadDiagTrainer as RadDiagTrainer

__version__: str
