"""Publishing a case data set on a stand-in Hub."""

import shutil

import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

from raddiag_hf.core.hub_errors import HubAccessError
from raddiag_hf.hub.dataset_files import UnpublishableError, select_files
from raddiag_hf.hub.publishing import publish_dataset
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import CaseMaker, numbered, write_store
from tests.fixtures.hub_standin import HubStandIn

REPO = "alice/cases"
PUBLISHED = (
    "README.md",
    "data/test-00000-of-00001.parquet",
    "data/train-00000-of-00003.parquet",
    "data/train-00001-of-00003.parquet",
    "data/train-00002-of-00003.parquet",
    "label_sets/labels.json",
)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    tokens = {"hf_alice": "alice", "hf_bob": "bob", "hf_reader": "alice"}
    with HubStandIn(tokens, read_only_tokens={"hf_reader"}) as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield running


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A data set of which three cases were rejected."""
    folder = tmp_path_factory.mktemp("built") / "cases"
    write_store(folder, build_case=CaseMaker(bad=frozenset({3, 20, 44})))
    return folder


@pytest.fixture
def folder(built, tmp_path):
    return shutil.copytree(built, tmp_path / "cases")


def on_hub(hub):
    repository = hub.repositories["dataset", REPO]
    return repository.commits[repository.references["main"]]


def test_what_is_published_is_what_was_built_and_nothing_beside_it(hub, folder):
    (folder / "hospital.key").write_text("secret")
    (folder / "data" / "notes.txt").write_text("patient 17 is a footballer")
    published = publish_dataset(folder, REPO, token="hf_alice")
    assert published.files == PUBLISHED
    assert published.left_out == ("build.json", "data/notes.txt", "hospital.key", "rejected.csv")
    assert published.url == f"{hub.url}/datasets/{REPO}"
    assert {name: content for name, content in on_hub(hub).items() if name[0] != "."} == {
        name: (folder / name).read_bytes() for name in PUBLISHED
    }


@pytest.mark.parametrize(("private", "expected"), [(None, True), (True, True), (False, False)])
def test_a_new_repository_is_private_unless_it_is_to_be_public(hub, folder, private, expected):
    published = publish_dataset(folder, REPO, private=private, token="hf_alice")
    assert published.is_private is expected
    assert hub.repositories["dataset", REPO].private is expected


def test_an_old_repository_keeps_its_visibility_or_nothing_is_sent(hub, folder):
    hub.add("dataset", REPO, {".gitattributes": b""})
    with pytest.raises(UnpublishableError, match="alice/cases: is public already"):
        publish_dataset(folder, REPO, private=True, token="hf_alice")
    assert set(on_hub(hub)) == {".gitattributes"}
    assert not publish_dataset(folder, REPO, token="hf_alice").is_private


def test_an_interrupted_upload_shows_nothing_and_is_resumed(hub, folder):
    hub.uploads_left = 2
    with pytest.raises(HubAccessError, match="alice/cases: the Hub refused with status 507"):
        publish_dataset(folder, REPO, token="hf_alice")
    assert set(on_hub(hub)) == {".gitattributes"}
    assert len(hub.large_files) == 2
    hub.uploads_left = 2
    publish_dataset(folder, REPO, token="hf_alice")
    assert set(on_hub(hub)) == {".gitattributes", *PUBLISHED}


def test_a_new_version_replaces_the_old_one_and_leaves_the_rest(hub, folder, tmp_path):
    publish_dataset(folder, REPO, token="hf_alice")
    repository = hub.repositories["dataset", REPO]
    repository.commit(on_hub(hub) | {"docs/paper.pdf": b"%PDF"})
    items = {Split.TRAIN: numbered(range(4)), Split.TEST: numbered(range(4, 6))}
    write_store(tmp_path / "new", items)
    publish_dataset(tmp_path / "new", REPO, token="hf_alice")
    assert sorted(on_hub(hub)) == [
        ".gitattributes",
        "README.md",
        "data/test-00000-of-00001.parquet",
        "data/train-00000-of-00001.parquet",
        "docs/paper.pdf",
        "label_sets/labels.json",
    ]


def test_a_repository_of_something_else_is_left_alone(hub, folder):
    hub.add("dataset", REPO, {"data/train-00000-of-00001.parquet": b"PAR1"})
    with pytest.raises(UnpublishableError, match="alice/cases: holds something else"):
        publish_dataset(folder, REPO, token="hf_alice")
    assert len(on_hub(hub)) == 1


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (None, "alice/cases: no token was given; sign in"),
        ("hf_wrong", "alice/cases: the Hub refused the token; sign in again"),
        ("hf_bob", "alice/cases: this token may not write there; .* write in 'alice'"),
        ("hf_reader", "alice/cases: this token may not write there; it needs the role `write`"),
    ],
)
@pytest.mark.parametrize("is_there", [False, True])
def test_who_may_not_write_learns_why(hub, folder, token, message, is_there, caplog):
    if is_there:
        hub.add("dataset", REPO, {".gitattributes": b""})
    with pytest.raises(HubAccessError, match=message) as caught:
        publish_dataset(folder, REPO, token=token)
    assert str(token) not in str(caught.value) + caplog.text
    assert hub.large_files == {}


def test_a_token_with_a_line_end_works_and_a_broken_one_is_not_quoted(hub, folder):
    publish_dataset(folder, REPO, token="hf_alice\n")
    with pytest.raises(HubAccessError, match="the token is empty, or holds spaces") as caught:
        publish_dataset(folder, REPO, token="hf_alice\nhf_bob")
    assert "hf_alice" not in str(caught.value)


def test_a_hub_out_of_reach_is_said_so(folder, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubAccessError, match="alice/cases: the Hub cannot be reached"):
        publish_dataset(folder, REPO, token="hf_alice")


@pytest.mark.parametrize("repo_id", ["cases", "alice/", "alice/a/b", "al ice/cases"])
def test_a_name_that_is_none_is_refused(folder, repo_id):
    with pytest.raises(ValueError, match=r"cases|alice|al ice"):
        publish_dataset(folder, repo_id, token="hf_alice")


def change_shard(folder, change):
    path = folder / PUBLISHED[3]
    pq.write_table(change(pq.read_table(path)), path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "README.md").unlink(), r"README\.md: there is no card"),
        (lambda folder: (folder / "README.md").write_text("# R"), "has no front matter"),
        (
            lambda folder: change_shard(
                folder, lambda table: table.append_column("name", table["case_id"])
            ),
            r"columns differ from those of a case: \['name'\]",
        ),
        (
            lambda folder: change_shard(
                folder,
                lambda table: table.replace_schema_metadata(
                    {**table.schema.metadata, b"author": b"Dr. Grey"}
                ),
            ),
            r"carries metadata of its own: \['author', 'huggingface'\]",
        ),
        (
            lambda folder: (folder / PUBLISHED[5]).write_text(
                (folder / PUBLISHED[5]).read_text().replace("{", '{"by": "Dr. Grey",', 1)
            ),
            r"labels\.json: holds more than a label set",
        ),
        (lambda folder: (folder / PUBLISHED[3]).write_bytes(b"PAR1"), "00001-of-00003"),
    ],
)
def test_a_folder_that_holds_more_or_less_than_cases_is_refused(folder, damage, message):
    damage(folder)
    with pytest.raises(UnpublishableError, match=message):
        select_files(folder)


def test_a_missing_shard_is_refused(folder):
    (folder / PUBLISHED[3]).unlink()
    with pytest.raises(FileNotFoundError, match="split train has 2 of 3 shards"):
        select_files(folder)
