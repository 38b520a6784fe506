"""What all builders of published data sets share: a listing becomes checked, split, built cases."""

import logging
import sys
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import datasets

from raddiag_hf import __version__
from raddiag_hf.core.fingerprint import file_state, fingerprint
from raddiag_hf.core.settings import Setting
from raddiag_hf.data.analysis.near_duplicates import group_patients
from raddiag_hf.data.analysis.splits import split_by_patient
from raddiag_hf.data.publishers.source import CaseSource, DataSourceError, read_case
from raddiag_hf.data.publishers.tables import check_files
from raddiag_hf.data.store.case import case_features, encode_case
from raddiag_hf.data.store.case_store import CaseStore
from raddiag_hf.data.store.case_writer import BuiltCase, write_cases
from raddiag_hf.data.store.storage_options import LOSSLESS, StorageOptions
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.vocabulary import Split

logger = logging.getLogger(__name__)


@dataclass
class CaseBuilderConfig(datasets.BuilderConfig):
    """Options that every builder of cases has.

    Attributes:
        strict: Whether a missing or unreadable file ends the build. Otherwise its scan is left out,
            and so is a case of which no scan is left.
        complete: Whether the numbers of cases, patients and files have to be those that the
            publisher states. Otherwise a difference is only logged.
        seed: Of the split by patient, where the publisher fixed none.
        near_duplicates: Keep patients in one split whose PNG or JPEG pictures differ by so few of
            256 bits of a hash, such as 20; None: nobody looks.
        storage: How much of each scan is kept.
    """

    strict: bool = True
    complete: bool = False
    seed: Annotated[int, Setting(min=0)] = 0
    near_duplicates: Annotated[int | None, Setting(min=0, max=127)] = None
    storage: StorageOptions = LOSSLESS


