"""`ask` shows which passages an answer comes from."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.records import Hypothesis, Passage, Prediction
from rag_lightning.stages import ask

PASSAGES = (Passage("1", "Rome", "a city"), Passage("2", "Paris", "[b]"), Passage("3", "", "c"), Passage("4", "", "d"))
SAID = Prediction("ask", "rome", "rome", -0.5, (Hypothesis("rome", -0.5, (5, 3)),))


def printed(monkeypatch: pytest.MonkeyPatch, found: ask.Answer) -> list[str]:
    page = io.StringIO()
    monkeypatch.setattr(ask, "CONSOLE", Console(file=page, width=120))
    monkeypatch.setattr(ask, "answer", lambda *_: found)
    ask.run(ExperimentConfig(), "what")
    return page.getvalue().splitlines()


def test_an_answer_is_printed_with_prior_and_posterior(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ask.Answer(PASSAGES[:2], (0.75, 0.25), SAID, posteriors=(0.125, 0.875))
    (line,) = [text for text in printed(monkeypatch, found) if "Paris" in text]
    assert "0.250" in line and "0.875" in line and "[b]" in line


def test_passages_read_together_have_no_posterior(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(monkeypatch, ask.Answer(PASSAGES[:2], (0.75, 0.25), SAID))
    assert any("there is no p(z|x,y)" in line for line in lines)
    (line,) = [text for text in lines if "Paris" in text]
    assert "none" in line and "by token" not in line


def test_every_token_is_printed_with_the_passages_that_share_most(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = (("rome", (0.1, 0.2, 0.3, 0.4)), ("[SEP]", (0.25, 0.25, 0.25, 0.25)))
    lines = printed(monkeypatch, ask.Answer(PASSAGES, (0.25,) * 4, SAID, tokens=tokens))
    assert any("z=4 0.400  z=3 0.300  z=2 0.200" in line and "z=1" not in line for line in lines)
    assert any("[SEP]" in line and "z=1 0.250  z=2 0.250  z=3 0.250" in line for line in lines)
