"""What a section of a configuration is made of: bounded types, the stages that read a field, and its digest policy.

A section is a frozen dataclass that inherits `Section`. Every field belongs to the digest of the stages its section
names, unless its own metadata says otherwise (`setting`); types carry their bounds, which hold on every route: the
command line, YAML, and a section built in Python.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass, replace
from functools import lru_cache
from typing import (
    Any,
    ClassVar,
    Literal,
    TypeVar,
    cast,
    get_type_hints,
)

from rag_lightning.config.bounds import BOUNDS, check, check_value
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.registry import Registry, check_name

Dtype = Literal["auto", "float32", "bfloat16"]
Policy = Literal["always", "by content", "never"]
"""When a field is part of a stage's digest. by content: it names a file, model or data set, whose content is an input
of the stage; never: it changes time, memory or names only, which the field's own sentence must make plain."""


T = TypeVar("T")


def _cached(function: Callable[[type[Any]], T]) -> Callable[[type[Any]], T]:
    """One call a class."""
    return cast("Callable[[type[Any]], T]", lru_cache(maxsize=256)(function))


def setting(
    default: Any,
    *,
    stages: tuple[str, ...] | None = None,
    digest: Policy = "always",
    names: Registry | None = None,
) -> Any:
    """A field of a section.

    Args:
        default: Its default; a dict becomes a factory.
        stages: The stages whose result it changes, None for those of its section.
        digest: When it is part of their digest.
        names: The registry whose names it takes; help lists them.
    """
    metadata = {"stages": stages, "digest": digest, "names": names}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


class Section:
    """Base of all sections: checks every field against its type and bounds when it is made.

    Attributes:
        PATH: Where the section stands in a configuration, for messages.
        STAGES: The stages that read its fields, unless a field says otherwise.
    """

    PATH: ClassVar[str] = ""
    STAGES: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        """Raise ConfigError where a value is not of its field's type, or out of its bounds."""
        for one in fields(self):  # type: ignore[arg-type]
            name = f"{self.PATH}.{one.name}" if self.PATH else one.name
            check_value(name, _hints(type(self))[one.name], getattr(self, one.name))


class KindSection(Section):
    """A section one of whose fields names an object of a registry that brings fields of its own.

    An option reads like a field: `config.index.m` is the value given, or the kinds' default.

    Attributes:
        KIND: Name of the field that names the kind.
        options: Values of fields of registered kinds, by name; a kind takes its own default where one is not given.
            YAML and command line write them beside the other fields.
    """

    REGISTRY: ClassVar[Registry]
    KIND: ClassVar[str] = "kind"
    options: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Raise ConfigError as `Section`, and for an unknown kind or option."""
        super().__post_init__()
        check_name(self.REGISTRY.kind, getattr(self, self.KIND), list(self.REGISTRY))
        known = options_of(self.REGISTRY)
        for name, value in self.options.items():
            check_name(f"field of {self.PATH}", name, list(known))
            check_value(f"{self.PATH}.{name}", known[name].hint, value)
        self.made()

    def __getattr__(self, name: str) -> Any:
        """Value of an option, or its default."""
        known = {} if name.startswith("_") or name == "options" else options_of(self.REGISTRY)
        if name not in known:
            raise AttributeError(f"{type(self).__name__} has no field {name!r}")
        return self.options.get(name, known[name].default)

    @classmethod
    def is_option(cls, name: str) -> bool:
        """Whether a name is that of a kind's own field, so that its value belongs in `options`."""
        return name not in {one.name for one in fields(cls)}  # type: ignore[arg-type]

    def made(self) -> Any:
        """The chosen kind with its values.

        Raises:
            ConfigError: values that contradict each other.
        """
        cls = self.REGISTRY.get(getattr(self, self.KIND))
        own = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in self.options.items() if name in own})


@dataclass(frozen=True)
class Leaf:
    """One value of a configuration.

    Args:
        path: Dotted, such as `index.m`.
        hint: Its type.
        default: What it is where nothing is given.
        help: Its sentence.
        stages: The stages whose result it changes.
        digest: When it is part of their digest.
    """

    path: str
    hint: Any
    default: Any
    help: str
    stages: tuple[str, ...]
    digest: Policy


def leaves(cls: type[Any]) -> tuple[Leaf, ...]:
    """Every value of a configuration or section, in order; those of all registered kinds among them."""
    found: tuple[Leaf, ...] = _leaves(cls, Registry.changes)  # type: ignore[arg-type]
    return found


