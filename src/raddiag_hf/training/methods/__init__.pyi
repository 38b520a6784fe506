# The public names and where they live; `__init__.py` imports them from there at first use.

from .adapters import attach_adapters as attach_adapters, save_adapters as save_adapters
from .features import extract_features as extract_features
from .fitted_model import FittedModel as FittedModel
from .linear_probe import fit_linear_probes as fit_linear_probes
from .weights import fit_weights as fit_weights
