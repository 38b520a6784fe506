"""`raddiag reproduce`: what is planned, and what is refused before anything is trained."""

import pytest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table1"], "--data is missing: name the cases; --plan needs none"),
        (["table9", "--plan"], "there is no 'table9' to reproduce; expected one of table1,"),
        (["table1", "--device", "h100"], "--device belongs to --plan"),
        (["table1", "--plan", "--num-devices", "8"], "--num-devices belongs to --device"),
        (["table1", "--plan", "--device", "abacus"], "nothing is known of 'abacus'"),
        (["table2", "--data", "nowhere"], "table2 has models with knowledge enhancement"),
        (["table1", "--seeds", "0", "--plan"], "Invalid value for '--seeds'"),
        (["table1", "training.learnin_rate=1", "--plan"], "did you mean training.learning_rate"),
    ],
)
def test_refusals(arguments, message, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run("reproduce", *arguments)
    assert code == 2
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_a_plan_tells_both_machines(run):
    code, out, err = run("reproduce", "supplementary-table2", "--plan")
    assert code == 0, err
    assert "8 x NVIDIA H100 80 GB" in out
    assert "1 x NVIDIA RTX 4090" in out
    assert "Planned for as many and as large cases as RP3D-DiagDS has." in out
