"""Foreign text: what a terminal or a spreadsheet would act on is only shown."""

import csv
import io
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raddiag_hf.cli.console import SafeConsole, say
from raddiag_hf.cli.main import main
from raddiag_hf.core.plain_text import (
    PlainFormatter,
    from_spreadsheet,
    in_spreadsheet,
    printable,
    printable_json,
)
from raddiag_hf.reports.markdown import in_markdown

HOSTILE = "Cyst\x1b[2J\x9b31m\u202etsyC\u2066\r\x07\x00"
ACTED_ON = set("\x1b\x9b\u202e\u2066\r\x07\x00\u200f\u2028")


@given(st.text())
def test_what_a_terminal_acts_on_does_not_reach_it(text):
    shown = printable(text)
    assert ACTED_ON.isdisjoint(shown)
    assert len(shown) == len(text)
    shown.encode()  # no half of a surrogate pair
    assert printable(shown) == shown


@pytest.mark.parametrize("text", ["Kyste à 3 cm", "囊肿", "كيس", "line\nline\ttab", "🦴"])
def test_text_of_any_script_stays_as_it_is(text):
    assert printable(text) == text


@given(st.dictionaries(st.text(), st.text() | st.integers()))
def test_json_says_the_same_to_a_program(content):
    text = printable_json(content)
    assert json.loads(text) == content
    assert ACTED_ON.isdisjoint(text)


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-2", "@SUM(A1)", "\t=1", "'=1", "''=1", "Cyst", ""]
)
def test_a_cell_is_text_and_comes_back(text):
    cell = in_spreadsheet(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t"))
    assert from_spreadsheet(cell) == text


@pytest.mark.parametrize("is_terminal", [True, False])
def test_consoles_print_it_harmless(is_terminal):
    file = io.StringIO()
    console = SafeConsole(file=file, force_terminal=is_terminal, width=200)
    console.print(HOSTILE, markup=False, highlight=False)
    say(HOSTILE, style="dim", console=console)
    shown = file.getvalue()
    assert "\x1b[2J" not in shown
    assert ACTED_ON.isdisjoint(shown.replace("\x1b[2m", "").replace("\x1b[0m", ""))
    assert shown.count("Cyst") == 2


def test_messages_and_logs_are_harmless(capsys):
    assert main(["diagnose", f"no\x1b[2J{chr(0x202E)}.png", "--model", "x"]) == 2
    assert ACTED_ON.isdisjoint(capsys.readouterr().err)
    record = logging.LogRecord("raddiag_hf", logging.WARNING, "", 0, "%s", (HOSTILE,), None)
    assert ACTED_ON.isdisjoint(PlainFormatter("%(message)s").format(record))


def test_markdown_has_no_hidden_signs():
    assert ACTED_ON.isdisjoint(in_markdown(HOSTILE))


def test_csv_readers_get_the_cell_whole():
    file = io.StringIO()
    csv.writer(file).writerow([in_spreadsheet("=HYPERLINK(1)")])
    assert file.getvalue() == "'=HYPERLINK(1)\r\n"
