"""Command `artifacts`: list artifacts with the runs that use them, sum sizes, or remove those that no run uses."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rag_lightning.artifacts import inventory
from rag_lightning.artifacts.inventory import Entry, State, User, entries, files_beside, unfinished_sweeps, users
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.console import say
from rag_lightning.core.errors import ArtifactError, ConfigError
from rag_lightning.core.plain import clean
from rag_lightning.core.registry import check_name
from rag_lightning.core.tables import Grid
from rag_lightning.runs import folders

SHORT = 8
"""Hex digits of a digest in a table."""
UNUSED: Mapping[State, str] = {
    "whole": "no run",
    "unfinished": "no run; unfinished build",
    "pairs": "no run",
    "remains": "left over",
    "elsewhere": "build of a machine: left alone",
    "link": "link: left alone",
    "damaged": "damaged: left alone; remove it by hand",
    "unknown": "made by no stage: left alone",
}
REMOVABLE = ("whole", "unfinished", "pairs", "remains")
NUMERIC = ("artifacts", "size", "by no other", "age")
"""Heads of columns of numbers."""


@dataclass(frozen=True)
class Holdings:
    """The entries of artifacts/, with the runs that use each of them."""

    entries: Sequence[Entry]
    users: Mapping[Path, set[User]]

    def groups(self, entry: Entry) -> Counter[str]:
        """Folder in runs/ -> number of its runs that use the entry, 0 for the retrieval table of a sweep alone."""
        found: Counter[str] = Counter()
        for group, run_id in sorted(self.users.get(entry.path, ())):
            found[group] += bool(run_id)
        return found

    def used_by(self, entry: Entry) -> str:
        """The runs that use an entry in words, or what it is."""
        named = [f"{group} ({count})" if count else group for group, count in self.groups(entry).items()]
        if entry.state not in REMOVABLE or not named:
            return ", ".join([*named, UNUSED[entry.state]])
        return ", ".join(named)

    @property
    def garbage(self) -> list[Entry]:
        """The entries that no run uses, without those that are left alone."""
        return [one for one in self.entries if one.state in REMOVABLE and not self.users.get(one.path)]


def run(config: ExperimentConfig, action: str, sweep: str = "", confirm: str = "") -> None:
    """List, sum up or remove artifacts.

    Args:
        config: Configuration with the folder of artifacts and runs.
        action: ls, du or gc.
        sweep: Folder in runs/ whose artifacts ls lists; empty for all.
        confirm: yes for gc to remove; otherwise it lists what it would remove.

    Raises:
        UnknownNameError: an unknown action or sweep.
        ConfigError: an option of another action.
        ArtifactError: gc while another process uses the artifacts, or beside a damaged manifest.
        DataError: the record of a run or sweep is damaged.
    """
    check_name("action of artifacts", action, ("ls", "du", "gc"))
    if sweep and action != "ls":
        raise ConfigError("--sweep is for artifacts ls")
    if confirm and (action, confirm) != ("gc", "yes"):
        raise ConfigError(f"--confirm {confirm!r}: only --confirm yes, and only for artifacts gc")
    root = Path(config.folder)
    if action == "gc":
        return collect(root, confirmed=confirm == "yes")
    held = holdings(root)
    if action == "ls":
        return show(held, sweep)
    sum_up(held)
    if open_sweeps := unfinished_sweeps(root):
        print(clean(f"not finished: {', '.join(map(str, open_sweeps))}; what they built since counts as of no run"))


def holdings(root: Path) -> Holdings:
    """The artifacts of a project.

    Raises:
        DataError: the record of a run or sweep is damaged.
    """
    found = entries(root)
    return Holdings(found, users(root, found))


def show(held: Holdings, sweep: str = "") -> None:
    """Print one row per entry, of one sweep or of all.

    Raises:
        UnknownNameError: no artifact is used by a sweep of this name.
    """
    listed = held.entries
    if sweep:
        names = sorted({group for one in listed for group in held.groups(one)})
        check_name("sweep with artifacts", sweep, names)
        listed = [one for one in listed if sweep in held.groups(one)]
    _print_entries(held, listed, "used by (runs)")
    print(f"{len(listed)} artifacts, {size(_total(listed))}, each a folder artifacts/KIND/DIGEST…")


def sum_up(held: Holdings) -> None:
    """Print the sizes by kind and by folder of runs, and the total."""
    kinds = Grid("kind", "artifacts", "size", numeric=NUMERIC)
    for kind in dict.fromkeys(one.kind for one in held.entries):
        mine = [one for one in held.entries if one.kind == kind]
        kinds.add(kind, str(len(mine)), size(_total(mine)))
    groups = Grid("used by", "artifacts", "size", "by no other", numeric=NUMERIC)
    for group in sorted({group for one in held.entries for group in held.groups(one)}):
        mine = [one for one in held.entries if group in held.groups(one)]
        alone = [one for one in mine if len(held.groups(one)) == 1]
        groups.add(group, str(len(mine)), size(_total(mine)), size(_total(alone)))
    groups.add("no run", str(len(held.garbage)), size(_total(held.garbage)), "")
    kinds.show()
    groups.show()
    total = f"total {size(_total(held.entries))}"
    print(f"{total}; what several sweeps use counts in the row of each, and once in the total")


def collect(root: Path, *, confirmed: bool) -> None:
    """Remove what no run uses, or list it.

    Args:
        root: Project folder.
        confirmed: Remove; otherwise only list.

    Raises:
        ArtifactError: another process uses the artifacts, or what one was made from is not known.
        ConfigError: confirmed while a sweep has not finished.
        DataError: the record of a run or sweep is damaged.
    """
    if not folders.artifacts(root).is_dir():
        return print("no artifacts")
    open_sweeps = [str(folder) for folder in unfinished_sweeps(root)]
    problem = f"not finished: {', '.join(open_sweeps)}; their artifacts are not all recorded yet: finish or remove them"
    if not confirmed:
        held = _known(holdings(root))
        _print_entries(held, held.garbage, "why")
        print(f"gc would remove {len(held.garbage)} artifacts, {size(_total(held.garbage))}")
        return print(f"but refuses to: {clean(problem)}" if open_sweeps else "to remove: artifacts gc --confirm yes")
    if open_sweeps:
        raise ConfigError(problem)
    with inventory.unused(folders.artifacts(root)):
        held = _known(holdings(root))
        removed = [entry for entry in held.garbage if _remove(entry)]
    for entry in held.garbage:
        if entry not in removed:
            say(f"{entry.path}: is being built; kept")
    print(f"{len(removed)} artifacts removed, {size(_total(removed))}; {len(held.entries) - len(removed)} kept")


def _known(held: Holdings) -> Holdings:
    """The holdings, unless an artifact cannot tell what it was made from, which would count as unused.

    Raises:
        ArtifactError: the manifest of an artifact is damaged.
    """
    for entry in held.entries:
        if entry.state == "damaged":
            problem = "the manifest is damaged, so that what it was made from would count as unused"
            raise ArtifactError(f"{entry.path}: {problem}; remove this folder, then run gc again")
    return held


def _remove(entry: Entry) -> bool:
    if entry.path.is_dir():
        return inventory.remove(entry.path)
    for path in (*files_beside(entry.path), entry.path):
        path.unlink(missing_ok=True)
    return True


def _print_entries(held: Holdings, listed: Iterable[Entry], last: str) -> None:
    table = Grid("kind", "digest", "size", "age", last, numeric=NUMERIC, folded=(last,))
    for one in listed:
        table.add(one.kind, one.digest[:SHORT], size(one.bytes), age(one.modified), held.used_by(one))
    table.show()


def _total(listed: Iterable[Entry]) -> int:
    return sum(one.bytes for one in listed)


def size(count: int) -> str:
    """A size in words.

    >>> [size(count) for count in (0, 812, 24_500, 518_000_000, 2_400_000_000)]
    ['0 kB', '0.8 kB', '24.5 kB', '518 MB', '2.4 GB']
    """
    value = count / 1000
    for unit in ("kB", "MB"):
        if value < 1000:
            return f"{value:.{0 if value >= 100 or not value else 1}f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def age(modified: float) -> str:
    """The time since a change, in its largest unit; empty for a link."""
    if not modified:
        return ""
    minutes = max(0, int(time.time() - modified) // 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"
