"""Configurations from files, plain values and the command line, with presets expanded.

`explain` rewrites jsonargparse's messages as one plain line that suggests the nearest names.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_lightning.config.bounds import BOUNDS, LONGEST_SHOWN
from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import build, leaves, sections_of
from rag_lightning.config.presets import UNSET, expand
from rag_lightning.config.yaml_files import check_words, make_parser
from rag_lightning.core.errors import ConfigError, shown
from rag_lightning.core.plain import shorten
from rag_lightning.core.redact import redacted
from rag_lightning.core.registry import Registry, nearest
from rag_lightning.core.shipped import find_shipped

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


PRINT = "--print_config"
UNREADABLE = (TypeError, ValueError, RecursionError)
"""Errors that jsonargparse lets through."""


def add_fields(parser: ArgumentParser, cls: type[Any]) -> None:
    """Add one option per leaf of a configuration, such as --index.m, with type, default and sentence."""
    for leaf in leaves(cls):
        text = leaf.help.replace("%", "%%")
        parser.add_argument(f"--{leaf.path}", type=leaf.hint, default=leaf.default, help=text)


def parse_expanded(parser: ArgumentParser, words: Sequence[str], cls: type[Any]) -> tuple[Any, dict[str, Any]]:
    """The configuration of a command line, with presets expanded, and all parsed values.

    Args:
        parser: Parser with the fields of the configuration.
        words: Words of the command line; with --print_config the expanded configuration is printed, without passwords.
        cls: Class of the configuration: ExperimentConfig, or another one with or without a field `experiment`.

    Raises:
        ConfigError: values out of bounds, or fields that contradict a preset.
        ArgumentError, TypeError, ValueError: jsonargparse cannot read the words or a file.
    """
    plain = [word for word in words if not word.startswith(PRINT)]
    check_words(plain)
    with _same_defaults(parser):
        return _parsed(parser, words, plain, cls)


@contextmanager
def _same_defaults(parser: ArgumentParser) -> Iterator[None]:
    """The parser keeps its defaults, whatever is set within, so that it can be used again."""
    known, actions = dict(parser._defaults), [(action, action.default) for action in parser._actions]
    try:
        yield
    finally:
        parser._defaults.clear()
        parser._defaults.update(known)
        for action, default in actions:
            action.default = default


def _parsed(
    parser: ArgumentParser, words: Sequence[str], plain: list[str], cls: type[Any]
) -> tuple[Any, dict[str, Any]]:
    given = parser.parse_args(plain, defaults=False)
    flat = {name: value for name, value in given.items() if value is not None}
    prefix = "experiment." if "experiment" in sections_of(cls) else ""
    if prefix or issubclass(cls, ExperimentConfig):
        named = {name.removeprefix(prefix): value for name, value in flat.items() if name.startswith(prefix)}
        parser.set_defaults({f"{prefix}{name}": value for name, value in expand(named).items()})
    parsed = dict(parser.parse_args(plain).items())
    for name, unset in UNSET.items():
        if f"{prefix}{name}" in parsed:
            parsed[f"{prefix}{name}"] = unset
    made = build(cls, parsed)
    if len(plain) < len(words):
        hidden = {name: redacted(value) for name, value in parsed.items() if redacted(value) != value}
        safe = [f"--{name}={one if isinstance(one, str) else json.dumps(one)}" for name, one in hidden.items()]
        parser.parse_args([*words, *safe])  # prints it, and exits
    return made, parsed


def load_experiment(path: Path, changes: Mapping[str, Any]) -> ExperimentConfig:
    """The experiment of a YAML file; `changes` replace top-level fields, presets included.

    Raises:
        ConfigError: no such file, an unknown key, a value of a wrong type, or fields that contradict a preset.
    """
    path = find_shipped(path)
    words = ["--config", str(path), *(f"--{name}={changes[name]}" for name in UNSET if name in changes)]
    kept = {name: value for name, value in changes.items() if name not in UNSET}
    parser = _parser(ExperimentConfig, Registry.changes)
    config: ExperimentConfig = _read(str(path), parser, lambda: parse_expanded(parser, words, ExperimentConfig)[0])
    try:
        return replace(config, **kept)
    except TypeError as error:
        raise ConfigError(f"{path}: {error}") from error


def load_sweep(path: Path) -> SweepConfig:
    """The sweep of a YAML file, with presets expanded.

    Raises:
        ConfigError: as `load_experiment`.
    """
    path, parser = find_shipped(path), _parser(SweepConfig, Registry.changes)
    words = ["--config", str(path)]
    made: SweepConfig = _read(str(path), parser, lambda: parse_expanded(parser, words, SweepConfig)[0])
    return made


def experiment_of(values: Mapping[str, Any], where: str) -> ExperimentConfig:
    """The experiment of plain values as in a YAML file; `where` is their source, for messages.

    Raises:
        ConfigError: an unknown key, a value of a wrong type, or fields that contradict a preset.
    """
    flat = dict(_flat(values))
    layers = [_nested(name, value) for name, value in expand(flat).items()]
    full = merged(*layers, values, {name: unset for name, unset in UNSET.items() if name in values})
    parser = _parser(ExperimentConfig, Registry.changes)
    config: ExperimentConfig = _read(
        where, parser, lambda: build(ExperimentConfig, dict(parser.parse_object(full, defaults=False).items()))
    )
    return config


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """The layers merged into one mapping; later values replace earlier ones, sections are merged key by key.

    >>> merged({"index": {"kind": "flat", "m": 8}}, {"index": {"m": 16}}, {"seed": 1})
    {'index': {'kind': 'flat', 'm': 16}, 'seed': 1}
    """
    result: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            both = isinstance(value, Mapping) and isinstance(result.get(name), Mapping)
            result[name] = merged(result[name], value) if both else value
    return result


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(dotted field, value) of every value, inside and outside of sections."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{field}", found) for field, found in value.items())
        else:
            yield name, value


def _nested(name: str, value: Any) -> dict[str, Any]:
    section, _, field = name.partition(".")
    return {section: {field: value}} if field else {section: value}


@lru_cache(maxsize=4)
def _parser(cls: type[Any], changes: int) -> ArgumentParser:
    """One parser for all files of a class, as long as no kind is registered."""
    parser = make_parser()
    parser.add_argument("--config", action="config")
    add_fields(parser, cls)
    return parser


def _read(where: str, parser: ArgumentParser, read: Callable[[], Any]) -> Any:
    from jsonargparse import ArgumentError

    try:
        return read()
    except ConfigError as error:
        raise type(error)(f"{where}: {error}") from error
    except (ArgumentError, *UNREADABLE) as error:
        raise ConfigError(f"{where}: {' '.join(explain(str(error), keys_of(parser)).split())}") from error


def keys_of(parser: ArgumentParser) -> list[str]:
    """The keys of a parser's options."""
    return [action.dest for action in parser._actions if action.dest not in ("help", "print_config", "config")]


