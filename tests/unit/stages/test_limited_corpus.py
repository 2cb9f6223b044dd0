"""Mini examples over a corpus that was cut short."""

from pathlib import Path

from rag_lightning.core.records import Example, Passage
from rag_lightning.corpus.store import PassageStore, write_passages
from rag_lightning.stages.examples import _within


def test_questions_lose_the_gold_that_is_gone_and_open_claims_stay(tmp_path: Path) -> None:
    write_passages(tmp_path, [Passage("a", "A", "text")])
    held = Example("1", "q", ("x",), ("a", "b"))
    gone, unproven = Example("2", "q", ("x",), ("b",)), Example("3", "claim", ("not enough info",))
    kept, dropped = _within({"test": (held, gone, unproven)}, PassageStore(tmp_path))
    assert [(e.example_id, e.gold_passage_ids) for e in kept["test"]] == [("1", ("a",)), ("3", ())]
    assert dropped == {"questions whose gold passages are outside the limited corpus": 1}