def _all_leaves(cls: type[Any], prefix: str = "") -> Iterator[Leaf]:
    hints = _hints(cls)
    for one in fields(cls):
        path, hint = prefix + one.name, hints[one.name]
        if isinstance(hint, type) and issubclass(hint, Section):
            yield from _all_leaves(hint, path + ".")
        elif issubclass(cls, KindSection) and one.name == "options":
            yield from (replace(leaf, path=prefix + leaf.path) for leaf in options_of(cls.REGISTRY).values())
        else:
            stages = one.metadata.get("stages")
            owners = cls.STAGES if stages is None and issubclass(cls, Section) else stages or ()
            policy = one.metadata.get("digest", "always")
            yield Leaf(path, hint, default_of(one), _sentence(cls, one), owners, policy)


def options_of(registry: Registry) -> Mapping[str, Leaf]:
    """Fields of all kinds of a registry by name.

    Raises:
        ConfigError: two kinds mean different things by one name.
    """
    return _options(registry, Registry.changes)


def _all_options(registry: Registry) -> dict[str, Leaf]:
    found: dict[str, Leaf] = {}
    for kind in registry:
        for leaf in leaves(registry.get(kind)):
            known = found.setdefault(leaf.path, leaf)
            if (known.hint, known.default) != (leaf.hint, leaf.default):
                raise ConfigError(f"{registry.kind} {kind}: {leaf.path!r} has another type or default in another kind")
    return found


def sections_of(cls: type[Any]) -> dict[str, type[Section]]:
    """Name -> class of the sections of a configuration."""
    hints = _hints(cls)
    return {n: h for n, h in hints.items() if isinstance(h, type) and issubclass(h, Section)}


def to_dict(config: Any) -> dict[str, Any]:
    """A configuration or section as plain JSON values, options of a kind beside the kind, as YAML has them."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return _flattened(plain, config)


def _flattened(plain: dict[str, Any], config: Any) -> dict[str, Any]:
    for one in fields(config):
        value = getattr(config, one.name)
        if is_dataclass(value):
            plain[one.name] = _flattened(plain[one.name], value)
    if isinstance(config, KindSection):
        given = plain.pop("options")
        plain |= {name: given.get(name, leaf.default) for name, leaf in options_of(config.REGISTRY).items()}
    return plain


def build(cls: type[Any], values: Mapping[str, Any], prefix: str = "") -> Any:
    """A configuration from dotted paths and values; what is not given has its default.

    Raises:
        ConfigError: a value out of its bounds, or one in the place of a section.
    """
    made: dict[str, Any] = {}
    for name, hint in _hints(cls).items():
        path = prefix + name
        if isinstance(hint, type) and issubclass(hint, Section):
            check(path not in values, path, values.get(path), f"is a section; its fields are {path}.FIELD")
            made[name] = build(hint, values, path + ".")
        elif issubclass(cls, KindSection) and name == "options":
            known = options_of(cls.REGISTRY)
            given = {n: _plain_number(known[n].hint, values[prefix + n]) for n in known if prefix + n in values}
            made[name] = {n: value for n, value in given.items() if value != known[n].default}
        elif path in values:
            made[name] = _plain_number(hint, values[path])
    return cls(**made)


def _plain_number(hint: Any, value: Any) -> Any:
    """A number of a bounded type as the plain number it is."""
    return hint._type(value) if hint in BOUNDS and isinstance(value, int | float) else value


@_cached
def sentences(cls: type[Any]) -> dict[str, str]:
    """The sentence of each field, from the `Args:` of the class's docstring and those of its bases."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        _, _, text = (base.__doc__ or "").partition("Args:\n")
        for name, sentence in re.findall(r"^ {8}(\w+): ((?:.|\n(?= {12}))*)", text, re.MULTILINE):
            found[name] = " ".join(sentence.split())
    return found


def summary(cls: type[Any]) -> str:
    """First line of a class's docstring."""
    return (cls.__doc__ or "").strip().splitlines()[0]


def default_of(one: Field[Any]) -> Any:
    """The default of a dataclass field."""
    return one.default_factory() if one.default_factory is not MISSING else one.default


def _sentence(cls: type[Any], one: Field[Any]) -> str:
    """The sentence of a field; where it takes a name of a registry, the names there are."""
    sentence, names = sentences(cls).get(one.name, ""), one.metadata.get("names")
    return f"{sentence} One of {', '.join(names)}." if names else sentence


@_cached
def _hints(cls: type[Any]) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {one.name: hints[one.name] for one in fields(cls)}


_leaves = lru_cache(maxsize=64)(lambda cls, changes: tuple(_all_leaves(cls)))
_options = lru_cache(maxsize=64)(lambda registry, changes: _all_options(registry))
