"""Registries of kinds by name; the code of a kind is imported at its first use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any, ClassVar

from rag_lightning.core.errors import ConfigError, UnknownNameError


class LazyModule:
    """A module that is imported at the first use of one of its attributes."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._module: Any = None

    def __getattr__(self, attribute: str) -> Any:
        """The module's attribute."""
        if self._module is None:
            self._module = import_module(self._name)
        return getattr(self._module, attribute)


class Registry:
    """A lazy mapping of names to objects; the error for an unknown name suggests the nearest ones.

    Args:
        kind: Noun for the objects, in messages ("task", "index kind").
        targets: name -> "module:attribute".
    """

    changes: ClassVar[int] = 0
    """Number of changes of all registries; caches derived from registries use it as a key."""

    def __init__(self, kind: str, targets: Mapping[str, str]) -> None:
        self.kind = kind
        self._targets = dict(targets)

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __contains__(self, name: object) -> bool:
        return name in self._targets

    def register(self, name: str, target: str) -> None:
        """Add a kind.

        Raises:
            ConfigError: the name is taken.
        """
        if name in self._targets:
            raise ConfigError(f"{self.kind} {name!r} is already {self._targets[name]}; give {target} another name")
        self._targets[name] = target
        Registry.changes += 1

    def unregister(self, name: str) -> None:
        """Remove a kind.

        Raises:
            UnknownNameError: no such name.
        """
        check_name(self.kind, name, self._targets)
        del self._targets[name]
        Registry.changes += 1

    def get(self, name: str) -> Any:
        """Import and return the object with this name.

        Raises:
            UnknownNameError: no such name; the message lists the nearest and all names.
        """
        check_name(self.kind, name, self._targets)
        return load(self._targets[name])


def load(target: str) -> Any:
    """Import and return the attribute that "module:attribute" names."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


def nearest(name: str, known: Sequence[str]) -> str:
    """The question for the nearest known names, as the end of a message; empty if none is near.

    >>> nearest("flta", ["flat", "hnsw"]), nearest("x", ["flat"])
    ("; did you mean 'flat'?", '')
    """
    near = get_close_matches(name, known, n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def check_name(kind: str, name: str, names: Mapping[str, object] | tuple[str, ...] | list[str]) -> None:
    """Raise UnknownNameError with the nearest names unless `name` is in `names`."""
    if name in names:
        return
    near = get_close_matches(name, list(names), n=3, cutoff=0.5)
    guess = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    raise UnknownNameError(f"unknown {kind} {name!r}: {guess}known: {', '.join(names) or 'none'}")
