"""What the Hub refuses, as one error that says how to get access."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from datasets.exceptions import DatasetNotFoundError
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

_UNAUTHORIZED = 401
_GATED = "is a gated dataset"
"""What `datasets` says of one; a name may hold the word as well, as ``aggregated`` does."""


class DataAccessError(PermissionError):
    """A data set on the Hub that cannot be read, and what to do about it."""


def clean_token(repo_id: str, token: str | None) -> str | None:
    """Return a token without the line end that comes from reading it out of a file.

    HTTP clients refuse anything else that does not belong into a header, and quote it.

    Raises:
        DataAccessError: If it is empty or holds such characters; they are not quoted.
    """
    if token is None:
        return None
    token = token.strip()
    if not re.fullmatch(r"[!-~]+", token):
        raise DataAccessError(
            f"{repo_id}: the token is empty, or holds spaces or letters that no token has"
        )
    return token


@contextmanager
def explained_access(repo_id: str) -> Iterator[None]:
    """Turn the Hub's refusals inside the block into one `DataAccessError`; no token is named.

    Args:
        repo_id: The data set, ``"<namespace>/<name>"``.

    Raises:
        DataAccessError: If it is gated, private or absent, the token is wrong, or the Hub cannot be
            reached.
    """
    try:
        yield
    except LocalTokenNotFoundError:
        raise DataAccessError(
            f"{repo_id}: no token is stored; sign in with `hf auth login`, or set HF_TOKEN"
        ) from None
    except (DatasetNotFoundError, HTTPError, ConnectionError) as error:
        raise DataAccessError(f"{repo_id}: {_reason(error, repo_id)}") from None
    except (LocalEntryNotFoundError, OfflineModeIsEnabled):
        raise DataAccessError(
            f"{repo_id}: the Hub cannot be reached, and its cache does not hold the data set"
        ) from None
    except FileNotFoundError as error:  # how the Hub's file system puts every refusal
        if not any(isinstance(cause, HfHubHTTPError) for cause in _chain(error)):
            raise
        raise DataAccessError(f"{repo_id}: {_reason(error, repo_id)}") from None


def _reason(error: BaseException, repo_id: str) -> str:
    """Look for the Hub's own answer behind what `datasets` made of it."""
    page = f"https://huggingface.co/datasets/{repo_id}"
    behind = list(_chain(error))
    statuses = {cause.response.status_code for cause in behind if isinstance(cause, HfHubHTTPError)}
    if any("Invalid credentials" in str(cause) for cause in behind):
        return "the Hub refused the token; sign in again with `hf auth login`, or pass a valid one"
    if any(isinstance(cause, GatedRepoError) for cause in behind) or _GATED in str(error):
        if _UNAUTHORIZED in statuses or "must be authenticated" in str(error):
            return (
                f"access is restricted and no token was given; accept the terms at {page}, then "
                "sign in with `hf auth login`, set HF_TOKEN or pass token="
            )
        return f"access is restricted and this account has not been admitted; ask for it at {page}"
    if any(isinstance(cause, RevisionNotFoundError) for cause in behind):
        return "has no such revision"
    if any(isinstance(cause, DatasetNotFoundError | RepositoryNotFoundError) for cause in behind):
        return (
            "no such builder or folder here, and no such data set on the Hub, or a private one: "
            "sign in with `hf auth login`, set HF_TOKEN or pass token="
        )
    if statuses:
        return f"the Hub refused with status {min(statuses)}"
    return "the Hub cannot be reached, and its cache does not hold the data set"


def _chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
