"""`inspect` and `ask` over the tiny project: what was stored, what the model says now, and a prompt that survives."""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
import sys
from math import exp
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from rag_lightning.cli import main
from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.core.files import write_sealed
from rag_lightning.core.records import Example, read_jsonl
from rag_lightning.decoding import posterior
from rag_lightning.runs.record import read_run, run_folders
from rag_lightning.runs.system import configure
from rag_lightning.serving.stored import open_run, read_one
from rag_lightning.stages import ask
from rag_lightning.stages.ask import OpenSystem
from rag_lightning.stages.workspace import Workspace
from tests.points import system

QUESTION = "what is the capital of b0a"


@pytest.fixture
def root(tiny_sweep: SweepConfig) -> Path:
    return Path(tiny_sweep.experiment.folder)


def folder_of(root: Path, formulation: str) -> Path:
    """A run that read several passages."""
    return next(
        folder
        for folder in run_folders(root / "runs")
        if (config := read_run(folder)["config"])["formulation"] == formulation
        and (config["decoding"]["k"] > 1 or formulation == "closed_book")
    )


def first_id(root: Path, folder: Path) -> str:
    record = read_run(folder)
    path = root / "artifacts" / "examples" / record["digests"]["examples"] / f"{record['split']}.jsonl"
    return next(iter(read_jsonl(path, Example))).example_id


def inspect(root: Path, run: str, question: str, *more: str) -> int:
    return main(["inspect", run, "--question", question, "--folder", str(root), *more])


@pytest.mark.parametrize(
    "text", ["rag_token/greedy/bm25/2", "rag_sequence/thorough/bm25/2", "rag_sequence/fast/flat/3"]
)
def test_an_answer_says_which_passages_are_behind_it(tiny_sweep: SweepConfig, text: str) -> None:
    config = system(tiny_sweep.experiment, text).config
    found = ask.answer(Workspace(config), "what is the capital of b0a")
    best = found.prediction.hypotheses[0]
    assert len(found.passages) == config.decoding.k == len(found.priors)
    if config.formulation == "rag_token":
        assert found.posteriors == () == best.passage_log_probs
        assert len(found.tokens) == len(best.token_ids)
        assert all(sum(shares) == pytest.approx(1) and len(shares) == config.decoding.k for _, shares in found.tokens)
        return
    scored = [0.0 if value is None else exp(value) for value in best.passage_log_probs]
    joint = [prior * value for prior, value in zip(found.priors, scored, strict=True)]
    assert sum(joint) == pytest.approx(exp(best.log_prob), rel=1e-4)
    assert found.posteriors == pytest.approx([value / sum(joint) for value in joint], rel=1e-3)
    assert found.tokens == ()


