# The public names and where they live; `__init__.py` imports them from there at first use.

from .case import HospitalDataError as HospitalDataError
from .import_settings import ImportSettings as ImportSettings
from .importing import (
    HospitalImport as HospitalImport,
    import_hospital_data as import_hospital_data,
)
from .pseudonyms import Pseudonyms as Pseudonyms, create_key as create_key, load_key as load_key
from .source import read_hospital_source as read_hospital_source
