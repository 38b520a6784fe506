"""What a training will take, told before it starts: memory of a step, hours, cores that feed it.

Start with `training_plan.py`; `memory.py` and `step_speed.py` say what its numbers come from.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
