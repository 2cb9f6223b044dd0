"""What the benchmarks of decoding and training share: models, inputs of one length, and paired times.

`DEVICE` (cpu, cuda, cuda:1, mps; cpu where it is not given) is the device of decoding, ours and transformers'.
`RAG_BENCH_MODEL` names the folder of a trained BART-family generator; without it the mini size has random weights.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertModel,
    RagConfig,
    RagSequenceForGeneration,
    RagTokenForGeneration,
)

from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.core.devices import resolve_device
from rag_lightning.core.records import Passage
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.seq2seq import Seq2SeqGenerator

DEVICE = torch.device(resolve_device(os.environ.get("DEVICE") or "cpu"))
SIZES = {
    "mini": {"vocab_size": 30522, "d_model": 384, "layers": 6, "decoder_layers": 3, "heads": 12, "ffn": 1536},
    "base": {"vocab_size": 50265, "d_model": 768, "layers": 6, "decoder_layers": 6, "heads": 12, "ffn": 3072},
}
"""The mini scale's generator, and facebook/bart-base."""
REFERENCES = {"rag_sequence": RagSequenceForGeneration, "rag_token": RagTokenForGeneration}
CAPITALS = (
    "Peru Lima,Kenya Nairobi,Norway Oslo,Japan Tokyo,Cuba Havana,Chad N'Djamena,Nepal Kathmandu,Ghana Accra,"
    "Iraq Baghdad,Fiji Suva,Qatar Doha,Malta Valletta,Benin Porto-Novo,Oman Muscat,Laos Vientiane,Togo Lomé"
)
FACTS = [tuple(fact.split(" ")) for fact in CAPITALS.split(",")]


class NoTokenizer:
    """Of a generator whose pairs are ids already."""

    def __len__(self) -> int:
        return 0


class IdsGenerator(Seq2SeqGenerator):
    """A generator whose pairs are rows of token ids."""

    def source_ids(self, pairs: Sequence[Any]) -> list[list[int]]:
        return [list(row) for row in pairs]


def generator(size: str, vocab_size: int = 0) -> IdsGenerator:
    """A generator in eval mode, on one thread: the trained one if there is one, else with random weights."""
    torch.set_num_threads(1)
    folder = os.environ.get("RAG_BENCH_MODEL")
    if folder and size == "mini":
        loaded = Seq2SeqGenerator.load(Path(folder), GeneratorConfig(dropout=0.0))
        return IdsGenerator(loaded.model, loaded.tokenizer, loaded.config).to(DEVICE).eval()
    torch.manual_seed(0)
    s = SIZES[size]
    config = BartConfig(
        vocab_size=vocab_size or s["vocab_size"],
        d_model=s["d_model"],
        encoder_layers=s["layers"],
        decoder_layers=s["decoder_layers"],
        encoder_attention_heads=s["heads"],
        decoder_attention_heads=s["heads"],
        encoder_ffn_dim=s["ffn"],
        decoder_ffn_dim=s["ffn"],
        max_position_embeddings=512,
        init_std=0.12,  # so wide that the next token depends on the passage
        dropout=0.0,
        attention_dropout=0.0,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=0,
        forced_eos_token_id=None,
    )
    made = IdsGenerator(BartForConditionalGeneration(config), NoTokenizer(), GeneratorConfig(dropout=0.0))
    return made.to(DEVICE).eval()


def rows(made: IdsGenerator, questions: int, k: int, length: int, seed: int = 0) -> list[list[tuple[int, ...]]]:
    """Encoded pairs, all of one length: transformers' RAG-Sequence attends to padding. Words for a trained model."""
    draw = torch.Generator().manual_seed(seed)
    if isinstance(made.tokenizer, NoTokenizer):
        shape = (questions, k, length)
        ids = torch.randint(3, made.model.config.vocab_size, shape, generator=draw).tolist()
        return [[tuple(row) for row in rows] for rows in ids]
    order = torch.randint(0, len(FACTS), (questions, k), generator=draw).tolist()
    asked = [f"what is the capital of {FACTS[i % len(FACTS)][0]}" for i in range(questions)]
    return [[_row(made, q, z, n, length) for n, z in enumerate(own)] for q, own in zip(asked, order, strict=True)]


