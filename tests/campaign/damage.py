"""Ways in which a file comes to harm: flipped bits, cuts, edits by hand, and content that fits a checksum."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rag_lightning.core import files
from rag_lightning.core.artifacts import MANIFEST

VALUES: tuple[Any, ...] = (
    None,
    True,
    "x",
    -1,
    10**400,
    1e308,
    float("nan"),
    [],
    {},
    [[]],
    "\x00",
    "../..",
    "\ud800",
    "<b>",
)
"""What is put in the place of a value of a JSON file."""
SEAL = "seal"
"""Field of a JSON file with the digest of the others."""
Rng = random.Random
Way = Callable[[bytes, Rng], bytes]


def flip(raw: bytes, rng: Rng) -> bytes:
    """One bit the other way round."""
    place = rng.randrange(len(raw))
    return raw[:place] + bytes([raw[place] ^ (1 << rng.randrange(8))]) + raw[place + 1 :]


def flip_in_head(raw: bytes, rng: Rng) -> bytes:
    """One bit among the first ones, where formats have their counts and sizes."""
    return flip(raw[:200], rng) + raw[200:]


def cut(raw: bytes, rng: Rng) -> bytes:
    """An end that is missing."""
    return raw[: rng.randrange(len(raw))]


def empty(raw: bytes, rng: Rng) -> bytes:
    """Nothing."""
    return b""


def zero(raw: bytes, rng: Rng) -> bytes:
    """A block of zeros, as a disk leaves it that lost power."""
    place = rng.randrange(len(raw))
    length = min(len(raw) - place, rng.choice((16, 512, 4096)))
    return raw[:place] + bytes(length) + raw[place + length :]


def lengthen(raw: bytes, rng: Rng) -> bytes:
    """More at the end than was written."""
    return raw + raw[: rng.randrange(1, 1 + len(raw))]


def edit(raw: bytes, rng: Rng) -> bytes:
    """Another digit, as by a careless edit."""
    digits = [found.start() for found in re.finditer(rb"[0-9]", raw[: 1 << 20])]
    if not digits:
        return flip(raw, rng)
    place = rng.choice(digits)
    return raw[:place] + str((int(raw[place : place + 1]) + rng.randrange(1, 10)) % 10).encode() + raw[place + 1 :]


def retype(raw: bytes, rng: Rng) -> bytes:
    """A value of another type in JSON."""
    text = raw.decode("utf-8", "replace")
    lines = text.splitlines()
    place = rng.randrange(len(lines)) if lines else 0
    for whole in (text, lines[place] if lines else ""):
        try:
            value = json.loads(whole)
        except ValueError:
            continue
        changed = json.dumps(_replaced(value, rng))
        made = changed if whole is text else "\n".join([*lines[:place], changed, *lines[place + 1 :]]) + "\n"
        return made.encode("utf-8", "surrogatepass")
    return edit(raw, rng)


def leave_out(raw: bytes, rng: Rng) -> bytes:
    """A line, or a block, that is not there."""
    lines = raw.splitlines(keepends=True)
    place = rng.randrange(len(lines))
    return b"".join(lines[:place] + lines[place + 1 :])


WAYS: tuple[Way, ...] = (
    flip, flip, flip_in_head, cut, cut, empty, zero, lengthen, edit, edit, retype, leave_out,
)  # fmt: skip


def _replaced(value: Any, rng: Rng) -> Any:
    """A JSON value with one value in it replaced, or one key left out."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        name = rng.choice(list(value))
        if rng.random() < 0.15:
            return {key: one for key, one in value.items() if key != name}
        return value | {name: _replaced(value[name], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        return [*value[:place], _replaced(value[place], rng), *value[place + 1 :]]
    return rng.choice(VALUES)


def harm(path: Path, rng: Rng, ways: Sequence[Way] = WAYS) -> str:
    """Damage a file in some way; returns which. In half of all cases it keeps its time, as with rotten bits."""
    raw, state = path.read_bytes(), path.stat()
    if not raw:
        path.write_bytes(b"\x01")
        return "filled"
    way = rng.choice(ways)
    for _ in range(9):
        if (changed := way(raw, rng)) != raw:
            break
    else:
        way, changed = flip, flip(raw, rng)
    path.write_bytes(changed)
    if rng.random() < 0.5:
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    return way.__name__


def seal(path: Path, artifact: Path | None) -> None:
    """Let the seal of a changed file, and the manifest of its artifact, fit it, as somebody would who means harm."""
    _seal(path)
    if artifact is None or path.name == MANIFEST:
        return
    files._sha256.cache_clear()
    manifest = json.loads((artifact / MANIFEST).read_text(encoding="utf-8"))
    state = path.stat()
    about = {"size": state.st_size, "mtime_ns": state.st_mtime_ns, "sha256": files.file_sha256(path)}
    manifest["files"][path.relative_to(artifact).as_posix()] = about
    files.write_json(artifact / MANIFEST, manifest)
    _seal(artifact / MANIFEST)


def _seal(path: Path) -> None:
    with suppress(ValueError, OverflowError):
        value = json.loads(path.read_bytes())
        if isinstance(value, dict) and value.pop(SEAL, None):
            files.write_json(path, value | {SEAL: files.digest(value)})
