"""RAG-Sequence with a decoder-only generator behind a server: its candidates and p(y|x,z) come from there.

The server searches greedily for each passage, and scores each candidate under each passage as the end of a prompt; the
marginals are those of rag_sequence.py, and retrieval and p(z|x) are ours. RAG-Token cannot be decoded so: it mixes the
next-token distributions of the passages at every step, which a server does not give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rag_lightning.config.bounds import PositiveFloat
from rag_lightning.config.fields import setting
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.files import content_digest
from rag_lightning.core.records import Prediction
from rag_lightning.decoding.server import Server
from rag_lightning.decoding.strategy import Batch, Search

if TYPE_CHECKING:
    from pathlib import Path

    from rag_lightning.config.generator import GeneratorConfig
    from rag_lightning.decoding.encodings import Encodings
    from rag_lightning.decoding.rag_sequence import Candidate

ONLY = "a server is for decoder-only generators of the Llama family, with generator.template=prompt"
Scores = dict[str, dict["Candidate", float]]


@dataclass(frozen=True)
class _Served(Search):
    """A greedy search for each passage by a server.

    Args:
        server: Address of an OpenAI-compatible server, as http://127.0.0.1:8000/v1; its key is in OPENAI_API_KEY.
            Affects time only: the results are those of served_model.
        served_model: Name under which the server serves the generator.
        server_timeout: Seconds to wait for an answer of the server.
        length_penalty: Hypotheses are ranked by log p(y|x) / tokens ** length_penalty, the end token counted; 0 ranks
            by log p(y|x). Which are found, and the log-probs reported, do not depend on it.
    """

    formulations: ClassVar[tuple[str, ...]] = ("rag_sequence",)
    served: ClassVar[bool] = True
    counts: ClassVar[str]
    unfit: ClassVar[str] = "a server gives log-probs of texts, not the next-token distributions that others mix"
    server: str = setting("", digest="never")
    served_model: str = ""
    server_timeout: PositiveFloat = setting(60.0, digest="never")
    length_penalty: float = 0.0

    @property
    def stored(self) -> str:
        """The name of the model there, and the length."""
        return f"served-{content_digest(self.served_model, 12)}-{self.max_length}"

    def check(self, encodings: Encodings) -> None:
        """Raise ConfigError as `Search`, and without a server or for a generator that is not decoder-only."""
        super().check(encodings)
        if not (self.server and self.served_model):
            raise ConfigError(
                f"decoding.strategy={self.title}: set decoding.server (its URL) and decoding.served_model"
            )
        if encodings.generator.config.template != "prompt":
            raise ConfigError(f"decoding.strategy={self.title}: {ONLY}")
        self.made_server.check()

    @property
    def made_server(self) -> Server:
        """The server."""
        return Server(self.server, self.served_model, self.server_timeout)

    def predict(self, batch: Batch) -> list[Prediction]:
        """Predictions in the order of the batch.

        Raises:
            ServerError: the server does not answer, refuses, or serves another model.
        """
        from rag_lightning.decoding import rag_sequence

        pairs = [pair for own in batch.pairs for pair in own]
        keys, rows = batch.encodings.keys(pairs)
        prompts = dict(zip(keys, ([*row, batch.encodings.generator.start_id] for row in rows), strict=True))
        hypotheses = self._hypotheses(batch, prompts)
        slices = list(rag_sequence.slices_of(batch.pairs))
        found = [rag_sequence.candidates_of(keys[own], hypotheses) for own in slices]
        scores = {key: known | hypotheses[key] for key, known in batch.store.scores(keys).items()}
        if self.counts == "thorough":
            wanted = [(key, c) for own, cs in zip(slices, found, strict=True) for key in keys[own] for c in cs]
            missing = list(dict.fromkeys((key, c) for key, c in wanted if c not in scores[key]))
            self._score(batch, prompts, missing, scores)
        batch.store.commit()
        pools = [
            rag_sequence.decode(
                rag_sequence.matrix_of(keys[own], hypotheses, cs, scores), prior.numpy().astype(np.float32), self.counts
            )
            for own, cs, prior in zip(slices, found, batch.priors, strict=True)
        ]
        return batch.realised(pools, self.length_penalty)

    def _hypotheses(self, batch: Batch, prompts: Mapping[str, Sequence[int]]) -> Scores:
        """The greedy candidate of each pair with its log p(y|x,z), stored or from the server."""
        known = batch.store.hypotheses(list(prompts))
        missing = [key for key in prompts if key not in known]
        generator = batch.encodings.generator
        vocabulary = len(batch.encodings.steps.vocabulary.weight)
        wanted = [prompts[key] for key in missing]
        made = self.made_server.complete(wanted, self.max_length, generator.eos_id, vocabulary)
        written: list[Candidate] = []
        for one in made:
            ids = one.token_ids
            if generator.eos_id in ids:
                ids = ids[: ids.index(generator.eos_id) + 1]
            elif one.stopped:
                ids = (*ids, generator.eos_id)
            written.append(ids[: self.max_length])  # the end token may be one too many
        scores: Scores = {key: {} for key in missing}
        asked = list(zip(missing, written, strict=True))
        for (key, candidate), value in zip(asked, self._log_probs(prompts, asked), strict=True):
            scores[key][candidate] = value
            batch.store.add(key, scores[key])
        return known | scores

    def _score(
        self, batch: Batch, prompts: Mapping[str, Sequence[int]], asked: Sequence[tuple[str, Candidate]], scores: Scores
    ) -> None:
        """Add log p(y|x,z) of pairs and candidates to the scores and the store."""
        new: Scores = {}
        for (key, candidate), value in zip(asked, self._log_probs(prompts, asked), strict=True):
            new.setdefault(key, {})[candidate] = value
        for key, values in new.items():
            batch.store.add_scores(key, values)
            scores[key] = values | scores[key]

    def _log_probs(self, prompts: Mapping[str, Sequence[int]], asked: Sequence[tuple[str, Candidate]]) -> list[float]:
        whole = [[*prompts[key], *candidate] for key, candidate in asked]
        return self.made_server.log_probs(whole, [len(candidate) for _, candidate in asked])


@dataclass(frozen=True)
class ThoroughServed(_Served):
    """Thorough Decoding by a server: every candidate is scored under all passages of its question."""

    title: ClassVar[str] = "thorough_served"
    counts: ClassVar[str] = "thorough"


@dataclass(frozen=True)
class FastServed(_Served):
    """Fast Decoding by a server: a candidate has probability 0 under passages whose search did not produce it."""

    title: ClassVar[str] = "fast_served"
    counts: ClassVar[str] = "fast"


def open_served(folder: Path, config: GeneratorConfig) -> Encodings:
    """What decoding by a server needs of a generator: tokenizer, lengths and sizes, without the weights.

    Raises:
        AssetError: the tokenizer is missing or unreadable.
        ConfigError: a generator that is not decoder-only.
    """
    from transformers import LlamaConfig

    from rag_lightning.checkpoints.loading import generator_tokenizer
    from rag_lightning.checkpoints.rag_layout import model_type
    from rag_lightning.decoding.encodings import Encodings
    from rag_lightning.generator.causal import CausalGenerator

    if model_type(folder) != "llama":
        raise ConfigError(f"decoding.strategy: {ONLY}")
    sizes: Any = LlamaConfig.from_pretrained(folder)
    generator = CausalGenerator(SimpleNamespace(config=sizes), generator_tokenizer(folder), config)

    class Served(Encodings):
        """The keys of pairs; there is nothing to encode."""

        def __init__(self) -> None:
            self.generator, self.encoded, self.reused = generator, 0, 0
            vocabulary = SimpleNamespace(weight=range(sizes.vocab_size))
            self.steps: Any = SimpleNamespace(vocabulary=vocabulary)

    return Served()
