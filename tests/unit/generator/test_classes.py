"""Labels as tokens and as classes: chosen, saved, loaded, refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.core.errors import ArtifactError, ConfigError
from rag_lightning.generator.heads import HEAD_FILE, WORDS, ClassHead, LabelTokens, label_number
from rag_lightning.generator.seq2seq import Seq2SeqGenerator

LABELS = ("supports", "refutes", "not enough info")
NewReader = Callable[..., Seq2SeqGenerator]


def with_head(reader: Seq2SeqGenerator, head: str, words: tuple[str, ...] = ()) -> Seq2SeqGenerator:
    reader.config = replace(reader.config, head=head, verbalisers=words)  # type: ignore[arg-type]
    return reader


class Tokenizer:
    """Knows some words as one token."""

    unk_token_id = 0

    def __init__(self, *words: str) -> None:
        self.ids = {word: i for i, word in enumerate(words, 1)}

    def __call__(self, text: str, **_: object) -> dict[str, list[int]]:
        return {"input_ids": [self.ids[text]] if text in self.ids else [0] if text == "odd" else [98, 99]}


def test_the_first_known_word_of_one_token_stands_for_a_label() -> None:
    found = LabelTokens.choose(Tokenizer("yes", "false", "no", "unknown", "supports"), LABELS)
    assert found == LabelTokens(LABELS, (1, 2, 4))
    assert found.candidates == ((1,), (2,), (4,))
    assert LabelTokens.choose(Tokenizer("left", "right"), ("right", "left")).token_ids == (2, 1)
    assert set(WORDS) == set(LABELS)


def test_words_that_are_given_win() -> None:
    tokenizer = Tokenizer("true", "false", "unknown", "a", "b", "c")
    assert LabelTokens.choose(tokenizer, LABELS, ("c", "b", "a")).token_ids == (6, 5, 4)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("a", "b"), "2 words for 3 labels"),
        (("a", "b", "two words"), "none of .'two words'. is one token"),
        (("a", "b", "odd"), "none of .'odd'. is one token"),
        (("a", "b", "a"), "have the same token"),
        ((), "so label 'supports' cannot be one"),
    ],
)
def test_words_that_cannot_be_told_apart_are_refused(words: tuple[str, ...], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        LabelTokens.choose(Tokenizer("a", "b"), LABELS, words)


def test_a_label_of_another_task_is_refused() -> None:
    head = ClassHead(LABELS, 4)
    assert [label_number(head, label) for label in LABELS] == [0, 1, 2]
    with pytest.raises(ConfigError, match="label 'SUPPORTS' is none of"):
        label_number(head, "SUPPORTS")


def test_a_generator_keeps_its_head(new_reader: NewReader, tmp_path: Path) -> None:
    made = with_head(new_reader(), "class_head").set_classes(LABELS, seed=3)
    made.save(tmp_path)
    assert (tmp_path / HEAD_FILE).exists()
    config = replace(made.config, decoder_layers=2)
    found = Seq2SeqGenerator.load(tmp_path, config).set_classes(LABELS, tmp_path)
    assert isinstance(made.classes, ClassHead) and isinstance(found.classes, ClassHead)
    sources, queries = [[2, 41, 3], [2, 42, 43, 3]], ["the river", "rome is in the city"]
    with torch.no_grad():
        wanted = made.eval().class_log_probs(made.classes, sources, queries)
        torch.testing.assert_close(found.eval().class_log_probs(found.classes, sources, queries), wanted)
    torch.testing.assert_close(wanted.exp().sum(-1), torch.ones(2))
    assert {name for name in made.state_dict() if name.startswith("classes")} == {
        "classes.linear.weight",
        "classes.linear.bias",
    }


def test_a_new_head_depends_on_its_seed_alone() -> None:
    one, same, other = (ClassHead(LABELS, 8, seed=seed).linear.weight for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_without_a_head_nothing_is_saved(new_reader: NewReader, tmp_path: Path) -> None:
    made = new_reader().set_classes(())
    assert made.classes is None
    made.save(tmp_path)
    assert not (tmp_path / HEAD_FILE).exists()
    tokens = with_head(new_reader(), "label_token", ("rome", "paris", "novo")).set_classes(LABELS)
    tokens.save(tmp_path)
    assert isinstance(tokens.classes, LabelTokens) and not (tmp_path / HEAD_FILE).exists()


def test_a_head_that_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="missing or damaged"):
        ClassHead.load(tmp_path, LABELS, 4)
    ClassHead(LABELS, 4).save(tmp_path)
    with pytest.raises(ArtifactError, match="missing or damaged"):
        ClassHead.load(tmp_path, LABELS, 5)
    with pytest.raises(ArtifactError, match="was trained for"):
        ClassHead.load(tmp_path, LABELS[::-1], 4)
    (tmp_path / HEAD_FILE).write_bytes(b"\x00" * 20)
    with pytest.raises(ArtifactError, match="missing or damaged"):
        ClassHead.load(tmp_path, LABELS, 4)


def test_the_default_generator_has_no_head() -> None:
    assert GeneratorConfig().head == "none"
