"""`make` in a project whose programs only write down how they are called."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from sysconfig import get_path

import pytest

ROOT = Path(__file__).parents[1]
NEEDS_MAKE = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
OUTSIDE = {name: value for name, value in os.environ.items() if name not in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS")}
STUB = "#!/bin/sh\nprintf '%s\\0' \"${0##*/}\" \"$@\" '' >> calls\n"
"""A program that appends its name and words to a file."""
PROGRAMS = ("rag-lightning", "optuna-dashboard", "mlflow")

_spec = spec_from_file_location("make", ROOT / ".ci" / "make.py")
assert _spec is not None and _spec.loader is not None
script = module_from_spec(_spec)
"""The script that the Makefile runs."""
_spec.loader.exec_module(script)


def arguments() -> list[str]:
    """The arguments that the Makefile knows."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    (line,) = [one for one in text.splitlines() if one.startswith("override ARGUMENTS")]
    return line.partition(":=")[2].split()


def words_of(target: str, *given: str) -> list[str]:
    """The words that a target runs with arguments NAME=value, without the program."""
    values = dict.fromkeys(arguments(), "") | dict(one.split("=", 1) for one in given)
    words: list[str] = script.command(target, values)[1:]
    return words


def make(*words: str, cwd: Path = ROOT, **outside: str) -> subprocess.CompletedProcess[str]:
    """Run make with the project's Makefile."""
    found = os.pathsep.join((str(ROOT), get_path("purelib")))  # the link in a stub's .venv finds no packages itself
    environment = OUTSIDE | {"PYTHONPATH": found} | outside
    command = ["make", "-f", str(ROOT / "Makefile"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, env=environment, check=False)


def write_stub(path: Path, text: str = STUB) -> None:
    """A program in the place of ours."""
    path.write_text(text)
    path.chmod(0o755)


def new_project(folder: Path) -> Path:
    """A checkout that is installed."""
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in (".ci", "sweeps"):
        (folder / name).symlink_to(ROOT / name)
    for name in ("pyproject.toml", "constraints.txt", ".venv/.installed", ".venv/.installed-dashboard"):
        (folder / name).touch()
    (programs / "python").symlink_to(sys.executable)
    for program in PROGRAMS:
        write_stub(programs / program)
    return folder


def calls(folder: Path) -> list[list[str]]:
    """The calls of programs since the last look: their names and words."""
    file = folder / "calls"
    words = file.read_bytes().decode(errors="surrogateescape").split("\0")[:-1] if file.exists() else []
    file.unlink(missing_ok=True)
    found: list[list[str]] = [[]]
    for word in words:
        if word:
            found[-1].append(word)
        else:
            found.append([])
    return found[:-1]
