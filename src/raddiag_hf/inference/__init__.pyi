# The public names and where they live; `__init__.py` imports them from there at first use.

from .case import CaseError as CaseError, CaseReading as CaseReading, read_case as read_case
from .case_files import write_case_files as write_case_files
from .diagnose import diagnose_case as diagnose_case
from .diagnosis import Diagnosis as Diagnosis
from .embedding import embed_case as embed_case, embed_scans as embed_scans
