"""Files, plain values and words of the command line -> a configuration, with the presets they name expanded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_lightning.core.config import ExperimentConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.explain import explain
from rag_lightning.core.presets import UNSET, expand
from rag_lightning.core.yaml_text import make_parser

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

PRINT = "--print_config"


def parse_expanded(parser: ArgumentParser, words: Sequence[str]) -> Any:
    """What `parser.instantiate(parser.parse_args(words))` gives, words of core/presets.py expanded.

    Args:
        parser: Of ExperimentConfig, of a configuration that has one as `experiment`, or of one without.
        words: As given; asked to print the configuration, it prints the expanded one.

    Raises:
        ConfigError: fields that contradict a preset.
        ArgumentError, TypeError, ValueError: jsonargparse's, of what cannot be read.
    """
    given = parser.parse_args([word for word in words if not word.startswith(PRINT)], defaults=False)
    flat = {name: value for name, value in given.items() if value is not None}
    prefix = "experiment." if "experiment" in {action.dest.partition(".")[0] for action in parser._actions} else ""
    named = {name.removeprefix(prefix): value for name, value in flat.items() if name.startswith(prefix)}
    parser.set_defaults({f"{prefix}{name}": value for name, value in expand(named).items()})
    parsed = parser.parse_args(list(words))
    for name, unset in UNSET.items():
        if f"{prefix}{name}" in parsed:
            parsed[f"{prefix}{name}"] = unset
    return parser.instantiate(parsed)


def load_experiment(path: Path, changes: Mapping[str, Any]) -> ExperimentConfig:
    """Read a file; `changes` replace top-level fields, and their presets are expanded with the file's fields.

    Raises:
        ConfigError: no such file, an unknown key, a value of a wrong type, or fields that contradict a preset.
    """
    words = [f"--{name}={changes[name]}" for name in UNSET if name in changes]
    kept = {name: value for name, value in changes.items() if name not in UNSET}
    return _built(str(path), lambda parser: parse_expanded(parser, ["--config", str(path), *words]), kept)


def experiment_of(values: Mapping[str, Any], where: str) -> ExperimentConfig:
    """The experiment of plain values, as a YAML file would hold them; `where` they come from is named in messages.

    Raises:
        ConfigError: an unknown key, a value of a wrong type, or fields that contradict a preset.
    """
    flat = dict(_flat(values))
    layers = [_nested(name, value) for name, value in expand(flat).items()]
    full = merged(*layers, values, {name: unset for name, unset in UNSET.items() if name in values})
    return _built(where, lambda parser: parser.instantiate(parser.parse_object(full)), {})


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values, later layers over earlier ones; sections are merged key by key.

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
    """(dotted field, value) of every value of a section, and of those outside of any."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{field}", found) for field, found in value.items())
        else:
            yield name, value


def _nested(name: str, value: Any) -> dict[str, Any]:
    section, _, field = name.partition(".")
    return {section: {field: value}} if field else {section: value}


def _built(where: str, read: Callable[[ArgumentParser], Any], changes: Mapping[str, Any]) -> ExperimentConfig:
    from jsonargparse import ArgumentError

    parser = make_parser()
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(ExperimentConfig, None)
    keys = [action.dest for action in parser._actions if action.dest != "help"]
    try:
        built = read(parser)
        config = ExperimentConfig(**{field.name: getattr(built, field.name) for field in fields(ExperimentConfig)})
        return replace(config, **changes)
    except (ArgumentError, TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {' '.join(explain(str(error), keys).split())}") from error
