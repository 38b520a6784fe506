"""Errors of the Hub, read and write, as one that says what to do about it; no token is named."""

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from json import JSONDecodeError
from typing import Literal

from huggingface_hub import constants, get_session, get_token
from huggingface_hub.errors import (
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from raddiag_hf.core.errors import InputError, one_line

RepoKind = Literal["dataset", "model"]

_NOUNS = {"dataset": "data set", "model": "model"}
_SIGN_IN = "sign in with `hf auth login`, set HF_TOKEN or pass a token"
_UNREACHABLE = HTTPError, ConnectionError, LocalEntryNotFoundError
_OF_THE_HUB = *_UNREACHABLE, HFValidationError, LocalTokenNotFoundError, FileMetadataError
_OUT_OF_ORDER = (
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
SILENCE_S = 30.0
"""For answers to requests that set no limit of their own: huggingface_hub would wait for ever."""


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
    _limit_silence()
    try:
        yield
    except InputError:
        raise
    except (*_OF_THE_HUB, JSONDecodeError, wrapper) as error:
        causes = list(_chain(error))
        if not (any(map(_is_of_the_hub, causes)) or _is_not_found(error)):
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
    if answer is None:
        kept = (
            "what was uploaded is kept: give the same command again"
            if writes
            else f"its cache does not hold all of the {noun}"
        )
        return f"{_silence(causes)}; {kept}"
    if status == HTTPStatus.FORBIDDEN:
        return f"the Hub lets nobody read it with this account (status 403: {_said(answer)})"
    if status == HTTPStatus.NOT_FOUND:
        return f"the Hub has no such file or {noun} (status 404: {_said(answer)})"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "the Hub takes no more requests for now (status 429): wait some minutes, or sign in"
    if status in _OUT_OF_ORDER:
        return f"the Hub is out of order (status {status}); try again later"
    if status in (HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED):
        return "was changed by someone else meanwhile; look at it, and give the same command again"
    return f"the Hub refused with status {status}: {_said(answer)}"


def _said(answer: HfHubHTTPError) -> str:
    return one_line(answer.server_message or "no reason given", 200)


def _silence(causes: list[BaseException]) -> str:
    """Say why there is no answer."""
    if any(isinstance(cause, OfflineModeIsEnabled) for cause in causes):
        return "the Hub is not asked, because HF_HUB_OFFLINE is set"
    if any(isinstance(cause, (JSONDecodeError, FileMetadataError)) for cause in causes):
        return (
            f"what answers at {constants.ENDPOINT} is not the Hub, perhaps a page of a proxy to "
            "sign in at"
        )
    # Of httpx's or httpx2's errors, whichever huggingface_hub uses.
    names = {type(cause).__name__ for cause in causes}
    if any(name.endswith("Timeout") for name in names):
        return "the Hub does not answer"
    if names & {"RemoteProtocolError", "ReadError", "WriteError"}:
        return "the connection to the Hub broke off"
    return "the Hub cannot be reached"


def is_temporary(error: BaseException) -> bool:
    """Tell whether an error, or what it explains, says that the Hub is out of reach or busy."""
    answer = next((one for one in _chain(error) if isinstance(one, HfHubHTTPError)), None)
    return (
        answer is None
        or answer.response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
        or answer.response.status_code == HTTPStatus.TOO_MANY_REQUESTS
    )


def _limit_silence() -> None:
    """Let a Hub that says nothing end in an error, unless the process set a limit of its own."""
    session = get_session()
    if session.timeout.read is None:
        session.timeout = SILENCE_S


def _is_of_the_hub(error: BaseException) -> bool:
    if isinstance(error, JSONDecodeError):
        frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
        return any("huggingface_hub" in frame.f_globals.get("__name__", "") for frame in frames)
    return isinstance(error, _OF_THE_HUB)


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
