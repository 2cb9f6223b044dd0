"""`rag-lightning score`: our predictions, built or stored, or another toolkit's result file; no torch for the last two.

The results can be exported in any of the formats on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rag_lightning.core.artifacts import MANIFEST, Artifact, Recipe
from rag_lightning.core.config import ExperimentConfig
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.files import check_file
from rag_lightning.core.records import Example, Prediction, Ranking, read_jsonl
from rag_lightning.corpus.store import PassageStore
from rag_lightning.metrics.joining import join_by_id
from rag_lightning.stages import corpus, examples, score
from rag_lightning.stages.outcomes import read_rankings
from rag_lightning.stages.result_outcomes import needs_corpus, to_outcomes, with_texts
from rag_lightning.stages.workspace import Workspace, file_digest
from rag_lightning.tasks.exchange.matching import match
from rag_lightning.tasks.exchange.record import Format, Result, RetrievedPassage, get_format
from rag_lightning.tasks.spec import get_task


@dataclass(frozen=True)
class Request:
    """The options of the command; see `run`."""

    predictions: str = ""
    format: str = "ours"
    questions: str = ""
    export: str = ""


def run(
    config: ExperimentConfig, predictions: str = "", format: str = "ours", questions: str = "", export: str = ""
) -> None:
    """Score the configured split, or given predictions, and print the estimates.

    Args:
        config: The experiment.
        predictions: A folder of artifacts/predictions, or a result file; empty predicts what is not there yet.
        format: Layout of that file.
        questions: The file of questions it answers, empty for the configured split.
        export: FORMAT:FILE, where the same results are written to in another layout.

    Raises:
        ConfigError: options that do not go together.
    """
    workspace = Workspace(config)
    artifact = score_request(workspace, Request(predictions, format, questions, export))
    for line in score.lines(artifact):
        workspace.announce(line)
    workspace.announce(f"scores in {artifact.path}")


def score_request(workspace: Workspace, request: Request) -> Artifact:
    """Score what is asked for, and export it where that is asked for.

    Raises:
        ConfigError: options that do not go together.
        DataError: a file that cannot be read, or does not answer the questions.
    """
    export = parse_export(request.export) if request.export else None
    given = Path(request.predictions)
    if not request.predictions or (given / MANIFEST).is_file():
        if request.questions or request.format != "ours":
            raise ConfigError("questions and format go with a file of predictions; give --predictions FILE")
        return _score_ours(workspace, given if request.predictions else None, export)
    kind = get_format(request.format)
    asked = read_questions(workspace, request.questions)
    check_file(given)
    matched = match(kind.read(given), asked, given)
    workspace.announce(f"{len(asked)} results of {given.name} joined by {matched.by}")
    results = [_completed(result, example) for result, example in matched.pairs]
    if export:
        export(workspace, results)
    return _score_file(workspace, request, kind, results, asked)


def parse_export(text: str) -> Callable[[Workspace, Sequence[Result]], None]:
    """What writes results to FORMAT:FILE.

    Raises:
        ConfigError: not of this form.
        UnknownNameError: no such format.
    """
    name, colon, file = text.partition(":")
    if not colon or not file:
        raise ConfigError(f"export {text!r}: write FORMAT:FILE, such as kilt:predictions.jsonl")
    kind: Format = get_format(name)

    def write(workspace: Workspace, results: Sequence[Result]) -> None:
        workspace.announce(f"{kind.write(Path(file), results)} {kind.name} rows in {file}")

    return write


def read_questions(workspace: Workspace, questions: str) -> list[Example]:
    """The examples of a file of the task, or the configured split's."""
    if not questions:
        return examples.read(workspace, workspace.config.split)
    read = get_task(workspace.config.task.name).read(Path(questions))
    limit = workspace.config.task.limit
    return read[:limit] if limit else read


def _score_ours(
    workspace: Workspace, folder: Path | None, export: Callable[[Workspace, Sequence[Result]], None] | None
) -> Artifact:
    split = workspace.config.split
    scored = score.of_stored(workspace, folder) if folder else score.build(workspace, split)
    if export:
        made = folder or workspace.root / "artifacts" / "predictions" / scored.manifest["inputs"]["predictions"]
        export(workspace, own_results(workspace, made))
    return scored


def own_results(workspace: Workspace, folder: Path) -> list[Result]:
    """Stored predictions with the passages they were made from.

    Raises:
        ArtifactError, ConfigError: as `score.of_stored`.
    """
    made, rankings, k = score.stored(workspace, folder)
    settings = made.manifest["config"]
    limited = workspace.with_config(task=replace(workspace.config.task, limit=settings["limit"]))
    asked = examples.read(limited, settings["split"])
    file = made.path / "predictions.jsonl"
    pairs = join_by_id(read_jsonl(file, Prediction), asked, file)
    results = [Result(e.example_id, e.query, e.answers, p.text) for p, e in pairs]
    if rankings is None:
        return results
    store = corpus.open_store(workspace)
    return [
        replace(result, passages=_stored_passages(store, ranking))
        for result, ranking in zip(results, read_rankings(rankings, asked, k), strict=True)
    ]


def _stored_passages(store: PassageStore, ranking: Ranking) -> tuple[RetrievedPassage, ...]:
    found = [(store[row], score) for row, score in zip(ranking.rows, ranking.scores, strict=True)]
    return tuple(RetrievedPassage(p.passage_id, score, p.title, p.text) for p, score in found)


def _completed(result: Result, example: Example) -> Result:
    return replace(result, question=example.query, answers=example.answers)


def _score_file(
    workspace: Workspace, request: Request, kind: Format, results: list[Result], asked: Sequence[Example]
) -> Artifact:
    config, task = workspace.config, get_task(workspace.config.task.name)
    predicted = any(result.prediction is not None for result in results)
    k = max((len(result.passages) for result in results if result.passages is not None), default=0)
    if not predicted and not k:
        raise DataError(request.predictions, "holds neither predictions nor passages")
    names = score.metric_names(task, predicted, k)
    inputs = {"results": file_digest(Path(request.predictions)), "examples": _examples_digest(workspace, request)}
    looked_up = needs_corpus(kind, results)
    if looked_up:
        inputs["corpus"] = corpus.build(workspace).digest
    settings = {"format": kind.name, "task": task.name, "split": config.split, "limit": config.task.limit}
    settings |= score.tools(names)

    def make(folder: Path) -> dict[str, Any]:
        store = corpus.open_store(workspace) if looked_up else None
        filled = [with_texts(result, store, request.predictions) for result in results] if store else results
        return score.write(workspace, folder, to_outcomes(task, kind, filled, asked), names, task.labels)

    recipe = Recipe("scores", settings | {"metrics": names, "seed": config.seed}, inputs, score.VERSION)
    return score.announced(workspace, workspace.store.build(recipe, make))


def _examples_digest(workspace: Workspace, request: Request) -> str:
    return file_digest(Path(request.questions)) if request.questions else examples.build(workspace).digest
