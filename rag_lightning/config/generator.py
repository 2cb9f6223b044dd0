"""The section of a configuration for the generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from rag_lightning.config.bounds import PositiveFloat, PositiveInt, Share
from rag_lightning.config.fields import Section, setting
from rag_lightning.core.errors import ConfigError


@dataclass(frozen=True)
class GeneratorConfig(Section):
    """The generator, seq2seq or decoder-only.

    Args:
        init: Initial generator: `warm_start` builds a BART from the weights of a BERT-family encoder; otherwise the
            folder or hub name of a BART, a Llama (decoder-only, with template=prompt) or a RAG model of transformers,
            whose generator is used.
        encoder: BERT-family encoder of warm_start: `mini`, a local folder or a hub name.
        decoder_layers: Number of decoder layers of warm_start.
        template: Template of the input: ours (truncates the passage, never the question), hf_rag (transformers' exact
            string, with the question as the question encoder's tokenizer decodes it; it truncates the question), or
            prompt (for decoder-only models: passage, question, "Answer:").
        max_source_length: Largest number of input tokens, question and passage together.
        max_target_length: Largest number of target tokens, with the end token.
        max_fused_length: Largest number of input tokens that fid reads at once, all passages of a question together;
            questions are split into batches of at most so many, and a question with more is an error. Affects time and
            memory only.
        dropout: Dropout probability in training.
        head: Prediction of labels, for tasks with labels: label_token generates the label as one token, class_head
            classifies the decoder's last state after it has read the claim; none generates free text.
        verbalisers: Word that stands for each label of the task, in the order of the labels, each one token; empty for
            the task's defaults.
        train: Weights that stage train updates: all; decoder, all but encoder and token embeddings; or lora, only
            low-rank matrices added to the query and value projections and merged into the saved model (extra `lora`).
            The reader always trains all weights.
        lora_rank: Rank of the LoRA matrices.
        lora_alpha: Scaling of the LoRA matrices, which are multiplied by lora_alpha / lora_rank.
        mismatch: allow accepts a RAG model of transformers that was trained as another formulation or with another
            template; refuse reports an error. Affects only that check.
    """

    PATH: ClassVar[str] = "generator"
    STAGES: ClassVar[tuple[str, ...]] = ("reader", "model")

    init: str = setting("warm_start", digest="by content")
    encoder: str = setting("mini", digest="by content")
    decoder_layers: PositiveInt = 3
    template: Literal["ours", "hf_rag", "prompt"] = "ours"
    max_source_length: PositiveInt = 176
    max_target_length: PositiveInt = 24
    max_fused_length: PositiveInt = setting(16384, digest="never")
    dropout: Share = 0.0
    head: Literal["none", "label_token", "class_head"] = "none"
    verbalisers: tuple[str, ...] = ()
    train: Literal["all", "decoder", "lora"] = setting("all", stages=("model",))
    lora_rank: PositiveInt = setting(8, stages=("model",))
    lora_alpha: PositiveFloat = setting(16.0, stages=("model",))
    mismatch: Literal["refuse", "allow"] = setting("refuse", digest="never")

    @property
    def source(self) -> str:
        """The model that it starts from."""
        return self.encoder if self.init == "warm_start" else self.init


def check_generator(config: GeneratorConfig, formulation: str) -> None:
    """Raise ConfigError for a generator that cannot be the reader of fid, which writes text and has an encoder."""
    if formulation != "fid":
        return
    if config.head != "none":
        raise ConfigError(f"generator.head={config.head}: fid writes text; use none, or rag_sequence or rag_token")
    if config.template == "prompt":
        raise ConfigError(
            "generator.template=prompt: a decoder-only generator has no encoder, which fid needs; use ours"
        )
