"""YAML text -> plain values. A key that stands twice is an error, where YAML readers keep the last without a word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

MODE = "yaml_of_unique_keys"
"""jsonargparse's name for its own reading of YAML with the same rule."""
SCANNER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""What jsonargparse reads with: it takes tabs between words, which PyYAML's own does not."""
MERGE = "tag:yaml.org,2002:merge"
"""Of the key `<<`, which may be repeated: all that it names is merged."""


def plain_values(text: str) -> Any:
    """What the text says.

    Raises:
        yaml.YAMLError: not YAML, or a key that stands twice.
    """
    refuse_twice(text)
    return yaml.safe_load(text)


def refuse_twice(text: str) -> None:
    """Raise yaml.YAMLError where a mapping has a key twice; the message tells both lines."""
    root = yaml.compose(text, Loader=SCANNER)
    for mapping in _mappings(root):
        first: dict[tuple[str, str], yaml.Mark] = {}
        for key, _ in mapping.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE:
                continue
            if (key.tag, key.value) in first:
                before = first[key.tag, key.value].line + 1
                raise yaml.MarkedYAMLError(
                    problem=f"key {key.value!r} stands in line {before} already; keep one of them",
                    problem_mark=key.start_mark,
                )
            first[key.tag, key.value] = key.start_mark


def _mappings(root: yaml.Node | None) -> Iterator[yaml.MappingNode]:
    """Every mapping of a document, once; an alias is the node that it names."""
    waiting, met = [root], set()
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in met:
            continue
        met.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield node
            waiting += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def make_parser(**settings: Any) -> ArgumentParser:
    """A parser of jsonargparse that raises its errors, and refuses a key that stands twice in a file."""
    from jsonargparse import ArgumentParser, get_loader, set_loader

    read = get_loader("yaml")

    def load(text: str) -> Any:
        refuse_twice(text)
        return read(text)

    set_loader(MODE, load, exceptions=(yaml.YAMLError,))
    return ArgumentParser(parser_mode=MODE, exit_on_error=False, **settings)
