"""Golden values against found ones: numbers to 1e-4, texts exactly, ties told from differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.golden import names

TOLERANCE = 1e-4
"""Absolute below 1, relative above."""
Rename = Callable[[str], str | None]


def close(golden: float, found: float) -> bool:
    """Whether two numbers are the same on another CPU."""
    return abs(golden - found) <= TOLERANCE * max(1.0, abs(golden))


def renamed(values: Mapping[str, Any], *levels: Rename) -> dict[str, Any]:
    """Recorded values under today's names: a function a level of keys, None drops one."""
    rename, *below = levels
    found = {}
    for old, value in values.items():
        new = rename(old)
        if new is not None:
            found[new] = renamed(value, *below) if below else value
    return found


def compare(golden: Any, found: Any, place: str = "") -> Iterator[str]:
    """What differs, a line each."""
    if isinstance(golden, Mapping) and isinstance(found, Mapping):
        for key in sorted(set(golden) | set(found)):
            if key not in golden or key not in found:
                yield f"{place}/{key}: only {'found' if key in found else 'golden'}"
            else:
                yield from compare(golden[key], found[key], f"{place}/{key}")
    elif isinstance(golden, list) and isinstance(found, list) and len(golden) == len(found):
        for i, pair in enumerate(zip(golden, found, strict=True)):
            yield from compare(*pair, f"{place}/{i}")
    elif not _same(golden, found):
        yield f"{place}: golden {golden!r}, found {found!r}"


def _same(golden: Any, found: Any) -> bool:
    if isinstance(golden, int | float) and isinstance(found, int | float):
        return close(golden, found)
    return bool(names.CELLS.get(golden, golden) == found) if isinstance(golden, str) else bool(golden == found)


def compare_system(golden: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """What differs between a recorded system and one that has just run.

    Where passages or hypotheses of one score (to the tolerance) have changed places, that is a tie and no difference;
    metrics of all questions are then not compared.
    """
    differences: list[str] = []
    ties = 0
    for part in ("model", "rankings"):
        differences += compare(golden[part], found[part], part)
    if set(golden["questions"]) != set(found["questions"]):
        return [*differences, "questions: other questions"]
    for name, question in golden["questions"].items():
        lines, tied = _compare_question(question, found["questions"][name])
        differences += [f"{name} {line}" for line in lines]
        ties += tied
    if not ties:
        differences += compare(renamed(golden["metrics"], names.metric), found["metrics"], "metrics")
    return differences


def _compare_question(golden: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[list[str], int]:
    swaps = {part: _swaps(golden[part], found[part]) for part in ("passages", "hypotheses") if part in golden}
    ties = sum(len(places) for places in swaps.values())
    differences = []
    for part, places in swaps.items():
        if len(golden[part]) != len(found[part]):
            differences.append(f"{part}: golden {len(golden[part])}, found {len(found[part])}")
        for i, (a, b) in enumerate(zip(golden[part], found[part], strict=False)):
            pair = (a, b) if i not in places else (a[1:2], b[1:2])
            differences += compare(*pair, f"{part}/{i}")
    if 0 not in swaps["hypotheses"]:
        differences += compare(golden["text"], found["text"], "text")
    differences += compare(golden["log_prob"], found["log_prob"], "log_prob")
    return differences, ties


def _swaps(golden: list[Any], found: list[Any]) -> set[int]:
    """Places whose name is another, though one that the golden list holds at the same score."""
    scores = {name: score for name, score, *_ in golden}
    return {
        i
        for i, (a, b) in enumerate(zip(golden, found, strict=False))
        if a[0] != b[0] and b[0] in scores and close(a[1], scores[b[0]])
    }
