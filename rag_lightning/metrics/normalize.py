"""Answer normalisation of the SQuAD v1.1 evaluation script (Rajpurkar et al. 2016), which DPR and RAG use for EM."""

from __future__ import annotations

import re
import string
from functools import lru_cache

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


@lru_cache(maxsize=4096)  # the metrics of one example ask for the same few strings
def normalize_answer(text: str) -> str:
    """Lower-case, delete ASCII punctuation, replace articles by a space, collapse white space: in this order.

    Source: SQuAD v1.1 evaluation; DPR `qa_validation.py` and transformers' RAG project do the same.

    >>> normalize_answer("The  Rolling-Stones!")
    'rollingstones'
    """
    without_articles = _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION))
    return " ".join(without_articles.split())