class CaseBuilder(datasets.GeneratorBasedBuilder):
    """Base of the builders in ``dataset_scripts``: each knows the layout of one data set.

    A subclass says what the data set is (the class variables), which labels it has, and which
    cases; everything else is here. Use one as any builder of `datasets`
    (``download_and_prepare``, ``as_dataset``, ``as_streaming_dataset``), or `write` it as sharded
    Parquet, which resumes after an interruption.
    """

    BUILDER_CONFIG_CLASS = CaseBuilderConfig
    BUILDER_CONFIGS: ClassVar = [CaseBuilderConfig(name="default")]
    DEFAULT_CONFIG_NAME: ClassVar[str] = "default"
    VERSION = datasets.Version("1.0.0")
    DEFAULT_WRITER_BATCH_SIZE = 16  # cases are large

    TITLE: ClassVar[str]
    """Name as people know it."""
    DESCRIPTION: ClassVar[str]
    """What a case, its scans and its labels are, and what to beware of."""
    HOMEPAGE: ClassVar[str]
    LICENSE: ClassVar[str]
    """Identifier of the Hub, such as ``cc-by-nc-4.0`` or ``other``."""
    ACCESS: ClassVar[str]
    """How to get the files, in which layout, and on which terms."""

    @abstractmethod
    def label_sets(self) -> Mapping[str, LabelSet]:
        """Return the label set of each label column."""

    @abstractmethod
    def list_cases(self) -> Sequence[CaseSource]:
        """Return all cases in a fixed order, without opening an image.

        Raises:
            DataSourceError: If files, columns or values are not those of this data set.
        """

    def published_counts(self) -> Mapping[str, int]:
        """Return what of ``cases, patients, scans, files, labels`` the publisher states."""
        return {}

    @property
    def data_path(self) -> Path:
        """The folder that the user downloaded.

        Raises:
            DataSourceError: If none was given, or there is none.
        """
        if self.config.data_dir is None:
            raise DataSourceError(self.name, "data_dir", "a folder", f"none. {self.ACCESS}")
        path = Path(self.config.data_dir).absolute()
        if not path.is_dir():
            found = f"no such folder. {self.ACCESS}"
            raise DataSourceError(path, "data_dir", "a folder", found)
        return path

    def verify(self) -> dict[str, int]:
        """Check files, columns and counts without reading an image.

        Returns:
            The numbers of ``cases``, ``patients``, ``scans``, ``files`` and ``labels``; 0 of what
            is known only once it is built, as the scans of phantoms are.

        Raises:
            DataSourceError: At the first that is not as expected.
        """
        return self._check(self.list_cases())

    def write(self, output: Path | str, num_proc: int = 1) -> CaseStore:
        """Write the data set as sharded Parquet; see `write_cases` for resuming and errors."""
        splits = self._split_cases()
        items = {
            split: {source.case_id: source for source in sources}
            for split, sources in splits.items()
        }
        return write_cases(
            output,
            items,
            self.case_function(),
            self.label_sets(),
            card_text=self._card_text(),
            card_metadata={"license": self.LICENSE, "pretty_name": self.TITLE},
            storage=self.config.storage,
            source_fingerprint=self._fingerprint(splits),
            num_proc=num_proc,
        )

    def case_function(self) -> Callable[[Any], BuiltCase]:
        """Return what makes a case of each of `list_cases`; it can go to worker processes."""
        return partial(read_case, source=self.name, strict=self.config.strict)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description=f"{self.TITLE}. {self.DESCRIPTION}",
            features=case_features(self.label_sets()),
            homepage=self.HOMEPAGE,
            license=f"{self.LICENSE}. {self.ACCESS}",
        )

    def _split_generators(self, dl_manager: object) -> list[datasets.SplitGenerator]:
        return [
            datasets.SplitGenerator(name=str(split), gen_kwargs={"sources": sources})
            for split, sources in self._split_cases().items()
        ]

    def _generate_examples(
        self, sources: Sequence[CaseSource]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        build_case, features = self.case_function(), case_features(self.label_sets())
        for source in sources:
            built = build_case(source)
            for rejection in built.rejections:
                logger.warning("%s: left out: %s", rejection.path, rejection.found)
            if built.case is not None:
                yield source.case_id, encode_case(built.case, features, self.config.storage)

    def _card_text(self) -> str:
        return f"# {self.TITLE}\n\n{self.DESCRIPTION}\n\n## Access and terms\n\n{self.ACCESS}"

    def _split_cases(self) -> dict[Split, list[CaseSource]]:
        """Return the checked cases of each split, in the order of the listing."""
        sources = self.list_cases()
        self._check(sources)
        patients: Sequence[str] = [source.patient_id for source in sources]
        published = [source.split for source in sources]
        if self.config.near_duplicates is not None:
            files = [[file for scan in source.scans for file in scan.files] for source in sources]
            groups = group_patients(patients, files, published, self.config.near_duplicates)
            logger.warning("%s: %s", self.name, groups.describe())
            patients = groups.names
        splits = split_by_patient(
            patients,
            [
                [(column, name) for column, names in source.labels.items() for name in names]
                for source in sources
            ],
            published=published,
            seed=self.config.seed,
        )
        by_split: dict[Split, list[CaseSource]] = {split: [] for split in Split}
        for source, split in zip(sources, splits, strict=True):
            by_split[split].append(source)
        return {split: members for split, members in by_split.items() if members}

    def _check(self, sources: Sequence[CaseSource]) -> dict[str, int]:
        self._check_ids(sources)
        files = [file for source in sources for scan in source.scans for file in scan.files]
        if files and self.config.strict:
            check_files(files, self.data_path)
        counts = {
            "cases": len(sources),
            "patients": len({source.patient_id for source in sources}),
            "scans": sum(len(source.scans) for source in sources),
            "files": len(files),
            "labels": sum(len(label_set) for label_set in self.label_sets().values()),
        }
        for what, published in self.published_counts().items():
            if counts[what] == published:
                continue
            if self.config.complete:
                raise DataSourceError(self.data_path, what, str(published), str(counts[what]))
            logger.warning("%s: %d of %d published %s", self.name, counts[what], published, what)
        return counts

    def _check_ids(self, sources: Sequence[CaseSource]) -> None:
        """Check that no case is listed twice, and no scan of a case."""
        first: dict[str, CaseSource] = {}
        for source in sources:
            other = first.setdefault(source.case_id, source)
            if other is not source:
                files = [str(scan.paths[0]) for one in (other, source) for scan in one.scans[:1]]
                found = f"twice: {' and '.join(files)}"
                raise DataSourceError(self.data_path, f"case {source.case_id!r}", "once", found)
            for scan_id, times in Counter(scan.scan_id for scan in source.scans).items():
                if times > 1:
                    field = f"scan {scan_id!r} of case {source.case_id!r}"
                    raise DataSourceError(self.data_path, field, "once", f"{times} times")

    def _fingerprint(self, splits: Mapping[Split, Sequence[CaseSource]]) -> str:
        """Stand for all that decides the content, wherever the files lie."""
        code = sys.modules[type(self).__module__].__file__ or ""
        options = [__version__, self.name, self.config.name, self.config.strict]
        folder = "" if self.config.data_dir is None else str(self.data_path)
        contents = [
            f"{split} {source!r} {states}".replace(folder, "")
            for split, sources in splits.items()
            for source in sources
            for states in [[file_state(file) for scan in source.scans for file in scan.files]]
        ]
        return fingerprint(Path(code).read_bytes(), options, contents)
