"""Classification with a seq2seq generator: the two readings of the paper (section 3.4 and appendix E).

label_token  every label is one output token, the first the decoder writes; its end token is not scored
class_head   the decoder is fed the query (as BART classifies), and a linear head reads its last state
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from rag_lightning.checkpoints.opening import safetensors
from rag_lightning.core.errors import ArtifactError, ConfigError, DataError

Candidate = tuple[int, ...]
HEAD_FILE = "class_head.safetensors"
WORDS: Mapping[str, tuple[str, ...]] = {
    "supports": ("true", "yes"),
    "refutes": ("false", "no"),
    "not enough info": ("unknown", "maybe"),
}
"""Words for labels; the first that is one token is used. Labels without an entry are their own word."""


@dataclass(frozen=True)
class LabelTokens:
    """Labels as output tokens.

    Attributes:
        labels: C labels of the task.
        token_ids: The token of each label.
    """

    labels: tuple[str, ...]
    token_ids: tuple[int, ...]

    @classmethod
    def choose(cls, tokenizer: Any, labels: Sequence[str], words: Sequence[str] = ()) -> LabelTokens:
        """Choose a token for every label.

        Args:
            tokenizer: The generator's.
            labels: Labels of the task.
            words: One for each label, in their order; empty for WORDS.

        Raises:
            ConfigError: another number of words than labels, a label without a word of one token, or one token for two.
        """
        if words and len(words) != len(labels):
            raise ConfigError(f"generator.verbalisers has {len(words)} words for {len(labels)} labels: {list(labels)}")
        choices: list[tuple[str, ...]] = [(*WORDS.get(label, ()), label) for label in labels]
        if words:
            choices = [(word,) for word in words]
        found = tuple(_token(tokenizer, label, tried) for label, tried in zip(labels, choices, strict=True))
        if len(set(found)) < len(found):
            raise ConfigError(f"generator.verbalisers: two of {list(labels)} have the same token; give other words")
        return cls(tuple(labels), found)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Per label the token sequence that is scored."""
        return tuple((token,) for token in self.token_ids)


class ClassHead(nn.Module):
    """Labels as classes: a linear map of the decoder's last state.

    Args:
        labels: C labels of the task.
        width: D of the states.
        std: Standard deviation of the normal distribution of its initial weights; biases start at 0.
        seed: Seed of these weights.
    """

    def __init__(self, labels: Sequence[str], width: int, std: float = 0.02, seed: int = 0) -> None:
        super().__init__()
        self.labels = tuple(labels)
        self.linear = nn.Linear(width, len(self.labels))
        nn.init.zeros_(self.linear.bias)
        nn.init.normal_(self.linear.weight, std=std, generator=torch.Generator().manual_seed(seed))

    def forward(self, states: Tensor) -> Tensor:
        """States [..., D] -> log p(c|x,z) [..., C] in float32."""
        return torch.log_softmax(self.linear(states).float(), dim=-1)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Per label the key of its class in stored log-probs: its number."""
        return tuple((i,) for i in range(len(self.labels)))

    def save(self, folder: Path) -> None:
        """Write the weights beside the generator's, with the labels they are for."""
        weights = {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}
        save_file(weights, folder / HEAD_FILE, metadata={"labels": json.dumps(self.labels)})

    @classmethod
    def load(cls, folder: Path, labels: Sequence[str], width: int) -> ClassHead:
        """The head that `save` wrote.

        Raises:
            ArtifactError: missing, damaged, of another shape, or of other labels.
        """
        file = folder / HEAD_FILE
        head = cls(labels, width)
        try:
            with safetensors(file) as opened:
                labels_of_file = _labels(opened)
                head.load_state_dict({name: opened.get_tensor(name) for name in head.state_dict()})
        except (DataError, RuntimeError, ValueError, RecursionError) as error:
            raise ArtifactError(f"{file}: missing or damaged ({' '.join(str(error).split())}); train again") from error
        if labels_of_file != head.labels:
            raise ArtifactError(f"{file}: was trained for {list(labels_of_file)}, the task has {list(head.labels)}")
        return head


Classes = LabelTokens | ClassHead


def holds_head(folder: Path, labels: Sequence[str]) -> bool:
    """Whether a folder holds a head of these labels.

    Raises:
        ArtifactError: it is damaged.
    """
    file = folder / HEAD_FILE
    if not file.is_file():
        return False
    try:
        with safetensors(file) as opened:
            return _labels(opened) == tuple(labels)
    except (DataError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{file}: damaged ({' '.join(str(error).split())}); train again") from error


def _labels(opened: Any) -> tuple[Any, ...]:
    """The labels in the head of a file; none where it has no list of them."""
    found = json.loads((opened.metadata() or {}).get("labels", "[]"))
    return tuple(found) if isinstance(found, list) else ()


def label_number(classes: Classes, label: str) -> int:
    """Position of a label.

    Raises:
        ConfigError: not one of the task's.
    """
    if label not in classes.labels:
        raise ConfigError(f"label {label!r} is none of {list(classes.labels)}; labels are written in lower case")
    return classes.labels.index(label)


def _token(tokenizer: Any, label: str, words: Sequence[str]) -> int:
    for word in words:
        ids: list[int] = tokenizer(word, add_special_tokens=False)["input_ids"]
        if len(ids) == 1 and ids[0] != tokenizer.unk_token_id:
            return ids[0]
    raise ConfigError(
        f"generator.verbalisers: none of {list(words)} is one token of this tokenizer, so label {label!r} cannot be "
        "one; give a word for every label"
    )
