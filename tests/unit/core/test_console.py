"""The console: lines of stages, tables, what is data and no markup, details, and a terminal that is left clean."""

from __future__ import annotations

import os
import signal

import pytest

from rag_lightning.core import console
from rag_lightning.core.console import QUIET, VERBOSE, StageLines, duration, opened, summary, within
from rag_lightning.core.errors import Terminated
from rag_lightning.core.tables import Grid, Head, LiveTable

HEADS = (Head("done", 7), Head("system", align="<"), Head("em", 8))


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VERBOSE, raising=False)


def test_a_table_has_one_head_and_fits_the_width(capsys: pytest.CaptureFixture[str]) -> None:
    table, long = LiveTable(HEADS), " · ".join(f"part{i}" for i in range(15))
    table.add("1/2", "short", "25.0")
    table.add("2/2", long, "31.5")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "" and lines[1].split() == ["done", "system", "em"]
    assert lines[2] == f"    1/2  {'short':81}      25.0"
    assert lines[3].startswith("    2/2  part0 · part1") and lines[3].endswith("    31.5")
    assert " ".join(line.strip() for line in lines[3:]).replace("    31.5", "").split()[1:] == long.split()
    assert max(map(len, lines)) == console.WIDTH


def print_everywhere(text: str) -> None:
    """The text as every kind of line and in every part of a table that can hold data."""
    console.say(text)
    console.write("in front: ", "bold", text)
    LiveTable(HEADS).add("1/1", text, "0.0", style="bold")
    table = Grid("head", text, title=text, folded=(text,))
    table.add(text, (text, "red"))
    table.show("stderr")


@pytest.mark.parametrize("text", ["[red]x[/red]", "[/]", "a\\[b]", "who is [[?]", ":smile:"])
def test_markup_in_data_is_shown_as_it_is(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_everywhere(text)
    shown = capsys.readouterr().err
    assert shown.count(text) == 7 and "\x1b" not in shown


SIGNS = {*map(chr, range(32)), *map(chr, range(127, 160)), *"\u061c\u200e\u200f\u202a\u202e\u2066\u2069\ud800"}


@pytest.mark.parametrize("sign", sorted(SIGNS))
def test_no_sign_in_data_steers_a_terminal(sign: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters of both sets, direction marks, half characters."""
    print_everywhere(f"a{sign}b{sign}[2Jc")
    lines = capsys.readouterr().err.splitlines()
    assert not SIGNS & set("".join(lines)) and sum("[2Jc" in line for line in lines) == 6


def test_details_are_shown_when_asked_for(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRANSFORMERS_VERBOSITY", raising=False)
    with opened(verbose=False):
        console.detail("a detail")
        assert os.environ["TRANSFORMERS_VERBOSITY"] == QUIET["TRANSFORMERS_VERBOSITY"]
    assert capsys.readouterr().err == ""
    with opened(verbose=True):
        console.detail("a detail")
        assert "TRANSFORMERS_VERBOSITY" not in os.environ
    assert capsys.readouterr().err == "a detail\n"
    assert VERBOSE not in os.environ


def test_a_stage_has_one_line_and_beside_a_table_none() -> None:
    said: list[str] = []
    lines = StageLines(said.append)
    with lines.working("reader", "d1g35t"):
        pass
    lines.finished("reader", {"steps": 800}, 482.0)
    lines.reused("vectors", "d1g35t", {"passages": 25650})
    assert [line.split("  ", 1)[0] for line in said] == ["reader", "vectors"]
    assert said[0].split(maxsplit=1)[1].split("   ")[0] == "800 steps" and said[0].endswith("  8 min 02 s")
    assert said[1].split(maxsplit=1)[1] == "reused (25,650 passages)"
    with within("trial 1"):
        lines.finished("index", {"kind": "hnsw", "ntotal": 64}, 0.1)
        lines.finished("predictions", {"questions": 12}, 3600.0)
        lines.reused("rankings", "d1g35t", {"questions": 12})
        assert len(said) == 2, "the row tells"
        lines.finished("index", {"kind": "hnsw", "ntotal": 64}, 700.0)
    assert len(said) == 3 and "hnsw, 64 passages" in said[2]


def test_a_stage_that_takes_long_says_that_it_is_running(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    said: list[str] = []
    ended = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        ended.set()

    monkeypatch.setattr(console, "LONG", 0.01)
    with StageLines(say).working("reader", "d1g35t"):
        assert ended.wait(30)
    assert said == ["reader            running …"]


def test_a_warning_of_every_trial_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    with opened(verbose=False):
        for _ in range(2):
            with within("trial"):
                console.say("answer pattern '(' does not compile")
    assert capsys.readouterr().err.count("does not compile") == 1


@pytest.mark.parametrize(
    ("kind", "info", "shown"),
    [
        ("examples", {"counts": {"train": 40, "dev": 12}, "dropped": 3}, "40 train, 12 dev, 3 dropped"),
        ("model", {"formulation": "rag_token", "steps": 1600, "questions": 4}, "rag_token, 1,600 steps"),
        ("bm25", {"kind": "bm25", "ntotal": 64}, "64 passages"),
        ("things", {"rows": 1}, ""),
    ],
)
def test_a_summary_names_variant_and_counts(kind: str, info: dict[str, object], shown: str) -> None:
    assert summary(kind, info) == shown


def test_times_are_rounded_before_they_are_split() -> None:
    shown = ["9.9 s", "10 s", "1 min 00 s", "1 h 00 min"]
    assert [duration(seconds) for seconds in (9.94, 9.96, 59.6, 3599.7)] == shown


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_no_bar_is_left_when_a_command_ends(
    error: type[BaseException], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "is_terminal", lambda: True)
    with pytest.raises(error), opened(verbose=False):
        for number, _ in enumerate(console.counted(range(100), "reading", "passages")):
            if number == 3:
                raise error
    bar, _, rest = capsys.readouterr().err.rpartition(console.CLEARED)
    assert "reading" in bar and not bar.split("\r")[-2].strip() and not rest


def test_sigterm_ends_a_command_by_an_exception() -> None:
    with pytest.raises(Terminated), opened(verbose=False):
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
