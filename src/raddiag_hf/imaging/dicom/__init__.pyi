# The public names and where they live; `__init__.py` imports them from there at first use.

from .file import DicomFile as DicomFile, open_dicom as open_dicom
from .grouping import group_into_series as group_into_series
from .header import DicomHeader as DicomHeader, read_dicom_header as read_dicom_header
from .scan import read_series as read_series
from .stacks import order_slices as order_slices
