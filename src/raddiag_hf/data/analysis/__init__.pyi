# The public names and where they live; `__init__.py` imports them from there at first use.

from .leakage import LeakageReport as LeakageReport, find_leakage as find_leakage
from .splits import few_shot_subsets as few_shot_subsets, split_by_patient as split_by_patient
from .statistics import CaseStatistics as CaseStatistics, case_statistics as case_statistics
from .statistics_figures import save_statistics_figures as save_statistics_figures
