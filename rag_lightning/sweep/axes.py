"""Axes of a search space: the values of one field, and the condition under which a point has the field."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, get_args

from rag_lightning.config.bounds import check
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import leaves
from rag_lightning.config.loading import unknown_key
from rag_lightning.core.errors import ConfigError, UnknownNameError
from rag_lightning.core.registry import check_name
from rag_lightning.runs.system import SHORT

MOST_POINTS = 100_000
"""Largest number of points of a space that is enumerated."""
LARGEST = 1e15
"""Largest number and number of steps of a range, so that neighbours are different floats."""
DIGITS = 4
"""Significant digits of a value from a range without steps, so that labels can be read."""
SHOWN = 20
"""Largest number of characters of a number in a message."""
KEYS = ["choices", "low", "high", "log", "step", "when"]
Point = dict[str, Any]


@dataclass(frozen=True)
class Span:
    """A range of numbers, both ends included.

    Args:
        low: Smallest value.
        high: Largest value; of a range with steps the last one that is not above the configured value.
        step: Difference between neighbours; None for every float between the ends.
        log: Whether values are drawn, and modelled, in the logarithm.
        whole: Whether the values are integers.
    """

    low: float
    high: float
    step: float | None
    log: bool
    whole: bool

    @property
    def values(self) -> Sequence[Any] | None:
        """All values in order; None for a range without steps, or with more than MOST_POINTS values."""
        if self.step is None or (self.high - self.low) / self.step >= MOST_POINTS:
            return None
        if self.whole:
            return range(int(self.low), int(self.high) + 1, int(self.step))
        return [self.snapped(self.low + n * self.step) for n in range(round((self.high - self.low) / self.step) + 1)]

    def snapped(self, value: float) -> int | float:
        """The value of the range nearest to a number; without steps it has DIGITS digits."""
        if self.step is None:
            return min(max(float(f"{value:.{DIGITS}g}"), float(self.low)), float(self.high))
        number = round((value - self.low) / self.step)
        exact = Decimal(str(self.low)) + number * Decimal(str(self.step))
        return int(exact) if self.whole else float(exact)

    def draw(self, source: random.Random) -> int | float:
        """A random value."""
        if self.log:
            drawn = math.exp(source.uniform(math.log(self.low), math.log(self.high)))
        elif self.step is None:
            drawn = source.uniform(self.low, self.high)
        else:
            drawn = self.low + self.step * source.randint(0, round((self.high - self.low) / self.step))
        return self.snapped(min(max(drawn, self.low), self.high))


@dataclass(frozen=True)
class Axis:
    """One field of a search space.

    Args:
        path: Dotted field of an experiment, or a short name.
        choices: The values, as Optuna stores them -> as a point has them; empty for a range.
        span: The range; None for choices.
        when: Earlier field -> the values, as Optuna stores them, with which a point has this field.
    """

    path: str
    choices: Mapping[Any, Any]
    span: Span | None
    when: Mapping[str, tuple[Any, ...]]

    @property
    def values(self) -> Sequence[Any] | None:
        """All values in order, None if they are not enumerable."""
        return list(self.choices.values()) if self.span is None else self.span.values

    @property
    def ends(self) -> list[Any]:
        """The values that are checked before a search: all choices, or both ends of a range."""
        if self.span is None:
            return list(self.choices.values())
        return list(dict.fromkeys([self.span.snapped(self.span.low), self.span.snapped(self.span.high)]))

    def is_active(self, point: Mapping[str, Any]) -> bool:
        """Whether a point with these values of the earlier fields has this field."""
        return all(path in point and stored(point[path]) in values for path, values in self.when.items())

    def value_of(self, found: Any) -> Any:
        """The value of a point from the value that Optuna stores."""
        return self.choices[stored(found)] if self.span is None else self.span.snapped(found)

    def draw(self, source: random.Random) -> Any:
        """A random value."""
        return source.choice(list(self.choices.values())) if self.span is None else self.span.draw(source)


def stored(value: Any) -> Any:
    """A value as Optuna stores it, with lists and mappings as JSON."""
    return value if isinstance(value, str | int | float | bool | None) else json.dumps(value, sort_keys=True)


def points_of(axes: Sequence[Axis]) -> Iterator[Point]:
    """All points of a space of enumerable axes; the last axis changes fastest."""

    def extended(point: Point, rest: Sequence[Axis]) -> Iterator[Point]:
        if not rest:
            yield point
        elif not rest[0].is_active(point):
            yield from extended(point, rest[1:])
        else:
            for value in rest[0].values or ():
                yield from extended({**point, rest[0].path: value}, rest[1:])

    return extended({}, axes)


def random_point(axes: Sequence[Axis], source: random.Random) -> Point:
    """A random point."""
    point: Point = {}
    for axis in axes:
        if axis.is_active(point):
            point[axis.path] = axis.draw(source)
    return point


def point_with(axes: Sequence[Axis], axis: Axis, value: Any) -> Point:
    """A point in which a field has a value; the others have the first value that makes the field part of the point.

    Raises:
        ConfigError: no point has the field, because its conditions exclude each other.
    """
    by_path = {one.path: one for one in axes}
    needed: dict[str, tuple[Any, ...]] = {}
    waiting = [axis]
    while waiting:
        for path, values in waiting.pop().when.items():
            needed[path] = tuple(v for v in needed.get(path, values) if v in values)
            waiting.append(by_path[path])
    point: Point = {}
    for one in axes:
        if one is axis and one.is_active(point):
            point[one.path] = value
        elif one.is_active(point) and needed.get(one.path) != ():
            point[one.path] = one.value_of(needed[one.path][0]) if one.path in needed else one.ends[0]
    if axis.path not in point:
        raise ConfigError(f"space.{axis.path}: no point has it, its conditions exclude each other; change `when`")
    return point


def read_axes(space: Mapping[str, Any]) -> tuple[Axis, ...]:
    """The axes of the field `space` of a sweep.

    Raises:
        ConfigError, UnknownNameError: a field, key, value or condition that cannot be used.
    """
    if not space:
        raise ConfigError("a sweep needs a space with at least one choice of each field")
    axes: list[Axis] = []
    for path, given in space.items():
        axes.append(_axis(path, given, axes, list(space)))
    return tuple(axes)


def _axis(path: str, given: Any, earlier: Sequence[Axis], paths: Sequence[str]) -> Axis:
    name = f"space.{path}"
    if isinstance(given, tuple | list):
        given = {"choices": given}
    problem = "must be a list, such as [a, b], a range {low, high}, or {choices: [a, b], when: {field: value}}"
    check(isinstance(given, Mapping), name, given, problem)
    for key in given:
        check_name(f"key of {name}", str(key), KEYS)
    when = _when(name, given.get("when", {}), earlier, paths)
    if "choices" in given:
        if len(others := [key for key in given if key not in ("choices", "when")]):
            raise ConfigError(f"{name} has choices and {', '.join(others)}; give a list or a range")
        return Axis(path, _choices(name, given["choices"]), None, when)
    return Axis(path, {}, _span(name, path, given), when)


def _choices(name: str, given: Any) -> dict[Any, Any]:
    check(isinstance(given, tuple | list), f"{name}.choices", given, "must be a list, such as [a, b]")
    if not given:
        raise ConfigError(f"{name} is empty; a sweep needs at least one choice of each field")
    for choice in given:
        _check_plain(f"{name}.choices", choice)
    found = {stored(choice): choice for choice in given}
    if len(found) < len(given):
        raise ConfigError(f"{name} names a choice twice: {', '.join(str(stored(choice)) for choice in given)}")
    return found


def _check_plain(name: str, value: Any) -> None:
    """Raise ConfigError unless JSON can hold a value; YAML also has dates, and keys that are numbers."""
    if isinstance(value, Mapping):
        check(all(isinstance(key, str) for key in value), name, value, "keys must be text; put quotes around them")
    else:
        plain = value is None or isinstance(value, str | int | float | tuple | list)
        check(plain, name, value, "must be a text, number, list or mapping; put quotes around a text")
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple | list) else ()
    for part in parts:
        _check_plain(name, part)


def _span(name: str, path: str, given: Mapping[str, Any]) -> Span:
    missing = [key for key in ("low", "high") if key not in given]
    if missing:
        raise ConfigError(f"{name} has no {' and no '.join(missing)}; give low and high, or choices")
    whole = _is_whole(name, path)
    for key in ("low", "high", "step"):
        _check_number(f"{name}.{key}", given.get(key, 1), whole)
    low, high, step, log = given["low"], given["high"], given.get("step"), given.get("log", False)
    check(isinstance(log, bool), f"{name}.log", log, "must be true or false")
    check(low <= high, f"{name}.low", low, f"must be at most high={high}")
    check(not log or low > 0, f"{name}.low", low, "must be above 0 where log is true")
    if step is not None:
        check(step > 0, f"{name}.step", step, "must be above 0")
        check(not log, f"{name}.step", step, "has no meaning where log is true; remove one of them")
        check((high - low) / step <= LARGEST, f"{name}.step", step, f"must give at most {LARGEST:g} steps")
    elif whole:
        step = 1
    if step is not None:
        exact, first = Decimal(str(step)), Decimal(str(low))
        high = first + (Decimal(str(high)) - first) // exact * exact
    return Span(low, int(high) if whole else float(high), step, log, whole)


def _is_whole(name: str, path: str) -> bool:
    """Whether a field of numbers holds integers; raises ConfigError for a field without numbers."""
    hints = {leaf.path: leaf.hint for leaf in leaves(ExperimentConfig)}
    field = "decoding.k" if path == "k" else path
    if field not in hints and path not in SHORT:
        raise UnknownNameError(f"space: {unknown_key(path, [*SHORT, *hints])}")
    hint = hints.get(field)
    hint = next((one for one in get_args(hint) if one is not type(None)), hint)
    plain = getattr(hint, "_type", hint)
    check(plain in (int, float), name, "a range", "the field holds no number; give a list of choices")
    return plain is int


def _check_number(name: str, value: Any, whole: bool) -> None:
    fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    fits = fits and (isinstance(value, int) or math.isfinite(value))
    check(fits, name, repr(value), f"must be {'a whole' if whole else 'a finite'} number")
    check(abs(value) <= LARGEST, name, str(value)[:SHOWN], f"must be {-LARGEST:g} to {LARGEST:g}")


def _when(name: str, given: Any, earlier: Sequence[Axis], paths: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    check(isinstance(given, Mapping), f"{name}.when", given, "must be a mapping of an earlier field to its values")
    by_path, found = {axis.path: axis for axis in earlier}, {}
    for path, values in given.items():
        if path in paths and path not in by_path:
            raise ConfigError(f"{name}.when names {path!r}, which stands below it in the space; move it above")
        check_name(f"field in {name}.when", str(path), list(by_path))
        listed = values if isinstance(values, tuple | list) else [values]
        check(bool(listed), f"{name}.when.{path}", values, "must have at least one value")
        for value in listed:
            _check_plain(f"{name}.when.{path}", value)
            _check_condition(f"{name}.when.{path}", by_path[path], value)
        found[str(path)] = tuple(map(stored, listed))
    return found


def _check_condition(name: str, axis: Axis, value: Any) -> None:
    """Raise ConfigError unless a value is one of the axis."""
    if axis.span is None:
        if stored(value) not in axis.choices:
            check_name(f"value of {name}", str(stored(value)), list(map(str, axis.choices)))
            raise ConfigError(f"{name}={value!r}: is not of the type of the choices of {axis.path}")
        return
    _check_number(name, value, axis.span.whole)
    fits = axis.span.low <= value <= axis.span.high and axis.span.snapped(value) == value
    check(fits, name, value, f"is no value of the range of {axis.path}")
