import json
import os
import shutil
import subprocess
import sys
import textwrap

import datasets
import pytest

import raddiag_hf
from raddiag_hf.data.publishers.loading import (
    BuilderOptionError,
    builder_names,
    load_builder,
    load_dataset,
)
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import numbered, write_store
from tests.fixtures.folders import contents
from tests.fixtures.hub_standin import HubStandIn
from tests.fixtures.publisher_files import save_picture, write_script

SMALL = {"num_train": 2, "num_validation": 1, "num_test": 1, "image_size": 32, "max_slices": 6}

ASK_THE_HUB = """
import json, sys
import raddiag_hf
from raddiag_hf.core.hub_errors import HubAccessError

for repo_id, token, streaming in json.loads(sys.argv[1]):
    try:
        cases = raddiag_hf.load_dataset(
            repo_id, split="train", token=token, streaming=streaming, cache_dir=sys.argv[2]
        )
        answer = [row["case_id"] for row in cases][:2]
    except HubAccessError as error:
        answer = str(error)
    print("ANSWER", json.dumps(answer))
"""


@pytest.fixture
def script(tmp_path):
    """A user's own builder, and ten pictures for it."""
    return write_script(tmp_path)


def test_every_folder_of_scripts_is_a_builder_by_name():
    assert builder_names() == [
        "brain_tumor",
        "covid_chestxray",
        "cxr14",
        "phantoms",
        "pocus",
        "rp3d_diag",
    ]


def test_the_package_offers_it():
    assert raddiag_hf.load_dataset is load_dataset


def test_a_split_or_all_of_them(tmp_path):
    assert set(load_dataset("phantoms", cache_dir=tmp_path, **SMALL)) == {
        "train",
        "validation",
        "test",
    }
    assert len(load_dataset("phantoms", split="train[:1]", cache_dir=tmp_path, **SMALL)) == 1


def test_streaming_prepares_nothing(tmp_path):
    stream = load_dataset("phantoms", split="train", streaming=True, cache_dir=tmp_path, **SMALL)
    assert [row["case_id"] for row in stream] == ["phantom-0-000000", "phantom-0-000001"]
    assert list(tmp_path.rglob("*.arrow")) == []


@pytest.mark.parametrize("num_proc", [None, 2])
def test_a_script_is_loaded_by_its_path(script, tmp_path, num_proc):
    cases = load_dataset(
        script,
        data_dir=tmp_path / "pictures",
        cache_dir=tmp_path / "cache",
        num_proc=num_proc,
    )
    assert {name: len(split) for name, split in cases.items()} == {
        "train": 7,
        "validation": 1,
        "test": 2,
    }


def test_more_files_make_another_cache(script, tmp_path):
    arguments = {"data_dir": tmp_path / "pictures", "cache_dir": tmp_path / "cache"}
    before = load_dataset(script, **arguments)
    save_picture(tmp_path / "pictures" / "10.png")
    after = load_dataset(script, **arguments)
    assert sum(len(split) for split in before.values()) == 10
    assert sum(len(split) for split in after.values()) == 11


def test_an_image_that_has_changed_makes_another_cache(script, tmp_path):
    arguments = {"data_dir": tmp_path / "pictures", "cache_dir": tmp_path / "cache"}
    before = load_dataset(script, split="train", **arguments)
    for path in (tmp_path / "pictures").iterdir():
        save_picture(path, size=(20, 20))
    after = load_dataset(script, split="train", **arguments)
    shapes = [cases[0]["scans"][0]["volume"]["shape"] for cases in (before, after)]
    assert shapes == [[1, 6, 8], [1, 20, 20]]


def test_a_written_folder_is_loaded_by_its_path(tmp_path):
    write_store(tmp_path / "store")
    cases = load_dataset(tmp_path / "store", split="test", cache_dir=tmp_path / "cache")
    assert len(cases) == 6


def test_a_written_folder_goes_before_a_builder_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pocus").mkdir()
    with pytest.raises(ValueError, match="data_dir: expected a folder, found none"):
        load_dataset("pocus", cache_dir=tmp_path / "cache")
    write_store(tmp_path / "pocus")
    assert len(load_dataset("pocus", split="test", cache_dir=tmp_path / "cache")) == 6


