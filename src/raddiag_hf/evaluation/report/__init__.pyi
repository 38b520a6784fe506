# The public names and where they live; `__init__.py` imports them from there at first use.

from .evaluation_report import (
    render_evaluation_report as render_evaluation_report,
    write_evaluation_report as write_evaluation_report,
)
from .tables import (
    EvaluatedModel as EvaluatedModel,
    latex_table as latex_table,
    markdown_table as markdown_table,
    write_tables as write_tables,
)
