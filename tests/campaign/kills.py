"""A sweep is killed at random moments, and goes on; at its end it is compared with one that was left alone."""

from __future__ import annotations

import json
import random
import shutil
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from tests.campaign.children import ROOT, Child, Ended, command, program
from tests.campaign.project import NAME, Project, content, files_of, half_done
from tests.campaign.tally import Tally, explain

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}
CPU_TO_END = 10.0
"""Seconds of CPU within which a command ends after SIGTERM or SIGINT."""
HOUR = 3600.0
LAST = "mlflow ui --backend-store-uri"
"""What the last line of a sweep names."""
IMPORTS = 8.0
"""Seconds of CPU that a new interpreter needs before it begins."""
A_ROUND = 6
"""Kills in each sweep, on average."""
FULL = 10
"""Every such start is a new interpreter with all imports; the others are forked."""
NO_RESULT = (".sqlite", "mlflow.json", "sweep.yaml", "tiny.yaml", ".tmp", "-wal", "-journal")
NOT_COMPARED = ("artifacts/cost/", "reports/", f"runs/{NAME}/system.jsonl", "runs/smoke/system.jsonl")


@dataclass(frozen=True)
class Target:
    """The sweep that is killed.

    Args:
        title: Its kind in the table.
        words: Its command line in a folder.
        clean: The folder of one that was left alone.
        seconds: Seconds of CPU that it took.
        name: Its name in runs/.
        forked: Whether starts are forked from this process, most of the time.
        assets: Folder of data that a project needs beside its own; none if empty.
        half: Whether each sweep begins where all is trained.
        varying: What differs between two sweeps that were left alone, and is not compared.
    """

    title: str
    words: Callable[[Path], list[str]]
    clean: Path
    seconds: float
    name: str = NAME
    forked: bool = True
    assets: str = ""
    half: bool = False
    varying: frozenset[str] = frozenset()

    def begin(self, root: Path) -> None:
        """Make the folder of a new project."""
        shutil.rmtree(root, ignore_errors=True)
        if self.half:
            half_done(self.clean, root)
        root.mkdir(parents=True, exist_ok=True)
        if self.assets:
            (root / "assets").symlink_to(self.assets)


def tiny(place: Path, given: Path, tally: Tally, briefly: bool = False) -> Target:
    """The tests' tiny sweep, from nothing or, briefly, from where all is trained."""

    def words(root: Path) -> list[str]:
        return Project(root, given).sweep()

    target = Target("kill, tiny sweep", words, place / "clean", 10.0, half=briefly)
    return target if briefly else _measured(target, place, tally)


def smoke(place: Path, assets: str, tally: Tally) -> Target:
    """The sweep of sweeps/smoke.yaml, each time by a new interpreter.

    It predicts in float32: in bfloat16 a pair that is generated again, in another batch, has other digits.
    """

    def words(root: Path) -> list[str]:
        given = ["--experiment.folder", str(root), "--experiment.decoding.dtype", "float32"]
        return ["sweep", "--config", str(ROOT / "sweeps" / "smoke.yaml"), *given]

    target = Target(
        "kill, smoke sweep", words, place / "smoke-clean", 0, "smoke", forked=False, assets=str(Path(assets).resolve())
    )
    return _measured(target, place, tally)


def _measured(target: Target, place: Path, tally: Tally) -> Target:
    """The target with how long it takes, and with what two sweeps that were left alone do not have in common."""
    file = place / f"{target.clean.name}.json"
    if not file.exists():
        again = place / f"{target.clean.name}-again"
        _, seconds = (left_alone(target, root, place / "log") for root in (target.clean, again))
        varying = compare(target.clean, again, target.name)
        shutil.rmtree(again)
        file.write_text(json.dumps({"seconds": seconds, "varying": varying}))
    known = json.loads(file.read_text())
    if known["varying"]:
        tally.notes.append(f"{target.title}: differs between two sweeps left alone, not compared: {known['varying']}")
    return replace(target, seconds=known["seconds"], varying=frozenset(known["varying"]))


