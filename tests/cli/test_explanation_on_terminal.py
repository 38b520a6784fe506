"""An explanation on the terminal says where its map tells little."""

from dataclasses import replace
from io import StringIO

from rich.console import Console

from raddiag_hf.cli.explain import render_explanation
from tests.fixtures.diagnoses import make_explanation


def printed(explanation):
    output = StringIO()
    Console(file=output, width=200).print(render_explanation(explanation))
    return " ".join(output.getvalue().split())


def test_scans_that_do_not_raise_the_score_are_named():
    explanation = make_explanation()
    assert "black scan" not in printed(explanation)
    first, second = explanation.scans
    without = replace(second, saliency=replace(second.saliency, gain=0.0))
    shown = printed(replace(explanation, scans=(first, without)))
    assert "No higher score than a black scan: scan 2;" in shown
