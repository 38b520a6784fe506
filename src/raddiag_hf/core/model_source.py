"""Where the files of a model lie, a folder here or one commit of a Hub repository, read alike."""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import HfApi, hf_hub_download, scan_cache_dir, snapshot_download
from huggingface_hub.errors import CacheNotFound, EntryNotFoundError, LocalEntryNotFoundError

from raddiag_hf.core.errors import InputError
from raddiag_hf.core.fingerprint import file_state, fingerprint
from raddiag_hf.core.hub_errors import clean_token, explained_access


class ModelSourceError(InputError):
    """A model that is not available: which folder or Hub id, why, and what to do about it."""


@dataclass(frozen=True)
class LocalFolder:
    """A folder with a saved model, or laid out as the authors' repository.

    Attributes:
        folder: Where it is.
    """

    folder: Path
    commit: None = None

    @property
    def name(self) -> str:
        """The folder, for messages."""
        return str(self.folder)

    def list_files(self) -> Sequence[str]:
        """Return the files in the folder and in its folders, as relative POSIX paths."""
        found = [*self.folder.glob("*"), *self.folder.glob("*/*")]
        return sorted(path.relative_to(self.folder).as_posix() for path in found if path.is_file())

    def fetch(self, file: str) -> Path:
        """Return the path of ``file``."""
        return self.folder / file

    def fetch_folder(self, patterns: Sequence[str], subfolder: str = "") -> Path:
        """Return the folder, or one in it."""
        return self.folder / subfolder

    def content_key(self, file: str) -> str:
        """Return a digest that changes whenever ``file`` is moved or written again."""
        path = (self.folder / file).resolve()
        return f"local-{fingerprint(str(path), file_state(path))[:16]}"


@dataclass(frozen=True)
class HubRepository:
    """One commit of a model repository on the Hub, downloaded file by file into its cache.

    Attributes:
        repo_id: ``owner/name``.
        commit: Hash of the commit.
        files: All files, as POSIX paths; where the Hub cannot be reached, those in the cache; empty
            where a saved model was found, which needs no listing.
        token: Access token, or None for the one that is signed in.
    """

    repo_id: str
    commit: str
    files: Sequence[str] = ()
    token: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The repository's id, for messages."""
        return self.repo_id

    def list_files(self) -> Sequence[str]:
        """Return ``files``."""
        return self.files

    def fetch(self, file: str) -> Path:
        """Download ``file`` unless the cache has it; return its path."""
        with _explained(self.repo_id):
            path = hf_hub_download(self.repo_id, file, revision=self.commit, token=self.token)
        return Path(path)

    def fetch_folder(self, patterns: Sequence[str], subfolder: str = "") -> Path:
        """Download the files of a folder that match, unless the cache has them; return it."""
        wanted = [str(PurePosixPath(subfolder, pattern)) for pattern in patterns]
        with _explained(self.repo_id):
            root = snapshot_download(
                self.repo_id, revision=self.commit, token=self.token, allow_patterns=wanted
            )
        return Path(root) / subfolder

    def content_key(self, file: str) -> str:
        """Return the commit, which fixes what ``file`` holds."""
        return self.commit


ModelSource = LocalFolder | HubRepository


def open_model_source(
    model_id: str, subfolder: str = "", revision: str | None = None, token: str | None = None
) -> tuple[ModelSource, dict[str, Any] | None]:
    """Find a model and read the configuration that is saved beside it.

    Args:
        model_id: A folder, or a Hub id ``owner/name``.
        subfolder: Where in it to look for ``config.json``.
        revision: Branch, tag or commit on the Hub.
        token: Access token; the one that is signed in by default.

    Returns:
        The source, and the content of ``config.json``; None where there is none that names a
        ``model_type``.

    Raises:
        ModelSourceError: If there is no such folder or repository, no access to it, no such
            revision, no connection, or ``config.json`` is not JSON.
        HubAccessError: If the token is none.
    """
    path = Path(model_id).expanduser()
    config_file = str(PurePosixPath(subfolder, "config.json"))
    if path.is_dir():
        return LocalFolder(path), _read_config(path / config_file)
    if path.exists():
        raise ModelSourceError(
            f"{model_id}: is a file, expected a model's folder or Hub id; "
            "`raddiag convert-checkpoint` makes a folder of the authors' checkpoint file, and "
            "`raddiag train ... model.backbone_weights=FILE` starts from weights of a ResNet"
        )
    if model_id.startswith((".", "/", "~")) or model_id.count("/") != 1:
        raise ModelSourceError(f"{model_id}: no such folder, and not a Hub id (owner/name)")
    return _open_hub_repository(model_id, config_file, revision, clean_token(model_id, token))


def _open_hub_repository(
    repo_id: str, config_file: str, revision: str | None, token: str | None
) -> tuple[HubRepository, dict[str, Any] | None]:
    with _explained(repo_id, revision):
        try:
            path = Path(hf_hub_download(repo_id, config_file, revision=revision, token=token))
            if (config := _read_config(path)) is not None:
                root = path.parents[len(PurePosixPath(config_file).parts) - 1]
                return HubRepository(repo_id, root.name, token=token), config
        except LocalEntryNotFoundError:
            return _find_in_cache(repo_id, revision), None
        except EntryNotFoundError:
            pass
        information = HfApi(token=token).model_info(repo_id, revision=revision)
    files = [sibling.rfilename for sibling in information.siblings or ()]
    return HubRepository(repo_id, str(information.sha), files, token), None


def _read_config(path: Path) -> dict[str, Any] | None:
    """Return a model's configuration; None where there is none, or a file that configures none."""
    if not path.is_file():
        return None
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelSourceError(f"{path}: is not JSON: {error}") from None
    return config if isinstance(config, dict) and "model_type" in config else None


def _find_in_cache(repo_id: str, revision: str | None) -> HubRepository:
    """Return the cached snapshot of a repository that cannot be reached."""
    wanted = revision or "main"
    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        repositories = frozenset()
    for repository in repositories:
        if repository.repo_type == "model" and repository.repo_id == repo_id:
            for cached in repository.revisions:
                if wanted in cached.refs or wanted == cached.commit_hash:
                    files = LocalFolder(Path(cached.snapshot_path)).list_files()
                    return HubRepository(repo_id, cached.commit_hash, files)
    raise ModelSourceError(
        f"{repo_id}: no such folder here, the Hub cannot be reached, and its cache does not hold "
        f"revision {wanted!r} of a model of that name"
    )


def _explained(repo_id: str, revision: str | None = None) -> AbstractContextManager[None]:
    return explained_access(repo_id, "model", revision=revision, raises=ModelSourceError)
