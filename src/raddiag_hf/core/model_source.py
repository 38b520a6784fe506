"""Where the files of a model lie, a folder here or one commit of a Hub repository, read alike."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import HfApi, constants, hf_hub_download, scan_cache_dir, snapshot_download
from huggingface_hub.errors import CacheNotFound, EntryNotFoundError
from huggingface_hub.utils import filter_repo_objects

from raddiag_hf.core.errors import InputError
from raddiag_hf.core.fingerprint import file_state, fingerprint
from raddiag_hf.core.hub_downloads import check_download
from raddiag_hf.core.hub_errors import clean_token, explained_access, is_temporary
from raddiag_hf.core.json_files import JsonFileError, read_json


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
        files: All files, as POSIX paths; those in the cache where the Hub is out of reach.
        token: Access token, or None for the one that is signed in.
        refusal: Why the Hub is out of reach or out of order, so that the cache alone is read.
    """

    repo_id: str
    commit: str
    files: Sequence[str] = ()
    token: str | None = field(default=None, repr=False)
    refusal: str | None = None

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
            path = hf_hub_download(
                self.repo_id,
                file,
                revision=self.commit,
                token=self.token,
                local_files_only=self.refusal is not None,
            )
        return check_download(Path(path), self.repo_id, ModelSourceError)

    def fetch_folder(self, patterns: Sequence[str], subfolder: str = "") -> Path:
        """Download the files of a folder that match, unless the cache has them; return it."""
        wanted = [str(PurePosixPath(subfolder, pattern)) for pattern in patterns]
        listed = list(filter_repo_objects(self.files, allow_patterns=wanted))
        has_weights = any(map(_is_of_weights, self.files))
        if self.refusal and any(map(_is_of_weights, wanted)) and not has_weights:
            raise ModelSourceError(self.refusal)
        with _explained(self.repo_id):
            root = Path(
                snapshot_download(
                    self.repo_id,
                    revision=self.commit,
                    token=self.token,
                    allow_patterns=wanted,
                    local_files_only=self.refusal is not None,
                )
            )
        for name in listed:
            if not (root / name).is_file():
                raise ModelSourceError(
                    f"{self.repo_id}: {name} did not arrive; give the same command again, what "
                    "arrived is kept"
                )
            check_download(root / name, self.repo_id, ModelSourceError)
        return root / subfolder

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
    try:
        with _explained(repo_id, revision):
            information = HfApi(token=token).model_info(
                repo_id, revision=revision, timeout=constants.HF_HUB_ETAG_TIMEOUT
            )
    except ModelSourceError as refusal:
        cached = _find_in_cache(repo_id, revision) if is_temporary(refusal) else None
        if cached is None:
            raise
        repository = replace(cached, refusal=str(refusal))
    else:
        files = [sibling.rfilename for sibling in information.siblings or ()]
        repository = HubRepository(repo_id, str(information.sha), files, token)
        with _explained(repo_id, revision), suppress(EntryNotFoundError):
            # By its name, so that the cache knows the revision when the Hub is out of reach.
            hf_hub_download(repo_id, config_file, revision=revision, token=token)
    if config_file not in repository.files:
        return repository, None
    return repository, _read_config(repository.fetch(config_file))


def _read_config(path: Path) -> dict[str, Any] | None:
    """Return a model's configuration; None where there is none, or a file that configures none."""
    if not path.is_file():
        return None
    try:
        config = read_json(path)
    except JsonFileError as error:
        raise ModelSourceError(str(error)) from None
    return config if isinstance(config, dict) and "model_type" in config else None


def _find_in_cache(repo_id: str, revision: str | None) -> HubRepository | None:
    """Return the cached snapshot of a repository that cannot be reached; None without one."""
    wanted = revision or "main"
    try:
        repositories = scan_cache_dir(constants.HF_HUB_CACHE).repos
    except CacheNotFound:
        repositories = frozenset()
    for repository in repositories:
        if repository.repo_type == "model" and repository.repo_id == repo_id:
            for cached in repository.revisions:
                if wanted in cached.refs or wanted == cached.commit_hash:
                    files = LocalFolder(Path(cached.snapshot_path)).list_files()
                    return HubRepository(repo_id, cached.commit_hash, files)
    return None


def _is_of_weights(name: str) -> bool:
    return name.endswith((".safetensors", ".bin"))


def _explained(repo_id: str, revision: str | None = None) -> AbstractContextManager[None]:
    return explained_access(repo_id, "model", revision=revision, raises=ModelSourceError)
