# The public names and where they live; `__init__.py` imports them from there at first use.

from .atomic_files import StorageError as StorageError, atomic_write as atomic_write
from .errors import InputError as InputError
from .hub_errors import HubAccessError as HubAccessError
from .progress import Progress as Progress
from .run_folder import RunFolder as RunFolder, RunFolderError as RunFolderError
from .settings import Setting as Setting