def kill(target: Target, place: Path, tally: Tally, count: int, seed: int) -> None:
    """Kill a sweep so many times; a sweep that has ended is compared, and the next one begins from nothing."""
    rng, done, number = random.Random(seed), 0, 0
    while done < count:
        root = place / f"killed-{number}"
        target.begin(root)
        done += _round(target, root, tally, rng, count - done, f"--seed {seed}, sweep {number}")
        number += 1
        shutil.rmtree(root, ignore_errors=True)


def _round(target: Target, root: Path, tally: Tally, rng: random.Random, most: int, how: str) -> int:
    """One sweep from nothing to its end, killed at most so many times; returns how often it was."""
    kills, log = 0, root.parent / f"log-{root.name}"
    while True:
        before = Standing.of(root, target.name)
        new = not target.forked or rng.random() < 1 / FULL
        child = Child((program if new else command)(target.words(root)), log)
        last, wait = kills >= most, IMPORTS * new + rng.expovariate(A_ROUND / target.seconds)
        if last or child.ends_before(wait):
            ended = child.wait(HOUR)
            if problem := explain(ended) or (f"exit code {ended.code}: {ended.last}" if ended.code else ""):
                tally.fail(f"{target.title}: going on", problem, f"{how}, after {kills} kills")
                return max(kills, 1)
            break
        kills += 1
        number = rng.choice(SIGNALS)
        spent = child.cpu()
        child.send(number)
        ended = child.wait()
        step = f"{how}, kill {kills}: {signal.Signals(number).name} after {wait:.1f} s of CPU"
        problem = _ending(ended, number, spent) or before.lost(Standing.of(root, target.name))
        tally.add(f"{target.title}: {signal.Signals(number).name}", problem, step)
    problems = [one for one in compare(target.clean, root, target.name) if one not in target.varying]
    for problem in problems or [""]:
        tally.add(f"{target.title}: compared with one left alone", problem, f"{how}, {kills} kills")
    return max(kills, 1)


def _ending(ended: Ended, number: int, spent: float) -> str:
    """What is wrong with how a command ended after a signal."""
    if number == signal.SIGKILL:
        return "traceback before the kill" if ended.traceback else ""
    if ended.hung:
        return f"does not end after {signal.Signals(number).name}"
    if ended.cpu - spent > CPU_TO_END:
        return f"takes {ended.cpu - spent:.0f} s of CPU to end"
    if ended.code == 0 or _outside_main(ended, number):
        return ""
    if problem := explain(ended):
        return problem
    return "" if ended.code == CODES[number] else f"exit code {ended.code}, signal {ended.signal}: {ended.last}"


def _outside_main(ended: Ended, number: int) -> bool:
    """Whether a signal came in imports, where no line of ours can be printed, or behind the last line of a sweep."""
    unheard = ended.signal == number and (not ended.err or LAST in ended.err)
    return unheard or ("KeyboardInterrupt" in ended.err and "in _dispatch" not in ended.err)


@dataclass(frozen=True)
class Standing:
    """What a sweep has done: nothing of it may be lost by a kill."""

    artifacts: Mapping[str, int]
    finished: frozenset[str]
    trials: frozenset[str]
    ledger: tuple[str, ...]

    @classmethod
    def of(cls, root: Path, name: str) -> Standing:
        """What is there now."""
        folders = (path for path in root.glob("artifacts/*/*/manifest.json") if ".partial" not in path.parent.name)
        made = {file.parent.relative_to(root).as_posix(): file.stat().st_mtime_ns for file in folders}
        runs = root / "runs" / name
        finished = {file.parent.name for file in runs.glob("*/run.json") if '"status": "finished"' in file.read_text()}
        ledger = root / "runs" / "ledger.jsonl"
        lines = tuple(ledger.read_text().splitlines()) if ledger.exists() else ()
        return cls(made, frozenset(finished), frozenset(trials_of(runs / "study.db")), lines)

    def lost(self, later: Standing) -> str:
        """The first thing that is not there any more, or was made again."""
        for path, made in self.artifacts.items():
            if later.artifacts.get(path) != made:
                return f"artifact {path} is lost or made again"
        gone = [*(self.finished - later.finished), *(self.trials - later.trials)]
        if gone:
            return f"{gone[0]} is lost"
        return "" if later.ledger[: len(self.ledger)] == self.ledger else "the ledger has lost lines"