@pytest.mark.parametrize("num_proc", [None, 2])
def test_an_error_in_the_data_is_what_the_caller_sees(script, tmp_path, num_proc):
    (tmp_path / "pictures" / "3.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"3\.png: expected a readable scan"):
        load_dataset(
            script,
            data_dir=tmp_path / "pictures",
            cache_dir=tmp_path / "cache",
            num_proc=num_proc,
        )


def test_what_does_not_exist_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.py: no such script"):
        load_dataset("missing.py")
    with pytest.raises(FileNotFoundError, match="builders by name: brain_tumor, covid"):
        load_builder("missing")
    with pytest.raises(ValueError, match="phantoms has no option 'num_cases'; options: complete,"):
        load_builder("phantoms", num_cases=3, cache_dir=tmp_path)
    with pytest.raises(ValueError, match="no builder, so it has no option 'strict'"):
        load_dataset("someone/cases", strict=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_train": "abc"}, "^num_train is 'abc', expected int$"),
        ({"num_train": -5}, "^num_train is -5, expected at least 0$"),
        ({"num_test": True}, "^num_test is True, expected int$"),
        ({"num_disorders": 0}, "^num_disorders is 0, expected at least 1$"),
        ({"image_size": 16}, "^image_size is 16, expected at least 32$"),
        ({"strict": "maybe"}, "^strict is 'maybe', expected bool$"),
        ({"storage": {"bits": 8}}, "^storage: can be given in Python only$"),
    ],
)
def test_an_option_of_another_type_or_out_of_range_is_refused(tmp_path, options, message):
    with pytest.raises(BuilderOptionError, match=message):
        load_builder("phantoms", cache_dir=tmp_path, **options)
    assert not any(tmp_path.iterdir())


def test_a_script_without_a_builder_is_refused(tmp_path):
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(ValueError, match="defines 0 case builders, expected one"):
        load_builder(tmp_path / "empty.py")


def test_the_hub_gives_cases_to_those_it_knows_and_says_why_to_others(tmp_path):
    write_store(tmp_path / "store")
    files = contents(tmp_path / "store")
    questions = [
        ("alice/cases", None, False),
        ("alice/cases", "hf_bob", True),
        ("alice/cases", "hf_wrong", False),
        ("alice/absent", "hf_bob", False),
        ("alice/aggregated-cases", "hf_bob", False),
        ("alice/cases", "hf_alice", False),
        ("alice/cases", "hf_alice", True),
    ]
    with HubStandIn(tokens={"hf_alice": "alice", "hf_bob": "bob"}) as hub:
        hub.add("dataset", "alice/cases", files, gated=True)
        run = subprocess.run(
            [sys.executable, "-c", ASK_THE_HUB, json.dumps(questions), str(tmp_path / "cache")],
            env=os.environ | hub.environment(cache=tmp_path / "hub"),
            capture_output=True,
            text=True,
            check=True,
        )
    answers = [
        json.loads(line.removeprefix("ANSWER "))
        for line in run.stdout.splitlines()
        if line.startswith("ANSWER ")
    ]
    assert "no token was given; accept the terms at https://" in answers[0]
    assert "this account has not been admitted; ask for it at https://" in answers[1]
    assert "the Hub refused the token; sign in again" in answers[2]
    assert "no such data set on the Hub, or a private one" in answers[3]
    assert "no such data set on the Hub, or a private one" in answers[4]
    assert answers[5:] == [["case-0", "case-1"]] * 2
    assert "hf_" not in run.stdout + run.stderr


PLAIN_DATASETS = """
import sys
from datasets import load_dataset

cases = load_dataset("alice/RP3D-DiagDS", split="train", token="hf_alice", cache_dir=sys.argv[1])
print(len(cases), cases.features["labels"].feature.names)
"""


def test_plain_datasets_reads_what_was_published(tmp_path):
    write_store(tmp_path / "store")
    files = contents(tmp_path / "store")
    with HubStandIn(tokens={"hf_alice": "alice"}) as hub:
        hub.add("dataset", "alice/RP3D-DiagDS", files, gated=True)
        run = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(PLAIN_DATASETS), str(tmp_path / "cache")],
            env=os.environ | hub.environment(cache=tmp_path / "hub"),
            capture_output=True,
            text=True,
            check=True,
        )
    assert run.stdout == "40 ['Normal', 'Pneumothorax', 'Hip fracture']\n"


@pytest.mark.parametrize("load", [load_dataset, datasets.load_dataset])
def test_folders_of_one_name_and_new_content_of_a_folder_are_told_apart(tmp_path, load):
    counts = []
    for number, place in enumerate(("one", "two", "two")):
        folder = tmp_path / place / "cases"
        shutil.rmtree(folder, ignore_errors=True)
        write_store(folder, {Split.TRAIN: numbered(range(2 + number))})
        cases = load(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
        counts.append(len(cases))
    assert counts == [2, 3, 4]
