"""The baseline that reads nothing: p(y|x,z) is 1 for the first name in z that the question does not hold.

The gain of a reader over retrieval is its difference to this baseline. A name is a run of capitalised words, small
words within ("Bay of Bengal") included; the first word of a sentence is none if it is a function word. Nothing is
learnt. With one passage it answers with the first name of the first passage; with several, passages of the same name
add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import regex

from rag_lightning.core.records import Hypothesis, Prediction
from rag_lightning.decoding.strategy import N_BEST, Batch, Strategy

if TYPE_CHECKING:
    from torch import Tensor

WORD = r"\p{Lu}[\p{L}\p{M}\p{N}’'.\-]*(?<![.’'\-])"
INSIDE = r"(?:of|the|de|del|la|le|du|da|di|van|von|al|el)"
NAME = regex.compile(rf"(?<![\p{{L}}\p{{N}}]){WORD}(?: (?:{INSIDE} ){{0,2}}{WORD})*")
SMALL = (
    "a after all also although an and as at because before both but by during each for from he her his however if in "
    "into it its later many most no not of on one or other our she since so some such that the their then there these "
    "they this those through to two under until upon was we when where which while who with within you"
)
FUNCTION_WORDS = frozenset(SMALL.split())


def first_entity(query: str, text: str) -> str:
    """The first name in the text that the query does not hold, "" where there is none.

    >>> first_entity("who discovered penicillin", "Penicillin was discovered in 1928 by Alexander Fleming in London.")
    'Alexander Fleming'
    """
    asked = query.casefold()
    for match in NAME.finditer(text):
        words = match.group().split(" ")
        while words and words[0].casefold() in FUNCTION_WORDS:
            words.pop(0)
        name = " ".join(words)
        if name and name.casefold() not in asked:
            return name
    return ""


def decode(query: str, texts: Sequence[str], doc_log_probs: Tensor) -> list[Hypothesis]:
    """The first name of each text with log p(y|x) = log sum of its p(z|x), the most probable first.

    Args:
        query: The question.
        texts: Texts of the K passages, best first; a passage without a name gives "".
        doc_log_probs: [K] log p(z|x).
    """
    import torch

    names = [first_entity(query, text) for text in texts]
    own = list(dict.fromkeys(names))
    other = torch.tensor([[name != one for name in names] for one in own], device=doc_log_probs.device)
    sums = doc_log_probs.masked_fill(other, -torch.inf).logsumexp(-1).clamp(max=0.0)  # that of all may round above 0
    found = [
        Hypothesis(one, log_prob, passage_log_probs=tuple(0.0 if name == one else None for name in names))
        for one, log_prob in zip(own, sums.tolist(), strict=True)
    ]
    return sorted(found, key=lambda hypothesis: -hypothesis.log_prob)


@dataclass(frozen=True)
class FirstEntity(Strategy):
    """The first name in each passage that is not in the question; uses no generator."""

    title: ClassVar[str] = "first entity"
    formulations: ClassVar[tuple[str, ...]] = ("rag_sequence",)
    generates: ClassVar[bool] = False

    def predict(self, batch: Batch) -> list[Prediction]:
        """The most probable names of each question."""
        pools = []
        for question, context, prior in zip(batch.questions, batch.read, batch.priors, strict=True):
            texts = ["" if passage is None else passage.text for passage in context]
            pools.append(decode(question.example.query, texts, prior)[:N_BEST])
        return batch.predictions(pools)
