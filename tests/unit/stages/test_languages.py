"""A Chinese corpus: what BM25 and the metrics see with and without its language, and what they say of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.cli import main
from rag_lightning.core.artifacts import Artifact
from rag_lightning.core.errors import UnknownNameError
from rag_lightning.stages import bm25, examples, retrieve, score
from rag_lightning.stages.score_results import Request, score_request
from rag_lightning.stages.trivial import predict
from rag_lightning.stages.workspace import Workspace
from tests.chinese_project import ROWS, experiment, predictions
from tests.points import changed

JOINED = "8 of 8 answers hold text without spaces between words, one word by this rule"
HINT = "; corpus.language can add em_char and f1_char"


def workspace_of(root: Path, language: str, lines: list[str]) -> Workspace:
    return Workspace(experiment(root, language), lines.append, lambda line: None)


def summary(artifact: Artifact) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((artifact.path / score.SUMMARY).read_text(encoding="utf-8"))
    return found


def notes(artifact: Artifact) -> dict[str, list[str]]:
    return {note["text"]: note["metrics"] for note in summary(artifact)["notes"]}


def retrieval(workspace: Workspace) -> Artifact:
    return score.of(workspace, "dev", None, retrieve.build(workspace, "dev", "pretrained"), 2)


def test_bm25_finds_the_passages_of_a_language_without_spaces(tmp_path: Path) -> None:
    lines: list[str] = []
    found = retrieval(workspace_of(tmp_path, "chinese", lines))
    assert summary(found)["metrics"]["gold_recall@1"]["mean"] == 100.0
    assert not any("no passage" in text for text in notes(found))
    assert [line for line in lines if "word" in line] == [
        "24 of 24 answers hold text without spaces between words, which has-answer, em and f1 take for one word "
        "(corpus.language=chinese)"
    ]
    seen_by = {"answer_recall@1", "answer_recall@2", "answer_precision@1", "answer_precision@2", "mrr"}
    assert set(notes(found)[JOINED + HINT]) == seen_by


def test_without_its_language_bm25_says_that_it_finds_nothing(tmp_path: Path) -> None:
    lines: list[str] = []
    workspace = workspace_of(tmp_path, "english", lines)
    found = retrieval(workspace)
    assert summary(found)["metrics"]["gold_recall@1"]["mean"] == 0.0
    assert "bm25: 8 of 8 passages hold no word that the rule of corpus.language=english sees" in lines
    why = "they share no word with any by the rule of corpus.language=english"
    assert f"8 of 8 questions have no passage: {why}" in lines
    assert retrieve.build(workspace, "dev", "pretrained").info["without_passages"] == 8
    assert bm25.build(workspace).info["unseen"] == 8
    assert "gold_recall@1" in notes(found)["8 of 8 questions have no passage"]
    assert examples.build(workspace).info["notes"]["answers hold text without spaces between words"] == 24


@pytest.mark.parametrize(("form", "em", "em_char", "f1_char"), [
    ("{}", 100.0, 100.0, 100.0),
    ("《{}》。", 0.0, 100.0, 100.0),
])  # fmt: skip
def test_answers_are_compared_by_character_beside_the_published_rules(
    tmp_path: Path, form: str, em: float, em_char: float, f1_char: float
) -> None:
    workspace = workspace_of(tmp_path, "chinese", [])
    found = score_request(workspace, Request(str(predictions(tmp_path, form))))
    means = {name: estimate["mean"] for name, estimate in summary(found)["metrics"].items()}
    assert (means["em"], means["f1"]) == (em, em)
    assert (means["em_char"], means["f1_char"]) == (em_char, f1_char)
    assert {"em", "f1"} <= set(notes(found)[JOINED]) and "em_char" not in notes(found)[JOINED]


def test_with_english_rules_the_count_names_the_remedy(tmp_path: Path) -> None:
    found = score_request(workspace_of(tmp_path, "english", []), Request(str(predictions(tmp_path))))
    assert not {"em_char", "f1_char"} & set(summary(found)["metrics"])
    assert notes(found)[f"{JOINED}{HINT}"][:2] == ["em", "f1"]
    assert any(line.startswith("em, f1, ") and JOINED in line for line in score.lines(found))


def test_rouge_says_how_many_references_hold_no_word_for_it(tmp_path: Path) -> None:
    """Texts equal to their references, of which it sees one."""
    texts = [text for _, text, _, _ in ROWS] + ["the only one that it reads"]
    rows = [
        json.dumps({"query_id": i, "query": f"q {i}", "answers": [], "wellFormedAnswers": [text]})
        for i, text in enumerate(texts)
    ]
    questions = tmp_path / "marco.jsonl"
    questions.write_text("\n".join(rows), encoding="utf-8")
    given = tmp_path / "same.jsonl"
    given.write_text("\n".join(json.dumps({"id": str(i), "text": text}) for i, text in enumerate(texts)), "utf-8")
    workspace = Workspace(changed(experiment(tmp_path, "chinese"), "task.name", "msmarco"), lambda line: None)
    found = score_request(workspace, Request(str(given), questions=str(questions)))
    means = {name: estimate["mean"] for name, estimate in summary(found)["metrics"].items()}
    assert any("8 of 9 answers" in line and "rouge_l" in line for line in score.lines(found))
    assert means["rouge_l"] == pytest.approx(100 / 9)
    assert means["em_char"] == means["f1_char"] == means["bleu1"] == 100.0
    assert notes(found)["8 of 9 answers hold no word by this rule"] == ["rouge_l"]
    assert {"bleu1", "rouge_l_msmarco"} <= set(notes(found)[JOINED.replace("of 8", "of 9")])


def test_the_nearest_question_is_found_by_the_words_of_the_language(tmp_path: Path) -> None:
    closed = changed(experiment(tmp_path, "chinese"), "formulation", "closed_book")
    config = changed(closed, "decoding.strategy", "nearest_question")
    workspace = Workspace(config, lambda line: None)
    asked = examples.read(workspace, "dev")
    assert [one.text for one in predict(workspace, asked)] == [answer for *_, answer in ROWS]


def test_the_doctor_says_which_files_need_a_language(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = experiment(tmp_path, "english")
    for path in (config.corpus.source, config.task.dev):
        assert main(["doctor", "--data", path]) == 0
        shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
        assert "8 without spaces between words" in shown and "corpus.language" in shown


def test_an_unknown_language_is_refused_with_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown corpus.language 'chinees': did you mean 'chinese'"):
        experiment(tmp_path, "chinees")
    assert main(["score", "--corpus.language", "germn"]) == 2
    assert "did you mean 'german'" in capsys.readouterr().err
