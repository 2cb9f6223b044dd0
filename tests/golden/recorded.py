"""The files of `recorded/`: read, and written anew where GOLDEN_RECORD is set (`python -m tests.golden.record`)."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "recorded"
RECORD = "GOLDEN_RECORD"
DIGITS = 6
FLAT = 100
"""What fits this many characters stands on one line."""


def recorded_or(name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """The golden values of a name; where they are being recorded, those just found."""
    file = FOLDER / f"{name}.json"
    if os.environ.get(RECORD):
        FOLDER.mkdir(exist_ok=True)
        file.write_text(_dump({"commit": _commit(), **_rounded(found)}) + "\n", encoding="utf-8")
    values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    del values["commit"]
    return values


def _commit() -> str:
    """The last commit that changed the package, which must be as committed."""
    changed = _git("status", "--porcelain", "--", "rag_lightning")
    assert not changed, f"golden values are recorded from committed code only; changed: {changed}"
    return _git("log", "-1", "--format=%h", "--", "rag_lightning")


def _git(*words: str) -> str:
    root = Path(__file__).parents[2]
    return subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list | tuple) else value


def _dump(value: Any, indent: int = 0) -> str:
    """JSON with a line for whatever fits one."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent <= FLAT or not isinstance(value, dict):
        return flat
    inner = ",\n".join(
        f"{' ' * (indent + 1)}{json.dumps(key, ensure_ascii=False)}: {_dump(item, indent + 1)}"
        for key, item in value.items()
    )
    return f"{{\n{inner}\n{' ' * indent}}}"
