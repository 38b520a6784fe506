"""`raddiag compare`: what is written, printed and refused."""

import json

import pytest

from tests.fixtures.evaluation_data import save_evaluation_model, write_evaluation_data


def test_evaluations_are_compared_side_by_side(tmp_path, run):
    write_evaluation_data(tmp_path / "data")
    for seed, name in enumerate(("first", "second")):
        save_evaluation_model(tmp_path / name, seed=3 * seed)
        code, _, err = run(
            *("evaluate", "--model", tmp_path / name, "--dataset", tmp_path / "data"),
            *("--output", tmp_path / f"{name}-out", "--device", "cpu", "--resamples", "20"),
            *("--num-workers", "0", "--no-report"),
        )
        assert code == 0, err
    files = [tmp_path / f"{name}-out" / "metrics.json" for name in ("first", "second")]
    code, out, err = run(
        "compare", *files, "--output", tmp_path / "both", "--resamples", "20", "--resample", "case"
    )
    assert code == 0, err
    assert "Difference" in out
    assert "second" in out
    paired = json.loads((tmp_path / "both" / "comparison.json").read_text())["paired"]
    assert list(paired) == ["second"]
    for name in ("class_roc.png", "class_roc.pdf"):
        assert (tmp_path / "both" / name).stat().st_size > 5000
    code, _, err = run("compare", *files, "--resamples", "20", "--label", "Flu")
    assert (code, err.splitlines()[-1]) == (2, "raddiag: label 'Flu': there is no such label")
    code, out, _ = run("compare", *files, "--resamples", "20", "--json")
    assert json.loads(out)["paired"].keys() == {"second"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "at least two evaluations, 0 were named"),
        (("a.json",), "at least two evaluations, 1 were named"),
        (("a.json", "b.json"), "a.json: No such file"),
        (("a.json", "b.json", "--resamples", "0"), "a comparison needs some"),
        (("a.json", "b.json", "--output", "/proc/version/out"), "/proc/version is a file"),
    ],
)
def test_what_cannot_be_compared_is_answered_in_one_line(run, arguments, message):
    code, out, err = run("compare", *arguments)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert "Traceback" not in err


def test_help_shows_examples(run):
    code, out, _ = run("compare", "--help")
    assert code == 0
    assert "raddiag compare baseline/metrics.json out/metrics.json --output comparison" in out
