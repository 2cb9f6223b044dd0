"""The section of a configuration that says what the generator is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from rag_lightning.config.bounds import PositiveFloat, PositiveInt, Share
from rag_lightning.config.fields import Section, setting


@dataclass(frozen=True)
class GeneratorConfig(Section):
    """The generator, seq2seq or decoder-only.

    Args:
        init: `warm_start` copies a BERT-family encoder into a BART; else a BART, a Llama (decoder-only, template
            prompt), or a RAG checkpoint of transformers whose generator is taken, by local folder or hub name.
        encoder: What warm_start copies: `mini`, a local folder or a hub name.
        decoder_layers: Layers of a warm-started decoder.
        template: Input text: ours (question never cut), hf_rag (transformers' exact string), or prompt (decoder-only
            models: passage, question, "Answer:"; question never cut).
        max_source_length: Tokens of question and passage together.
        max_target_length: Tokens of a target, end included.
        dropout: Dropout of the generator while it trains.
        head: How a label is predicted: label_token writes it as one token, class_head reads the decoder's last state
            after the claim was fed to it; none writes text.
        verbalisers: One word of one token for each of the task's labels, in their order; empty takes the usual ones.
        train: What stage train updates: all; decoder leaves all that encodes the input as it is; lora adds low-rank
            matrices to query and value projections, which are merged when the model is saved (extra `lora`). The reader
            updates all.
        lora_rank: Rank of these matrices.
        lora_alpha: They are scaled by lora_alpha / lora_rank.
        mismatch: allow opens a RAG checkpoint that was trained as another formulation or with another template; decides
            only whether it is opened.
    """

    PATH: ClassVar[str] = "generator"
    STAGES: ClassVar[tuple[str, ...]] = ("reader", "model")

    init: str = setting("warm_start", digest="by content")
    encoder: str = setting("mini", digest="by content")
    decoder_layers: PositiveInt = 3
    template: Literal["ours", "hf_rag", "prompt"] = "ours"
    max_source_length: PositiveInt = 176
    max_target_length: PositiveInt = 24
    dropout: Share = 0.0
    head: Literal["none", "label_token", "class_head"] = "none"
    verbalisers: tuple[str, ...] = ()
    train: Literal["all", "decoder", "lora"] = setting("all", stages=("model",))
    lora_rank: PositiveInt = setting(8, stages=("model",))
    lora_alpha: PositiveFloat = setting(16.0, stages=("model",))
    mismatch: Literal["refuse", "allow"] = setting("refuse", digest="never")
