"""The decoder-only generator: a Llama with its tokenizer and the template `prompt`.

Scored tokens: the pieces of " target" (the space that separates it from the prompt) and the end token: a line break
where the tokenizer has one token for it, as an answer is one line of the prompt, else the tokenizer's own end token.
The last token of the prompt is fed first and never scored, as a seq2seq decoder's start token is.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from rag_lightning.checkpoints.loading import generator_tokenizer
from rag_lightning.checkpoints.opening import checked_settings, open_model
from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.generator.heads import Classes
from rag_lightning.generator.inputs import Pair, closing_ids, encode_prompts, encode_targets, pad_ids, shift_right
from rag_lightning.generator.likelihoods import smoothed_log_probs, spread_log_probs, target_log_probs
from rag_lightning.generator.llama import LlamaSteps, PromptEncoder


class CausalGenerator(nn.Module):
    """p(y | x, z) of a Llama-family model.

    Args:
        model: LlamaForCausalLM.
        tokenizer: its tokenizer.
        config: lengths; `template: prompt`, `head: none`.

    Attributes:
        classes: Always None, as it writes text.

    Raises:
        ConfigError: another template, a head, lengths beyond the model's positions, no end token, or a tokenizer that
            knows ids the model does not.
    """

    def __init__(self, model: Any, tokenizer: Any, config: GeneratorConfig) -> None:
        super().__init__()
        _check(model.config, tokenizer, config)
        self.model: Any = model
        self.tokenizer = tokenizer
        self.config = config
        self.start_id: int = closing_ids(tokenizer)[-1]
        self.eos_id: int = end_id(tokenizer)
        self.pad_id: int = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        self.classes: Classes | None = None

    @classmethod
    def load(cls, source: str | Path, config: GeneratorConfig) -> CausalGenerator:
        """A model of a folder or of the hub, before or after training.

        Raises:
            AssetError: not there, unreadable, or only as pickle.
            ConfigError: another kind of model.
        """
        return cls(load_llama(source), generator_tokenizer(source), config)

    def save(self, folder: Path) -> None:
        """Write a plain transformers folder (safetensors, no pickle)."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def set_classes(self, labels: Sequence[str], folder: Path | None = None, seed: int = 0) -> CausalGenerator:
        """Return the generator itself: a decoder-only generator has no head, and its configuration cannot have one."""
        return self

    def source_ids(self, pairs: Sequence[Pair]) -> list[list[int]]:
        """Prompt of each pair, without the last token that all prompts share."""
        return encode_prompts(self.tokenizer, pairs, self.config.max_source_length)

    def target_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Scored tokens of each target."""
        spaced = [f" {text}" for text in texts]
        return encode_targets(self.tokenizer, spaced, self.eos_id, self.config.max_target_length)

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
        blank = [self.pad_id] * targets.shape[1]
        ids, mask = pad_ids([[*s, *blank] for s in sources], self.pad_id, targets.device)
        starts = torch.tensor([len(s) for s in sources], device=targets.device).unsqueeze(1)
        at = starts + torch.arange(targets.shape[1], device=targets.device)
        ids = ids.scatter(1, at, self.decoder_inputs(targets))
        states = self.model.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        states = states[torch.arange(len(sources), device=targets.device).unsqueeze(1), at]
        weight = self.model.lm_head.weight
        if smooth:
            return smoothed_log_probs(states, targets, weight, None)
        if spread is not None and scored is not None:
            return spread_log_probs(states, targets, scored, spread, weight, None)
        return target_log_probs(states, targets, scored, weight, None)

    def decoder_inputs(self, targets: Tensor) -> Tensor:
        """[..., T] targets -> [..., T] inputs: the prompt's last token, then all but the last target."""
        return shift_right(targets, self.start_id)

    def steps(self, dtype: torch.dtype = torch.float32) -> LlamaSteps:
        """The step loop for decoding (call `eval()` first)."""
        return LlamaSteps(self.model, dtype)

    def frozen_encoder(self, dtype: torch.dtype) -> PromptEncoder:
        """Keys and values of prompts, in the given type; a copy of the model unless it is float32 already."""
        if dtype == torch.float32:
            return PromptEncoder(self.model.model)
        return PromptEncoder(copy.deepcopy(self.model.model).to(dtype))


def end_id(tokenizer: Any) -> int:
    """The token that ends a target."""
    ids = tokenizer("\n", add_special_tokens=False)["input_ids"]
    own: int = tokenizer.eos_token_id
    return int(ids[0]) if len(ids) == 1 and ids[0] != tokenizer.unk_token_id else own


def load_llama(source: str | Path) -> Any:
    """Load a Llama in float32, safetensors only.

    Raises:
        AssetError: not there, damaged, or only as pickle.
        ConfigError: another kind of model.
    """
    kind = checked_settings(source, "generator").get("model_type")
    if kind != "llama":
        raise ConfigError(f"generator {source!s}: is a {kind}, not a Llama")
    return open_model(LlamaForCausalLM, source, "generator")


def _check(sizes: Any, tokenizer: Any, config: GeneratorConfig) -> None:
    if config.template != "prompt":
        raise ConfigError(f"generator.template={config.template!r}: a decoder-only generator reads `prompt`")
    if config.head != "none":
        raise ConfigError(f"generator.head={config.head!r}: a decoder-only generator writes text; use none")
    if len(tokenizer) > sizes.vocab_size:
        raise ConfigError(f"generator: its tokenizer has {len(tokenizer)} tokens, the model only {sizes.vocab_size}")
    if tokenizer.eos_token_id is None:
        raise ConfigError("generator: its tokenizer has no end token, without which no target ends")
    wanted = config.max_source_length + config.max_target_length
    if wanted > sizes.max_position_embeddings:
        raise ConfigError(
            f"generator: max_source_length + max_target_length = {wanted}, but the model has only "
            f"{sizes.max_position_embeddings} positions"
        )
