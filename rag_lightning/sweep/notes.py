"""Measurements beside the trials of a sweep.

Metrics of each retriever alone, with the query encoder pretrained, warmed up and trained; and the upper bound of EM
from answers that cannot be restored after tokenisation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.retrieval import training_kind, trains_encoder
from rag_lightning.core.records import Example
from rag_lightning.corpus.store import PassageStore
from rag_lightning.generator.opening import Writer
from rag_lightning.generator.surface import Surface
from rag_lightning.metrics.answers import em, has_answer
from rag_lightning.runs.evaluate import build_seconds, index_bytes
from rag_lightning.runs.system import CLOSED_BOOK, TITLES, System, retrieval_label
from rag_lightning.stages import corpus, examples, retrieve, score, training_start
from rag_lightning.stages.workspace import Workspace
from rag_lightning.sweep.space import SPLIT, Space

PRETRAINED: Final = "pretrained"
WARMED_UP: Final = "warmed_up"
TRAINED, FROZEN = "trained", "frozen"


def rows(space: Space, models: Mapping[str, System]) -> list[dict[str, Any]]:
    """One row per retriever and query encoder: pretrained, warmed_up, and that of each trained model.

    The retrievers are those of the space's anchors: every choice and both ends of every range.

    Args:
        space: Search space, with its retrievers.
        models: Formulation -> a system with its trained model.
    """
    base = space.config.experiment
    retrievers: dict[str, ExperimentConfig] = {}
    for system in space.systems:
        if system.config.formulation != CLOSED_BOOK:
            retrievers.setdefault(retrieval_label(system.config, base), system.config)
    return [row for name, config in retrievers.items() for row in _rows(name, config, models)]


def _rows(name: str, config: ExperimentConfig, models: Mapping[str, System]) -> Iterator[dict[str, Any]]:
    """The rows of one retriever."""
    kind = config.retriever.made()
    if not kind.encodes:
        yield _row(Workspace(config), name, kind.query, PRETRAINED)
        return
    yield _row(Workspace(config), name, PRETRAINED, PRETRAINED)
    if config.retriever_warmup.steps or config.biencoder.steps:
        yield _row(Workspace(config), name, WARMED_UP, WARMED_UP)
    if not trains_encoder(config.retriever) and training_kind(config.retriever) != "none":
        return
    for formulation, system in models.items():
        if formulation != CLOSED_BOOK:
            state = TRAINED if config.retriever.train and formulation != "fid" else FROZEN
            workspace = Workspace(system.config).with_config(
                retriever=config.retriever, index=config.index, bm25=config.bm25
            )
            yield _row(workspace, name, f"{state} ({TITLES[formulation]})", "trained")


def _row(workspace: Workspace, retriever: str, encoder: str, state: retrieve.EncoderState) -> dict[str, Any]:
    ranked = retrieve.build(workspace, SPLIT, state)
    scored = score.of(workspace, SPLIT, None, ranked, workspace.config.retriever.k_max)
    summary = json.loads((scored.path / score.SUMMARY).read_text(encoding="utf-8"))
    return {
        "retriever": retriever,
        "model": encoder,
        "split": SPLIT,
        "metrics": summary["metrics"],
        "scores": scored.digest,
        "score_scale": ranked.info["score_scale"],
        "index_bytes": index_bytes(workspace) or None,
        "build_seconds": build_seconds(workspace) or None,
        "seconds_per_query": ranked.info["seconds_per_query"],
    }


GOLD = 5
"""Largest number of gold passages to examine per question."""


def note(workspace: Workspace) -> str:
    """One sentence for the report: for how many questions of dev and test an answer is restored after tokenisation."""
    asked = [example for split in ("dev", "test") for example in examples.read(workspace, split)]
    survived, total = restored(training_start.generator(workspace), corpus.open_store(workspace), asked)
    if not total:
        return "surface: without known gold passages, the loss from tokenisation was not measured"
    return (
        f"surface: {survived} of {total} questions with an answer in a gold passage ({100 * survived / total:.2f} %) "
        "have one that is restored after tokenisation, an upper bound of their EM"
    )


def restored(generator: Writer, store: PassageStore, asked: Iterable[Example]) -> tuple[int, int]:
    """(questions with an answer that is right after tokenisation, questions with an answer in a gold passage)."""
    surface, survived, total = Surface(generator.tokenizer), 0, 0
    for example in asked:
        gold = [store[store.row(passage_id)] for passage_id in example.gold_passage_ids[:GOLD]]
        standing = [a for a in example.answers if any(has_answer([a], p.text) for p in gold)]
        if standing:
            total += 1
            texts = (surface.realise(ids, gold) for ids in generator.target_ids(standing))
            survived += any(em(text, example.answers) == 1.0 for text in texts)
    return survived, total
