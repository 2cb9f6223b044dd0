"""Scoring stored predictions and other toolkits' files: no model, no torch, every mismatch named."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.artifacts import Artifact, Recipe
from rag_lightning.core.errors import ArtifactError, ConfigError, DataError, UnknownNameError
from rag_lightning.core.records import Example, Prediction, Ranking, write_jsonl
from rag_lightning.runs import ledger
from rag_lightning.runs.score import run
from rag_lightning.stages import corpus, examples, score
from rag_lightning.stages.score_results import Request, score_request
from rag_lightning.stages.workspace import Workspace
from rag_lightning.tasks.results.record import Result, RetrievedPassage, get_format
from tests.tiny_project import ANSWERS, experiment, passages, place, questions, write_data, write_lines

IDS = [f"q{i}" for i in range(40, 52)]
RIGHT = [ANSWERS[i % 4] for i in range(40, 52)]
HEAVY = {"torch", "transformers", "pytorch_lightning", "faiss", "mlflow"}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A user's project of files, nothing built; its encoder does not exist and is not missed."""
    write_data(tmp_path / "data")
    return Workspace(experiment(tmp_path / "project", tmp_path / "data", tmp_path / "no_bert"), lambda line: None)


def summary(artifact: Artifact) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((artifact.path / score.SUMMARY).read_text())["metrics"]
    return found


def results(retrieved: bool = True) -> list[Result]:
    """Every third answer wrong; the gold passage second."""
    given = [answer if i % 3 else "wrong" for i, answer in enumerate(RIGHT)]
    texts = {passage["id"]: passage for passage in passages()}
    return [
        Result(name, question["question"], (answer,), text, _found(texts, int(name[1:])) if retrieved else None)  # type: ignore[arg-type]
        for name, question, answer, text in zip(IDS, questions("dev"), RIGHT, given, strict=True)
    ]


def _found(texts: dict[str, dict[str, str]], number: int) -> tuple[RetrievedPassage, ...]:
    listed = [texts["p1" if number % 4 != 1 else "p2"], texts[f"p{number}"]]
    return tuple(RetrievedPassage(p["id"], 9.0 - i, p["title"], p["text"]) for i, p in enumerate(listed))


def stored(workspace: Workspace, given: Sequence[Result], example_digest: str = "", corpus_digest: str = "") -> Path:
    """The results as artifacts of predictions and rankings."""
    store, digest = workspace.store, example_digest or examples.build(workspace).digest

    def rank(folder: Path) -> dict[str, Any]:
        found = [[int(p.passage_id[1:]) for p in r.passages or ()] for r in given]
        rows = zip(given, found, strict=True)
        write_jsonl(folder / "rankings.jsonl", [Ranking(r.example_id, tuple(f), (9.0, 8.0)) for r, f in rows])
        return {}

    def predict(folder: Path) -> dict[str, Any]:
        texts = [Prediction(r.example_id, r.prediction or "", r.prediction or "", -1.0) for r in given]
        write_jsonl(folder / "predictions.jsonl", texts)
        return {}

    passages = corpus_digest or corpus.STAGE.digest(workspace)
    rankings = store.build(Recipe("rankings", {}, {"examples": digest, "corpus": passages}, 1), rank)
    settings = {"split": "dev", "task.limit": 0, "decoding.k": 2}
    inputs = {"examples": digest, "rankings": rankings.digest, "model": "gone"}
    return store.build(Recipe("predictions", settings, inputs, 1), predict).path


EXPECTED = {"em": 66.67, "em_contains": 66.67, "answer_recall@1": 0.0, "answer_recall@2": 100.0, "gold_recall@2": 100.0}


@pytest.mark.parametrize("name", ["dpr", "flashrag"])
def test_a_file_with_texts_is_scored(name: str, workspace: Workspace, tmp_path: Path) -> None:
    get_format(name).write(tmp_path / "f", results())
    found = summary(score_request(workspace, Request(str(tmp_path / "f"), name)))
    expected = EXPECTED if name == "flashrag" else {k: v for k, v in EXPECTED.items() if "recall" in k}
    assert {metric: round(found[metric]["mean"], 2) for metric in expected} == expected
    assert ("em" in found) == (name == "flashrag") and found["mrr"]["mean"] == 0.5
    assert found["answer_precision@2"]["mean"] == 50.0


