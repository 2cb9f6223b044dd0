"""jsonargparse's messages as plain lines with the nearest names."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path


def explain(message: str, keys: Sequence[str]) -> str:
    """jsonargparse's message as one plain line, with the nearest names.

    >>> explain("unrecognized arguments: --sed 3", ["seed", "split"])
    "unknown key '--sed'; did you mean '--seed'?"
    """
    if found := re.search(r"does not exist: '(.*)'", message):
        return _missing_file(Path(found[1]))
    if found := re.match(r"unrecognized arguments: (\S+)", message):
        word = found[1].split("=")[0]
        return f"unknown key {word!r}{_nearest(word, ['--' + key for key in keys])}"
    if found := re.match(r"Group '(.*)' does not accept option '(.*)'", message):
        key = f"{found[1]}.{found[2]}"
        return f"unknown key {key!r}{_nearest(key, keys)}"
    if found := re.match(r"Option '(.*)' is not accepted", message):
        return f"unknown key {found[1]!r}{_nearest(found[1], keys)}"
    if found := re.search(r'key "([^"]*)":\s+Expected a (.*)\. Got value: (.*)', message, re.DOTALL):
        return f"{found[1]}: {_wrong_type(found[2], found[3])}"
    if found := re.match(r"Parser key \"(.*)\":\s+Unable to load config '(.*)'", message):
        return f"{found[1]}: {found[2]!r} is not a YAML file; its keys are written --{found[1]}.key value"
    if message.startswith("Unexpected config"):
        return "is not a YAML mapping of keys to values"
    return message.replace("Problems parsing config:", "is not YAML:").replace('in "<unicode string>", ', "")


def _wrong_type(expected: str, value: str) -> str:
    if expected.startswith("typing.Literal"):
        names = re.findall(r"'([^']*)'", expected)
        return f"must be one of {', '.join(names)}, not {value!r}{_nearest(value, names)}"
    kind = {"tuple": "list, such as [a, b]", "collections.abc.Mapping": "mapping, such as {a: 1}"}
    plain = re.sub(r"<class '(.*)'>", r"\1", expected)
    return f"must be {kind.get(plain, plain)}, not {value!r}"


def _missing_file(path: Path) -> str:
    """A missing file, with what its folder holds."""
    folder = path.parent
    there = sorted(other.name for other in folder.glob("*.yaml")) if folder.is_dir() else []
    shown = os.path.relpath(path)
    known = f" ({os.path.relpath(folder)} holds {', '.join(there)})" if there else ""
    return f"{shown}: no such file{known}{_nearest(path.name, there)}"


def _nearest(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
