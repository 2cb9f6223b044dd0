"""From a regular expression to strings it was written for (Lewis et al. 2020, section 3.1, CuratedTREC).

Where no passage holds a match, the paper enumerates what the pattern could match, with a space for what it leaves open.
Alternatives and optional parts are followed; classes of signs and wildcards become a space. Reads the tree of Python's
own parser (`re._parser`), which takes `(8|9)` for the class `[89]`: a class of few letters or digits is read as
alternatives. Gives at most as many strings as asked.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from itertools import islice
from typing import Any

from rag_lightning.core.errors import DataError

MOST = 32
"""Strings of one pattern."""
COPIES = 8
"""Of a part that is repeated at least so often."""
FEW = 4
"""Letters or digits of a class that is read as alternatives."""
SPACE = " "
Tree = Iterable[tuple[Any, Any]]


def expand(pattern: str, most: int = MOST) -> tuple[str, ...]:
    """At most `most` distinct strings, white space collapsed, none of them empty; earlier alternatives first.

    >>> expand(r"(January|Jan\\.?) 1[,\\s]+1863", most=3)
    ('January 1 1863', 'Jan. 1 1863', 'Jan 1 1863')

    Raises:
        DataError: Python's parser does not read the pattern.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a pattern's style is not at issue
            tree = import_module("re._parser").parse(pattern)
        strings = list(_sequence(list(tree), most))
    except (re.error, OverflowError, RecursionError) as error:
        raise DataError("answers", f"cannot be expanded ({error})", field="pattern", value=pattern) from error
    tidy = (" ".join(string.split()) for string in strings)
    return tuple(islice(dict.fromkeys(string for string in tidy if string), most))


def _sequence(tree: list[tuple[Any, Any]], most: int) -> Iterator[str]:
    """Strings of parts that stand one after the other."""
    made = [""]
    for part in tree:
        ends = list(dict.fromkeys(islice(_part(part, most), most)))
        made = list(islice((start + end for start in made for end in ends), most))
    yield from made


def _part(part: tuple[Any, Any], most: int) -> Iterator[str]:
    name, value = str(part[0]), part[1]
    known: dict[str, Callable[[], Iterator[str]]] = {
        "LITERAL": lambda: iter([chr(value)]),
        "IN": lambda: iter(_class(value)),
        "BRANCH": lambda: (string for way in value[1] for string in _sequence(list(way), most)),
        "SUBPATTERN": lambda: _sequence(list(value[-1]), most),
        "ATOMIC_GROUP": lambda: _sequence(list(value), most),
        "MAX_REPEAT": lambda: _repeated(value[0], value[2], most),
        "MIN_REPEAT": lambda: _repeated(value[0], value[2], most),
        "POSSESSIVE_REPEAT": lambda: _repeated(value[0], value[2], most),
        "AT": lambda: iter([""]),
        "ASSERT": lambda: iter([""]),
        "ASSERT_NOT": lambda: iter([""]),
    }
    yield from known.get(name, lambda: iter([SPACE]))()


def _class(members: list[tuple[Any, Any]]) -> list[str]:
    """Few letters or digits, each in the case that stands first, or one sign; else a space."""
    if any(str(name) != "LITERAL" for name, _ in members):
        return [SPACE]
    signs = {sign.casefold(): sign for sign in reversed([chr(value) for _, value in members])}
    found = list(reversed(signs.values()))
    return found if len(found) == 1 or (len(found) <= FEW and all(map(str.isalnum, found))) else [SPACE]


def _repeated(low: Any, tree: Any, most: int) -> Iterator[str]:
    """As often as it must stand, once if it need not; an optional part is also left out."""
    for string in islice(_sequence(list(tree), most), most):
        yield string * min(max(int(low), 1), COPIES)
    if low == 0:
        yield ""
