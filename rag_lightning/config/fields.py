"""Base classes of the sections of a configuration, and the metadata of their fields.

A section is a frozen dataclass that inherits `Section`. Every field is part of the digests of its section's stages,
unless its own metadata (`setting`) states otherwise. Types and bounds are checked when a section is created, whether
from the command line, from YAML or in Python.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass, replace
from functools import lru_cache
from inspect import cleandoc
from typing import Any, ClassVar, Literal, TypeVar, cast, get_type_hints

from rag_lightning.config.bounds import BOUNDS, check, check_value
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.registry import Registry, check_name

Dtype = Literal["auto", "float32", "bfloat16"]
InferenceDtype = Literal["auto", "float32", "bfloat16", "float16"]
"""Types of a forward pass alone; float16 on a GPU only."""
Policy = Literal["always", "unless default", "by content", "never"]
"""When a field is part of a stage's digest. unless default: the field came later, and its default is what results had
before it. by content: the field names a file, model or data set, whose content is an input of the stage. never: the
field affects only time, memory or names, as its sentence must state."""


T = TypeVar("T")


def _cached(function: Callable[[type[Any]], T]) -> Callable[[type[Any]], T]:
    """A function whose result is cached per class."""
    return cast("Callable[[type[Any]], T]", lru_cache(maxsize=256)(function))


def setting(
    default: Any,
    *,
    stages: tuple[str, ...] | None = None,
    digest: Policy = "always",
    names: Iterable[str] | None = None,
) -> Any:
    """A dataclass field with the metadata of a section.

    Args:
        default: Default; of a dict every instance gets a copy.
        stages: Stages whose result the field affects; None for those of the section.
        digest: When the field is part of their digest.
        names: Names that the field accepts, such as a registry; the help lists them.
    """
    metadata = {"stages": stages, "digest": digest, "names": names}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


class Section:
    """Base class of all sections; checks the type and bounds of every field when it is created.

    Attributes:
        PATH: Path of the section in a configuration, for messages.
        STAGES: Stages that read its fields, unless a field's metadata names others.
    """

    PATH: ClassVar[str] = ""
    STAGES: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        """Raise ConfigError for a value of a wrong type or out of bounds."""
        for one in fields(self):  # type: ignore[arg-type]
            name = f"{self.PATH}.{one.name}" if self.PATH else one.name
            check_value(name, _hints(type(self))[one.name], getattr(self, one.name))


class KindSection(Section):
    """A section that chooses a kind from a registry; each kind has fields of its own, the options.

    An option is read like a field: `config.index.m` is the given value, or the default.

    Attributes:
        REGISTRY: Registry of the kinds.
        KIND: Name of the field that names the kind.
        options: Given values of the kinds' fields, by name; the others have their defaults. In YAML and on the command
            line they are written like the other fields.
    """

    REGISTRY: ClassVar[Registry]
    KIND: ClassVar[str] = "kind"
    options: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Raise ConfigError as `Section` does, and for an unknown kind or option."""
        super().__post_init__()
        check_name(self.REGISTRY.kind, getattr(self, self.KIND), list(self.REGISTRY))
        known = options_of(self.REGISTRY)
        for name, value in self.options.items():
            check_name(f"field of {self.PATH}", name, list(known))
            check_value(f"{self.PATH}.{name}", known[name].hint, value)
        self.made()

    def __getattr__(self, name: str) -> Any:
        """The value of an option, or its default."""
        known = {} if name.startswith("_") or name == "options" else options_of(self.REGISTRY)
        if name not in known:
            raise AttributeError(f"{type(self).__name__} has no field {name!r}")
        return self.options.get(name, known[name].default)

    @classmethod
    def is_option(cls, name: str) -> bool:
        """Whether a name is a field of the kinds, whose value belongs in `options`."""
        return name not in {one.name for one in fields(cls)}  # type: ignore[arg-type]

    def made(self) -> Any:
        """The chosen kind, built with its options.

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
        path: Dotted path, such as `index.m`.
        hint: Type.
        default: Default value.
        help: Help sentence.
        stages: Stages whose result the value affects.
        digest: When the value is part of their digest.
    """

    path: str
    hint: Any
    default: Any
    help: str
    stages: tuple[str, ...]
    digest: Policy


