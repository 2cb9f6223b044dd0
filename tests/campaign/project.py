"""The project that is attacked: the tests' tiny sweep with everything that is made from it; and what its files say."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.core.files import content_digest
from tests.campaign.children import Child, command, run_to_end
from tests.conftest import make_bert
from tests.tiny_project import sweep, write_data

NAME = "tiny"
FLEETING = re.compile(
    r"second|retrieval_share|^pairs?_|^reused$|^encod(ed|ings_reused)$|^(time|started|ended|command|hardware|user|made|mtime_ns|timings|peak_memory|git|packages|planned_seconds|"
    r"sha256|seal|size|build_time|cpu|monitor|pid)$"
)
"""Fields whose values differ from run to run: clocks, and the checksums of files that hold some."""
STOPPED_AT = 40
"""Step of the training whose resume point is left."""
HALF_DONE = ("predictions", "scores", "pairs", "rankings", "cost")
"""Kinds of artifacts that a sweep makes in its last minute."""
LOCKS = (".lock", "-shm", ".log")
PATH = re.compile(r'"(?:/[^"]*|FOLDER)"')
"""A path outside of the project: of the user's data, which may lie elsewhere for another one."""
DURATION = re.compile(r"\d+(?:\.\d+)? ?(?:ms|s|min|h|d)\b(?: \d\d (?:s|min))?|\d+(?:\.\d+)? of \S+ GiB free *")


DIGITS = 4
"""Digits of a number that do not depend on what else was computed with it in a batch."""
ROOM = re.compile("[ ━─]+")


@dataclass(frozen=True)
class Project:
    """A project's folder, with the folder that holds its data and its encoder."""

    root: Path
    given: Path

    @property
    def config(self) -> SweepConfig:
        """The sweep."""
        return sweep(self.root, self.given / "data", self.given / "bert")

    @property
    def file(self) -> Path:
        """The sweep's configuration as a file."""
        path = self.given / f"{content_digest(str(self.root))}.yaml"
        if not path.exists():
            path.write_text(json.dumps(to_dict(self.config)))
        return path

    @property
    def experiment(self) -> Path:
        """The sweep's experiment as a file."""
        path = self.given / f"experiment-{self.root.name}.yaml"
        if not path.exists():
            path.write_text(json.dumps(to_dict(self.config.experiment)))
        return path

    @property
    def log(self) -> Path:
        """A folder for what commands print."""
        return self.given / f"log-{self.root.name}"

    @property
    def runs(self) -> Path:
        """The folder of the sweep's runs."""
        return self.root / "runs" / NAME

    def sweep(self, *more: str) -> list[str]:
        """The command line of the sweep."""
        return ["sweep", "--config", str(self.file), *more]

    def report(self) -> list[str]:
        """The command line of its report."""
        return ["report", "--config", str(self.file)]

    def records(self) -> dict[str, dict[str, Any]]:
        """run_id -> run.json."""
        files = sorted(self.runs.glob("*/run.json"))
        return {file.parent.name: json.loads(file.read_text(encoding="utf-8")) for file in files}


def give(place: Path) -> Path:
    """The folder of data and encoder."""

    def work() -> int:
        write_data(place / "data")
        make_bert(place / "bert")
        return 0

    if not (place / "bert" / "config.json").exists():
        ended = Child(work, place / "log").wait()
        assert ended.code == 0, ended.err
    return place


def complete(made: Project, briefly: bool = False) -> None:
    """Add what other commands make from a sweep: bundle, results, report, comparison, an interrupted training."""
    folder, records = str(made.root), made.records()
    on_dev = [name for name, record in records.items() if record["split"] == "dev" and record["role"] != "final"]
    reports = made.root / "reports" / "out"
    commands = [
        ["export", NAME, "--folder", folder, "--to", str(reports / "tiny.zip")],
        made.report(),
        ["export", on_dev[0], "--folder", folder, "--format", "trec_rag", "--to", str(reports / "results.jsonl")],
        ["report", "--experiment.folder", folder, "--compare", on_dev[0], on_dev[1]],
        ["paper", "--folder", folder],
    ]
    for words in commands[:1] if briefly else commands:
        run_to_end(words, made.log)
    if not briefly:
        _leave_resume_point(made)


