# The public names and where they live; `__init__.py` imports them from there at first use.

from .bands import FrequencyBand as FrequencyBand, frequency_bands as frequency_bands
from .label_embeddings import LabelEmbeddings as LabelEmbeddings
from .label_set import LabelSet as LabelSet
from .open_labels import (
    OpenLabels as OpenLabels,
    open_labels_of as open_labels_of,
    set_open_labels as set_open_labels,
)
from .zero_shot import ZeroShotMapping as ZeroShotMapping
