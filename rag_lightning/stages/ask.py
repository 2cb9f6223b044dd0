"""Stage `ask`: one question, its passages with their posteriors, and the hypotheses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from rich.table import Table

from rag_lightning.core.config import ExperimentConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.records import Example, Passage, Prediction
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.generator.marginal import doc_log_probs
from rag_lightning.modules.predictor import Question
from rag_lightning.stages import corpus, predict, retrieve, train
from rag_lightning.stages.workspace import CONSOLE, Workspace


@dataclass(frozen=True)
class Answer:
    """What the model said: passages best first with p(z|x), and the prediction."""

    passages: tuple[Passage, ...]
    priors: tuple[float, ...]
    prediction: Prediction


def answer(workspace: Workspace, question: str) -> Answer:
    """Answer one question with the configured system.

    Raises:
        ConfigError: an empty question.
    """
    config = workspace.config
    if not question.strip():
        raise ConfigError('the question is empty; ask something, for example: ask "what is the capital of bhutan"')
    example = Example("ask", question.strip(), ())
    asked = Question(example, (), ())
    passages: tuple[Passage, ...] = ()
    priors: tuple[float, ...] = ()
    if config.formulation != "closed_book":
        asked, passages, priors = _retrieve(workspace, example)
    encodings = predict.Loaded.encodings(workspace, train.build(workspace))
    prediction = predict.make_predictor(workspace, encodings, PairStore()).predict([asked])[0]
    return Answer(passages, priors, prediction)


def _retrieve(workspace: Workspace, example: Example) -> tuple[Question, tuple[Passage, ...], tuple[float, ...]]:
    retriever, scale = retrieve.open_retriever(workspace)
    hits = retriever.retrieve([example.query], workspace.config.decoding.k)[0]
    scores = tuple(float(s) * scale for s in hits.scores)
    store = corpus.open_store(workspace)
    priors = doc_log_probs(torch.tensor([scores])).exp()[0].tolist() if scores else ()
    rows = tuple(map(int, hits.rows))
    return Question(example, rows, scores), tuple(store[row] for row in rows), tuple(priors)


def run(config: ExperimentConfig, question: str) -> None:
    """Answer and print."""
    found = answer(Workspace(config), question)
    CONSOLE.print(f"[bold]{_plain(found.prediction.text)}[/bold]   log p(y|x) = {found.prediction.log_prob:.3f}")
    if found.passages:
        passages = Table("p(z|x)", "title", "passage", title="passages")
        for passage, prior in zip(found.passages, found.priors, strict=True):
            passages.add_row(f"{prior:.3f}", _plain(passage.title), _plain(passage.text[:200]))
        CONSOLE.print(passages)
    hypotheses = Table("log p(y|x)", "hypothesis", title="hypotheses")
    for hypothesis in found.prediction.hypotheses:
        hypotheses.add_row(f"{hypothesis.log_prob:.3f}", _plain(hypothesis.text))
    CONSOLE.print(hypotheses)


def _plain(text: str) -> str:
    """Square brackets are markup to the console."""
    return text.replace("[", "\\[")