def explain(message: str, keys: Sequence[str]) -> str:
    """A message of jsonargparse as one plain line that suggests the nearest names.

    >>> explain("unrecognized arguments: --sed 3", ["seed", "split"])
    "unknown key '--sed'; did you mean '--seed'?"
    """
    if found := re.search(r"does not exist: '(.*)'", message):
        return _missing_file(Path(found[1]))
    if found := re.match(r"unrecognized arguments: (\S+)", message):
        return unknown_key(found[1].split("=")[0], ["--" + key for key in keys])
    if found := re.match(r"Group '(.*)' does not accept option '(.*)'", message):
        return unknown_key(f"{found[1]}.{found[2]}", keys)
    if found := re.match(r"Option '(.*)' is not accepted", message):
        return unknown_key(found[1], keys)
    if found := re.search(r'key "([^"]*)":\s+Expected a (.*)\. Got value: (.*)', message, re.DOTALL):
        return f"{found[1]}: {_wrong_type(found[2], found[3])}"
    if found := re.search(r'key "([^"]*)":\s+Not of type (\w+): (.*)', message, re.DOTALL):
        return _out_of_bounds(found[1], found[2], found[3])
    union = r"key \"([^\"]*)\":.*Union subtypes.*<class '(\w+)'>, .*NoneType.* value: (.*)"
    if found := re.search(union, message, re.DOTALL):
        return f"{found[1]}: must be {found[2]} or null, not {shown(found[3])}"
    return _explain_text(message)


