"""`ask` shows which passages an answer comes from."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import pytest
from rich.console import Console

from rag_lightning.config.decoding import DecodingConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core import console, tables
from rag_lightning.core.records import Hypothesis, Passage, Prediction
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.stages import answer
from rag_lightning.stages.ask import OpenSystem

PASSAGES = (Passage("1", "Rome", "a city"), Passage("2", "Paris", "[b]"), Passage("3", "", "c"), Passage("4", "", "d"))
SAID = Prediction("ask", "rome", "rome", -0.5, (Hypothesis("rome", -0.5, (5, 3)),))


def printed(monkeypatch: pytest.MonkeyPatch, found: answer.Answer) -> list[str]:
    page = io.StringIO()
    for module in (console, tables):
        monkeypatch.setattr(module, "CONSOLE", Console(file=page, width=120))
    answer.show(found)
    return page.getvalue().splitlines()


def test_an_answer_is_printed_with_score_prior_and_posterior(monkeypatch: pytest.MonkeyPatch) -> None:
    found = answer.Answer(PASSAGES[:2], (0.75, 0.25), SAID, (4.5, 3.25), ((0.125, 0.875),))
    lines = printed(monkeypatch, found)
    (line,) = [text for text in lines if "Paris" in text]
    assert "3.25" in line and "0.250" in line and "0.875" in line and "[b]" in line
    assert any("-0.500" in line and "z=2 0.875  z=1 0.125" in line for line in lines)


def test_passages_read_together_have_no_posterior(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(monkeypatch, answer.Answer(PASSAGES[:2], (0.75, 0.25), SAID, together=True))
    assert any("there is no p(z|x,y)" in line for line in lines)
    (line,) = [text for text in lines if "Paris" in text]
    assert "none" in line and "by token" not in line


def test_every_token_is_printed_with_the_passages_that_share_most(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = (("rome", (0.1, 0.2, 0.3, 0.4)), ("[SEP]", (0.25, 0.25, 0.25, 0.25)))
    lines = printed(monkeypatch, answer.Answer(PASSAGES, (0.25,) * 4, SAID, tokens=tokens))
    assert any("z=4 0.400  z=3 0.300  z=2 0.200" in line and "z=1" not in line for line in lines)
    assert any("[SEP]" in line and "z=1 0.250  z=2 0.250  z=3 0.250" in line for line in lines)


def test_hostile_texts_do_nothing_to_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = "[bold red]x[/] \x1b[31m \x00 \u202e \r\n <script> " + "y" * 50_000
    said = Prediction("ask", bad, bad, -0.5, (Hypothesis(bad, -0.5, (5,)),))
    found = answer.Answer((Passage("1", bad, bad),), (1.0,), said, (1.0,), tokens=((bad, (1.0,)),))
    lines = printed(monkeypatch, found)
    text = "".join(lines)
    assert not {"\x1b", "\x00", "\u202e", "\r"} & set(text) and len(text) < 12_000
    assert lines[0].startswith("[bold red]x[/] [31m <script>")


def test_nothing_is_kept_of_a_question_that_was_answered(toy: Seq2SeqGenerator) -> None:
    decoding = DecodingConfig(strategy="greedy", options={"max_length": 3})
    system = OpenSystem(ExperimentConfig(formulation="closed_book", decoding=decoding), Encodings(toy))
    alone = {question: system.answer(question) for question in ("a b", "b", "c a", "c")}
    with ThreadPoolExecutor(2) as threads:  # as the server of MLflow answers
        assert list(threads.map(system.answer, [*alone] * 5)) == [*alone.values()] * 5
    assert not system.encodings._states
