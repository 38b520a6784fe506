# The public names and where they live; `__init__.py` imports them from there at first use.

from .explanation import (
    Explanation as Explanation,
    LabelError as LabelError,
    ScanExplanation as ScanExplanation,
    explain_case as explain_case,
)
from .overlays import overlay_figure as overlay_figure
from .saliency import (
    SaliencyMap as SaliencyMap,
    ScoreCamSettings as ScoreCamSettings,
    score_cam as score_cam,
)
