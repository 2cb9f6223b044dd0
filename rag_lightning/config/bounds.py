"""Number types with bounds, the type of a name, and the check of a value against its type.

jsonargparse checks its bounded types only while it reads a command line or a file; `check_value` also checks a
configuration that is built in Python.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Union, get_args, get_origin

from rag_lightning.core.devices import DEVICE
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.plain import shorten
from rag_lightning.core.registry import check_name

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}\Z")
"""Names of sweeps, experiments, runs, data sets and claims: a folder on every system, and one word of a shell."""
MOST = 2**31 - 1
"""Largest whole number of a field, and in size the smallest: libraries in C count no further."""
LONGEST_SHOWN = 120
"""Characters of a refused name in a message."""

if TYPE_CHECKING:
    PositiveInt: TypeAlias = int
    NonNegativeInt: TypeAlias = int
    PositiveFloat: TypeAlias = float
    NonNegativeFloat: TypeAlias = float
    Share: TypeAlias = float
    Name: TypeAlias = str
    Device: TypeAlias = str
else:
    from jsonargparse.typing import ClosedUnitInterval as Share
    from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, restricted_string_type

    Name = restricted_string_type("Name", NAME)
    Device = restricted_string_type("Device", DEVICE)

BOUNDS = {
    PositiveInt: "must be at least 1",
    NonNegativeInt: "must be at least 0",
    PositiveFloat: "must be above 0",
    NonNegativeFloat: "must be at least 0",
    Share: "must be between 0 and 1",
    Name: "must be 1 to 80 letters (a-z, A-Z), digits, . _ or -, and not begin with . or -",
    Device: "must be auto, cpu, cuda, cuda:N or mps",
}


def check_value(name: str, hint: Any, value: Any) -> None:
    """Raise ConfigError, naming the field, if a value does not fit its type or bounds."""
    if hint is Any or (value is None and type(None) in get_args(hint)):
        return
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        check_value(name, next(one for one in args if one is not type(None)), value)
    elif origin is Literal:
        check_name(f"{name}:", str(value), [str(choice) for choice in args])
    elif origin is tuple:
        check(isinstance(value, tuple), name, value, "must be a list, such as [a, b]")
        for position, item in enumerate(value):
            check_value(f"{name}[{position}]", args[0], item)
    elif origin is not None:
        check(isinstance(value, Mapping), name, value, "must be a mapping, such as {a: 1}")
        for key, item in value.items():
            check(isinstance(key, str), name, repr(key), "keys must be text; put quotes around it")
            check_value(f"{name}.{key}", args[1], item)
    elif isinstance(hint, type) and not is_dataclass(hint):
        _check_plain(name, hint, value)


def _check_plain(name: str, hint: type[Any], value: Any) -> None:
    plain = getattr(hint, "_type", hint)
    fits = isinstance(value, (int, float) if plain is float else plain)
    check(fits and (plain is bool or not isinstance(value, bool)), name, value, f"must be {plain.__name__}")
    check(not isinstance(value, float) or math.isfinite(value), name, value, "must be a finite number")
    if plain is int:
        check(abs(value) <= MOST, name, value, f"must be at most {MOST:,} in size")
    if hint is Name:
        check(is_name(value), name, shorten(repr(value), LONGEST_SHOWN), BOUNDS[Name])
    elif hint is Device:
        check(DEVICE.match(value) is not None, name, shorten(repr(value), LONGEST_SHOWN), BOUNDS[Device])
    elif isinstance(value, str):
        check(not re.search("[\0\ud800-\udfff]", value), name, repr(value), "must hold no NUL and no half characters")
    if hint in BOUNDS:
        limits = getattr(hint, "_restrictions", [])
        check(all(compare(value, limit) for compare, limit in limits), name, value, BOUNDS[hint])


def is_name(text: str) -> bool:
    """Whether a text can be the name of a sweep, an experiment, a run or a data set.

    >>> [is_name(text) for text in ("nq-own", "", "..", "a/b", "a" * 81)]
    [True, False, False, False, False]
    """
    return NAME.match(text) is not None


def check(fits: bool, name: str, value: Any, problem: str) -> None:
    """Raise ConfigError with field, value and problem, unless `fits`."""
    if not fits:
        raise ConfigError(f"{name}={value}: {problem}")
