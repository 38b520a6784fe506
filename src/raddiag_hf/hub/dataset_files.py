"""Which files of a case data set may leave: those that are known, and of known content."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from huggingface_hub import DatasetCard

from raddiag_hf.core.errors import InputError
from raddiag_hf.data.store.case_store import DATA_FOLDER, LABEL_SET_FOLDER, CaseStore
from raddiag_hf.data.store.dataset_card import CARD_FILE


class UnpublishableError(InputError):
    """A folder that must not be published as it is: which file, and why."""


@dataclass(frozen=True)
class DatasetFiles:
    """A case data set, sorted by what is published.

    Attributes:
        store: The data set.
        published: Card, label sets and shards, relative to the folder, sorted.
        left_out: Every other file of the folder, such as ``rejected.csv``, which may hold paths.
    """

    store: CaseStore
    published: tuple[str, ...]
    left_out: tuple[str, ...]


def select_files(folder: Path) -> DatasetFiles:
    """Choose the files of a case data set that are published, and check what they hold.

    Every shard has the case columns and nothing beside them, no metadata either; label sets are as
    `LabelSet` writes them.

    Raises:
        UnpublishableError: If the folder is no complete case data set, has no card, or a file holds
            more than it should.
        OSError: If a file cannot be read.
    """
    try:
        store = CaseStore.open(folder)
    except ValueError as error:  # Arrow's errors are among them
        raise UnpublishableError(str(error)) from error
    shards = [Path(shard) for of_split in store.shards.values() for shard in of_split]
    for shard in shards:
        _check_shard(shard, store)
    for column, label_set in store.label_sets.items():
        path = folder / LABEL_SET_FOLDER / f"{column}.json"
        if path.read_text("utf-8") != label_set.to_json():
            raise UnpublishableError(f"{path}: holds more than a label set, or was edited by hand")
    _check_card(folder / CARD_FILE)
    published = [CARD_FILE, *(f"{DATA_FOLDER}/{shard.name}" for shard in shards)]
    published += [f"{LABEL_SET_FOLDER}/{column}.json" for column in store.label_sets]
    everything = {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    }
    left_out = everything - set(published)
    return DatasetFiles(store, tuple(sorted(published)), tuple(sorted(left_out)))


def _check_shard(shard: Path, store: CaseStore) -> None:
    try:
        schema = pq.read_schema(shard)
    except ValueError as error:
        raise UnpublishableError(f"{shard}: {error}") from error
    expected = store.features.arrow_schema
    if not schema.equals(expected, check_metadata=False):
        differing = sorted(set(schema.names) ^ set(expected.names))
        raise UnpublishableError(f"{shard}: columns differ from those of a case: {differing}")
    if schema.metadata != expected.metadata:
        found = sorted(key.decode(errors="replace") for key in schema.metadata or {})
        raise UnpublishableError(f"{shard}: carries metadata of its own: {found}")


def _check_card(path: Path) -> None:
    if not path.is_file():
        raise UnpublishableError(
            f"{path}: there is no card; `raddiag dataset build` and `import` write one"
        )
    try:
        card = DatasetCard.load(path)
    except ValueError as error:
        raise UnpublishableError(f"{path}: its front matter cannot be read: {error}") from error
    if not card.data.to_dict():
        raise UnpublishableError(f"{path}: has no front matter, such as `license` and `tags`")
