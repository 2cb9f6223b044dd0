"""Files of other toolkits' layouts, written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError


def write_lines(path: Path, lines: Iterable[str]) -> int:
    """One string a line, UTF-8; returns how many."""
    listed = list(lines)
    _write(path, "".join(f"{line}\n" for line in listed))
    return len(listed)


def write_list(path: Path, items: Iterable[dict[str, Any]]) -> int:
    """A JSON list of objects, one a line; returns how many."""
    listed = [json.dumps(item, ensure_ascii=False) for item in items]
    _write(path, "[\n" + ",\n".join(listed) + "\n]\n")
    return len(listed)


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise DataError(path, f"cannot be written: {error.strerror}", hint="give another file to export to") from error
