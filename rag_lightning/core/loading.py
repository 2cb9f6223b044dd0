"""An experiment's YAML file -> its configuration, for the Python API (the command line has messages of its own)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from rag_lightning.core.config import ExperimentConfig
from rag_lightning.core.errors import ConfigError


def load_experiment(path: Path, changes: Mapping[str, Any]) -> ExperimentConfig:
    """Read a file; `changes` replace top-level fields.

    Raises:
        ConfigError: no such file, an unknown key, or a value of a wrong type.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(ExperimentConfig, None)
    try:
        built = parser.instantiate(parser.parse_args(["--config", str(path)]))
        config = ExperimentConfig(**{field.name: getattr(built, field.name) for field in fields(ExperimentConfig)})
        return replace(config, **changes)
    except (ArgumentError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from error
