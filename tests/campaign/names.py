"""Hostile names and paths for every command that takes one, and hostile values for every variable of make."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.campaign.children import ROOT, run
from tests.campaign.hostile import FOLDERS, NAMES, VALUES, VARIABLES
from tests.campaign.project import NAME, Project, copy
from tests.campaign.tally import Tally, explain

GIVEN: Mapping[str, Mapping[str, str]] = {
    "sweep": {"CORPUS": "corpus.jsonl"},
    "experiment": {"NAME": "nq_rag_sequence", "SEED": "0"},
    "ask": {"Q": "who"},
}
BROKEN = re.compile(
    r"unexpected EOF|syntax error|unterminated|missing separator|command not found|directory.*CANARY|Traceback"
)
RECORD = """#!{python}
import json, os, sys
with open(os.environ["CAMPAIGN_CALLS"], "a") as file:
    file.write(json.dumps([sys.argv[1:], {{k: os.environ.get(k, "") for k in ("STORAGE", "QUESTION", "Q")}}]) + "\\n")
"""


def run_names(project: Project, place: Path, tally: Tally, count: int, seed: int) -> None:
    """Give hostile names to commands, at most so many; nothing may change outside of what a name may name."""
    shutil.rmtree(place, ignore_errors=True)
    inner = place / "outer" / "inner"
    (place / "outer" / "escape").mkdir(parents=True)
    (place / "outer" / "escape" / "kept").write_text("kept")
    copy(project.root, inner / "project")
    root, records = str(inner / "project"), project.records()
    first, second = [name for name, one in records.items() if one["split"] == "dev"][:2]
    before, work = _outside(place, inner / "project"), inner / "project"
    whole = _listing(work)
    commands = _commands(root, str(project.file), str(project.experiment), first, second)
    tries = [(kind, name) for name in NAMES for kind in commands]
    random.Random(seed).shuffle(tries)
    os.chdir(inner)
    for kind, name in tries[:count]:
        if "\x00" in name or ("/" in name and kind in ("to", "html")):
            continue  # no system passes it on; or it names a place that the user may mean
        words = [word.replace("NAME", name) for word in commands[kind]]
        ended = run(words, place / "log", 120)
        problem = explain(ended)
        if not problem and _outside(place, work) != before:
            problem = "writes outside of the project"
            shutil.rmtree(place / "outer" / "escape", ignore_errors=True)
        now = _listing(work)
        if not problem and (gone := sorted(whole.keys() - now.keys())):
            problem = f"{gone[0]} is gone" + (" (and more)" if len(gone) > 1 else "")
        tally.add(
            f"name: {kind}",
            problem,
            f"{name!r:.100} in `{' '.join(commands[kind])}`",
            "refused" if ended.code else "accepted",
        )
        if now != whole or _outside(place, work) != before:
            copy(project.root, work)
            shutil.rmtree(place / "outer" / "escape", ignore_errors=True)
            (place / "outer" / "escape").mkdir()
            (place / "outer" / "escape" / "kept").write_text("kept")
            for left in [*inner.iterdir(), *(place / "outer").iterdir()]:
                if left.name not in ("project", "inner", "escape"):
                    shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
            before, whole = _outside(place, work), _listing(work)


def _commands(root: str, file: str, experiment: str, first: str, second: str) -> dict[str, list[str]]:
    """Every way in which a command takes a name; NAME stands for it."""
    here = ["--folder", root]
    sweep = ["--config", file, "--experiment.folder", root]
    claims = ["--file", str(ROOT / "experiments/claims.yaml"), "--matrix", str(ROOT / "experiments/matrix.yaml")]
    return {
        "sweep": ["sweep", *sweep, "--name=NAME"],
        "status": ["sweep", *sweep, "--name=NAME", "--status"],
        "report --name": ["report", *sweep, "--name=NAME"],
        "dataset": ["sweep", *sweep, "--experiment.task.dataset=NAME", "--status"],
        "experiment name": ["plan", "--config", experiment, "--name=NAME"],
        "compare": ["report", "--experiment.folder", root, "--compare", first, "NAME"],
        "inspect": ["inspect", "NAME", "--question", "q41", *here],
        "question": ["inspect", first, "--question=NAME", *here],
        "export": ["export", "NAME", *here, "--to", f"{root}/x.zip"],
        "export --format": ["export", first, *here, "--format=NAME", "--to", f"{root}/x.zip"],
        "to": ["export", f"{NAME}/{first}", *here, "--format", "trec_rag", f"--to={root}/NAME"],
        "html": ["inspect", first, "--question", "q41", *here, f"--html={root}/NAME"],
        "verify": ["verify", "NAME"],
        "artifacts --sweep": ["artifacts", "ls", "--sweep=NAME", *here],
        "assess --name": ["assess", "--name=NAME", "--runs", first, second, *here],
        "doctor --data": ["doctor", "--data=NAME"],
        "score --predictions": ["score", "--predictions=NAME", *here],
        "config": ["score", "--config", "NAME"],
        "tracking_uri": ["track", *here, "--tracking_uri=NAME"],
        "storage": ["sweep", *sweep, "--storage=NAME", "--status"],
        "command": ["NAME"],
        "paper --prediction": ["paper", *here, "--prediction=NAME"],
        "claims --only": ["claims", *here, *claims, "--only=[NAME]"],
    }  # fmt: skip


def _listing(root: Path) -> dict[str, int]:
    found = {}
    for path in root.rglob("*"):
        state = path.lstat()
        if stat.S_ISREG(state.st_mode) and not path.name.endswith((".lock", "-wal", "-shm")):
            found[path.relative_to(root).as_posix()] = 0
    return found


def _outside(place: Path, inside: Path) -> list[str]:
    """All that is beside the project."""
    return sorted(str(path) for path in (place / "outer").rglob("*") if inside not in (path, *path.parents))


def run_folders(project: Project, place: Path, tally: Tally, count: int) -> None:
    """Work in folders with such names: a sweep that goes on, its report, its mirror."""
    for name in FOLDERS[:count]:
        root = place / "folders" / name / "project"
        root.parent.mkdir(parents=True, exist_ok=True)
        copy(project.root, root)
        for left in (root / "mlflow.db", *root.rglob("mlflow.json")):
            left.unlink(missing_ok=True)
        shutil.rmtree(root / "mlartifacts", ignore_errors=True)
        there = ["--config", str(project.file), "--experiment.folder", str(root)]
        for words in (
            ["sweep", *there],
            ["report", *there],
            ["track", "--folder", str(root)],
            ["sweep", *there, "--status"],
        ):
            ended = run(words, place / "log", 300)
            problem = explain(ended) or (f"refused: {ended.last}" if ended.code else "")
            tally.add(f"folder: {words[0]}", problem, f"{name!r:.100}")
        shutil.rmtree(place / "folders", ignore_errors=True)


def run_moved(project: Project, place: Path, tally: Tally) -> None:
    """A project that was moved goes on where it is."""
    old, new = place / "moved-from" / "project", place / "moved-to"
    for folder in (old.parent, new):
        shutil.rmtree(folder, ignore_errors=True)
    first = Project(old, project.given)
    copy(project.root, old)
    (old / "mlflow.db").unlink(missing_ok=True)
    for words in (["track", "--folder", str(old), "--all"], ["report", "--config", str(first.file)]):
        run(words, place / "log", 300)
    shutil.move(old.parent, new)
    root = new / "project"
    there = ["--config", str(project.file), "--experiment.folder", str(root)]
    for words in (["sweep", *there], ["report", *there], ["track", "--folder", str(root), "--all"]):
        ended = run(words, place / "log", 300)
        problem = explain(ended) or (f"writes to the old place {old}" if old.exists() else "") or _unsent(ended.err)
        tally.add(f"moved project: {words[0]}", problem, " ".join(words))


def _unsent(text: str) -> str:
    lines = [line for line in text.splitlines() if "MLflow" in line and ("off" in line or "not sent" in line)]
    return lines[0] if lines else ""


def run_make(place: Path, tally: Tally, count: int, seed: int) -> None:
    """Give hostile values to every variable of make, on its command line and in the environment."""
    shutil.rmtree(place, ignore_errors=True)
    checkout, calls = place / "checkout", place / "calls"
    checkout.mkdir(parents=True)
    for name in (
        "Makefile",
        "sweeps",
        "experiments",
        ".ci",
        "rag_lightning",
        "reports",
        "pyproject.toml",
        "constraints.txt",
    ):
        (checkout / name).symlink_to(ROOT / name)
    _stubs(checkout / ".venv")
    tries = [
        (target, variable, value, way)
        for target, variables in VARIABLES.items()
        for variable in variables
        for value in VALUES
        for way in ("argument", "environment")
    ]
    random.Random(seed).shuffle(tries)
    for target, variable, value, way in tries[:count]:
        calls.unlink(missing_ok=True)
        given = dict(GIVEN.get(target, {})) | {variable: value}
        on_line = [f"{name}={one}" for name, one in given.items() if way == "argument" or name != variable]
        env = (
            os.environ
            | {"CAMPAIGN_CALLS": str(calls), "PYTHONPATH": str(ROOT)}
            | ({variable: value} if way == "environment" else {})
        )
        env.pop("MAKEFLAGS", None)
        done = subprocess.run(
            ["make", "-s", target, *on_line],
            cwd=checkout,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            errors="replace",
        )
        problem = _made(checkout, calls, done, variable, value, way)
        tally.add(
            f"make: {way}",
            problem and f"{problem} ({target} {variable})",
            f"make {target} {variable}={value!r:.80}",
            "",
        )
        for left in [path for path in checkout.iterdir() if "CANARY" in path.name or path.name in ("x",)]:
            left.unlink()


def _made(
    checkout: Path, calls: Path, done: subprocess.CompletedProcess[str], variable: str, value: str, way: str
) -> str:
    """What is wrong with what make did with a value."""
    if any("CANARY" in path.name for path in [*checkout.iterdir(), *ROOT.glob("CANARY*")]):
        return "ran a command"
    said = done.stdout + done.stderr
    if found := BROKEN.search(said):
        return f"ends in {found[0]!r}"
    made = [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []
    if way == "environment" or not made:
        return ""
    arrived = json.dumps(
        [*(word for words, _ in made for word in words), *(one for _, env in made for one in env.values())],
        ensure_ascii=False,
    )
    words = shlex.split(value) if variable == "TRAIN" else value.split()  # the files of TRAIN are words of a shell
    kept = [json.dumps(part, ensure_ascii=False)[1:-1] for part in words]
    kept += [json.dumps(part, ensure_ascii=False)[1:-1] for part in kept]
    if variable in ("VERBOSE", "PORT", "SLOW") or value.strip() in ("", "x"):
        return ""
    if not all(part in arrived or json.dumps(part)[1:-1] in arrived for part in kept[: len(words)]):
        return f"arrives changed: {arrived[:160]}"
    return ""


def _stubs(venv: Path) -> None:
    """An environment whose programs note how they are called; its Python is this one."""
    (venv / "bin").mkdir(parents=True)
    for name in ("rag-lightning", "mlflow", "optuna-dashboard"):
        (venv / "bin" / name).write_text(RECORD.format(python=sys.executable))
        (venv / "bin" / name).chmod(0o755)
    (venv / "bin" / "python").symlink_to(sys.executable)
    (venv / "lib").symlink_to(Path(sys.prefix) / "lib")
    if (settings := Path(sys.prefix) / "pyvenv.cfg").exists():
        shutil.copy(settings, venv)
    for name in (".installed", ".installed-dev", ".installed-dashboard"):
        (venv / name).touch()
