"""The decoder-only generator: its prompts, targets, folder, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from rag_lightning.core.errors import AssetError, ConfigError
from rag_lightning.core.records import Passage
from rag_lightning.generator.causal import CausalGenerator, load_llama
from rag_lightning.generator.inputs import CLOSING, Pair, encode_prompts
from rag_lightning.generator.llama import LlamaSteps

LONG = Passage("0", "", "a b c " * 30)


def ids(generator: CausalGenerator, text: str) -> list[int]:
    found: list[int] = generator.tokenizer(text, add_special_tokens=False)["input_ids"]
    return found


def test_the_prompt_is_passage_question_and_the_closing_words(toy_llama: CausalGenerator) -> None:
    with_passage, alone = toy_llama.source_ids([Pair("b c", Passage("0", "a", "c c")), Pair("b c", None)])
    end = ids(toy_llama, CLOSING)
    wanted = ids(toy_llama, "a. c c") + ids(toy_llama, "\n\nQuestion: b c") + end
    assert [*with_passage, toy_llama.start_id][-len(wanted) :] == wanted
    assert [*alone, toy_llama.start_id][-len(ids(toy_llama, "Question: b c") + end) :] == (
        ids(toy_llama, "Question: b c") + end
    )


def test_the_passage_is_cut_and_the_question_never(toy_llama: CausalGenerator) -> None:
    (row,) = toy_llama.source_ids([Pair("a b", LONG)])
    tail = ids(toy_llama, "Question: a b") + ids(toy_llama, CLOSING)
    assert len(row) == toy_llama.config.max_source_length
    assert [*row, toy_llama.start_id][-len(tail) :] == tail
    with pytest.raises(ConfigError, match="queries are never cut"):
        toy_llama.source_ids([Pair("a b c " * 20, LONG)])


def test_no_pairs_are_no_prompts(toy_llama: CausalGenerator) -> None:
    assert encode_prompts(toy_llama.tokenizer, [], 40) == []


def test_pieces_and_end_token_are_scored_and_a_cut_target_keeps_its_end(toy_llama: CausalGenerator) -> None:
    assert toy_llama.target_ids(["a b", "c a b c"]) == [[4, 5, 3], [6, 4, 3]]


def test_a_saved_generator_gives_the_same_log_probs(toy_llama: CausalGenerator, tmp_path: Path) -> None:
    toy_llama.save(tmp_path)
    again = CausalGenerator.load(tmp_path, toy_llama.config).eval()
    sources, targets = toy_llama.source_ids([Pair("a", LONG)]), torch.tensor([[4, 3]])
    torch.testing.assert_close(again.token_log_probs(sources, targets), toy_llama.token_log_probs(sources, targets))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"template": "ours"}, "reads `prompt`"),
        ({"head": "class_head"}, "writes text"),
        ({"max_source_length": 64}, "only 64 positions"),
    ],
)
def test_a_configuration_it_cannot_follow_is_refused(
    toy_llama: CausalGenerator, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        CausalGenerator(toy_llama.model, toy_llama.tokenizer, replace(toy_llama.config, **change))


def test_a_rotation_that_depends_on_the_length_is_refused() -> None:
    config = SimpleNamespace(rope_parameters={"rope_type": "dynamic"})
    with pytest.raises(ConfigError, match="rope_type='dynamic'"):
        LlamaSteps(SimpleNamespace(config=config))


def test_a_folder_without_a_model_is_an_asset_error(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="cannot be loaded"):
        load_llama(tmp_path)
