"""Command `ask`: the answer to one question, its passages with priors and posteriors, and the hypotheses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich.table import Table

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.console import CONSOLE, within
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example, Passage, Prediction
from rag_lightning.corpus.store import PassageStore
from rag_lightning.decoding import posterior
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.decoding.predictor import Predictor
from rag_lightning.decoding.question import Question, questions
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.likelihoods import doc_log_probs
from rag_lightning.retrieval.retriever import QuestionRetriever
from rag_lightning.stages import corpus, predict, retrieve, train
from rag_lightning.stages.workspace import Workspace

SHOWN = 3
"""Number of passages shown for each token."""
EMPTY = Passage("", "(null document)", "")
"""The empty passage of retriever.null_document."""


@dataclass(frozen=True)
class Answer:
    """The passages, best first, with p(z|x), and the prediction.

    Attributes:
        posteriors: p(z|x,y) of the prediction; empty for RAG-Token and without passages.
        tokens: For RAG-Token, the tokens of the prediction, each with its p(z|x,y_i); else empty.
    """

    passages: tuple[Passage, ...]
    priors: tuple[float, ...]
    prediction: Prediction
    posteriors: tuple[float, ...] = ()
    tokens: tuple[tuple[str, tuple[float, ...]], ...] = ()


@dataclass(frozen=True)
class OpenSystem:
    """A system that is open to answer questions: command `ask` and the served MLflow model.

    Args:
        config: Its configuration.
        encodings: Encodings of the trained generator.
        store: The corpus; None for closed book.
        retriever: The retriever; None for closed book.
        score_scale: Factor of the retriever's scores in p(z|x).
        null_score: Logit of the null document, None without one.
    """

    config: ExperimentConfig
    encodings: Encodings
    store: PassageStore | None = None
    retriever: QuestionRetriever | None = None
    score_scale: float = 1.0
    null_score: float | None = None

    def answer(self, question: str) -> Answer:
        """The answer to one question.

        Raises:
            ConfigError: an empty question.
        """
        example = _example(question)
        asked, passages, priors = self._retrieve(example)
        predictor = Predictor(self.config.formulation, self.encodings, self.config.decoding, self.store, PairStore())
        prediction = predictor.predict([asked])[0]
        best = prediction.hypotheses[0]
        if not passages:
            return Answer(passages, priors, prediction)
        docs = doc_log_probs(torch.tensor([asked.logits]))[0]
        if best.passage_log_probs:
            shares = posterior.of_sequence(best.passage_log_probs, docs)
            return Answer(passages, priors, prediction, posteriors=tuple(shares.tolist()))
        pairs = [Pair(example.query, None if passage is EMPTY else passage) for passage in passages]
        table = posterior.of_tokens(self.encodings, pairs, best.token_ids, docs).tolist()
        names = self.encodings.generator.tokenizer.convert_ids_to_tokens(list(best.token_ids))
        shown = tuple((name, tuple(row)) for name, row in zip(names, table, strict=True))
        return Answer(passages, priors, prediction, tokens=shown)

    def _retrieve(self, example: Example) -> tuple[Question, tuple[Passage, ...], tuple[float, ...]]:
        """The question with the rows of its passages, the passages, and p(z|x) of each."""
        if self.retriever is None or self.store is None:
            return Question(example, (), ()), (), ()
        k = self.config.decoding.k
        ranking = self.retriever.retrieve([example], k)[0].ranking(example.example_id)
        asked = questions([example], [ranking], self.score_scale, k, self.null_score)[0]
        if not asked.rows and asked.null_score is None:
            return asked, (), ()
        priors = doc_log_probs(torch.tensor([asked.logits])).exp()[0].tolist()
        store = self.store
        return asked, tuple(EMPTY if row is None else store[row] for row in asked.read_rows), tuple(priors)


def open_system(workspace: Workspace) -> OpenSystem:
    """The configured system, built if it does not exist.

    Raises:
        ConfigError: a baseline without a model.
    """
    config = workspace.config
    if config.decoding.made().from_train:
        raise ConfigError(f"decoding.strategy={config.decoding.strategy!r} has no model to ask; choose another")
    if config.formulation == "closed_book":
        return OpenSystem(config, predict.model_encodings(workspace, train.build(workspace)))
    retriever, scale = retrieve.open_retriever(workspace)
    if config.retriever.made().gold_first:
        workspace.announce("oracle: the question has no known gold passage; plain dense retrieval is used")
    null, store = predict.null_score(workspace), corpus.open_store(workspace)
    encodings = predict.model_encodings(workspace, train.build(workspace))
    return OpenSystem(config, encodings, store, retriever, scale, null)


def answer(workspace: Workspace, question: str) -> Answer:
    """Answer one question with the configured system.

    Raises:
        ConfigError: an empty question.
    """
    _example(question)  # before anything is built
    return open_system(workspace).answer(question)


def _example(question: str) -> Example:
    if not question.strip():
        raise ConfigError('the question is empty; give one, for example: ask "what is the capital of bhutan"')
    return Example("ask", question.strip(), ())


def run(config: ExperimentConfig, question: str) -> None:
    """Answer a question and print the result."""
    with within("ask"):
        found = answer(Workspace(config), question)
    CONSOLE.print(f"[bold]{_plain(found.prediction.text)}[/bold]   log p(y|x) = {found.prediction.log_prob:.3f}")
    if found.passages:
        CONSOLE.print(_passages(found))
    if found.tokens:
        CONSOLE.print(_tokens(found.tokens))
    hypotheses = Table("log p(y|x)", "hypothesis", title="hypotheses")
    for hypothesis in found.prediction.hypotheses:
        hypotheses.add_row(f"{hypothesis.log_prob:.3f}", _plain(hypothesis.text))
    CONSOLE.print(hypotheses)


def _passages(found: Answer) -> Table:
    table = Table("z", "p(z|x)", "p(z|x,y)", "title", "passage", title="passages")
    shares = [f"{share:.3f}" for share in found.posteriors] or ["by token"] * len(found.passages)
    for z, (passage, prior, share) in enumerate(zip(found.passages, found.priors, shares, strict=True), 1):
        table.add_row(str(z), f"{prior:.3f}", share, _plain(passage.title), _plain(passage.text[:200]))
    return table


def _tokens(tokens: Sequence[tuple[str, tuple[float, ...]]]) -> Table:
    """Each token with its passages of largest posterior."""
    table = Table("token", "p(z|x,y_i), the largest", title="passages behind each token")
    for name, shares in tokens:
        order = sorted(range(len(shares)), key=lambda z: (-shares[z], z))[:SHOWN]
        table.add_row(_plain(name), "  ".join(f"z={z + 1} {shares[z]:.3f}" for z in order))
    return table


def _plain(text: str) -> str:
    """A text with square brackets escaped, which the console would read as markup."""
    return text.replace("[", "\\[")
