"""Command `ask`: the answer to one question, or a prompt that keeps the system open and answers one after another."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib import import_module
from io import TextIOWrapper, UnsupportedOperation
from threading import RLock

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.console import duration, say, within, write
from rag_lightning.core.errors import ConfigError, RagLightningError, shown
from rag_lightning.core.plain import clean, is_whole, shorten
from rag_lightning.core.records import Example, Passage
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.decoding.predictor import Predictor
from rag_lightning.decoding.question import Question, questions
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.stages import predict, retrieve, train
from rag_lightning.stages.answer import EMPTY, Answer, answer_of, by_token, show
from rag_lightning.stages.memory import NO_MEMORY, Memories, Memory, open_memory
from rag_lightning.stages.workspace import Workspace

QUIT = ("", "quit", "exit")
"""Lines that end the prompt."""
PROMPT = "question> "


@dataclass(frozen=True)
class OpenSystem:
    """A system that is open to answer questions: command `ask` and the served MLflow model.

    Several threads may ask it while another swaps its memory: the model answers one question at a time, each from the
    memory that was in use when it was asked.

    Args:
        config: Its configuration.
        encodings: Encodings of the trained generator.
        memories: Its corpus with retriever, and earlier versions; None for closed book.
        score_scale: Factor of the retriever's scores in p(z|x).
        null_score: Logit of the null document, None without one.
        encoder: The query encoder, None if the retriever has none.
    """

    config: ExperimentConfig
    encodings: Encodings
    memories: Memories | None = None
    score_scale: float = 1.0
    null_score: float | None = None
    encoder: TextEncoder | None = None
    _model: RLock = field(default_factory=RLock, init=False, repr=False, compare=False)

    def answer(self, question: str) -> Answer:
        """The answer to one question.

        Raises:
            ConfigError: an empty question, or one that is too long for the generator.
        """
        example = example_of(question)
        memory = self.memories.current if self.memories else None
        store = memory.store if memory else None
        with self._model:  # tokenizers and cached states are not made for several threads
            asked, passages = self._retrieve(example, memory) if memory else (Question(example, (), ()), ())
            encodings = self.encodings.emptied()  # what is kept of a question leaves with it
            predictor = Predictor(self.config.formulation, encodings, self.config.decoding, store, PairStore())
            found = answer_of(self.config.formulation, asked, passages, predictor.predict([asked])[0])
            return replace(found, tokens=by_token(encodings, asked, found, self.config.formulation))

    def swap(self, memory: Memory, replacing: bool = True) -> None:
        """Answer every question asked from now on from another memory; questions in flight finish with theirs.

        Args:
            memory: The memory.
            replacing: Whether it replaces a version of its name; else it gets a number where another memory has it.

        Raises:
            ConfigError: closed book, which has no memory.
        """
        self._memories().publish(memory, replacing)

    def rollback(self, name: str = "") -> Memory:
        """Use an earlier version of the memory again, and return it.

        Args:
            name: Name of the version; empty for the one in use before the current one.

        Raises:
            UnknownNameError: no version of this name is kept.
            ConfigError: there is no earlier version, or closed book, which has no memory.
        """
        return self._memories().rollback(name)

    @property
    def memory(self) -> Memory:
        """The memory in use.

        Raises:
            ConfigError: closed book, which has none.
        """
        return self._memories().current

    @property
    def versions(self) -> tuple[str, ...]:
        """Names of the versions of the memory in the order of their last use; the last is in use."""
        return self.memories.names if self.memories else ()

    def _memories(self) -> Memories:
        if self.memories is None:
            raise ConfigError(NO_MEMORY)
        return self.memories

    def _retrieve(self, example: Example, memory: Memory) -> tuple[Question, tuple[Passage, ...]]:
        """The question with the rows of its passages, and the passages."""
        k = self.config.decoding.k
        ranking = memory.retriever.retrieve([example], k)[0].ranking(example.example_id)
        asked = questions([example], [ranking], self.score_scale, k, self.null_score)[0]
        if not asked.rows and asked.null_score is None:
            return asked, ()
        return asked, tuple(EMPTY if row is None else memory.store[row] for row in asked.read_rows)


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
    parts = retrieve.SystemParts(workspace)
    memories, scale = Memories(open_memory(config, parts)), retrieve.score_scale(workspace)
    if config.retriever.made().gold_first:
        workspace.announce("oracle: the question has no known gold passage; plain dense retrieval is used")
    null = predict.null_score(workspace)
    encodings = predict.model_encodings(workspace, train.build(workspace))
    return OpenSystem(config, encodings, memories, scale, null, parts.encoder)


def answer(workspace: Workspace, question: str) -> Answer:
    """Answer one question with the configured system.

    Raises:
        ConfigError: an empty question.
    """
    example_of(question)  # before anything is built
    return open_system(workspace).answer(question)


def example_of(question: object) -> Example:
    """The question as an example without answers.

    Raises:
        ConfigError: it is no text, empty, or holds half of a surrogate pair.
    """
    if not isinstance(question, str):
        raise ConfigError(f"a question is a text, not {shown(question)}")
    if not question.strip():
        raise ConfigError('the question is empty; give one, for example: ask "what is the capital of bhutan"')
    if not is_whole(question):
        raise ConfigError(f"the question {shown(question)} holds half of a surrogate pair; write the whole character")
    return Example("ask", question.strip(), ())


def run(config: ExperimentConfig, question: str | None = None) -> None:
    """Answer a question and print the result; without one answer those of a prompt, or of the lines of stdin.

    Raises:
        ConfigError: an empty question, or a baseline without a model.
    """
    if question is None:
        answer_all(config)
        return
    with within("ask"):
        found = answer(Workspace(config), clean(question))
    show(found)


def answer_all(config: ExperimentConfig) -> None:
    """Open the system once and answer question after question; a bad one or Ctrl-C in an answer costs only that answer.

    A terminal gets a prompt, which an empty line, `quit` or Ctrl-D ends. Else every line of stdin is a question; if
    stdout is no terminal either, it gets a line with the prediction for each of them, empty where there is none.

    Raises:
        ConfigError: a baseline without a model.
    """
    typed = bool(sys.stdin) and sys.stdin.isatty()
    started = time.perf_counter()
    with within("ask"):
        system = open_system(Workspace(config))
    ends = "; Ctrl-D or an empty line ends" if typed else ""
    say(f"the system is open, loading took {duration(time.perf_counter() - started)}{ends}")
    if isinstance(sys.stdin, TextIOWrapper):
        with suppress(UnsupportedOperation):  # it was read before
            sys.stdin.reconfigure(errors="replace")  # bytes that are no text become signs that say so
    for asked in _typed() if typed else map(clean, sys.stdin or ()):
        predicted = _answered(system, asked, repeat=not typed)
        if not typed and not sys.stdout.isatty():
            print(predicted, flush=True)


def _answered(system: OpenSystem, asked: str, *, repeat: bool) -> str:
    """Print the answer to a question, after the question itself if it is to be repeated; returns the prediction."""
    if repeat:
        write("")
        write(shorten(asked), "italic")
    started = time.perf_counter()
    try:
        with within("ask"):
            found = system.answer(asked)
        show(found)
        say(f"answered in {duration(time.perf_counter() - started)}")
        return clean(found.prediction.text)
    except RagLightningError as error:
        say(f"no answer: {shorten(str(error))}")
    except KeyboardInterrupt:
        say("no answer: interrupted")
    return ""


def _typed() -> Iterator[str]:
    """The questions of a person, until one ends the prompt."""
    with suppress(ImportError):
        import_module("readline")  # input() then edits lines and remembers earlier ones
    while True:
        try:
            asked = input(PROMPT)
        except EOFError:
            print(file=sys.stderr)
            return
        except KeyboardInterrupt:
            print(file=sys.stderr)
            continue
        if asked.strip().lower() in QUIT:
            return
        yield clean(asked)
