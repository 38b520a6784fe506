"""Errors of the Hub, read and write, as one that says what to do about it; no token is named."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Literal

from huggingface_hub import get_token
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from raddiag_hf.core.errors import InputError, one_line

RepoKind = Literal["dataset", "model"]

_NOUNS = {"dataset": "data set", "model": "model"}
_SIGN_IN = "sign in with `hf auth login`, set HF_TOKEN or pass a token"
_UNREACHABLE = HTTPError, ConnectionError, LocalEntryNotFoundError
_OF_THE_HUB = *_UNREACHABLE, HFValidationError, LocalTokenNotFoundError


class HubAccessError(InputError, PermissionError):
    """A repository on the Hub that cannot be read or written: which, why, and what to do."""


def clean_token(repo_id: str, token: str | None) -> str | None:
    """Return a token without the line end that comes from reading it out of a file.

    HTTP clients refuse anything else that does not belong into a header, and quote it.

    Raises:
        HubAccessError: If it is empty or holds such characters; they are not quoted.
    """
    if token is None:
        return None
    token = token.strip()
    if not re.fullmatch(r"[!-~]+", token):
        raise HubAccessError(
            f"{repo_id}: the token is empty, or holds spaces or letters that no token has"
        )
    return token


def require_token(repo_id: str, token: str | None) -> None:
    """Refuse to begin without any token, given or stored.

    Raises:
        HubAccessError: If there is none.
    """
    if token is None and get_token() is None:
        raise HubAccessError(f"{repo_id}: no token was given; {_SIGN_IN}")


@contextmanager
def explained_access(
    repo_id: str,
    kind: RepoKind = "dataset",
    *,
    revision: str | None = None,
    writes: bool = False,
    raises: type[InputError] = HubAccessError,
) -> Iterator[None]:
    """Turn whatever the Hub refuses inside the block into one error; other errors pass.

    Args:
        repo_id: ``"<namespace>/<name>"``.
        kind: What the repository holds.
        revision: The one that is asked for.
        writes: Whether the block writes there.
        raises: Type of the error.

    Raises:
        HubAccessError: Or ``raises``: if the repository is gated, private, absent or changed
            meanwhile, the token is missing, wrong or may not write, there is no such revision, or
            the Hub cannot be reached.
    """
    # What uploads and file systems make of the Hub's own errors.
    wrapper = RuntimeError if writes else FileNotFoundError
    try:
        yield
    except InputError:
        raise
    except (*_OF_THE_HUB, wrapper) as error:
        causes = list(_chain(error))
        if not (any(isinstance(cause, _OF_THE_HUB) for cause in causes) or _is_not_found(error)):
            raise
        reason = _reason(causes, repo_id, kind, revision, writes)
        raise raises(f"{repo_id}: {reason}") from None


def _reason(
    causes: list[BaseException], repo_id: str, kind: RepoKind, revision: str | None, writes: bool
) -> str:
    error, noun = causes[0], _NOUNS[kind]
    answer = next((cause for cause in causes if isinstance(cause, HfHubHTTPError)), None)
    status = None if answer is None else answer.response.status_code
    is_absent = isinstance(answer, RepositoryNotFoundError) or _is_not_found(error)
    if isinstance(error, LocalTokenNotFoundError):
        return f"no token is stored; {_SIGN_IN}"
    if isinstance(error, HFValidationError):
        return f"is not a Hub id: {one_line(error)}"
    # Of some errors, `datasets` leaves the words only.
    if isinstance(answer, RevisionNotFoundError) or str(error).startswith("Revision "):
        return f"has no revision {revision!r}" if revision else "has no such revision"
    if any("Invalid credentials" in str(cause) for cause in causes) or (
        status == HTTPStatus.UNAUTHORIZED and not is_absent
    ):
        return "the Hub refused the token; sign in again with `hf auth login`, or pass a valid one"
    if writes and (is_absent or status == HTTPStatus.FORBIDDEN):
        return (
            "this token may not write there; it needs the role `write`, and its user the right to "
            f"write in {repo_id.split('/')[0]!r}"
        )
    if isinstance(answer, GatedRepoError) or "is a gated dataset" in str(error):
        page = f"https://huggingface.co/{'datasets/' if kind == 'dataset' else ''}{repo_id}"
        if status == HTTPStatus.UNAUTHORIZED or "must be authenticated" in str(error):
            return (
                f"access is restricted and no token was given; accept the terms at {page}, then "
                f"{_SIGN_IN}"
            )
        return f"access is restricted and this account has not been admitted; ask for it at {page}"
    if is_absent:
        place = "folder or builder" if kind == "dataset" else "folder"
        return f"no such {place} here, and no such {noun} on the Hub, or a private one: {_SIGN_IN}"
    if answer is None and writes:
        return "the Hub cannot be reached; what was uploaded is kept: give the same command again"
    if answer is None:
        return f"the Hub cannot be reached, and its cache does not hold all of the {noun}"
    if status in (HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED):
        return "was changed by someone else meanwhile; look at it, and give the same command again"
    said = answer.server_message or "no reason given"
    return f"the Hub refused with status {status}: {one_line(said)}"


def _is_not_found(error: BaseException) -> bool:
    """Whether `datasets` says that there is no such data set."""
    if not isinstance(error, FileNotFoundError) or isinstance(error, LocalEntryNotFoundError):
        return False
    from datasets.exceptions import DatasetNotFoundError  # slow, and needed here alone

    return isinstance(error, DatasetNotFoundError)


def _chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
