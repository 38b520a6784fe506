"""Publish a case data set on the Hub: whole or not at all, and nothing beside it."""

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, DatasetInfo, HfApi
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id

from raddiag_hf.core.hub_errors import clean_token, explained_access, require_token
from raddiag_hf.data.store.case_store import DATA_FOLDER, LABEL_SET_FOLDER
from raddiag_hf.data.store.dataset_card import CARD_FILE
from raddiag_hf.hub.dataset_files import UnpublishableError, select_files

_OF_EVERY_REPOSITORY = {".gitattributes", CARD_FILE}


@dataclass(frozen=True)
class PublishedDataset:
    """A case data set on the Hub.

    Attributes:
        repo_id: ``"<namespace>/<name>"``, for ``datasets.load_dataset``.
        url: Its page.
        revision: The commit that holds it.
        is_private: Whether only its owners see it.
        files: What was published, relative to the repository.
        left_out: Files of the folder that were not.
    """

    repo_id: str
    url: str
    revision: str
    is_private: bool
    files: tuple[str, ...]
    left_out: tuple[str, ...]


def publish_dataset(
    folder: Path | str,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | None = None,
) -> PublishedDataset:
    """Upload the card, the label sets and the shards of a case data set, in one commit.

    Readers see the whole of it or nothing. Content that the Hub has already is not sent again, so
    calling this again resumes an interrupted upload. Shards and label sets of an earlier version
    are removed.

    Args:
        folder: What `write_cases` made.
        repo_id: ``"<namespace>/<name>"``; made if it is not there.
        private: Whether only the owners may see it. None leaves a repository as it is and makes a
            new one private.
        token: Access token with the right to write; the stored one if None.

    Raises:
        UnpublishableError: If the folder holds anything but a complete case data set in the files
            of one, or the repository holds something else or is not as private as asked for.
        HubAccessError: If the Hub refuses, or the token is none.
        ValueError: If ``repo_id`` is no name of a repository.
        OSError: If a file cannot be read.
    """
    folder = Path(folder)
    validate_repo_id(repo_id)
    if "/" not in repo_id:
        raise ValueError(f"{repo_id!r} is no name of a repository, expected namespace/name")
    token = clean_token(repo_id, token)
    chosen = select_files(folder)
    require_token(repo_id, token)
    api = HfApi(token=token, library_name="raddiag-hf")
    with explained_access(repo_id, writes=True):
        repository = _find_or_create(api, repo_id, private)
        there = {file.rfilename for file in repository.siblings or ()}
        if there - _OF_EVERY_REPOSITORY and not _in_folder(there, LABEL_SET_FOLDER):
            raise UnpublishableError(
                f"{repo_id}: holds something else ({min(there - _OF_EVERY_REPOSITORY)}); choose "
                "another name"
            )
        ours = _in_folder(there, DATA_FOLDER) | _in_folder(there, LABEL_SET_FOLDER)
        num_cases = sum(chosen.store.num_cases(split) for split in chosen.store.shards)
        commit = api.create_commit(
            repo_id,
            [
                *(CommitOperationAdd(name, folder / name) for name in chosen.published),
                *(CommitOperationDelete(name) for name in sorted(ours - set(chosen.published))),
            ],
            commit_message=f"Publish {num_cases:,} cases",
            repo_type="dataset",
            parent_commit=repository.sha,
        )
    return PublishedDataset(
        repo_id=repo_id,
        url=f"{api.endpoint}/datasets/{repo_id}",
        revision=commit.oid,
        is_private=bool(repository.private),
        files=chosen.published,
        left_out=chosen.left_out,
    )


def _find_or_create(api: HfApi, repo_id: str, private: bool | None) -> DatasetInfo:
    try:
        found = api.dataset_info(repo_id)
    except RepositoryNotFoundError:
        api.create_repo(repo_id, repo_type="dataset", private=private is not False, exist_ok=True)
        found = api.dataset_info(repo_id)
    if private is not None and found.private != private:
        is_now = "private" if found.private else "public"
        raise UnpublishableError(
            f"{repo_id}: is {is_now} already; change that in its settings on the Hub first"
        )
    return found


def _in_folder(names: set[str], folder: str) -> set[str]:
    return {name for name in names if name.startswith(f"{folder}/")}
