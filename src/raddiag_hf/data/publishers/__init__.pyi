# The public names and where they live; `__init__.py` imports them from there at first use.

from .builder import CaseBuilder as CaseBuilder, CaseBuilderConfig as CaseBuilderConfig
from .loading import (
    builder_names as builder_names,
    load_builder as load_builder,
    load_dataset as load_dataset,
)
from .source import (
    CaseSource as CaseSource,
    DataSourceError as DataSourceError,
    ScanSource as ScanSource,
)
