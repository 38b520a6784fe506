# The public names and where they live; `__init__.py` imports them from there at first use.

from .grid_plan import plan_grids as plan_grids
from .grids import (
    Grid as Grid,
    GridRow as GridRow,
    Training as Training,
    all_grids as all_grids,
    find_grid as find_grid,
)
from .reproduce_settings import ReproduceSettings as ReproduceSettings
from .reproduction import reproduce_grid as reproduce_grid
