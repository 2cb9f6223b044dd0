"""The MLflow mirrors of a project, which send in the background; commands `track` and `report`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.console import say
from rag_lightning.core.errors import RagLightningError
from rag_lightning.core.redact import redact
from rag_lightning.core.registry import load
from rag_lightning.report import command as report_command
from rag_lightning.runs import folders
from rag_lightning.runs.record import read_run, run_folders
from rag_lightning.tracking.mirror import LINK, Extras, Mirror
from rag_lightning.tracking.store import default_uri

EXTRAS = "rag_lightning.serving.extras:log_extras"
"""What a chosen system gets beside its run; imported when it is used, because it needs torch."""


class Sender:
    """A mirror whose calls return at once: a thread sends, in order. A killed process loses nothing, since the run
    folders are the source."""

    def __init__(self, mirror: Mirror, runs: Path, pool: ThreadPoolExecutor) -> None:
        self.mirror, self.runs, self._pool = mirror, runs, pool
        self._sent: list[Future[None]] = []

    def parent(self, name: str) -> None:
        """Send the page of a sweep."""
        self._later(self.mirror.parent, name)

    def child(self, folder: Path) -> None:
        """Send a run folder."""
        self._later(self.mirror.child, folder)

    def single(self, name: str, params: dict[str, Any], metrics: dict[str, float]) -> None:
        """Send a run without a folder."""
        self._later(self.mirror.single, name, params, metrics)

    def finish(self, name: str) -> None:
        """Send what is left of a sweep and its page, and wait until all is sent."""
        for folder in run_folders(self.runs):
            if folder.parent == self.runs / name:
                self.child(folder)
        self._later(self.mirror.parent, name)
        self.wait()

    def wait(self) -> None:
        """Wait until everything is sent."""
        while self._sent:
            self._sent.pop(0).result()

    def _later(self, send: Callable[..., object], *given: object) -> None:
        kept = [one for one in self._sent if not one.done() or one.exception()]
        self._sent = [*kept, self._pool.submit(_careful, send, *given)]


def _careful(send: Callable[..., object], *given: object) -> None:
    """Call `send`; a damaged file is a line on the console, not the end of the sweep."""
    try:
        send(*given)
    except RagLightningError as error:
        say(f"not sent to MLflow: {error}")


class Mirrors:
    """The mirrors of one project, one per MLflow experiment, each created at its first use.

    Args:
        root: Project folder.
        tracking_uri: MLflow tracking URI; empty for an SQLite file in the project folder.
        extras: As for `Mirror`.
    """

    def __init__(self, root: str | Path, tracking_uri: str, extras: Extras | None = None) -> None:
        self.root, self.uri, self.extras = Path(root), default_uri(Path(root), tracking_uri), extras
        self._made: dict[str, Sender] = {}
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="MLflow")

    def of(self, experiment: str) -> Sender:
        """The mirror of an MLflow experiment; all runs of a task are in the experiment of its name."""
        if experiment not in self._made:
            mirror = Mirror(self.uri, experiment, self.root, say, self.extras)
            self._made[experiment] = Sender(mirror, folders.runs(self.root), self._pool)
        return self._made[experiment]

    def wait(self) -> None:
        """Wait until everything is sent."""
        for sender in self._made.values():
            sender.wait()


def run(config: ExperimentConfig, every: bool = False) -> None:
    """Send run folders to MLflow.

    Args:
        config: Its folder and tracking URI are used.
        every: Send all that is stored, also what is there unchanged.

    Raises:
        RagLightningError: files of runs are damaged, the other runs are sent; or the store cannot be used.
        ConfigError: the tracking URI is no URI.
    """
    root, found = Path(config.folder), run_folders(folders.runs(config.folder))
    mirrors: dict[str, Mirror] = {}
    sweeps, problems, unsent, sent = dict[tuple[str, str], bool](), list[str](), list[str](), 0
    for folder in found:
        try:
            record = read_run(folder)
            task, sweep = str(record["task"]), str(record["sweep"])
            mirror = mirrors.setdefault(task, Mirror(config.tracking_uri, task, root, say, load(EXTRAS)))
            before = (folder / LINK).read_bytes() if (folder / LINK).exists() else b""
            sent += mirror.child(folder, every) is not None
            changed = not (folder / LINK).exists() or (folder / LINK).read_bytes() != before
            sweeps[task, sweep] = sweeps.get((task, sweep), every) or changed
        except RagLightningError as error:
            problems.append(str(error))
    for (task, name), changed in sweeps.items():
        if changed:
            try:
                sent_page = mirrors[task].parent(name) is not None
                unsent += [] if sent_page or not folders.run_group(root, name).is_dir() else [name]
            except RagLightningError as error:
                problems.append(str(error))
    uri = redact(default_uri(root, config.tracking_uri))
    say(f"{sent} of {len(found)} runs of {folders.runs(root)} are in MLflow ({uri})")
    if problems:
        raise RagLightningError(f"{len(problems)} runs were not sent to MLflow; {problems[0]}")
    if sent < len(found):
        raise RagLightningError(f"{len(found) - sent} runs were not sent to MLflow; try again when {uri} answers")
    if unsent:
        raise RagLightningError(f"the page of {unsent[0]} was not sent to MLflow; try again when {uri} answers")


def report(config: SweepConfig) -> None:
    """Write the report of a sweep; if its runs are in MLflow, the page of the sweep there gets it too.

    Raises:
        DataError, ArtifactError: as `report.command.run`.
    """
    report_command.run(config)
    experiment = config.experiment
    group = folders.run_group(experiment.folder, config.name)
    if any(group.glob(f"*/{LINK}")):
        Mirror(experiment.tracking_uri, experiment.task.name, Path(experiment.folder), say).parent(config.name)
