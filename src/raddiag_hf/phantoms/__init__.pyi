# The public names and where they live; `__init__.py` imports them from there at first use.

from .cases import PhantomCase as PhantomCase, draw_case as draw_case, draw_cases as draw_cases
from .dicom import write_dicom_case as write_dicom_case
from .disorders import PhantomDisorder as PhantomDisorder, phantom_disorders as phantom_disorders
