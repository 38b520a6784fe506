"""CSA header of Siemens: what it says of mosaics and of diffusion, parsed by nibabel."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

with warnings.catch_warnings():
    # nibabel calls its DICOM readers experimental; of these only the header parser is used.
    warnings.simplefilter("ignore")
    from nibabel.nicom import csareader

Csa = Mapping[str, Any]


def csa_header(dataset: Dataset) -> Csa | None:
    """Return the parsed header of the image (0029,xx10); None where there is none."""
    return csareader.get_csa_header(dataset)


def csa_num_tiles(csa: Csa) -> int:
    """Return ``NumberOfImagesInMosaic``; 0 where it says nothing."""
    return int(csareader.get_n_mosaic(csa) or 0)


def csa_slice_normal(csa: Csa) -> NDArray[np.float64] | None:
    """Return ``SliceNormalVector``."""
    return csareader.get_slice_normal(csa)


def csa_b_value(csa: Csa) -> float | None:
    """Return ``B_value`` in s/mm2."""
    value = csareader.get_scalar(csa, "B_value")
    return None if value is None else float(value)


def csa_gradient_direction(csa: Csa) -> NDArray[np.float64] | None:
    """Return ``DiffusionGradientDirection``; None without gradient."""
    return csareader.get_vector(csa, "DiffusionGradientDirection", 3)
