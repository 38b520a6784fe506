"""A case data set on disk or on the Hub: its layout, and reading it without its pixels."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features
from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from pyarrow import ArrowException

from raddiag_hf.core.errors import InputError
from raddiag_hf.core.hub_errors import clean_token, explained_access
from raddiag_hf.data.store.case import case_features, knows_studies, unknown_column
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.vocabulary import Split

DATA_FOLDER, LABEL_SET_FOLDER = "data", "label_sets"
PLAN_FILE, SHARD_COUNTS = "build.json", "shards"
"""What a build was made of, and its entry for the shards that each split had when it was done."""
PIXEL_COLUMN = "scans.list.element.volume.data"
"""The one Parquet column that is large."""

_SHARD_NAME = re.compile(r"(?P<split>[a-z]+)-(?P<index>\d{5})-of-(?P<count>\d{5})\.parquet")


class CaseStorageError(InputError):
    """Cases that make no data set: all were rejected, one is too large, or a shard is damaged."""


@contextmanager
def named_damage(path: str) -> Iterator[None]:
    """Turn what Arrow says of a damaged file, which does not name it, into an error that does.

    Raises:
        CaseStorageError: If the file that the block reads is damaged.
    """
    try:
        yield
    except (ArrowException, OSError) as error:
        # Of Arrow's errors some are bare OSErrors; those of the system and the Hub are not.
        if isinstance(error, OSError) and (type(error) is not OSError or error.errno is not None):
            raise
        raise CaseStorageError(f"{path}: is damaged: {error}") from error


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
        label_sets: Label column -> label set, with codes, definitions and counts.
        shards: Split -> paths of its shards, in order.
        token: For the Hub: access token; the stored one if None.
    """

    location: str
    features: Features
    label_sets: Mapping[str, LabelSet]
    shards: Mapping[Split, tuple[str, ...]]
    token: str | bool | None = field(default=None, repr=False, compare=False)

    @classmethod
    def open(cls, location: Path | str, token: str | bool | None = None) -> "CaseStore":
        """Look into a case data set.

        Args:
            location: Local folder, or any address that fsspec opens.
            token: For the Hub: access token; the stored one if None.

        Raises:
            HubAccessError: If the Hub refuses; the message says how to get access.
            FileNotFoundError: If there are no shards or label sets, or some shards are missing, all
                of a split among them where ``build.json`` says which splits there were.
            CaseStorageError: If a shard is damaged.
            ValueError: If columns and label sets contradict each other, or the columns are those of
                another version.
        """
        if isinstance(token, str):
            token = clean_token(_repo_id(location), token)
        with _explained_access(location):
            return cls._open(location, token)

    @classmethod
    def _open(cls, location: Path | str, token: str | bool | None) -> "CaseStore":
        files, root = _file_system(location, token)
        if _is_on_hub(location):
            files.ls(root)  # a refusal, which would pass for an empty folder below
        label_sets = {}
        for path in _list_files(files, f"{root}/{LABEL_SET_FOLDER}", ".json"):
            try:
                label_sets[Path(path).stem] = LabelSet.from_json(files.cat_file(path).decode())
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error
        shards = _find_shards(location, _list_files(files, f"{root}/{DATA_FOLDER}", ".parquet"))
        for path in _list_files(files, root, PLAN_FILE):
            _check_splits(location, shards, json.loads(files.cat_file(path)))
        if not label_sets:
            raise FileNotFoundError(f"{location}: has no {LABEL_SET_FOLDER}/<column>.json")
        first = next(iter(shards.values()))[0]
        with files.open(first, "rb") as shard, named_damage(first):
            features = Features.from_arrow_schema(pq.read_schema(shard))
        unknown_in = [one for one in label_sets if unknown_column(one) in features]
        expected = case_features(label_sets, unknown_in, knows_studies(features))
        if features != expected:
            differing = [
                name
                for name in sorted(features.keys() | expected.keys())
                if features.get(name) != expected.get(name)
            ]
            raise ValueError(
                f"{location}: columns differ from the case columns of its label sets: {differing}"
            )
        return cls(str(location), features, label_sets, shards, token)

    def num_cases(self, split: Split) -> int:
        """Return the number of cases of a split."""
        shards = self._open_shards(self.shards[split])
        return sum(int(shard.metadata.num_rows) for _, shard in shards)

    def shard_files(self, split: Split) -> list[tuple[str, int]]:
        """Return the path or address of each shard of a split, and its size in bytes."""
        files, _ = _file_system(self.location, self.token)
        is_local = "://" not in self.location
        with _explained_access(self.location):
            return [
                (shard if is_local else files.unstrip_protocol(shard), int(files.size(shard)))
                for shard in self.shards[split]
            ]

    def iter_batches(self, split: Split, with_pixels: bool) -> Iterator[pa.RecordBatch]:
        """Yield a split's rows in order; without pixels, ``volume.data`` is left out and unread."""
        for path, shard in self._open_shards(self.shards[split]):
            leaves = [shard.schema.column(index).path for index in range(len(shard.schema))]
            with named_damage(path):
                if with_pixels:
                    yield from shard.iter_batches(batch_size=16)
                else:
                    yield from shard.iter_batches(
                        columns=[leaf for leaf in leaves if leaf != PIXEL_COLUMN]
                    )

    def _open_shards(self, paths: Iterable[str]) -> Iterator[tuple[str, Any]]:
        files, _ = _file_system(self.location, self.token)
        for path in paths:
            with _explained_access(self.location), files.open(path, "rb") as shard:
                with named_damage(path):
                    file = pq.ParquetFile(shard, page_checksum_verification=True)
                yield path, file


def is_case_store(location: Path | str, token: str | bool | None = None) -> bool:
    """Tell whether a folder or address holds label sets, as all that this package writes.

    Raises:
        HubAccessError: If the Hub refuses.
    """
    if isinstance(token, str):
        token = clean_token(_repo_id(location), token)
    with _explained_access(location):
        files, root = _file_system(location, token)
        if _is_on_hub(location):
            files.ls(root)
        return bool(_list_files(files, f"{root}/{LABEL_SET_FOLDER}", ".json"))


def _is_on_hub(location: Path | str) -> bool:
    return str(location).startswith("hf://")


def _repo_id(location: Path | str) -> str:
    return str(location).removeprefix("hf://").removeprefix("datasets/")


def _explained_access(location: Path | str) -> AbstractContextManager[None]:
    return explained_access(_repo_id(location)) if _is_on_hub(location) else nullcontext()


def _file_system(location: Path | str, token: str | bool | None) -> tuple[AbstractFileSystem, str]:
    options = {} if token is None or not _is_on_hub(location) else {"token": token}
    files, root = url_to_fs(str(location), **options)
    return files, root


def _list_files(files: AbstractFileSystem, folder: str, end: str) -> list[str]:
    """Return the files of a folder by the end of their names; folders may be called ``a[1]``."""
    try:
        found = files.ls(folder, detail=False)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(path for path in found if path.endswith(end))


def _check_splits(
    location: Path | str, shards: Mapping[Split, Sequence[str]], plan: Mapping[str, Any]
) -> None:
    for split, count in plan.get(SHARD_COUNTS, {}).items():
        if split not in shards:
            raise FileNotFoundError(f"{location}: split {split} has 0 of {count} shards")


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