def leaves(cls: type[Any]) -> tuple[Leaf, ...]:
    """All leaves of a configuration or section in order, with those of all registered kinds."""
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
    """The fields of all kinds of a registry, by name.

    Raises:
        ConfigError: two kinds have a field of the same name with different types or defaults.
    """
    return _options(registry, Registry.changes)


def _all_options(registry: Registry) -> dict[str, Leaf]:
    found: dict[str, Leaf] = {}
    for kind in registry:
        for leaf in leaves(registry.get(kind)):
            known = found.setdefault(leaf.path, leaf)
            if (known.hint, known.default) != (leaf.hint, leaf.default):
                raise ConfigError(f"{registry.kind} {kind}: field {leaf.path!r} differs from another kind's; rename it")
    return found


def sections_of(cls: type[Any]) -> dict[str, type[Section]]:
    """Name -> class of the sections of a configuration."""
    hints = _hints(cls)
    return {n: h for n, h in hints.items() if isinstance(h, type) and issubclass(h, Section)}


def to_dict(config: Any) -> dict[str, Any]:
    """A configuration or section as plain JSON values, with options beside the other fields as in YAML."""
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
    """A configuration from dotted path -> value; fields that are not given have their defaults.

    Raises:
        ConfigError: a value out of bounds, or a plain value for a section.
    """
    made: dict[str, Any] = {}
    for name, hint in _hints(cls).items():
        path = prefix + name
        if isinstance(hint, type) and issubclass(hint, Section):
            check(path not in values, path, values.get(path), f"is a section; its fields are {path}.FIELD")
            made[name] = build(hint, values, path + ".")
        elif issubclass(cls, KindSection) and name == "options":
            known = options_of(cls.REGISTRY)
            given = {n: _plain_value(known[n].hint, values[prefix + n]) for n in known if prefix + n in values}
            made[name] = {n: value for n, value in given.items() if value != known[n].default}
        elif path in values:
            made[name] = _plain_value(hint, values[path])
    return cls(**made)


def _plain_value(hint: Any, value: Any) -> Any:
    """A value of a bounded type as a plain int, float or str."""
    return hint._type(value) if hint in BOUNDS and isinstance(value, int | float | str) else value


@_cached
def sentences(cls: type[Any]) -> dict[str, str]:
    """Field -> sentence, from `Args:` in the docstrings of the class and its bases."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        _, _, text = cleandoc(base.__doc__ or "").partition("Args:\n")
        for name, sentence in re.findall(r"^ {4}(\w+): ((?:.|\n(?= {8}))*)", text, re.MULTILINE):
            found[name] = " ".join(sentence.split())
    return found


def summary(cls: type[Any]) -> str:
    """The first line of a class's docstring."""
    return (cls.__doc__ or "").strip().splitlines()[0]


def default_of(one: Field[Any]) -> Any:
    """The default of a dataclass field."""
    return one.default_factory() if one.default_factory is not MISSING else one.default


def _sentence(cls: type[Any], one: Field[Any]) -> str:
    """The help sentence of a field, with the names that it accepts if they are listed."""
    sentence, names = sentences(cls).get(one.name, ""), one.metadata.get("names")
    return f"{sentence} One of {', '.join(names)}." if names else sentence


@_cached
def _hints(cls: type[Any]) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {one.name: hints[one.name] for one in fields(cls)}


_leaves = lru_cache(maxsize=64)(lambda cls, changes: tuple(_all_leaves(cls)))
_options = lru_cache(maxsize=64)(lambda registry, changes: _all_options(registry))
