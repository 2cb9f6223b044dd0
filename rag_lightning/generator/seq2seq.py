"""The seq2seq generator: a BART with its tokenizer and its input template.

Scored tokens: the pieces of the target and the end token; the start token, the model's `decoder_start_token_id` (BART's
`</s>`, a warm-started model's CLS), is fed first and never scored, in training as in decoding.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BartForConditionalGeneration

from rag_lightning.checkpoints.loading import generator_of, generator_tokenizer, question_tokenizer_of
from rag_lightning.checkpoints.opening import checked_settings, open_model, open_tokenizer
from rag_lightning.checkpoints.rag_layout import is_rag
from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.generator.bart import BartSteps
from rag_lightning.generator.fusion import fuse
from rag_lightning.generator.heads import Classes, ClassHead, LabelTokens
from rag_lightning.generator.inputs import Pair, encode_pairs, encode_targets, pad_ids, shift_right
from rag_lightning.generator.likelihoods import smoothed_log_probs, spread_log_probs, target_log_probs
from rag_lightning.generator.warm_start import bart_from_bert

QUESTIONS = "question_encoder_tokenizer"
"""Folder of the question encoder's tokenizer, as in a RAG checkpoint."""


class Seq2SeqGenerator(nn.Module):
    """p(y | x, z) of a BART-family model.

    Args:
        model: BartForConditionalGeneration.
        tokenizer: its tokenizer.
        config: template and lengths.
        question_tokenizer: the question encoder's in a RAG checkpoint, which the template `hf_rag` uses; else None.

    Attributes:
        classes: Label tokens or class head of a classification task, None where it writes text (`set_classes`).

    Raises:
        ConfigError: the tokenizer knows ids the model does not, a template of decoder-only generators, or a start, end
            or padding token that is none of the model's.
    """

    def __init__(self, model: Any, tokenizer: Any, config: GeneratorConfig, question_tokenizer: Any = None) -> None:
        super().__init__()
        self.model: Any = model
        self.tokenizer, self.question_tokenizer = tokenizer, question_tokenizer
        self.config = config
        if config.template == "prompt":
            raise ConfigError("generator.template='prompt' is for decoder-only generators; use ours or hf_rag")
        if len(tokenizer) > model.config.vocab_size:
            raise ConfigError(
                f"generator: its tokenizer has {len(tokenizer)} tokens, the model only {model.config.vocab_size}"
            )
        for name in ("decoder_start_token_id", "eos_token_id", "pad_token_id"):
            found = getattr(model.config, name)
            if not isinstance(found, int) or not 0 <= found < model.config.vocab_size:
                raise ConfigError(f"generator: {name} of its config.json is {found!r}, no token of the model")
        self.start_id: int = model.config.decoder_start_token_id
        self.eos_id: int = model.config.eos_token_id
        self.pad_id: int = model.config.pad_token_id
        self.classes: Classes | None = None

    @classmethod
    def create(cls, config: GeneratorConfig, source: str | Path) -> Seq2SeqGenerator:
        """A generator before any training.

        Args:
            config: `init: warm_start` copies the BERT at `source`; any other value loads the BART at `source`, or the
                generator of the RAG checkpoint there.
            source: folder or hub name.

        Raises:
            AssetError: not there, unreadable, or only as pickle.
            ConfigError: another kind of model.
        """
        if config.init != "warm_start" and is_rag(source):
            question_tokenizer = question_tokenizer_of(Path(source)) if config.template == "hf_rag" else None
            return cls(*generator_of(Path(source), config.dropout), config, question_tokenizer)
        tokenizer = generator_tokenizer(source)
        if config.init == "warm_start":
            model = bart_from_bert(source, tokenizer, config.decoder_layers, config.dropout)
            return cls(model, tokenizer, config)
        return cls(load_bart(source, dropout=config.dropout), tokenizer, config)

    @classmethod
    def load(cls, folder: Path, config: GeneratorConfig) -> Seq2SeqGenerator:
        """A generator saved by `save`.

        Raises:
            AssetError: not there, or damaged.
            ConfigError: another kind of model.
        """
        asked = folder / QUESTIONS
        model = load_bart(folder, dropout=config.dropout)
        question_tokenizer = open_tokenizer(asked, "generator") if asked.is_dir() else None
        return cls(model, open_tokenizer(folder, "generator"), config, question_tokenizer)

    def save(self, folder: Path) -> None:
        """Write a plain transformers folder (safetensors, no pickle), with the class head and the question encoder's
        tokenizer if it has one."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        if self.question_tokenizer is not None:
            self.question_tokenizer.save_pretrained(folder / QUESTIONS)
        if isinstance(self.classes, ClassHead):
            self.classes.save(folder)

    def set_classes(self, labels: Sequence[str], folder: Path | None = None, seed: int = 0) -> Seq2SeqGenerator:
        """Prepare the config's head for these labels; no effect where the head is `none`.

        Args:
            labels: Labels of the task.
            folder: Folder in which `save` wrote a head; None starts a new one.
            seed: Seed of the weights of a new head.

        Returns:
            Itself.

        Raises:
            ConfigError: a label that cannot be one token.
            ArtifactError: no such head in the folder, or one of other labels.
        """
        if self.config.head == "label_token":
            self.classes = LabelTokens.choose(self.tokenizer, labels, self.config.verbalisers)
        if self.config.head == "class_head":
            size = self.model.config
            self.classes = (
                ClassHead.load(folder, labels, size.d_model)
                if folder
                else ClassHead(labels, size.d_model, size.init_std, seed)
            )
        return self

    def source_ids(self, pairs: Sequence[Pair]) -> list[list[int]]:
        """Encoded input of each pair under the config's template."""
        config, prefix = self.config, getattr(self.model.config, "prefix", None) or ""
        length = config.max_source_length
        return encode_pairs(self.tokenizer, pairs, config.template, length, prefix, self.question_tokenizer)

    def target_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Scored tokens of each target."""
        return encode_targets(self.tokenizer, texts, self.eos_id, self.config.max_target_length)

    def token_log_probs(
        self,
        sources: Sequence[Sequence[int]],
        targets: Tensor,
        smooth: bool = False,
        scored: Tensor | None = None,
        spread: Tensor | None = None,
    ) -> Any:
        """Teacher-forced log p(y_t | x, z, y_<t), with gradient: the training forward.

        Args:
            sources: P rows of ids.
            targets: [P, T] scored tokens, padded.
            smooth: also return those of all other tokens, for label smoothing.
            scored: [P, T] true where a token is wanted, None for all; only those are multiplied with the vocabulary.
            spread: [P, T] true where -KL(uniform || p) is wanted too, at scored tokens; not beside `smooth`.

        Returns:
            [P, T] float32, 0 where not scored; with `smooth` a pair of [P, T] and [P, T, V], of all positions; with
            `spread` a pair of [P, T] and [P, T].
        """
        return self._log_probs(self._states(sources, self.decoder_inputs(targets)), targets, smooth, scored, spread)

    def _log_probs(
        self, states: Tensor, targets: Tensor, smooth: bool, scored: Tensor | None, spread: Tensor | None = None
    ) -> Any:
        """Log-probs of targets [P, T], from decoder states [P, T, D]; as `token_log_probs`."""
        weight, bias = self.model.lm_head.weight, self.model.final_logits_bias.flatten()
        if smooth:
            return smoothed_log_probs(states, targets, weight, bias)
        if spread is not None and scored is not None:
            return spread_log_probs(states, targets, scored, spread, weight, bias)
        return target_log_probs(states, targets, scored, weight, bias)

    def fused_log_probs(
        self,
        sources: Sequence[Sequence[Sequence[int]]],
        targets: Tensor,
        smooth: bool = False,
        scored: Tensor | None = None,
    ) -> Any:
        """Teacher-forced log p(y_t | x, z_1, ..., z_K, y_<t) of FiD, with gradient.

        Args:
            sources: B lists of the rows of ids of a question's pairs.
            targets: [B, T] scored tokens, padded.
            smooth: as in `token_log_probs`.
            scored: [B, T], as in `token_log_probs`.

        Returns:
            [B, T] float32, as `token_log_probs`.
        """
        rows, counts = [row for listed in sources for row in listed], [len(listed) for listed in sources]
        return self._log_probs(self._states(rows, self.decoder_inputs(targets), counts), targets, smooth, scored)

    def class_log_probs(self, head: ClassHead, sources: Sequence[Sequence[int]], queries: Sequence[str]) -> Tensor:
        """log p(c | x, z) of the class head, with gradient: [P, C] float32 for P rows of ids and their queries."""
        inputs, last = self.claim_inputs(queries, head.linear.weight.device)
        states = self._states(sources, inputs)
        log_probs: Tensor = head(states[torch.arange(len(last), device=last.device), last])
        return log_probs

    def claim_inputs(self, queries: Sequence[str], device: torch.device) -> tuple[Tensor, Tensor]:
        """Decoder inputs for classification [P, T], padded, and the position of the end token in each [P]."""
        pieces = self.tokenizer(list(queries), add_special_tokens=False)["input_ids"]
        inputs, mask = pad_ids([[self.start_id, *row, self.eos_id] for row in pieces], self.pad_id, device)
        return inputs, mask.sum(-1) - 1

    def _states(self, sources: Sequence[Sequence[int]], inputs: Tensor, counts: Sequence[int] = ()) -> Tensor:
        """Decoder states [P, T, D] of P rows of source ids and decoder inputs [P, T]; with the numbers of rows of B
        questions those of questions [B, T, D], of inputs [B, T]."""
        ids, mask = pad_ids(sources, self.pad_id, inputs.device)
        encoder, decoder = self.model.model.encoder, self.model.model.decoder
        read, fed = self._embedded(ids, inputs)
        encoded = encoder(inputs_embeds=read, attention_mask=mask).last_hidden_state
        if counts:
            encoded, mask = fuse(encoded, [len(row) for row in sources], counts)
        states: Tensor = decoder(
            inputs_embeds=fed, encoder_hidden_states=encoded, encoder_attention_mask=mask, use_cache=False
        ).last_hidden_state
        return states

    def _embedded(self, ids: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Token embeddings of encoder [P, S, D] and decoder [P, T, D], of one lookup where they are tied.

        The gradient of a lookup is as large as the vocabulary, and two of them made a training step's peak of memory.
        """
        reading, writing = self.model.model.encoder.embed_tokens, self.model.model.decoder.embed_tokens
        if reading.weight is not writing.weight:
            return reading(ids), writing(inputs)
        both = reading(torch.cat([ids.flatten(), inputs.flatten()]))
        read, fed = both.split([ids.numel(), inputs.numel()])
        return read.view(*ids.shape, -1), fed.view(*inputs.shape, -1)

    def decoder_inputs(self, targets: Tensor) -> Tensor:
        """[..., T] targets -> [..., T] inputs: the start token, then all but the last target."""
        return shift_right(targets, self.start_id)

    def steps(self, dtype: torch.dtype = torch.float32) -> BartSteps:
        """The step loop for decoding (call `eval()` first)."""
        return BartSteps(self.model, dtype)

    def frozen_encoder(self, dtype: torch.dtype) -> nn.Module:
        """The encoder for inference in the given type; a copy unless it is float32 already."""
        encoder: nn.Module = self.model.model.encoder
        if dtype == torch.float32:
            return encoder
        lower: Any = copy.deepcopy(encoder).to(dtype)
        lower.set_attn_implementation("sdpa")  # whatever training uses: forward alone, the fused one is faster
        frozen: nn.Module = lower
        return frozen


def load_bart(source: str | Path, dropout: float) -> Any:
    """Load a BART in float32, safetensors only.

    Raises:
        AssetError: not there, damaged, or only as pickle.
        ConfigError: another kind of model.
    """
    kind = checked_settings(source, "generator").get("model_type")
    if kind != "bart":
        raise ConfigError(f"generator {source!s}: is a {kind}, not a BART")
    return open_model(BartForConditionalGeneration, source, "generator", dropout=dropout, attention_dropout=0.0)


def token_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Positions grouped by similar length: a group keeps the budget with its padding, which is at most half of it."""
    batch: list[int] = []
    for position in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        width = lengths[batch[0]] if batch else lengths[position]
        if batch and (width * (len(batch) + 1) > budget or 2 * lengths[position] < width):
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch
