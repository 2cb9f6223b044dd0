"""Files and words of the command line -> a configuration, with the presets they name expanded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_lightning.core.config import ExperimentConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.presets import UNSET, expand

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

PRINT = "--print_config"


def parse_expanded(parser: ArgumentParser, words: Sequence[str]) -> Any:
    """What `parser.instantiate(parser.parse_args(words))` gives, words of core/presets.py expanded.

    Args:
        parser: Of ExperimentConfig, or of a configuration that has one as `experiment`.
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
        parsed[f"{prefix}{name}"] = unset
    return parser.instantiate(parsed)


def load_experiment(path: Path, changes: Mapping[str, Any]) -> ExperimentConfig:
    """Read a file; `changes` replace top-level fields, and their presets are expanded with the file's fields.

    Raises:
        ConfigError: no such file, an unknown key, a value of a wrong type, or fields that contradict a preset.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(ExperimentConfig, None)
    try:
        words = [f"--{name}={changes[name]}" for name in UNSET if name in changes]
        built = parse_expanded(parser, ["--config", str(path), *words])
        config = ExperimentConfig(**{field.name: getattr(built, field.name) for field in fields(ExperimentConfig)})
        return replace(config, **{name: value for name, value in changes.items() if name not in UNSET})
    except (ArgumentError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from error
