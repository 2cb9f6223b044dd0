"""YAML files -> plain values -> frozen dataclasses; errors name file, field and value.

A repeated key is an error here; YAML readers silently keep the last one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import yaml

from rag_lightning.config.bounds import BOUNDS, Name, is_name
from rag_lightning.core.errors import ConfigError, DataError, shown
from rag_lightning.core.registry import check_name

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


MODE = "yaml_of_unique_keys"
"""Name of the jsonargparse mode that reads YAML and refuses repeated keys."""
SCANNER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader that jsonargparse uses; unlike PyYAML's pure Python loader it accepts tabs between words."""
MERGE = "tag:yaml.org,2002:merge"
"""Tag of the merge key `<<`, which may be repeated."""
DEEPEST = 100
"""Deepest nesting of a document."""
TOO_DEEP = "is nested too deeply"
MOST_NODES = 100_000
"""Most values of a document with its aliases expanded; an alias of aliases of aliases can stand for billions."""
TOO_MANY = f"holds more than {MOST_NODES:,} values, counted with those that aliases stand for"


def plain_values(text: str) -> Any:
    """The values of a YAML text.

    Raises:
        yaml.YAMLError: not YAML, a repeated key, or too deep or too large.
    """
    check_document(text)
    return yaml.safe_load(text)


def check_document(text: str) -> None:
    """Raise yaml.YAMLError if a mapping repeats a key (names both lines), or a document is too deep or too large."""
    _check_depth(text)
    root = yaml.compose(text, Loader=SCANNER)
    if root is not None:
        _check_size(root)
    for mapping in _mappings(root):
        first: dict[tuple[str, str], yaml.Mark] = {}
        for key, _ in mapping.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE:
                continue
            if (key.tag, key.value) in first:
                before = first[key.tag, key.value].line + 1
                raise yaml.MarkedYAMLError(
                    problem=f"key {key.value!r} is already in line {before}; keep one of them",
                    problem_mark=key.start_mark,
                )
            first[key.tag, key.value] = key.start_mark


def check_words(words: Sequence[str]) -> None:
    """Raise ConfigError for a value of a command line, --key value or --key=value, that is nested too deeply."""
    for before, word in zip(["", *words], words, strict=False):
        name, _, value = word.partition("=") if word.startswith("--") else (before, "", word)
        if not name.startswith("--") or value.count("[") + value.count("{") <= DEEPEST:
            continue
        try:
            _check_depth(value)
        except yaml.MarkedYAMLError as error:
            if error.problem == TOO_DEEP:
                raise ConfigError(f"{name.removeprefix('--')}: {TOO_DEEP}, {shown(value)}") from error


def _check_depth(text: str) -> None:
    """Raise yaml.YAMLError if a text is nested too deeply or has too many values.

    It is read as events, since composing it would end the process.
    """
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=SCANNER)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST or number > 2 * MOST_NODES:  # a list or mapping has two events
            mark: Any = event.start_mark
            raise yaml.MarkedYAMLError(problem=TOO_DEEP if depth > DEEPEST else TOO_MANY, problem_mark=mark)


def _check_size(root: yaml.Node) -> None:
    """Raise yaml.YAMLError if a document has too many values, or no end, once its aliases are expanded."""
    sizes: dict[int, int] = {}  # of finished nodes
    opened: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting[-1]
        parts = _parts(node)
        if id(node) not in opened:
            opened.add(id(node))
            if any(id(part) in opened and id(part) not in sizes for part in parts):
                raise yaml.MarkedYAMLError(problem="an alias stands within what it names", problem_mark=node.start_mark)
            waiting += [part for part in parts if id(part) not in sizes]
            continue
        sizes[id(waiting.pop())] = size = 1 + sum(sizes[id(part)] for part in parts)
        if size > MOST_NODES:
            raise yaml.MarkedYAMLError(problem=TOO_MANY, problem_mark=node.start_mark)


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _mappings(root: yaml.Node | None) -> Iterator[yaml.MappingNode]:
    """Every mapping of a document once, aliases resolved."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield node
        waiting += _parts(node)


def make_parser(**settings: Any) -> ArgumentParser:
    """A jsonargparse parser that raises its errors and refuses repeated keys in a file."""
    from jsonargparse import ArgumentParser, get_loader, set_loader

    read = get_loader("yaml")

    def load(text: str) -> Any:
        check_document(text)
        return read(text)

    set_loader(MODE, load, exceptions=(yaml.YAMLError,))
    return ArgumentParser(parser_mode=MODE, exit_on_error=False, allow_abbrev=False, **settings)


T = TypeVar("T")


def read_yaml(path: Path) -> Any:
    """The plain values of a YAML file.

    Raises:
        DataError: missing, not UTF-8, or not YAML.
    """
    try:
        return plain_values(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise DataError(path, "does not exist", hint="give the path of the file") from error
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(path, f"is not YAML: {' '.join(str(error).split())}") from error


def check_file_name(path: Path, field: str, name: str) -> None:
    """Raise DataError if a name that becomes part of a file name is no name."""
    if not is_name(name):
        raise DataError(path, BOUNDS[Name], field=field, value=name)


def build(cls: type[T], raw: object, path: Path, where: str = "") -> T:
    """A dataclass from plain values.

    Fields may be str, int, float, bool, Literal, Any, tuple[X, …], Mapping[str, X] or dataclasses of these.

    Args:
        cls: Dataclass to build.
        raw: Values from the file.
        path: The file, for messages.
        where: Field of the file that holds `raw`; empty for the whole file.

    Raises:
        UnknownNameError: a key that is not a field, or a value that is not a choice; suggests the nearest.
        DataError: a missing key or a value of a wrong type.
    """
    if not isinstance(raw, Mapping):
        raise DataError(path, "must be a mapping of keys to values", field=where or None, value=raw)
    known = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
    for key in raw:
        check_name(f"key of {path}{f', {where}' if where else ''}", str(key), list(known))
    for name, field in known.items():
        if name not in raw and field.default is MISSING and field.default_factory is MISSING:
            raise DataError(path, "is missing", field=_join(where, name))
    hints = get_type_hints(cls)
    return cls(**{name: _value(hints[name], value, path, _join(where, name)) for name, value in raw.items()})


def _value(hint: Any, value: Any, path: Path, where: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if is_dataclass(hint):
        return build(hint, value, path, where)  # type: ignore[arg-type]
    if origin is tuple:
        if not isinstance(value, list):
            raise DataError(path, "must be a list, such as [a, b]", field=where, value=value)
        return tuple(_value(args[0], item, path, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is Literal:
        check_name(f"{where} of {path}", str(value), [str(choice) for choice in args])
        return value
    if origin is not None:
        if not isinstance(value, Mapping):
            raise DataError(path, "must be a mapping, such as {a: 1}", field=where, value=value)
        return {str(key): _value(args[1], item, path, f"{where}.{key}") for key, item in value.items()}
    fits = isinstance(value, (int, float) if hint is float else hint) and (hint is bool or not isinstance(value, bool))
    if not fits:
        raise DataError(path, f"must be {hint.__name__}", field=where, value=value)
    return value


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
