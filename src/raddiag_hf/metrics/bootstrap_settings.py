"""Settings of the bootstrap: how often and what to draw, and how draws become intervals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

from raddiag_hf.core.settings import Setting

if TYPE_CHECKING:  # imported where it is used: the command line makes options of the settings
    import numpy as np
    from numpy.typing import NDArray

_MAX_CHUNK_CELLS = 2**23

IntervalMethod = Literal["centred", "percentile"]
"""How resampled values become an interval.

``"percentile"`` takes their percentiles. ``"centred"`` moves these by the bootstrap's estimate of
its bias (mean of the resampled values minus the point estimate). The two agree where resampling is
unbiased, as for AUC. For AP, F1 and MCC of rare classes it is not: a resample that holds a class's
only positive holds it 1.6 times on average, which raises precision, and the percentiles of a
long-tailed mean can lie wholly above the estimate (``benchmarks/interval_coverage.py``).
"""


class ResampledUnit(StrEnum):
    """What the bootstrap draws."""

    PATIENT = "patient"
    """Whole patients, because cases of one patient are not independent."""
    CASE = "case"
    """Cases, as if each were of another patient."""


@dataclass(frozen=True)
class BootstrapSettings:
    """How to resample, and how to turn the resampled values into intervals.

    Attributes:
        resamples: Bootstrap resamples; 0 for no intervals.
        seed: Of the bootstrap; two models with one seed meet the same resamples.
        confidence: Nominal coverage, between 0 and 1.
        method: See `IntervalMethod`.
        patient_ids: Patient of each case. Given, whole patients are drawn, because cases of one
            patient are not independent.
    """

    resamples: Annotated[int, Setting(min=0, metavar="N")] = 1000
    seed: Annotated[int, Setting(min=0)] = 0
    confidence: Annotated[float, Setting(python_only=True)] = 0.95
    method: Annotated[IntervalMethod, Setting(python_only=True)] = "centred"
    patient_ids: Annotated[Sequence[str] | None, Setting(python_only=True)] = None

    def drawing(self, unit: ResampledUnit, patient_ids: Sequence[str]) -> "BootstrapSettings":
        """Return these settings with what is to be drawn.

        Args:
            unit: Patients or cases.
            patient_ids: Patient of each case.
        """
        return replace(self, patient_ids=patient_ids if unit is ResampledUnit.PATIENT else None)

    def weights(self, num_cases: int) -> "Iterator[NDArray[np.float32]]":
        """Draw the resamples, in chunks of bounded size.

        Args:
            num_cases: Number of cases.

        Yields:
            How often each case was drawn, shape ``(cases, samples of the chunk)``.

        Raises:
            ValueError: If ``patient_ids`` does not hold one patient per case.
        """
        import numpy as np

        if self.patient_ids is None:
            owner = np.arange(num_cases)
        elif len(self.patient_ids) == num_cases:
            owner = np.unique(np.asarray(self.patient_ids), return_inverse=True)[1]
        else:
            raise ValueError(
                f"{len(self.patient_ids)} patient_ids were given for {num_cases} cases"
            )
        num_owners = int(owner.max()) + 1
        generator = np.random.default_rng(self.seed)
        chunk_size = max(1, _MAX_CHUNK_CELLS // num_cases)
        for first in range(0, self.resamples, chunk_size):
            samples = min(chunk_size, self.resamples - first)
            weights = np.empty((num_cases, samples), dtype=np.float32)
            for sample in range(samples):
                drawn = generator.integers(num_owners, size=num_owners)
                weights[:, sample] = np.bincount(drawn, minlength=num_owners)[owner]
            yield weights