def _row(made: IdsGenerator, query: str, fact: int, number: int, length: int) -> tuple[int, ...]:
    country, city = FACTS[fact]
    said = f"{city} is the capital and largest city of {country}, with {number + 2} rivers. "
    pair = Pair(query, Passage("", country, said + "It has roads, schools and a museum of its own. " * length))
    (ids,) = Seq2SeqGenerator.source_ids(made, [pair])
    return (*ids[: length - 1], ids[-1])


def reference(made: IdsGenerator, formulation: str, n_docs: int) -> Any:
    """transformers' RAG around the same weights; its question encoder is never asked."""
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    question = BertModel(BertConfig(vocab_size=7, max_position_embeddings=8, **sizes))
    config = RagConfig.from_question_encoder_generator_configs(
        question.config, made.model.config, n_docs=n_docs, vocab_size=made.model.config.vocab_size
    )
    return REFERENCES[formulation](config=config, question_encoder=question, generator=made.model).to(DEVICE).eval()


def generated(
    model: Any, made: IdsGenerator, asked: list[list[tuple[int, ...]]], scores: torch.Tensor, **how: Any
) -> Any:
    """Token ids of transformers' best hypotheses, without the start token and what follows the end."""
    contexts = torch.tensor([row for rows in asked for row in rows], device=DEVICE)
    found = model.generate(
        context_input_ids=contexts,
        context_attention_mask=torch.ones_like(contexts),
        doc_scores=scores.to(DEVICE),
        n_docs=len(asked[0]),
        decoder_start_token_id=made.start_id,
        bos_token_id=made.start_id,
        eos_token_id=made.eos_id,
        pad_token_id=made.pad_id,
        forced_bos_token_id=None,
        forced_eos_token_id=None,
        early_stopping=False,
        length_penalty=0.0,
        do_sample=False,
        **how,
    )
    cut = [row[1:] for row in found.tolist()]
    return [tuple(row[: row.index(made.eos_id) + 1] if made.eos_id in row else row) for row in cut]


def against(target: float, reached: bool) -> str:
    """What a line of the table says of a target; it is told, not asserted: it depends on the machine."""
    return f" (target {target:g}: {'met' if reached else 'missed'})"


@dataclass
class Paired:
    """Seconds of two ways to do the same, run in turns, on one thread."""

    theirs: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, theirs: Callable[[], Any], ours: Callable[[], Any], pairs: int) -> Paired:
        """Time both `pairs` times."""
        found = cls()
        for _ in range(pairs):
            found.theirs.append(seconds(theirs))
            found.ours.append(seconds(ours))
        return found

    @property
    def ratio(self) -> float:
        """Median of the paired ratios: above 1 where ours is faster."""
        return median(a / b for a, b in zip(self.theirs, self.ours, strict=True))

    def line(self, case: str, more: str = "") -> str:
        """One line of the table."""
        times = f"{median(self.theirs):.2f} s against {median(self.ours):.2f} s"
        return f"\n{case}: ratio {self.ratio:.2f} (median of {len(self.ours)} pairs, {_where()}; {times}){more}"


def _where() -> str:
    return "cpu, 1 thread" if DEVICE.type == "cpu" else str(DEVICE)


def seconds(action: Callable[[], Any]) -> float:
    """Processor time of this process, as a busy machine counts less; of another device the time until it is done."""
    if DEVICE.type == "cpu":
        started = time.process_time()
        action()
        return time.process_time() - started
    torch.get_device_module(DEVICE).synchronize()
    started = time.perf_counter()
    action()
    torch.get_device_module(DEVICE).synchronize()
    return time.perf_counter() - started
