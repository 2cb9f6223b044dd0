"""An experiment's YAML file, or plain values -> its configuration (the command line has messages of its own)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_lightning.core.config import ExperimentConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.explain import explain

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


def load_experiment(path: Path, changes: Mapping[str, Any]) -> ExperimentConfig:
    """Read a file; `changes` replace top-level fields.

    Raises:
        ConfigError: no such file, an unknown key, or a value of a wrong type.
    """
    return _built(str(path), lambda parser: parser.parse_args(["--config", str(path)]), changes)


def experiment_of(values: Mapping[str, Any], where: str) -> ExperimentConfig:
    """The experiment of plain values, as a YAML file would hold them; `where` they come from is named in messages.

    Raises:
        ConfigError: an unknown key, or a value of a wrong type.
    """
    return _built(where, lambda parser: parser.parse_object(dict(values)), {})


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


def _built(where: str, read: Callable[[ArgumentParser], Any], changes: Mapping[str, Any]) -> ExperimentConfig:
    from jsonargparse import ArgumentError

    parser = _parser()
    keys = [action.dest for action in parser._actions if action.dest != "help"]
    try:
        built = parser.instantiate(read(parser))
        config = ExperimentConfig(**{field.name: getattr(built, field.name) for field in fields(ExperimentConfig)})
        return replace(config, **changes)
    except (ArgumentError, TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {' '.join(explain(str(error), keys).split())}") from error


@cache
def _parser() -> ArgumentParser:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(ExperimentConfig, None)
    return parser
