"""What every mini builder returns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rag_lightning.core.records import Example

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class MiniData:
    """The three splits, why candidates were dropped (reason -> count), and counts of what is left."""

    splits: Mapping[str, tuple[Example, ...]]
    dropped: Mapping[str, int]
    counts: Mapping[str, int]


def count_examples(splits: Mapping[str, Sequence[Example]]) -> dict[str, int]:
    """Examples by split ("train"), by family ("train/profile"), and entities ("train/entities")."""
    counts: Counter[str] = Counter()
    for name, examples in splits.items():
        counts[name] = len(examples)
        counts[f"{name}/entities"] = len({example.entity for example in examples})
        counts.update(f"{name}/{example.tags['family']}" for example in examples)
    return dict(sorted(counts.items()))