def test_a_stored_prediction_of_rag_token_gets_its_posterior_by_token(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of(root, "rag_token")
    example_id, record, page = first_id(root, folder), read_run(folder), tmp_path / "new" / "page.html"
    assert inspect(root, folder.name, example_id, "--html", str(page)) == 0
    said = " ".join(capsys.readouterr().err.split())
    stored = read_one(root, record, example_id)
    assert stored is not None and stored.answer.by_hypothesis == ()
    again = open_run(root, record).answer(stored.example.query)
    assert again.prediction.text == stored.prediction.text and again.priors == pytest.approx(stored.answer.priors)
    for _, shares in again.tokens:
        assert sum(shares) == pytest.approx(1) and f"{max(shares):.3f}" in said
    assert stored.example.query in said and f"stored prediction of question {example_id}" in said
    shown = page.read_text()
    assert "The passages behind each token" in shown and shown.count("<script>") == 1
    assert stored.answer.passages[0].text in shown and f"{100 * stored.answer.priors[0]:.1f} %" in shown


def test_a_stored_prediction_of_rag_sequence_needs_no_model(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of(root, "rag_sequence")
    record = read_run(folder)
    kept = ("model", "index", "vectors", "bm25", "reader", "retriever_warmup")
    shutil.copytree(root / "artifacts", tmp_path / "artifacts", ignore=shutil.ignore_patterns(*kept, "*.lock"))
    shutil.copytree(folder, tmp_path / "runs" / "s" / folder.name)
    example_id = first_id(root, folder)
    assert inspect(tmp_path, folder.name, example_id) == 0
    said = " ".join(capsys.readouterr().err.split())
    stored = read_one(root, record, example_id)
    assert stored is not None and len(stored.answer.by_hypothesis) == len(stored.prediction.hypotheses)
    logs = torch.tensor(stored.answer.priors).log()
    for one, shares in zip(stored.prediction.hypotheses, stored.answer.by_hypothesis, strict=True):
        assert shares == pytest.approx(posterior.of_sequence(one.passage_log_probs, logs).tolist(), abs=1e-5)
        assert f"{max(shares):.3f}" in said and f"{one.log_prob:.3f}" in said
    assert inspect(tmp_path, folder.name, QUESTION) == 1
    assert "is gone, or made by another version of the code" in capsys.readouterr().err
    assert inspect(tmp_path, folder.name, "q99") == 1
    assert re.search("is gone, or made by another .*There is no question with the id q99", capsys.readouterr().err)
    assert not (tmp_path / "artifacts" / "model").exists(), "nothing is trained to look at a run"


def test_without_its_model_rag_token_shows_what_is_stored(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of(root, "rag_token")
    shutil.copytree(root / "artifacts", tmp_path / "artifacts", ignore=shutil.ignore_patterns("model", "*.lock"))
    shutil.copytree(folder, tmp_path / "runs" / "s" / folder.name)
    assert inspect(tmp_path, folder.name, first_id(root, folder), "--html", str(tmp_path / "p.html")) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "! No posterior by token, which is not stored: the model of" in said and "by token" in said
    assert "No posterior by token" in (tmp_path / "p.html").read_text()


def test_a_new_question_opens_the_model(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of(root, "rag_sequence")
    assert inspect(root, f"tiny/{folder.name}", QUESTION) == 0
    said = " ".join(capsys.readouterr().err.split())
    found = open_run(root, read_run(folder)).answer(QUESTION)
    assert "answered now" in said and found.prediction.text in said and f"{found.priors[0]:.3f}" in said
    assert inspect(root, folder.name, "q99") == 0
    assert "no question with the id q99" in " ".join(capsys.readouterr().err.split())
    closed = folder_of(root, "closed_book")
    assert inspect(root, closed.name, first_id(root, closed)) == 0
    assert "passages" not in capsys.readouterr().err


def test_a_question_that_cannot_be_shown_is_one_line(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, occupied = folder_of(root, "rag_token").name, tmp_path / "file"
    occupied.touch()
    for name, question, more, problem in (
        (run, " \x1b", (), "question is empty"),
        (run, "q0", ("--html", str(tmp_path)), "is a folder; name a file"),
        (run, "q0", ("--html", str(occupied / "a.html")), "a.html': cannot be written"),
        ("rag-tokken-xyz", "q0", (), "no run 'rag-tokken-xyz'"),
        ("gone.yaml", "q0", (), "gone.yaml: no such file"),
        (run, "is " * 400, (), "too many for generator.max_source_length"),
    ):
        assert inspect(root, name, question, *more) in (1, 2)
        assert problem in capsys.readouterr().err.splitlines()[-1]


def test_a_run_that_names_no_artifacts_is_one_line(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of(root, "rag_token")
    shutil.copytree(folder, tmp_path / "runs" / "s" / "odd")
    file = tmp_path / "runs" / "s" / "odd" / "run.json"
    whole = json.loads(file.read_text())
    for changes, problem in (
        ({"digests": {}}, "is no digest (got 'None')"),
        ({"digests": {kind: "../../secret" for kind in whole["digests"]}}, "is no digest (got '../../secret')"),
        ({"status": "running", "run_id": "\x1b[31modd\u202e"}, "run [31modd is marked running: only a finished run"),
    ):
        write_sealed(file, whole | changes)
        for words in (
            ["inspect", "odd", "--question", "q0", "--folder", str(tmp_path)],
            ["report", "--compare", "odd", "s/odd", "--experiment.folder", str(tmp_path)],
        ):
            assert main(words) in (1, 2)
            said = capsys.readouterr().err
            assert problem in said and said.count("\n") == 1 and "\x1b" not in said
        assert main(["export", "s/odd", "--folder", str(tmp_path)]) == 1
        assert capsys.readouterr().err.count("\n") == 1
    file.write_text(file.read_text()[:200])
    assert inspect(tmp_path, "odd", "q0") == 1
    assert "is cut short or damaged" in capsys.readouterr().err


@pytest.fixture
def experiment(tiny_sweep: SweepConfig, tmp_path: Path) -> str:
    """The file of an experiment whose parts the sweep has made."""
    config = configure(tiny_sweep.experiment, {"decoding": "rag_token/greedy", "k": 2, "retriever": "bm25"})
    file = tmp_path / "e.yaml"
    file.write_text(yaml.safe_dump(to_dict(config)))
    return str(file)


def test_an_experiment_is_inspected_by_the_id_of_an_example(
    root: Path, experiment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inspect(root, experiment, "q41") == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "what is the capital of b41b" in said and "accepted: rome" in said and "question q41 of dev" in said


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_prompt_survives_bad_questions_and_ctrl_c(
    experiment: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = OpenSystem.answer
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it

    def interrupted(system: OpenSystem, question: str) -> Any:
        if question == "wait":
            signal.raise_signal(signal.SIGINT)
        return answer(system, question)

    monkeypatch.setattr(OpenSystem, "answer", interrupted)
    lines = [QUESTION, "is " * 400, "\x1b\x00", "wait", "[bold]who\x1b[31m \u202e<script>", "quit", "after the end"]
    monkeypatch.setattr(sys, "stdin", Terminal("\n".join(lines)))
    try:
        assert main(["ask", "--config", experiment]) == 0
    finally:
        signal.signal(signal.SIGINT, before)
    said = capsys.readouterr().err
    assert said.count("the system is open") == 1 and said.count("answered in") == 2 and "\x1b" not in said
    refused = [line.partition(": ")[2][:12] for line in said.splitlines() if line.startswith("no answer")]
    assert refused == ["the query 'i", "the question", "interrupted"]


@pytest.mark.parametrize("lines", ["", "\n", "QUIT\n"])
def test_a_prompt_ends(lines: str, experiment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(lines))
    assert main(["ask", "--config", experiment]) == 0


def test_lines_of_a_pipe_are_answered_line_by_line(
    experiment: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    piped = f"{QUESTION}\n\nquit \udcff\n{'is ' * 400}\n{QUESTION}".encode("utf-8", "surrogateescape")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(piped), encoding="utf-8"))
    assert main(["ask", "--config", experiment]) == 0
    found = capsys.readouterr()
    first, empty, word, long, again = found.out.splitlines()
    assert first and first == again and word and (empty, long) == ("", "")
    assert found.err.count("answered in") == 3 and f"\n{QUESTION}\n" in found.err
    assert main(["ask", QUESTION, "--config", experiment]) == 0
    assert first in capsys.readouterr().err