def test_a_run_of_passage_ids_is_looked_up_in_the_corpus(workspace: Workspace, tmp_path: Path) -> None:
    get_format("trec").write(tmp_path / "run", results())
    found = summary(score_request(workspace, Request(str(tmp_path / "run"), "trec")))
    assert found["answer_recall@1"]["mean"] == 0 and found["gold_recall@2"]["mean"] == 100
    (tmp_path / "run").write_text("".join(f"{name} Q0 nowhere 1 1.0 t\n" for name in IDS))
    with pytest.raises(DataError, match=r"run, field 'id': no such passage in the corpus .*nowhere.*corpus.source"):
        score_request(workspace, Request(str(tmp_path / "run"), "trec"))


def test_pages_are_scored_by_title(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [Example(n, "q", (a,), gold_titles=(place(int(n[1:])),)) for n, a in zip(IDS, RIGHT, strict=True)]
    monkeypatch.setattr("rag_lightning.stages.score_results.read_questions", lambda *given: asked)
    get_format("kilt").write(tmp_path / "f", results())
    found = summary(score_request(workspace, Request(str(tmp_path / "f"), "kilt")))
    assert not {"answer_recall@1", "gold_recall@1", "mrr"} & set(found)
    expected = {"em_kilt": 66.67, "gold_title@1": 0, "gold_title@2": 100, "success@2": 100, "kilt_em": 0}
    assert {name: round(found[name]["mean"], 2) for name in expected} == expected


def test_kilt_s_own_dev_file_scores_predictions_that_name_pages_by_id(workspace: Workspace, tmp_path: Path) -> None:
    """As KILT's script does: by wikipedia_id, whether or not the prediction has titles."""
    names = {"10": "Rome", "11": "Paris", "12": "Porto"}
    given = [("SUPPORTS", ["10", "12"]), ("SUPPORTS", ["12", "11"]), ("REFUTES", ["1984"])]
    gold = [("SUPPORTS", "10"), ("REFUTES", "11"), ("REFUTES", "12")]
    dev = [
        {"id": f"{i}", "input": f"claim {i}", "output": [{"answer": label, "provenance": [_page(page, names)]}]}
        for i, (label, page) in enumerate(gold)
    ]
    guess = [
        {"id": f"{i}", "output": [{"answer": label, "provenance": [{"wikipedia_id": page} for page in pages]}]}
        for i, (label, pages) in enumerate(given)
    ]
    write_lines(tmp_path / "dev.jsonl", dev)
    write_lines(tmp_path / "guess.jsonl", guess)
    config = replace(workspace.config, task=replace(workspace.config.task, name="fever3"))
    request = Request(str(tmp_path / "guess.jsonl"), "kilt", str(tmp_path / "dev.jsonl"))
    found = summary(score_request(Workspace(config, lambda line: None), request))
    expected = {"label_accuracy": 66.67, "page_r_precision": 33.33, "success@2": 66.67, "kilt_accuracy": 33.33}
    assert {name: round(found[name]["mean"], 2) for name in expected} == expected


def _page(page: str, names: dict[str, str]) -> dict[str, str]:
    return {"wikipedia_id": page, "title": names[page], "section": "Section::::Abstract."}


def test_our_own_file_and_folder_give_the_same(workspace: Workspace, tmp_path: Path) -> None:
    folder = stored(workspace, results())
    by_folder = summary(score_request(workspace, Request(str(folder))))
    by_file = summary(score_request(workspace, Request(str(folder / "predictions.jsonl"))))
    assert {metric: round(by_folder[metric]["mean"], 2) for metric in EXPECTED} == EXPECTED
    assert by_file["em"] == by_folder["em"] and "mrr" not in by_file
    assert "em_unanswerable@2" not in by_folder, "every question has an answer in its passages"


def test_results_are_joined_whatever_their_order(workspace: Workspace, tmp_path: Path) -> None:
    get_format("flashrag").write(tmp_path / "f", results())
    get_format("flashrag").write(tmp_path / "g", results()[::-1])
    renamed = [replace(result, example_id=f"test_{i}") for i, result in enumerate(results()[::-1])]
    get_format("flashrag").write(tmp_path / "h", renamed)
    one, other, third = (summary(score_request(workspace, Request(str(tmp_path / f), "flashrag"))) for f in "fgh")
    assert one == other == third


def test_a_missing_prediction_counts_as_the_worst_and_is_counted(workspace: Workspace, tmp_path: Path) -> None:
    given = [replace(r, prediction=None) if i < 3 else r for i, r in enumerate(results())]
    get_format("flashrag").write(tmp_path / "f", given)
    said: list[str] = []
    artifact = score_request(replace(workspace, announce=said.append), Request(str(tmp_path / "f"), "flashrag"))
    assert artifact.info["unanswered"] == 3 and any("3 examples without a prediction" in line for line in said)
    said.clear()
    score_request(replace(workspace, announce=said.append), Request(str(tmp_path / "f"), "flashrag"))
    assert any("3 examples without a prediction" in line for line in said), "told again where the score is reused"
    found = summary(artifact)
    assert found["em"]["n"] == 12 and found["em"]["mean"] == pytest.approx(100 * 6 / 12)


def test_missing_and_extra_ids_are_listed(workspace: Workspace, tmp_path: Path) -> None:
    get_format("kilt").write(tmp_path / "f", [*results()[1:], Result("other", prediction="x")])
    with pytest.raises(DataError, match=r"1 missing: 'q40'; 1 extra: 'other'"):
        score_request(workspace, Request(str(tmp_path / "f"), "kilt"))


@pytest.mark.parametrize("name", ["ours", "trec", "trec_rag", "dpr", "kilt", "flashrag"])
def test_ours_are_exported_and_score_alike(name: str, workspace: Workspace, tmp_path: Path) -> None:
    folder, file = stored(workspace, results()), tmp_path / "exported"
    own = summary(score_request(workspace, Request(str(folder), export=f"{name}:{file}")))
    back = summary(score_request(workspace, Request(str(file), name)))
    shared = set(own) & set(back)
    assert {metric: own[metric] for metric in shared} == {metric: back[metric] for metric in shared}
    assert ("em" in shared) == (name not in ("trec", "dpr")) and ("mrr" in shared) == (name not in ("ours", "kilt"))


def test_options_that_do_not_fit_are_refused(workspace: Workspace, tmp_path: Path) -> None:
    folder = stored(workspace, results())
    with pytest.raises(ConfigError, match="give --predictions FILE"):
        score_request(workspace, Request(format="kilt"))
    with pytest.raises(ConfigError, match="FORMAT:FILE"):
        score_request(workspace, Request(str(folder), export="kilt"))
    with pytest.raises(UnknownNameError, match="did you mean 'kilt'"):
        score_request(workspace, Request(str(tmp_path / "f"), "klt"))
    with pytest.raises(DataError, match="does not exist"):
        score_request(workspace, Request(str(tmp_path / "none"), "kilt"))
    with pytest.raises(ArtifactError, match="holds examples, not predictions"):
        score_request(workspace, Request(str(examples.build(workspace).path)))
    with pytest.raises(ConfigError, match="was made for examples other"):
        score_request(workspace, Request(str(stored(workspace, results(), "other"))))
    with pytest.raises(ConfigError, match="was made for corpus other"):
        score_request(workspace, Request(str(stored(workspace, results(), corpus_digest="other"))))


def test_what_is_scored_on_test_is_in_the_ledger_once(workspace: Workspace, tmp_path: Path) -> None:
    asked = [(str(q["id"]), str(q["question"]), tuple(q["answers"])) for q in questions("test")]  # type: ignore[arg-type]
    get_format("flashrag").write(tmp_path / "f", [Result(*one, one[2][0]) for one in asked])
    config = workspace.on("test").config
    for _ in range(2):
        run(config, predictions=str(tmp_path / "f"), format="flashrag")
    run(config, predictions=str(stored(workspace, results())))  # predictions of dev
    run(workspace.config, predictions=str(stored(workspace, results())))
    (line,) = ledger.read(config.folder)
    assert (line["role"], line["label"], line["dataset"], line["split"]) == ("command", "f", "tiny", "test")
    assert (tmp_path / "project" / "artifacts" / "scores" / line["digest"]).is_dir()


def second(workspace: Workspace, tmp_path: Path) -> Workspace:
    """The project with a file for test2, the questions of dev under other ids."""
    rows = [question | {"id": f"s{number}"} for number, question in enumerate(questions("dev"))]
    file = write_lines(tmp_path / "data" / "test2.jsonl", rows)
    task = replace(workspace.config.task, test2=str(file))
    return Workspace(replace(workspace.config, task=task, split="test2"), lambda line: None)


def test_a_second_test_of_a_file_is_scored_and_in_the_ledger(workspace: Workspace, tmp_path: Path) -> None:
    place = second(workspace, tmp_path)
    asked = [(str(q["id"]), str(q["question"]), tuple(q["answers"])) for q in questions("dev")]  # type: ignore[arg-type]
    get_format("flashrag").write(
        tmp_path / "f", [Result(f"s{n}", one[1], one[2], one[2][0]) for n, one in enumerate(asked)]
    )
    run(place.config, predictions=str(tmp_path / "f"), format="flashrag")
    (line,) = ledger.read(place.config.folder)
    assert line["split"] == "test2"
    assert [e.example_id for e in examples.read(place, "test2")] == [f"s{n}" for n in range(12)]
    assert set(examples.read_all(place)) == {"train", "dev", "test", "test2"}


def test_data_without_a_second_test_say_so_before_anything_is_built(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tiny has no split test2: set task\.test2 to a file of examples, or split"):
        examples.build(workspace.on("test2"))
    assert not (tmp_path / "project" / "artifacts").exists()
    place = second(workspace, tmp_path)
    alone = replace(place.config, task=replace(place.config.task, dev="", test=""))
    with pytest.raises(ConfigError, match=r"task\.test2 .*test2\.jsonl goes with files of its own for dev and test"):
        examples.build(Workspace(alone, lambda line: None))
    hub = replace(place.config, task=replace(place.config.task, source="hub:"))
    with pytest.raises(ConfigError, match=r"task\.source hub: has no test2: clear task\.test2"):
        examples.build(Workspace(hub, lambda line: None))


def test_answer_patterns_that_cannot_be_used_are_named(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = replace(score.get_task("nq"), metrics=("em_regex", "em", "answer_recall@1"))
    for module in ("score", "score_results"):
        monkeypatch.setattr(f"rag_lightning.stages.{module}.get_task", lambda name: task)
    asked = [{**q, "answers": ["(", *RIGHT[i : i + 1]]} if i < 2 else q for i, q in enumerate(questions("dev"))]
    get_format("flashrag").write(tmp_path / "f", results())
    request = Request(str(tmp_path / "f"), "flashrag", str(write_lines(tmp_path / "asked.jsonl", asked)))
    artifact = score_request(workspace, request)
    (fault,) = artifact.info["pattern_faults"]
    assert (fault["pattern"], fault["examples"]) == ("(", 2) and "does not compile" in fault["reason"]
    assert round(summary(artifact)["em_regex"]["mean"], 2) == 66.67
    assert summary(artifact)["answer_recall@2"]["mean"] == 100


def test_scoring_imports_no_torch(workspace: Workspace, tmp_path: Path) -> None:
    """Of every kind of file, one after the other in one process: what one would import stays imported."""
    config: ExperimentConfig = workspace.config
    words = ["score", "--folder", config.folder, "--corpus.source", config.corpus.source]
    words += ["--task.train", json.dumps(list(config.task.train))]
    words += ["--task.dev", config.task.dev, "--task.test", config.task.test, "--predictions"]
    lines = []
    for name in ("ours", "trec", "dpr", "kilt", "flashrag"):
        get_format(name).write(tmp_path / name, results())
        lines.append([*words, str(tmp_path / name), "--format", name])
    lines.append([*words, str(stored(workspace, results()))])
    code = f"import sys, rag_lightning.cli as c; print(*map(c.main, {lines})); print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("0 0 0 0 0 0\n"), done.stderr
    assert not HEAVY & set(done.stdout.splitlines())
    assert done.stderr.count("scores in") == len(lines)
