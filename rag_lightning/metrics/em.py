"""The exact matches that are confused with SQuAD's `em` (answers.py), each under its own name.

- em_kilt: KILT `eval_downstream.py` (Petroni et al. 2021). Empty answers are dropped, and "" is never right. Its
  F1, used for KILT-F1, is 0 where no token is shared, so that two strings of articles alone have 0 and not 1.
- em_lm_eval: lm-evaluation-harness `nq_open` version 4. An article goes only with a space behind it, white space stays.
- em_contains: FlashRAG `acc`, called "match" elsewhere. The prediction may say more than the answer.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence

from rag_lightning.metrics.answers import answer_score, check_answers, f1
from rag_lightning.metrics.metric import Metric, Need, WordRule
from rag_lightning.metrics.tokens import normal_words, normalize_answer

EXACT_MATCHES = ("em", "em_kilt", "em_lm_eval", "em_contains")
"""Shown side by side wherever `em` is a metric of the task."""
_LM_EVAL_IGNORED = re.compile(r"\b(?:The |the |An |A |a |an )")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def em_kilt(prediction: str, answers: Sequence[str]) -> float:
    """KILT's EM; a prediction of white space, which KILT refuses, counts 0.

    Raises:
        ValueError: no answers.
    """
    given = [answer for answer in check_answers(answers) if answer.strip()]
    wanted = normalize_answer(prediction)
    return float(bool(prediction.strip()) and any(normalize_answer(answer) == wanted for answer in given))


def f1_kilt(prediction: str, answers: Sequence[str]) -> float:
    """KILT's token F1: 0 without a shared token; a prediction of white space, which KILT refuses, counts 0.

    Raises:
        ValueError: no answers.
    """
    given = [answer for answer in check_answers(answers) if normalize_answer(answer)]
    return f1(prediction, given) if given and normalize_answer(prediction) else 0.0


def em_lm_eval(prediction: str, answers: Sequence[str]) -> float:
    """lm-evaluation-harness' EM: articles, case, ASCII punctuation and white space before the prediction removed.

    The harness also stops generation at a line's end, a full stop or a comma; that is decoding and not done here.

    Raises:
        ValueError: no answers.
    """
    wanted = _lm_eval(prediction.lstrip())
    return float(any(_lm_eval(answer) == wanted for answer in check_answers(answers)))


def em_contains(prediction: str, answers: Sequence[str]) -> float:
    """1 if any normalised answer is a sub-string of the normalised prediction; inside of a word counts too.

    As in the source, an answer that is empty after normalisation is in every prediction.

    Raises:
        ValueError: no answers.
    """
    text = normalize_answer(prediction)
    return float(any(normalize_answer(answer) in text for answer in check_answers(answers)))


def _lm_eval(text: str) -> str:
    return _LM_EVAL_IGNORED.sub("", text).lower().translate(_PUNCTUATION)


def _lm_eval_words(text: str) -> list[str]:
    return _lm_eval(text).split()


def _definition(name: str, measure: Callable[[str, Sequence[str]], float], words: WordRule, about: str) -> Metric:
    needs: tuple[Need, ...] = ("prediction", "strings")
    return Metric(name, "%", "higher", answer_score(measure), needs=needs, beside=("em",), words=words, about=about)


EM_KILT = _definition(
    "em_kilt",
    em_kilt,
    normal_words,
    "as em by KILT's script: equal without case, articles and punctuation, but an empty prediction is wrong",
)
F1_KILT = Metric("f1_kilt", "%", "higher", answer_score(f1_kilt), words=normal_words)
"""Scored as a part of KILT-F1 only."""
EM_LM_EVAL = _definition(
    "em_lm_eval",
    em_lm_eval,
    _lm_eval_words,
    "as lm-evaluation-harness' nq_open: an article goes only with a space behind it, white space inside stays",
)
EM_CONTAINS = _definition(
    "em_contains",
    em_contains,
    normal_words,
    "the prediction contains an answer, also inside of a word, and may say more (FlashRAG's acc)",
)
