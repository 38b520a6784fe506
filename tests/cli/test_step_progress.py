"""Bars on standard error name what is done, whatever it is called."""

from raddiag_hf.cli.step_progress import step_progress


def test_a_path_with_brackets_is_no_markup(capsys):
    with step_progress() as report:
        report("Loading runs[/red]/model", 1, 2)
    assert "runs[/red]/model" in capsys.readouterr().err
