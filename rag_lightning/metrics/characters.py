"""EM and F1 by characters, for languages without spaces between words, beside SQuAD's em and f1.

SQuAD's rules (answers.py) take a Chinese sentence for one word and keep its punctuation. Here the tokens are
characters: letters, digits and marks after Unicode's NFKC and case folding; punctuation, symbols and white space are
left out, and there are no articles. F1 over characters is what DRCD (https://arxiv.org/abs/1806.00920) and KorQuAD 1.0
(https://arxiv.org/abs/1909.07005) report; the normalisation is ours.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache

import regex

from rag_lightning.metrics.answers import answer_score, check_answers, token_f1
from rag_lightning.metrics.metric import Metric, Need

BESIDE = ("em", "rouge_l")
_CHARACTER = regex.compile(r"[[\p{L}\p{M}\p{N}]--\p{Default_Ignorable_Code_Point}]", regex.V1)


@lru_cache(maxsize=4096)  # both metrics of one example ask for the same strings
def characters(text: str) -> tuple[str, ...]:
    """The characters that count, in their order.

    >>> "".join(characters("《Ｎｏ. １２　東京》。"))
    'no12東京'
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return tuple(_CHARACTER.findall(folded))


def em_char(prediction: str, answers: Sequence[str]) -> float:
    """1 if the characters of the prediction are those of any answer, in the same order, else 0.

    Raises:
        ValueError: no answers.
    """
    wanted = characters(prediction)
    return float(any(characters(answer) == wanted for answer in check_answers(answers)))


def f1_char(prediction: str, answers: Sequence[str]) -> float:
    """The best F1 of the prediction's characters against any answer's; 1 if neither has any, as in `f1`.

    Raises:
        ValueError: no answers.
    """
    given = Counter(characters(prediction))
    return max(token_f1(given, Counter(characters(answer))) for answer in check_answers(answers))


def _definition(name: str, measure: Callable[[str, Sequence[str]], float], about: str) -> Metric:
    needs: tuple[Need, ...] = ("prediction", "strings")
    score = answer_score(measure)
    return Metric(name, "%", "higher", score, needs=needs, beside=BESIDE, unspaced=True, words=characters, about=about)


EM_CHAR = _definition(
    "em_char",
    em_char,
    "equal to an answer character by character (NFKC), without case, punctuation, symbols and white space",
)
F1_CHAR = _definition("f1_char", f1_char, "overlap with an answer in characters, where f1 counts words between spaces")
