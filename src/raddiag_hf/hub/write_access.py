"""What the Hub refuses to take, as one error that says what is missing."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from huggingface_hub import get_token
from huggingface_hub.errors import HfHubHTTPError, HTTPError, RepositoryNotFoundError


class HubWriteError(PermissionError):
    """A repository on the Hub that cannot be written, and what to do about it."""


def require_token(repo_id: str, token: str | None) -> None:
    """Refuse to begin without any token, given or stored.

    Raises:
        HubWriteError: If there is none.
    """
    if token is None and get_token() is None:
        raise HubWriteError(
            f"{repo_id}: no token was given; sign in with `hf auth login`, set HF_TOKEN or pass one"
        )


@contextmanager
def explained_writing(repo_id: str) -> Iterator[None]:
    """Turn the Hub's refusals inside the block into one `HubWriteError`; no token is named.

    Args:
        repo_id: The repository, ``"<namespace>/<name>"``.

    Raises:
        HubWriteError: If the token is wrong or may not write there, the repository has changed
            meanwhile, or the Hub cannot be reached.
    """
    try:
        yield
    except HTTPError as error:  # of the HTTP library that huggingface_hub uses
        raise HubWriteError(f"{repo_id}: {_reason(error, repo_id)}") from None
    except RuntimeError as error:  # how huggingface_hub wraps a failed upload of one file
        if not isinstance(error.__cause__, HTTPError):
            raise
        raise HubWriteError(f"{repo_id}: {_reason(error.__cause__, repo_id)}") from None


def _reason(error: HTTPError, repo_id: str) -> str:
    if not isinstance(error, HfHubHTTPError):
        return "the Hub cannot be reached; what was uploaded is kept: give the same command again"
    status = error.response.status_code
    if status == HTTPStatus.UNAUTHORIZED and not isinstance(error, RepositoryNotFoundError):
        return "the Hub refused the token; sign in again with `hf auth login`, or pass a valid one"
    if status == HTTPStatus.FORBIDDEN or isinstance(error, RepositoryNotFoundError):
        return (
            f"this token may not write there; it needs the role `write`, and its user the right to "
            f"write in {repo_id.split('/')[0]!r}"
        )
    if status in (HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED):
        return "was changed by someone else meanwhile; look at it, and give the same command again"
    return f"the Hub refused with status {status}: {error.server_message or 'no reason given'}"
