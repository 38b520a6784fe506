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
_WRONG_TOKEN = "the Hub refused the token; sign in again with `hf auth login`, or pass a valid one"
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
        explain = _why_not_written if writes else _why_not_read
        reason = explain(causes, repo_id, kind)
        if any(isinstance(cause, RevisionNotFoundError) for cause in causes):
            reason = f"has no revision {revision!r}" if revision else "has no such revision"
        raise raises(f"{repo_id}: {reason}") from None


def _why_not_read(causes: list[BaseException], repo_id: str, kind: RepoKind) -> str:
    folder = "datasets/" if kind == "dataset" else ""
    page = f"https://huggingface.co/{folder}{repo_id}"
    error = causes[0]
    answer = next((cause for cause in causes if isinstance(cause, HfHubHTTPError)), None)
    if isinstance(error, LocalTokenNotFoundError):
        return f"no token is stored; {_SIGN_IN}"
    if isinstance(error, HFValidationError):
        return f"is not a Hub id: {one_line(error)}"
    if any("Invalid credentials" in str(cause) for cause in causes):
        return _WRONG_TOKEN
    # `datasets` drops the Hub's own error, and leaves its words only.
    if isinstance(answer, GatedRepoError) or "is a gated dataset" in str(error):
        status = None if answer is None else answer.response.status_code
        if status == HTTPStatus.UNAUTHORIZED or "must be authenticated" in str(error):
            return (
                f"access is restricted and no token was given; accept the terms at {page}, then "
                f"{_SIGN_IN}"
            )
        return f"access is restricted and this account has not been admitted; ask for it at {page}"
    if isinstance(answer, RepositoryNotFoundError) or _is_not_found(error):
        return (
            f"no such folder{' or builder' if kind == 'dataset' else ''} here, and no such "
            f"{_NOUNS[kind]} on the Hub, or a private one: {_SIGN_IN}"
        )
    if answer is None:
        return f"the Hub cannot be reached, and its cache does not hold all of the {_NOUNS[kind]}"
    if answer.response.status_code == HTTPStatus.UNAUTHORIZED:
        return _WRONG_TOKEN
    return _status(answer)


def _why_not_written(causes: list[BaseException], repo_id: str, kind: RepoKind) -> str:
    answer = next((cause for cause in causes if isinstance(cause, HfHubHTTPError)), None)
    if answer is None:
        return "the Hub cannot be reached; what was uploaded is kept: give the same command again"
    status = answer.response.status_code
    if status == HTTPStatus.UNAUTHORIZED and not isinstance(answer, RepositoryNotFoundError):
        return _WRONG_TOKEN
    if status == HTTPStatus.FORBIDDEN or isinstance(answer, RepositoryNotFoundError):
        return (
            "this token may not write there; it needs the role `write`, and its user the right to "
            f"write in {repo_id.split('/')[0]!r}"
        )
    if status in (HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED):
        return "was changed by someone else meanwhile; look at it, and give the same command again"
    return _status(answer)


def _status(answer: HfHubHTTPError) -> str:
    status, message = answer.response.status_code, answer.server_message or "no reason given"
    return f"the Hub refused with status {status}: {one_line(message)}"


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
