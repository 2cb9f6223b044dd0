"""What EM cannot exceed: answers that tokenising and realising lose, whatever the model says."""

from __future__ import annotations

from rag_lightning.generator.surface import Surface
from rag_lightning.metrics.answers import em, has_answer
from rag_lightning.stages import corpus, examples, training_start
from rag_lightning.stages.workspace import Workspace

GOLD = 5
"""Gold passages of a question that are looked at."""


def note(workspace: Workspace) -> str:
    """One sentence for the report: how many answers of dev and test survive."""
    survived, total = count(workspace)
    if not total:
        return "surface: no gold passages are known, so what tokenising and realising loses was not measured"
    return (
        f"surface: {survived} of {total} answers that stand in a gold passage ({100 * survived / total:.2f} %) "
        "survive tokenising and realising; EM cannot exceed it"
    )


def count(workspace: Workspace) -> tuple[int, int]:
    """(answers that survive, answers that stand in a gold passage)."""
    generator = training_start.generator(workspace)
    surface, store = Surface(generator.tokenizer), corpus.open_store(workspace)
    survived, total = 0, 0
    for example in [e for split in ("dev", "test") for e in examples.read(workspace, split)]:
        gold = [store[store.row(passage_id)] for passage_id in example.gold_passage_ids[:GOLD]]
        standing = [a for a in example.answers if any(has_answer([a], p.text) for p in gold)]
        for answer, ids in zip(standing, generator.target_ids(standing) if standing else [], strict=True):
            total += 1
            survived += em(surface.realise(ids, gold), [answer]) == 1.0
    return survived, total