def trials_of(study: Path) -> list[str]:
    """The completed trials of a study: values and parameters, in order."""
    if not study.exists() or not study.stat().st_size:
        return []
    query = """
        SELECT t.trial_id, (SELECT group_concat(param_name || '=' || param_value) FROM (SELECT * FROM trial_params p
        WHERE p.trial_id = t.trial_id ORDER BY param_name)), (SELECT group_concat(value) FROM trial_values v
        WHERE v.trial_id = t.trial_id) FROM trials t WHERE t.state = 'COMPLETE' ORDER BY t.trial_id"""
    with closing(sqlite3.connect(study)) as database:
        try:
            return [f"trial {row[1]} = {row[2]}" for row in database.execute(query)]
        except sqlite3.OperationalError:  # before its tables are made
            return []


def compare(clean: Path, root: Path, name: str) -> list[str]:
    """What differs between the project of a sweep that was left alone and that of another one, file by file."""
    ours, theirs = ({path for path in files_of(one) if _compared(path)} for one in (root, clean))
    problems = [f"{_short(path)} is missing" for path in sorted(theirs - ours)]
    problems += [f"{_short(path)} is there beside it" for path in sorted(ours - theirs)]
    for path in sorted(ours & theirs):
        if content(root / path, root) != content(clean / path, clean):
            problems.append(f"{_short(path)} differs")
    if trials_of(root / "runs" / name / "study.db") != trials_of(clean / "runs" / name / "study.db"):
        problems.append("the trials of the study differ")
    problems += [f"{path.name} is left over" for path in root.rglob("*.tmp")]
    return list(dict.fromkeys(problems + _ledger(clean, root) + _mlflow(clean, root)))


def _compared(path: str) -> bool:
    left_out = path.startswith(NOT_COMPARED) or ".db" in path or path.endswith(NO_RESULT)
    return not left_out and ".partial" not in path


def _short(path: str) -> str:
    """A file without the digest of its artifact."""
    parts = path.split("/")
    return "/".join([*parts[:2], *parts[3:]]) if parts[0] == "artifacts" else path


def _ledger(clean: Path, root: Path) -> list[str]:
    """Each evaluation on test stands once in the ledger."""
    ours, theirs = (Counter(_evaluations(one / "runs" / "ledger.jsonl")) for one in (root, clean))
    return [] if ours == theirs else ["the ledger differs"]


def _evaluations(path: Path) -> list[str]:
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    shown = [{key: value for key, value in line.items() if key not in ("time", "seal")} for line in lines]
    return [json.dumps(line, sort_keys=True) for line in shown]


def _mlflow(clean: Path, root: Path) -> list[str]:
    """Each run is in MLflow once, with the same metrics."""
    if not (clean / "mlflow.db").exists():
        return []
    if not (root / "mlflow.db").exists():
        return ["there is no mlflow.db"]
    ours, theirs = (mirrored(one / "mlflow.db") for one in (root, clean))
    return (
        []
        if ours == theirs
        else [f"MLflow differs: {sum((ours - theirs).values())} more, {sum((theirs - ours).values())} fewer"]
    )


def mirrored(path: Path) -> Counter[str]:
    """The active runs of a store with their metrics that are no times."""
    query = """
        SELECT r.name || ' ' || coalesce(s.value, '') || ' ' || coalesce((SELECT group_concat(key || '=' || value) FROM
        (SELECT * FROM latest_metrics m WHERE m.run_uuid = r.run_uuid AND key NOT LIKE '%seconds%' AND
        key NOT LIKE '%memory%' AND key NOT LIKE 'system%' AND key NOT LIKE '%time%' ORDER BY key)), '')
        FROM runs r LEFT JOIN tags s ON s.run_uuid = r.run_uuid AND s.key = 'split'
        WHERE r.lifecycle_stage = 'active'"""
    with closing(sqlite3.connect(path)) as database:
        return Counter(str(row[0]) for row in database.execute(query))


def left_alone(target: Target, root: Path, log: Path) -> float:
    """Run a sweep undisturbed, unless it is there; returns its seconds of CPU."""
    if not root.exists():
        target.begin(root)
    ended = Child((command if target.forked else program)(target.words(root)), log).wait(HOUR)
    if ended.code:
        raise AssertionError(ended.err)
    return ended.cpu
