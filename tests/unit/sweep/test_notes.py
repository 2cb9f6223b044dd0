"""What a report says beside the table."""

from __future__ import annotations

from pathlib import Path

from rag_lightning.core.records import Example, Passage
from rag_lightning.corpus.store import PassageStore, write_passages
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.sweep.notes import restored


def test_the_bound_of_em_counts_questions(toy: Seq2SeqGenerator, tmp_path: Path) -> None:
    """A question is lost only where none of its answers survives; what survives may equal another accepted answer."""
    write_passages(tmp_path, [Passage("p", "t", "a b c x y")])
    store = PassageStore(tmp_path)
    several = Example("1", "q", ("a", "b", "x"), gold_passage_ids=("p",))
    lost = Example("2", "q", ("x", "y"), gold_passage_ids=("p",))
    elsewhere = Example("3", "q", ("nowhere",), gold_passage_ids=("p",))
    assert restored(toy, store, [several, lost, elsewhere, Example("4", "q", ("a",))]) == (1, 2)
    assert restored(toy, store, [lost]) == (0, 1)