def _leave_resume_point(made: Project) -> None:
    """Leave the folder of a training that SIGTERM ended beside the reader that is there."""
    other = Project(made.root.with_name("interrupted"), made.given)
    copy(made.root, other.root)
    for folder in other.root.glob("artifacts/reader/*/"):
        shutil.rmtree(folder)
    words = ["reader", "--config", str(made.experiment), "--folder", str(other.root)]

    def work() -> int:
        from rag_lightning.training.rag import ReaderModule

        real = ReaderModule.training_step

        def step(self: ReaderModule, batch: Any, index: int) -> Any:
            if self.global_step == STOPPED_AT:
                os.kill(os.getpid(), signal.SIGTERM)
            return real(self, batch, index)

        ReaderModule.training_step = step  # type: ignore[method-assign]
        return command(words)()

    Child(work, made.log).wait()
    for folder in other.root.glob("artifacts/reader/*.partial"):
        copy(folder, made.root / folder.relative_to(other.root))
    shutil.rmtree(other.root)


def files_of(root: Path) -> dict[str, tuple[int, int]]:
    """Path -> size and time of change of every file of a project, without locks and MLflow's copies of tables."""
    found: dict[str, tuple[int, int]] = {}
    folders = [str(root)]
    while folders:
        for entry in os.scandir(folders.pop()):
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "mlartifacts":
                    folders.append(entry.path)
            elif entry.is_file(follow_symlinks=False) and not entry.name.endswith(LOCKS):
                state = entry.stat()
                found[entry.path[len(str(root)) + 1 :]] = state.st_size, state.st_mtime_ns
    return found


def plain(value: Any) -> Any:
    """A JSON value without what differs from run to run."""
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items() if not FLEETING.search(str(key))}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return round(value, DIGITS) if isinstance(value, float) else value


def masked(text: str, root: Path) -> str:
    """A text without the name of the folder, durations, and the room that columns have for them."""
    return ROOM.sub(" ", DURATION.sub("TIME", text.replace(str(root), "FOLDER")))


def content(path: Path, root: Path) -> str:
    """The digest of what a file says, the same in two undisturbed sweeps."""
    raw = path.read_bytes()
    if path.suffix in (".db", ".sqlite"):
        return content_digest("\n".join(rows_of(path)))
    if path.suffix in (".json", ".jsonl"):
        try:
            values = [json.loads(line) for line in raw.splitlines()] if path.suffix == ".jsonl" else json.loads(raw)
            text = masked(json.dumps(plain(values), sort_keys=True), root)
            return content_digest(PATH.sub('"PATH"', text))
        except ValueError:
            return content_digest(raw)
    if path.suffix in (".html", ".md", ".tex", ".csv"):
        return content_digest(masked(raw.decode("utf-8", "backslashreplace"), root))
    return content_digest(raw)


def rows_of(path: Path) -> Iterator[str]:
    """The rows of a database, in order."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type='table' ORDER BY name")]
        for name in names:
            yield from sorted(repr(row) for row in database.execute(f'SELECT * FROM "{name}"'))


def copy(source: Path, target: Path) -> None:
    """Copy a folder with the times of its files."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)


def half_done(source: Path, target: Path) -> None:
    """Copy the project of a finished sweep as it was before its first trial: all is built and trained."""
    copy(source, target)
    for name in ("runs", "mlartifacts", "reports", *(f"artifacts/{kind}" for kind in HALF_DONE)):
        shutil.rmtree(target / name, ignore_errors=True)
    (target / "mlflow.db").unlink(missing_ok=True)


def take(source: Path, target: Path) -> None:
    """Copy a finished sweep without its mirror, whose places are absolute, and without what was made after it."""
    copy(source, target)
    marker = target / "finished"
    if marker.exists():
        ended = marker.stat().st_mtime
        for manifest in target.glob("artifacts/*/*/manifest.json"):
            if manifest.stat().st_mtime > ended:
                shutil.rmtree(manifest.parent)
        marker.unlink()
    for path in (target / "mlflow.db", *target.rglob("mlflow.json")):
        path.unlink(missing_ok=True)
