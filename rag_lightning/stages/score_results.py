"""Scores of our predictions or of another toolkit's result file, and the export of the results.

Scoring stored predictions and result files does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from rag_lightning.core.artifacts import MANIFEST, Artifact, Recipe
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.files import check_file, file_digest
from rag_lightning.core.records import Example, Prediction, Ranking, read_jsonl
from rag_lightning.corpus.store import PassageStore
from rag_lightning.metrics.metric import Outcome
from rag_lightning.metrics.outcomes import (
    Matcher,
    Outcomes,
    find_faults,
    has_patterns,
    join_by_id,
    make_matcher,
    read_rankings,
)
from rag_lightning.stages import corpus, examples, score
from rag_lightning.stages.workspace import Workspace
from rag_lightning.tasks.beir import questions_digest
from rag_lightning.tasks.results.kilt import with_titles
from rag_lightning.tasks.results.record import Format, Result, RetrievedPassage, get_format, match
from rag_lightning.tasks.spec import TaskSpec, get_task


@dataclass(frozen=True)
class Request:
    """The options of the command `score`, as in `runs/score.py`."""

    predictions: str = ""
    format: str = "ours"
    questions: str = ""
    export: str = ""


def score_request(workspace: Workspace, request: Request) -> Artifact:
    """Score the predictions of a request, and export the results if requested.

    Raises:
        ConfigError: options that contradict each other.
        DataError: a file that cannot be read, or does not answer the questions.
    """
    export = parse_export(request.export) if request.export else None
    given = Path(request.predictions)
    if not request.predictions or (given / MANIFEST).is_file():
        if request.questions or request.format != "ours":
            raise ConfigError("--questions and --format need a result file; give --predictions FILE")
        return _score_ours(workspace, given if request.predictions else None, export)
    kind = get_format(request.format)
    check_file(given)
    read = kind.read(given)
    asked = read_questions(workspace, request.questions, read)
    matched = match(read, asked, given)
    workspace.announce(f"{len(asked)} results of {given.name} joined by {matched.by}")
    results = [_completed(result, example) for result, example in matched.pairs]
    if kind.pages and request.questions:
        results = with_titles(results, Path(request.questions))
    if export:
        export(workspace, results)
    return _score_file(workspace, request, kind, results, asked)


def parse_export(text: str) -> Callable[[Workspace, Sequence[Result]], None]:
    """The function that writes results to FORMAT:FILE.

    Raises:
        ConfigError: not of this form.
        UnknownNameError: no such format.
    """
    name, colon, file = text.partition(":")
    if not colon or not file:
        raise ConfigError(f"--export {text!r}: must be FORMAT:FILE, such as kilt:predictions.jsonl")
    kind: Format = get_format(name)

    def write(workspace: Workspace, results: Sequence[Result]) -> None:
        workspace.announce(f"{kind.write(Path(file), results)} {kind.name} rows in {file}")

    return write


def read_questions(workspace: Workspace, questions: str, results: Sequence[Result]) -> list[Example]:
    """The examples of a file, or of the configured split if no file is given.

    Questions of a file that have gold passages and no answers are among them where the results are of retrieval alone
    and rank passages for one of them.
    """
    if not questions:
        return examples.read(workspace, workspace.config.split)
    predicted = any(one.prediction is not None for one in results)
    ranked = set() if predicted else {one.example_id for one in results}
    read = get_task(workspace.config.task.name).read(Path(questions), unanswered=bool(ranked))
    if not any(example.example_id in ranked and not example.answers for example in read):
        read = [example for example in read if example.answers]
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
    limited = workspace.with_config(task=replace(workspace.config.task, limit=settings["task.limit"]))
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
    names = score.metric_names(task, predicted, k, config.corpus.language)
    inputs = {"results": file_digest(Path(request.predictions)), "examples": _examples_digest(workspace, request)}
    looked_up = needs_corpus(kind, results) and any(example.answers for example in asked)
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
    return questions_digest(Path(request.questions)) if request.questions else examples.build(workspace).digest


def needs_corpus(kind: Format, results: Sequence[Result]) -> bool:
    """Whether the results have passages without a text, known only by their ids."""
    return not kind.pages and any(passage.text is None for result in results for passage in result.passages or ())


def with_texts(result: Result, store: PassageStore, source: str) -> Result:
    """The result with title and text of every passage, from the corpus if the file has none.

    Raises:
        DataError: a passage that is not in the corpus.
    """
    if result.passages is None:
        return result
    return replace(result, passages=tuple(_with_text(passage, store, source) for passage in result.passages))


def to_outcomes(task: TaskSpec, kind: Format, results: Sequence[Result], asked: Sequence[Example]) -> Outcomes:
    """Outcomes of results in the order of the examples."""
    rows = dict(zip((p.text or "" for r in results for p in r.passages or ()), count(), strict=False))
    texts = {row: text for text, row in rows.items()}
    matcher = make_matcher(task, texts.__getitem__) if task.extractive else None
    listed = [_outcome(kind, r, e, matcher, rows) for r, e in zip(results, asked, strict=True)]
    predicted = any(outcome.prediction is not None for outcome in listed)
    unanswered = {o.example.example_id for o in listed if predicted and o.prediction is None}
    return Outcomes(listed, frozenset(unanswered), find_faults(task, listed, matcher), has_patterns(task))


def _outcome(kind: Format, result: Result, example: Example, matcher: Matcher | None, rows: dict[str, int]) -> Outcome:
    outcome = Outcome(example, result.prediction)
    if result.passages is None:
        return outcome
    outcome = replace(outcome, titles=_titles(result.passages))
    if kind.pages:
        return outcome
    gold = example.gold_passage_ids
    found = [rows[passage.text or ""] for passage in result.passages]
    return replace(
        outcome,
        answer_hits=matcher.hits(example.answers, found) if matcher and example.answers else None,
        gold_hits=tuple(passage.passage_id in gold for passage in result.passages) if gold else None,
    )


def _with_text(passage: RetrievedPassage, store: PassageStore, source: str) -> RetrievedPassage:
    if passage.text is not None:
        return passage
    row = store.find(passage.passage_id)
    if row is None:
        hint = "give the corpus of these passages, --corpus.source"
        raise DataError(source, "no such passage in the corpus", field="id", value=passage.passage_id, hint=hint)
    return replace(passage, title=store[row].title, text=store[row].text)


def _titles(passages: Sequence[RetrievedPassage]) -> tuple[str, ...] | None:
    """The titles of the passages; None if one is missing, because a ranking with gaps cannot be scored."""
    titles = tuple(passage.title for passage in passages if passage.title is not None)
    return titles if len(titles) == len(passages) else None
