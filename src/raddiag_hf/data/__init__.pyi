# The public names and where they live; `__init__.py` imports them from there at first use.

from .case_splits import (
    CaseDataError as CaseDataError,
    CaseSplit as CaseSplit,
    CaseSplits as CaseSplits,
)
from .model_labels import (
    LabelMismatchError as LabelMismatchError,
    check_model_fits as check_model_fits,
)
from .opening import find_cases as find_cases, open_cases as open_cases
