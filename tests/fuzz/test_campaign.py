"""Campaign: the same seed makes the same files, and what may not be is counted."""

from tests.fuzz.campaign import mutated, run
from tests.fuzz.kinds import WRITERS


def test_a_small_campaign_finds_no_fault(tmp_path):
    result = run(40, seed=1, kept=tmp_path / "kept")
    assert result["faults"] == dict.fromkeys(result["faults"], 0)
    assert sum(result["total"].values()) == 40
    assert not (tmp_path / "kept").exists()


def test_the_same_seed_makes_the_same_files(tmp_path):
    originals = {kind: bytes(range(256)) for kind in WRITERS}
    files = [mutated(originals, number, seed=3) for number in range(50)]
    assert files == [mutated(originals, number, seed=3) for number in range(50)]
    assert len({content for _, content in files}) > 40
