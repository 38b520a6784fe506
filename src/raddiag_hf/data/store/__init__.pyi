# The public names and where they live; `__init__.py` imports them from there at first use.

from .case import (
    Case as Case,
    case_features as case_features,
    decode_case as decode_case,
    encode_case as encode_case,
)
from .case_store import CaseStore as CaseStore
from .case_writer import write_cases as write_cases
from .scan_record import CaseScan as CaseScan
from .storage_options import StorageOptions as StorageOptions
