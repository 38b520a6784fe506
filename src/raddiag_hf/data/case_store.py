"""A case data set on disk or on the Hub: its layout, and reading it without its pixels."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features
from fsspec.core import url_to_fs

from raddiag_hf.data.case import case_features
from raddiag_hf.knowledge.label_set import LabelSet
from raddiag_hf.vocabulary import Split

DATA_FOLDER, LABEL_SET_FOLDER = "data", "label_sets"
PIXEL_COLUMN = "scans.list.element.volume.data"
"""The one Parquet column that is large."""

_SHARD_NAME = re.compile(r"(?P<split>[a-z]+)-(?P<index>\d{5})-of-(?P<count>\d{5})\.parquet")


def shard_name(split: Split, index: int, count: int) -> str:
    """Return the file name of one shard, as `datasets` and the Hub expect it."""
    return f"{split}-{index:05d}-of-{count:05d}.parquet"


@dataclass(frozen=True)
class CaseStore:
    """A folder of case shards: ``data/<split>-00000-of-0000N.parquet`` and its label sets.

    ``datasets.load_dataset(folder)`` gives the cases themselves; this reads columns of all of them
    without fetching a pixel, also over the network.

    Attributes:
        location: Local folder, or any address that fsspec opens
            (``hf://datasets/<namespace>/<name>``).
        features: The columns.
        label_sets: Label column -> label set, with codes, definitions and training counts.
        shards: Split -> paths of its shards, in order.
    """

    location: str
    features: Features
    label_sets: Mapping[str, LabelSet]
    shards: Mapping[Split, tuple[str, ...]]

    @classmethod
    def open(cls, location: Path | str) -> "CaseStore":
        """Look into a case data set.

        Raises:
            FileNotFoundError: If there are no shards or label sets, or some shards are missing.
            ValueError: If columns and label sets contradict each other, or the columns are those of
                another version.
        """
        files, root = url_to_fs(str(location))
        label_sets = {}
        for path in sorted(files.glob(f"{root}/{LABEL_SET_FOLDER}/*.json")):
            try:
                label_sets[Path(path).stem] = LabelSet.from_json(files.cat_file(path).decode())
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error
        shards = _find_shards(location, files.glob(f"{root}/{DATA_FOLDER}/*.parquet"))
        if not label_sets:
            raise FileNotFoundError(f"{location}: has no {LABEL_SET_FOLDER}/<column>.json")
        with files.open(next(iter(shards.values()))[0], "rb") as shard:
            features = Features.from_arrow_schema(pq.read_schema(shard))
        expected = case_features(label_sets)
        if features != expected:
            differing = [
                name
                for name in sorted(features.keys() | expected.keys())
                if features.get(name) != expected.get(name)
            ]
            raise ValueError(
                f"{location}: columns differ from the case columns of its label sets: {differing}"
            )
        return cls(str(location), features, label_sets, shards)

    def num_cases(self, split: Split) -> int:
        """Return the number of cases of a split."""
        return sum(self.shard_sizes(split))

    def shard_sizes(self, split: Split) -> tuple[int, ...]:
        """Return the number of cases of each shard of a split."""
        return tuple(shard.metadata.num_rows for shard in self._open_shards(self.shards[split]))

    def iter_rows(
        self, split: Split, shards: Sequence[int], start: int = 0
    ) -> Iterator[dict[str, Any]]:
        """Yield the rows of some shards, in the order given, with pixels.

        Args:
            split: Whose shards.
            shards: Positions among the split's shards.
            start: Rows to leave out; the row groups before it are not read.
        """
        paths = self.shards[split]
        for shard in self._open_shards([paths[shard] for shard in shards]):
            for group in range(shard.num_row_groups):
                num_rows = shard.metadata.row_group(group).num_rows
                if start < num_rows:
                    yield from shard.read_row_group(group).slice(start).to_pylist()
                start = max(0, start - num_rows)

    def iter_batches(self, split: Split, with_pixels: bool) -> Iterator[pa.RecordBatch]:
        """Yield a split's rows in order; without pixels, ``volume.data`` is left out and unread."""
        for shard in self._open_shards(self.shards[split]):
            leaves = [shard.schema.column(index).path for index in range(len(shard.schema))]
            if with_pixels:
                yield from shard.iter_batches(batch_size=16)
            else:
                yield from shard.iter_batches(
                    columns=[leaf for leaf in leaves if leaf != PIXEL_COLUMN]
                )

    def _open_shards(self, paths: Iterable[str]) -> Iterator[Any]:
        files, _ = url_to_fs(self.location)
        for path in paths:
            with files.open(path, "rb") as shard:
                yield pq.ParquetFile(shard)


def _find_shards(location: Path | str, paths: list[str]) -> dict[Split, tuple[str, ...]]:
    by_split: dict[Split, list[str]] = {}
    expected: dict[Split, int] = {}
    for path in sorted(paths):
        match = _SHARD_NAME.fullmatch(Path(path).name)
        if match is None or match["split"] not in list(Split):
            raise ValueError(f"{path}: expected a name like {shard_name(Split.TRAIN, 0, 1)}")
        split = Split(match["split"])
        by_split.setdefault(split, []).append(path)
        expected[split] = int(match["count"])
    for split, found in by_split.items():
        if len(found) != expected[split]:
            raise FileNotFoundError(
                f"{location}: split {split} has {len(found)} of {expected[split]} shards"
            )
    if not by_split:
        raise FileNotFoundError(f"{location}: has no {DATA_FOLDER}/*.parquet")
    return {split: tuple(by_split[split]) for split in Split if split in by_split}
