# The public names and where they live; `__init__.py` imports them from there at first use.

from .convert import CheckpointError as CheckpointError, convert_checkpoint as convert_checkpoint
from .label_file import read_label_file as read_label_file
from .loaded_model import LoadedModel as LoadedModel, choose_device as choose_device
from .loading import load_model as load_model
from .model_choice import ModelChoice as ModelChoice, Precision as Precision
