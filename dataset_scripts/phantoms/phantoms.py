"""Phantoms: synthetic multi-scan cases, for demonstrations and tests; nothing to download."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

from raddiag_hf.core.settings import Setting
from raddiag_hf.data.publishers.builder import CaseBuilder, CaseBuilderConfig
from raddiag_hf.data.publishers.source import CaseSource
from raddiag_hf.data.store.case import Case
from raddiag_hf.data.store.case_writer import BuiltCase
from raddiag_hf.data.store.scan_record import CaseScan
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.phantoms.cases import NORMAL, draw_case, phantom_disorders
from raddiag_hf.vocabulary import Split


@dataclass
class PhantomsConfig(CaseBuilderConfig):
    """Which phantoms are drawn.

    Attributes:
        num_train: Cases of the training split.
        num_validation: Cases of the validation split.
        num_test: Cases of the test split.
        image_size: Height and width of every scan, 32 or more.
        max_slices: Most slices of a scan, 6 or more.
        num_disorders: The most frequent so many disorders occur; None for all.
    """

    num_train: Annotated[int, Setting(min=0)] = 700
    num_validation: Annotated[int, Setting(min=0)] = 100
    num_test: Annotated[int, Setting(min=0)] = 200
    image_size: Annotated[int, Setting(min=32)] = 64
    max_slices: Annotated[int, Setting(min=6)] = 16
    num_disorders: Annotated[int | None, Setting(min=1)] = None


@dataclass(frozen=True)
class PhantomSource(CaseSource):
    """A case that is drawn, not read: ``draw_case`` makes it from these numbers."""

    seed: int = 0
    index: int = 0
    image_size: int = 64
    max_slices: int = 16
    num_disorders: int | None = None


class Phantoms(CaseBuilder):
    """Builder of phantom cases."""

    BUILDER_CONFIG_CLASS = PhantomsConfig
    BUILDER_CONFIGS: ClassVar = [PhantomsConfig(name="default")]
    TITLE = "Phantoms"
    DESCRIPTION = (
        "Synthetic cases of several scans with a long tail of disorders. They have nothing of real "
        "pathology: a network trained on phantoms knows phantoms only. Splits hold different "
        "patients."
    )
    HOMEPAGE = ""
    LICENSE = "apache-2.0"
    ACCESS = "Nothing to download: cases are drawn."

    def label_sets(self) -> Mapping[str, LabelSet]:
        """Return ``Normal`` and the disorders, the most frequent first."""
        disorders = phantom_disorders()[: self.config.num_disorders]
        return {"disorders": LabelSet((NORMAL, *(disorder.name for disorder in disorders)))}

    def list_cases(self) -> Sequence[CaseSource]:
        """Return the cases of the three splits, each with a seed of its own."""
        config = self.config
        counts = {
            Split.TRAIN: config.num_train,
            Split.VALIDATION: config.num_validation,
            Split.TEST: config.num_test,
        }
        # Patients of different seeds are different; who has two cases is known once they are drawn.
        return [
            PhantomSource(
                case_id=f"phantom-{seed}-{index:06d}",
                patient_id=f"phantom-{seed}-{index:06d}",
                labels={},
                scans=(),
                split=split,
                seed=seed,
                index=index,
                image_size=config.image_size,
                max_slices=config.max_slices,
                num_disorders=config.num_disorders,
            )
            for seed, (split, count) in enumerate(counts.items(), start=3 * config.seed)
            for index in range(count)
        ]

    def case_function(self) -> Callable[[PhantomSource], BuiltCase]:
        """Return what draws a case."""
        return partial(draw_phantom, source=self.name)


def draw_phantom(drawn: PhantomSource, source: str) -> BuiltCase:
    """Draw the case of these numbers."""
    phantom = draw_case(
        drawn.seed,
        drawn.index,
        image_size=drawn.image_size,
        max_slices=drawn.max_slices,
        disorders=phantom_disorders()[: drawn.num_disorders],
    )
    return BuiltCase(
        Case(
            case_id=phantom.case_id,
            patient_id=phantom.patient_id,
            source=source,
            scans=tuple(
                CaseScan(scan, key_slice, sequence)
                for scan, key_slice, sequence in zip(
                    phantom.scans, phantom.key_slices, phantom.sequences, strict=True
                )
            ),
            labels={"disorders": phantom.disorders},
            anatomy=phantom.anatomy,
            age=phantom.age,
            sex=phantom.sex,
        )
    )
