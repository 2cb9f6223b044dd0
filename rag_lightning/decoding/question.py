"""An example with what was retrieved for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example, Ranking


@dataclass(frozen=True)
class Question:
    """An example with what was retrieved for it (best first; more than k is cut) and the scaled doc_scores.

    `null_score` is the logit of an empty passage that is read beside those, after them; None for none.
    """

    example: Example
    rows: tuple[int, ...]
    doc_scores: tuple[float, ...]
    null_score: float | None = None

    @property
    def logits(self) -> tuple[float, ...]:
        """Logits of p(z|x) over all passages that are read; a question without any has one empty passage."""
        read = self.doc_scores if self.null_score is None else (*self.doc_scores, self.null_score)
        return read or (0.0,)

    @property
    def read_rows(self) -> tuple[int | None, ...]:
        """The row of each passage that is read, None for an empty one."""
        read = self.rows if self.null_score is None else (*self.rows, None)
        return read or (None,)


def questions(
    examples: Sequence[Example],
    rankings: Sequence[Ranking] | None,
    score_scale: float,
    k: int,
    null_score: float | None = None,
) -> list[Question]:
    """Join examples and rankings by id; no rankings is closed book.

    Raises:
        ConfigError: an example without a ranking.
    """
    if rankings is None:
        return [Question(example, (), ()) for example in examples]
    by_id = {ranking.example_id: ranking for ranking in rankings}
    missing = [example.example_id for example in examples if example.example_id not in by_id]
    if missing:
        raise ConfigError(f"{len(missing)} examples have no ranking, the first is {missing[0]!r}; retrieve again")
    found = [by_id[example.example_id] for example in examples]
    return [
        Question(example, r.rows[:k], tuple(s * score_scale for s in r.scores[:k]), null_score)
        for example, r in zip(examples, found, strict=True)
    ]
