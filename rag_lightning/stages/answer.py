"""The answer of a system: passages with prior and posterior, and hypotheses; and its tables in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rag_lightning.core.console import write
from rag_lightning.core.plain import shorten
from rag_lightning.core.records import Passage, Prediction
from rag_lightning.core.tables import Grid
from rag_lightning.decoding import posterior
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.question import Question
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.likelihoods import doc_log_probs

SHOWN, LENGTH = 3, 200
"""Passages shown for each token or hypothesis, and characters of a passage."""
EMPTY = Passage("", "(null document)", "")
"""The empty passage of retriever.null_document."""
Shares = tuple[float, ...]


@dataclass(frozen=True)
class Answer:
    """The passages, best first, with p(z|x), and the prediction.

    Attributes:
        passages: K passages that were read.
        priors: p(z|x) of each.
        prediction: The prediction with its hypotheses.
        doc_scores: Scores of the passages, scaled: the logits of p(z|x).
        by_hypothesis: p(z|x,y) [H, K] of each hypothesis; empty for RAG-Token, for FiD, which has none, and without
            passages.
        tokens: For RAG-Token, the tokens of the prediction, each with its p(z|x,y_i); else empty.
        together: Whether the generator read all passages at once (FiD), so that there is no p(z|x,y).
    """

    passages: tuple[Passage, ...]
    priors: Shares
    prediction: Prediction
    doc_scores: Shares = ()
    by_hypothesis: tuple[Shares, ...] = ()
    tokens: tuple[tuple[str, Shares], ...] = ()
    together: bool = False

    @property
    def posteriors(self) -> Shares:
        """p(z|x,y) of the prediction; empty where there is none of a whole output."""
        return self.by_hypothesis[0] if self.by_hypothesis else ()


def answer_of(formulation: str, asked: Question, passages: tuple[Passage, ...], prediction: Prediction) -> Answer:
    """The answer without what only the generator knows, p(z|x,y_i) of tokens.

    Args:
        formulation: The formulation of the system.
        asked: The question with the scores of its passages.
        passages: The passages, in their order; empty for closed book.
        prediction: What the system wrote.
    """
    if not passages:
        return Answer((), (), prediction)
    logs = log_priors(asked)
    together = formulation == "fid"
    scored = [one.passage_log_probs for one in prediction.hypotheses]
    by_hypothesis: tuple[Shares, ...] = ()
    if all(scored) and not together:
        by_hypothesis = tuple(tuple(posterior.of_sequence(one, logs).tolist()) for one in scored)
    return Answer(passages, tuple(logs.exp().tolist()), prediction, asked.logits, by_hypothesis, together=together)


def log_priors(asked: Question) -> Tensor:
    """log p(z|x) [K] of the passages that are read."""
    return doc_log_probs(torch.tensor([asked.logits]))[0]


def by_token(encodings: Encodings, asked: Question, found: Answer, formulation: str) -> tuple[tuple[str, Shares], ...]:
    """The tokens of a RAG-Token prediction, each with p(z|x,y_i) of its passages; empty for what has no such tokens."""
    ids = found.prediction.hypotheses[0].token_ids if found.prediction.hypotheses else ()
    if formulation != "rag_token" or found.by_hypothesis or not found.passages or not ids:
        return ()
    pairs = [Pair(asked.example.query, None if passage == EMPTY else passage) for passage in found.passages]
    table = posterior.of_tokens(encodings, pairs, ids, log_priors(asked)).tolist()
    names = encodings.generator.tokenizer.convert_ids_to_tokens(list(ids))
    return tuple((name, tuple(row)) for name, row in zip(names, table, strict=True))


def show(found: Answer) -> None:
    """Print the prediction, the passages, the passages behind each token, and the hypotheses."""
    write(shorten(found.prediction.text), "bold", f"   log p(y|x) = {found.prediction.log_prob:.3f}")
    if found.passages:
        _passages(found).show("stderr")
    if found.tokens:
        table = Grid("token", "p(z|x,y_i), the largest", title="passages behind each token")
        for name, shares in found.tokens:
            table.add(shorten(name, LENGTH), largest(shares))
        table.show("stderr")
    _hypotheses(found).show("stderr")


def largest(shares: Sequence[float], most: int = SHOWN) -> str:
    """The passages with the largest shares.

    >>> largest([0.1, 0.7, 0.2], 2)
    'z=2 0.700  z=3 0.200'
    """
    order = sorted(range(len(shares)), key=lambda z: (-shares[z], z))[:most]
    return "  ".join(f"z={z + 1} {shares[z]:.3f}" for z in order)


def passages_title(found: Answer) -> str:
    """The title of the passages, which says where p(z|x) is not used."""
    return "passages" + ", read together: p(z|x) of the retriever is not used, there is no p(z|x,y)" * found.together


def _passages(found: Answer) -> Grid:
    heads = ("z", "score", "p(z|x)", "p(z|x,y)", "title", "passage")
    table = Grid(*heads, title=passages_title(found))
    scores = [f"{score:.2f}" for score in found.doc_scores] or [""] * len(found.passages)
    shares = [f"{share:.3f}" for share in found.posteriors]
    shares = shares or ["none" if found.together else "by token"] * len(found.passages)
    columns = zip(found.passages, scores, found.priors, shares, strict=True)
    for z, (passage, score, prior, share) in enumerate(columns, 1):
        texts = shorten(passage.title, LENGTH), shorten(passage.text, LENGTH)
        table.add(str(z), score, f"{prior:.3f}", share, *texts)
    return table


def _hypotheses(found: Answer) -> Grid:
    shared = bool(found.by_hypothesis)
    table = Grid("log p(y|x)", "hypothesis", *["p(z|x,y), the largest"] * shared, title="hypotheses")
    for place, one in enumerate(found.prediction.hypotheses):
        shares = [largest(found.by_hypothesis[place])] if shared else []
        table.add(f"{one.log_prob:.3f}", shorten(one.text), *shares)
    return table
