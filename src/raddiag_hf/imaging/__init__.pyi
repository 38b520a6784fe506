# The public names and where they live; `__init__.py` imports them from there at first use.

from .augmentation import ScanAugmentation as ScanAugmentation
from .reading import StudyReading as StudyReading, read_scan as read_scan, read_scans as read_scans
from .scan import (
    ReadLimits as ReadLimits,
    Scan as Scan,
    ScanReadError as ScanReadError,
    ScanReadReason as ScanReadReason,
)
