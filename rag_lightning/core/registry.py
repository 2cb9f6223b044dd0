"""Names -> "module:attribute", imported only when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, ClassVar

from rag_lightning.core.errors import ConfigError, UnknownNameError


class LazyModule:
    """A module that is imported at the first use of one of its names, so that kinds can be listed without it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        """The module's attribute."""
        return getattr(import_module(self._name), attribute)


class Registry:
    """A lazy mapping of names to objects; the error of an unknown name offers the nearest ones.

    Args:
        kind: What the names stand for, in messages ("task", "index kind").
        targets: name -> "module:attribute".
    """

    changes: ClassVar[int] = 0
    """How often a kind was added to any registry: what was derived from registries before is out of date."""

    def __init__(self, kind: str, targets: Mapping[str, str]) -> None:
        self.kind = kind
        self._targets = dict(targets)

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __contains__(self, name: object) -> bool:
        return name in self._targets

    def register(self, name: str, target: str) -> None:
        """Add a kind of one's own.

        Raises:
            ConfigError: the name is taken.
        """
        if name in self._targets:
            raise ConfigError(f"{self.kind} {name!r} is {self._targets[name]} already; give {target} another name")
        self._targets[name] = target
        Registry.changes += 1

    def unregister(self, name: str) -> None:
        """Remove a kind of one's own.

        Raises:
            UnknownNameError: no such name.
        """
        check_name(self.kind, name, self._targets)
        del self._targets[name]
        Registry.changes += 1

    def get(self, name: str) -> Any:
        """Import and return what `name` stands for.

        Raises:
            UnknownNameError: no such name; the message lists the nearest and all names.
        """
        check_name(self.kind, name, self._targets)
        return load(self._targets[name])


def load(target: str) -> Any:
    """What "module:attribute" names."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


def check_name(kind: str, name: str, names: Mapping[str, object] | tuple[str, ...] | list[str]) -> None:
    """Raise UnknownNameError, which offers the nearest names, unless `name` is one of `names`."""
    if name in names:
        return
    near = get_close_matches(name, list(names), n=3, cutoff=0.5)
    guess = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    raise UnknownNameError(f"unknown {kind} {name!r}: {guess}known: {', '.join(names)}")
