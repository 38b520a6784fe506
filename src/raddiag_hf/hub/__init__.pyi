# The public names and where they live; `__init__.py` imports them from there at first use.

from .dataset_files import UnpublishableError as UnpublishableError, select_files as select_files
from .publishing import PublishedDataset as PublishedDataset, publish_dataset as publish_dataset