def _explain_text(message: str) -> str:
    """A message about the YAML itself, not about one of its values."""
    if found := re.match(r"Parser key \"(.*)\":\s+Unable to load config '(.*)'", message):
        return f"{found[1]}: {found[2]!r} is not a YAML file; its keys are written --{found[1]}.key value"
    if found := re.search(r"Key must be a string, got: (.*?)\.?$", message):
        return f"key {found[1]} is not text; write a field's name, or put quotes around it"
    if "recursion depth exceeded" in message:
        return "is nested too deeply, or an alias stands within what it names"
    if message.startswith("Unexpected config"):
        return "is not a YAML mapping of keys to values"
    return message.replace("Problems parsing config:", "is not YAML:").replace('in "<unicode string>", ', "")


def unknown_key(key: str, keys: Sequence[str]) -> str:
    """The message for an unknown key, with the sections that have a field of this name, else the nearest keys.

    >>> unknown_key("index.k1", ["index.kind", "bm25.k1"])
    "unknown key 'index.k1'; 'k1' is a field of section bm25; did you mean 'bm25.k1'?"
    """
    if any(known.startswith(f"{key}.") for known in keys):
        return f"{key!r} is a section; its keys are written {key}.KEY"
    name = key.rpartition(".")[2].lstrip("-")
    owners = [known for known in keys if "." in known and known.rpartition(".")[2] == name]
    if not owners:
        return f"unknown key {key!r}{nearest(key, keys)}"
    sections = [known.rpartition(".")[0].lstrip("-") for known in owners]
    listed = f"section{'s' if len(sections) > 1 else ''} {', '.join(sections)}"
    guess = nearest(key, owners) if len(owners) > 1 else f"; did you mean {owners[0]!r}?"
    return f"unknown key {key!r}; {name!r} is a field of {listed}{guess}"


def _out_of_bounds(key: str, bounded: str, problem: str) -> str:
    """The message for a number out of bounds, a text that is no name, or a value of another type."""
    hint = next(one for one in BOUNDS if one.__name__ == bounded)
    if found := re.match(r"(.*) does not match regular expression", problem, re.DOTALL):
        return f"{key}={shorten(repr(found[1]), LONGEST_SHOWN)}: {BOUNDS[hint]}"
    if found := re.search(r"expected string or bytes-like object, got '(\w+)'", problem):
        return f"{key}: must be text, not {found[1]}; put quotes around it"
    if found := re.match(r"(.*) does not conform to restriction", problem):
        return f"{key}={found[1]}: {BOUNDS[hint]}"
    given = re.sub(r" not an? (number|integer|float)$", "", problem.rpartition(": ")[2])
    given = re.sub(r"^\w+\(\) argument must be .*, not '(\w+)'$", r"a \1", given)
    return f"{key}: must be {getattr(hint, '_type', hint).__name__}, not {given}"


def _wrong_type(expected: str, value: str) -> str:
    if expected.startswith("typing.Literal"):
        names = re.findall(r"'([^']*)'", expected)
        return f"must be one of {', '.join(names)}, not {shown(value)}{nearest(value, names)}"
    kind = {"tuple": "list, such as [a, b]", "collections.abc.Mapping": "mapping, such as {a: 1}"}
    plain = re.sub(r"<class '(.*)'>", r"\1", expected)
    return f"must be {kind.get(plain, plain)}, not {shown(value)}"


def _missing_file(path: Path) -> str:
    """The message for a missing file, with the YAML files of its folder."""
    place = os.path.relpath(path)
    folder = find_shipped(Path(place).parent)
    there = sorted(other.name for other in folder.glob("*.yaml")) if folder.is_dir() else []
    known = f" ({os.path.relpath(folder)} holds {', '.join(there)})" if there else ""
    return f"{place}: no such file{known}{nearest(path.name, there)}"
