"""Stage `given`: `ctxs` of the question files -> artifacts/given, rows and scores of each question's passages.

A question is known by its text; where one is repeated, its first row counts. Scores are taken as they are, 0 where a
file has none, and passages are put in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag_lightning.config.retrieval import training_kind
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.records import Ranking, read_checked, write_jsonl
from rag_lightning.corpus.store import PassageStore
from rag_lightning.metrics.tokens import normalize_answer
from rag_lightning.retrieval.given import GivenRetriever
from rag_lightning.retrieval.retriever import Hits
from rag_lightning.stages import corpus, examples
from rag_lightning.stages.workspace import Workspace, config_stage
from rag_lightning.tasks.layout import look_at_head
from rag_lightning.tasks.results.dpr import read_dpr_results
from rag_lightning.tasks.results.record import Result, RetrievedPassage

FIELD = "ctxs"
FILE = "given.jsonl"


def open_given(workspace: Workspace) -> GivenRetriever:
    """The passages that the question files give."""
    found = read_checked(STAGE.build(workspace).path / FILE, Ranking)
    hits = {one.example_id: Hits(np.array(one.rows, np.int64), np.array(one.scores, np.float32)) for one in found}
    return GivenRetriever(hits, len(corpus.open_store(workspace)))


def _files(workspace: Workspace) -> list[Path]:
    """The question files that have passages.

    Raises:
        ConfigError: no question files, or one without passages whose questions need them.
    """
    task, retriever = workspace.config.task, workspace.config.retriever
    tested = [task.dev, task.test, task.test2] if task.dev else task.train
    files = [Path(name) for name in dict.fromkeys((*task.train, *tested)) if name]
    if task.source or not files:
        raise ConfigError(f"retriever.kind=given needs question files with {FIELD}; give task.train, dev and test")
    given = [path for path in files if FIELD in look_at_head(path).keys]
    needed = {Path(name) for name in (*tested, *(task.train if training_kind(retriever) == "given" else ())) if name}
    if lacking := sorted(needed.difference(given)):
        hint = "give files as FiD's or DPR's, or set another kind"
        raise ConfigError(f"retriever.kind=given: {lacking[0]} has no {FIELD}; {hint}")
    return given


def _make(workspace: Workspace, folder: Path) -> dict[str, Any]:
    store, found, rows, twice = corpus.open_store(workspace), dict[str, Ranking](), 0, 0
    for path in _files(workspace):
        results = read_dpr_results(path)
        rows += len(results)
        for row, result in enumerate(results, 1):
            ranking = _ranking(store, path, row, result)
            twice += len(result.passages or ()) - len(ranking.rows)
            found.setdefault(ranking.example_id, ranking)
        _check_texts(store, path, results)
    sizes = [len(ranking.rows) for ranking in found.values()]
    merged = f"; {twice:,} named again for a question count once" if twice else ""
    workspace.announce(f"given: {min(sizes)} to {max(sizes)} passages for each of {len(found):,} questions{merged}")
    write_jsonl(folder / FILE, found.values())
    counts = {"questions": len(found), "repeated": rows - len(found), "named_again": twice}
    return {**counts, "fewest": min(sizes), "most": max(sizes)}


def _ranking(store: PassageStore, path: Path, row: int, result: Result) -> Ranking:
    """Distinct rows of the corpus, by score; equal scores in the order of the file.

    Raises:
        DataError: no passages, or one that the corpus does not hold.
    """
    scores: dict[int, float] = {}
    for passage in result.passages or ():
        place = store.find(passage.passage_id)
        if place is None:
            hint = "give the corpus these passages were retrieved from"
            value = passage.passage_id
            raise DataError(path, "no such passage in the corpus", row=row, field="ctxs.id", value=value, hint=hint)
        scores.setdefault(place, passage.score)
    if not scores:
        raise DataError(path, "holds no passages", row=row, field=FIELD)
    order = sorted(scores, key=lambda place: -scores[place])
    return Ranking(result.question.strip(), tuple(order), tuple(scores[place] for place in order))


def _check_texts(store: PassageStore, path: Path, results: Sequence[Result]) -> None:
    """Raise DataError if most first passages have another text in the corpus: ids of another corpus."""
    firsts = [result.passages[0] for result in results if result.passages]
    others = [passage for passage in firsts if not _same_text(store, passage)]
    if 2 * len(others) > len(firsts):
        problem = f"{len(others)} of {len(firsts)} first passages have another text in the corpus"
        hint = "give the corpus these passages were retrieved from"
        raise DataError(path, problem, field="ctxs.id", value=others[0].passage_id, hint=hint)


def _same_text(store: PassageStore, passage: RetrievedPassage) -> bool:
    ours = store[store.row(passage.passage_id)]
    return normalize_answer(passage.text or "") in normalize_answer(f"{ours.title} {ours.text}")


def _check(workspace: Workspace) -> None:
    _files(workspace)


STAGE = config_stage(
    "given",
    1,
    lambda workspace: {"corpus": corpus.STAGE.at(workspace), "examples": examples.STAGE.at(workspace)},
    _make,
    check=_check,
)
build = STAGE.build
