# The public names and where they live; `__init__.py` imports them from there at first use.

from .demo_run import DemoResult as DemoResult, run_demo as run_demo
from .demo_settings import DemoSettings as DemoSettings
