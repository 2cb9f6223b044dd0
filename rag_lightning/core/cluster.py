"""Ray, an optional package: the cluster of RAY_ADDRESS, or one that Ray starts on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from rag_lightning.core.errors import ConfigError
from rag_lightning.core.redact import redact

MISSING = "engine=ray needs the extra ray: pip install -c constraints.txt -e '.[ray]'"
LOCAL = {"include_dashboard": False, "log_to_driver": False, "logging_level": "error"}


def import_ray() -> Any:
    """The module ray, without the collection of usage data.

    Raises:
        ConfigError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        return import_module("ray")
    except ModuleNotFoundError as error:
        raise ConfigError(MISSING) from error


@contextmanager
def cluster() -> Iterator[Any]:
    """Connect to the cluster of RAY_ADDRESS, or to one started on this machine; a connection that exists is kept.

    Yields:
        The module ray.

    Raises:
        ConfigError: Ray is not installed, or the cluster does not answer.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield ray
        return
    _connect(ray)
    try:
        yield ray
    finally:
        ray.shutdown()


def _connect(ray: Any) -> None:
    address = os.environ.get("RAY_ADDRESS", "")
    try:
        ray.init(**(LOCAL if not address else LOCAL | {"address": address}))
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = redact(address) or "a local cluster"
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"engine=ray: {where} cannot be reached: {reason}; check RAY_ADDRESS") from error
