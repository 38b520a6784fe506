"""What of an error is the Hub's; the refusals themselves are tested where a stand-in Hub runs."""

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

from raddiag_hf.core.errors import InputError
from raddiag_hf.core.hub_errors import HubAccessError, explained_access


class ModelError(InputError):
    """What a caller raises instead."""


@pytest.mark.parametrize(
    ("error", "writes"),
    [
        (FileNotFoundError(2, "No such file or directory", "cases"), False),
        (RuntimeError("out of memory"), True),
        (RuntimeError("out of memory"), False),
        (PermissionError(13, "Permission denied"), False),
        (InputError("cases: has no split 'test'"), False),
        (ValueError("a fault of ours"), False),
    ],
)
def test_what_the_hub_did_not_say_passes_as_it_is(error, writes):
    with pytest.raises(type(error)) as caught, explained_access("alice/cases", writes=writes):
        raise error
    assert caught.value is error


@pytest.mark.parametrize("offline", [OfflineModeIsEnabled("offline"), LocalEntryNotFoundError("")])
def test_a_hub_out_of_reach_is_named_behind_whatever_wraps_it(offline):
    with (
        pytest.raises(ModelError, match=r"^owner/model: the Hub (is not asked|cannot be reached)"),
        explained_access("owner/model", "model", raises=ModelError),
    ):
        raise FileNotFoundError("owner/model/config.json") from offline


def test_an_error_that_was_explained_is_not_explained_again():
    explained = HubAccessError("alice/shards: is restricted")
    explained.__context__ = OfflineModeIsEnabled("offline")
    with pytest.raises(HubAccessError) as caught, explained_access("alice/cases"):
        raise explained
    assert caught.value is explained


def test_it_is_an_error_of_access_and_of_input():
    assert issubclass(HubAccessError, PermissionError)
    assert issubclass(HubAccessError, InputError)
