"""Parts of a prediction: whole batches, and together what has the same words."""

from __future__ import annotations

from pathlib import Path

from rag_lightning.core.records import Example, Prediction
from rag_lightning.decoding.question import Question
from rag_lightning.stages.predict_parts import PARTS, missing, parts_of, take, write_part


def batches(*texts: str) -> list[list[Question]]:
    """A batch of each text, a question of each line."""
    return [
        [Question(Example(f"{n}", line, ("x",)), (), ()) for line in text.split("|")] for n, text in enumerate(texts)
    ]


def test_each_batch_is_a_part_unless_a_question_comes_again() -> None:
    assert parts_of(batches("a|b", "c|d", "e|f")) == [[0], [1], [2]]
    assert parts_of(batches("a|b", "c|d", "É|B?", "D")) == [[0, 2], [1, 3]]
    assert parts_of(batches("a", "b", "c|a", "b|c", "d")) == [[0, 1, 2, 3], [4]]
    assert parts_of([]) == []


def test_parts_are_put_together_in_the_order_of_the_questions(tmp_path: Path) -> None:
    (tmp_path / PARTS).mkdir()
    parts = [[0, 2], [1]]
    made = {n: [Prediction(f"q{n}{i}", "t", "t", -1.0, ()) for i in range(2)] for n in range(3)}
    assert missing(tmp_path, 2) == [0, 1]
    write_part(tmp_path, 1, made[1], {"pairs_generated": 3, "sizes": [2]})
    assert missing(tmp_path, 2) == [0]
    write_part(tmp_path, 0, [*made[0], *made[2]], {"pairs_generated": 4, "sizes": [2, 2]})
    found, counts = take(tmp_path, parts)
    assert [one.example_id for one in found] == ["q00", "q01", "q10", "q11", "q20", "q21"]
    assert dict(counts) == {"pairs_generated": 7} and not list(tmp_path.iterdir())
