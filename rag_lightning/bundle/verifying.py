"""Verification of a bundle: checksums, digests, and every number computed again from predictions and gold.

What cannot follow from a bundle, such as seconds, bytes and the importances of a search, is named as not checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rag_lightning.bundle.material import Material, Unpacked
from rag_lightning.bundle.numbers import Computed, Difference, amount, compare, comparisons, computed, count, plain
from rag_lightning.bundle.opening import CONTENTS, Opened
from rag_lightning.bundle.writing import SCHEMA, SELECTION, SWEEP
from rag_lightning.core.artifacts import MANIFEST
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import digest as digest_of
from rag_lightning.core.files import read_object, read_sealed
from rag_lightning.core.records import Score, read_checked
from rag_lightning.metrics.best import tie_set
from rag_lightning.metrics.metric import comparable
from rag_lightning.report.collect import Run, read_stored
from rag_lightning.report.reading import need
from rag_lightning.runs.record import EXACT, RUN, SUMMARY

MEASURED = "seconds, memory, bytes, labels, configurations and commands of the runs: nothing in a bundle can prove them"


@dataclass
class Checked:
    """What was checked.

    Args:
        lines: Subject -> how much of it was compared.
        differences: What differs.
        unchecked: What was not checked, with the reason.
        numbers: How many numbers were computed again.
    """

    lines: dict[str, str] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    numbers: int = 0

    def add(self, subject: str, what: str, differences: Iterable[Difference], numbers: int = 0) -> None:
        """Enter a subject."""
        found = list(differences)
        state = f"{len(found)} differ" if found else "no difference"
        self.lines[subject] = f"{what}: {state}"
        self.differences += found
        self.numbers += numbers


def check(bundle: Opened) -> Checked:
    """Check an opened bundle.

    Raises:
        DataError: a file of it is missing, or is not what it should be, so that nothing can be computed.
        UnknownNameError: a metric or task that this version does not have.
    """
    found = Checked()
    source, contents = Unpacked(bundle.folder), read_contents(bundle.folder)
    altered = (Difference(name, "another content", "its checksum differs") for name in bundle.altered)
    found.add("checksums", amount(len(bundle.sums), "file"), altered)
    _check_digests(found, bundle)
    group = bundle.folder / "runs" / contents["group"]
    runs = [_run(group / _word(name) / RUN) for name in contents["runs"]]
    stored = sorted(path.name for path in (bundle.folder / "artifacts" / "scores").glob("*"))
    made = {digest: computed(Material.of(source, digest)) for digest in stored}
    _check_scores(found, source, made)
    _check_summaries(found, group, runs, made)
    _check_contents(found, contents, bundle.folder, runs, made)
    if (group / SWEEP).exists():
        _check_retrieval(found, group / SWEEP, made)
    if (group / SELECTION).exists():
        _check_selection(found, group, runs, made)
    for digest, one in made.items():
        found.unchecked += [f"{name} of scores {digest}: {why}" for name, why in one.left_out.items()]
    found.unchecked.append(MEASURED)
    return found


def _run(path: Path) -> Run:
    run = read_stored(path, against_scores=False)  # they are computed again
    if not run.finished or run.run_id != path.parent.name:
        raise DataError(path, "is of another run, or of one that has not finished", field="run_id", value=run.run_id)
    return run


def read_contents(folder: Path) -> dict[str, Any]:
    """The content of bundle.json in the folder of a bundle.

    Raises:
        DataError: missing, of another schema, or a field of another type.
    """
    path = folder / CONTENTS
    found = read_object(path, hint="it is no bundle of rag-lightning export")
    if found.get("schema") != SCHEMA:
        raise DataError(path, f"is not of schema {SCHEMA}", field="schema", value=found.get("schema"))
    for name, kind in (("group", str), ("kind", str), ("runs", list), ("comparisons", list), ("left_out", dict)):
        need(path, found, name, kind)
    found["group"] = _word(found["group"])
    return found


def _word(name: Any) -> str:
    """A name of one folder.

    Raises:
        DataError: anything else.
    """
    if not isinstance(name, str) or not name.strip(".") or any(sign in name for sign in "/\\\0"):
        raise DataError(CONTENTS, "is no name of a folder", field="runs", value=name)
    return name


def _check_digests(found: Checked, bundle: Opened) -> None:
    """A digest is the hash of what determines an artifact, and a manifest states the checksums of its files."""
    names = [*bundle.folder.glob(f"artifacts/*/*/{MANIFEST}"), *bundle.folder.glob("manifests/*/*.json")]
    differences: list[Difference] = []
    for path in sorted(names):
        manifest, shown = read_sealed(path), path.relative_to(bundle.folder).as_posix()
        digest, kind = (path.stem, path.parent.name) if path.name != MANIFEST else (path.parent.name, path.parts[-3])
        recipe = [kind, *(manifest.get(name) for name in ("config", "inputs", "version"))]
        differences += compare(f"{shown}: digest", digest, digest_of(recipe))
        if path.name == MANIFEST:
            files = need(path, manifest, "files", dict)
            stated = {name: one.get("sha256") if isinstance(one, dict) else None for name, one in files.items()}
            here = path.parent.relative_to(bundle.folder).as_posix()
            differences += compare(f"{shown}: files", stated, {n: bundle.sums.get(f"{here}/{n}") for n in stated})
    found.add("digests", amount(len(names), "artifact"), differences)


def _check_scores(found: Checked, source: Unpacked, made: Mapping[str, Computed]) -> None:
    differences: list[Difference] = []
    numbers = questions = 0
    for digest, one in made.items():
        path = source.folder("scores", digest) / "scores.jsonl"
        stated = [_without(asdict(score), one.left_out) for score in read_checked(path, Score)]
        here = [asdict(score) for score in one.scores]
        if len(stated) != len(here):
            differences.append(Difference(f"scores {digest}: number of questions", len(stated), len(here)))
        for left, right in zip(stated, here, strict=False):
            differences += compare(f"scores {digest}, {right['example_id']!a}", plain(left), plain(right))
        numbers, questions = numbers + count(plain(here)), questions + len(here)
    what = f"{numbers:,} values of {questions:,} questions in {amount(len(made), 'artifact')} of scores"
    found.add("scores", what, differences, numbers)


def _without(score: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    for part in ("values", "statistics"):
        score[part] = {name: value for name, value in score[part].items() if name not in names}
    return score


def _summary(path: Path, one: Computed) -> dict[str, Any]:
    """A summary as the bundle states it, without the metrics that cannot be computed here, and its exact search."""
    stated = read_sealed(path)
    stated.pop(EXACT, None)
    for part in [need(path, stated, "metrics", dict), *need(path, stated, "slices", dict).values()]:
        for name in one.left_out:
            if isinstance(part, dict):
                part.pop(name, None)
    if one.left_out:
        stated["notes"] = one.summary["notes"]
    return stated


def _check_summaries(found: Checked, group: Path, runs: Sequence[Run], made: Mapping[str, Computed]) -> None:
    differences: list[Difference] = []
    numbers = 0
    questions = set[int]()
    for run in runs:
        one = _of(run, made)
        path = group / run.run_id / SUMMARY
        differences += compare(f"{run.run_id}/{SUMMARY}", _summary(path, one), one.summary)
        numbers += count(one.summary)
        questions |= {estimate["n"] for estimate in one.summary["metrics"].values()}
    listed = f"n = {min(questions):,} to {max(questions):,}" if len(questions) > 1 else f"n = {max(questions):,}"
    what = f"{numbers:,} numbers (means, intervals, counts, slices) of {amount(len(runs), 'run')}, {listed}"
    found.add("metrics", what, differences, numbers)


def _of(run: Run, made: Mapping[str, Computed]) -> Computed:
    digest = str(run.record.get("digests", {}).get("scores"))
    if digest not in made:
        raise DataError(Path("artifacts", "scores"), f"lacks the scores of run {run.run_id}", value=digest)
    return made[digest]


def _check_contents(
    found: Checked, contents: Mapping[str, Any], folder: Path, runs: Sequence[Run], made: Mapping[str, Computed]
) -> None:
    group = folder / "runs" / contents["group"]
    there = sorted(path.parent.name for path in group.glob(f"*/{RUN}"))
    found.add("runs", amount(len(there), "folder"), compare(f"{CONTENTS}: runs", sorted(contents["runs"]), there))
    sweep = group / SWEEP
    if not sweep.exists():
        return
    objective = need(sweep, read_sealed(sweep), "objective", str)
    if _changed(objective, runs, made):
        found.unchecked.append(f"comparisons by {objective}, which another tool or version computed")
        return
    here = comparisons(runs, {run.run_id: _of(run, made).scores for run in runs}, objective)
    what = f"{amount(len(here), 'comparison')} of two systems (difference, interval, p)"
    found.add("comparisons", what, compare(f"{CONTENTS}: comparisons", contents["comparisons"], here), count(here))


def _changed(metric: str, runs: Sequence[Run], made: Mapping[str, Computed]) -> bool:
    return any(metric in _of(run, made).left_out for run in runs)


def _check_retrieval(found: Checked, path: Path, made: Mapping[str, Computed]) -> None:
    rows = need(path, {"retrieval": []} | read_sealed(path), "retrieval", list)
    differences: list[Difference] = []
    numbers = 0
    for place, row in enumerate(rows):
        digest = str(need(path, row, "scores", str, f"retrieval[{place}]"))
        if digest not in made:
            raise DataError(
                path, "names scores that the bundle lacks", field=f"retrieval[{place}].scores", value=digest
            )
        here = made[digest].summary["metrics"]
        stated = {
            name: one for name, one in need(path, row, "metrics", dict).items() if name not in made[digest].left_out
        }
        differences += compare(f"{SWEEP}: retrieval[{place}].metrics", stated, here)
        numbers += count(here)
    if rows:
        found.add("retrieval", f"{numbers:,} numbers of {amount(len(rows), 'retriever')} alone", differences, numbers)


def _check_selection(found: Checked, group: Path, runs: Sequence[Run], made: Mapping[str, Computed]) -> None:
    path, by_id = group / SELECTION, {run.run_id: run for run in runs}
    stated = read_sealed(path)
    alpha, objective = float(need(path, stated, "alpha", (int, float))), need(path, stated, "objective", str)
    seed = int(
        need(group / SWEEP, _inner(read_sealed(group / SWEEP), "spec", "experiment"), "seed", int, "spec.experiment")
    )
    candidates = [row for row in need(path, stated, "candidates", list) if isinstance(row, dict)]
    differences: list[Difference] = []
    numbers = 0
    for place, formulation in enumerate(need(path, stated, "formulations", list)):
        name = need(path, formulation, "formulation", str, f"formulations[{place}]")
        rows = [row for row in candidates if row.get("formulation") == name and row.get("feasible")]
        taken = [by_id[row["run_id"]] for row in rows if row.get("run_id") in by_id]
        if len(taken) != len(rows) or _changed(objective, taken, made):
            found.unchecked.append(f"selection of {name}: the bundle lacks a trial, or another tool scored one")
            continue
        for where, said, here in _selected(place, formulation, rows, taken, made, objective, alpha, seed):
            differences += compare(f"{SELECTION}: {where}", said, here)
            numbers += count(here)
    found.add(
        "selection", f"{numbers:,} numbers of {amount(len(candidates), 'trial')} against the best", differences, numbers
    )
    found.unchecked.append("the scores of exact search, from which index misses are told: they need the index")
    found.unchecked.append("importances of fields: they need the study, which no bundle holds")


def _selected(
    place: int,
    stated: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    runs: Sequence[Run],
    made: Mapping[str, Computed],
    objective: str,
    alpha: float,
    seed: int,
) -> Iterator[tuple[str, Any, Any]]:
    """(field, as stated, as computed) of one formulation's trials."""
    if not rows:
        return
    metric = comparable(objective, [run.degraded for run in runs])
    ties = tie_set({run.run_id: _of(run, made).scores for run in runs}, metric, alpha=alpha, seed=seed)
    here = {"metric": metric, "within": ties.within, "optimism": ties.optimism, "clusters": ties.clusters}
    yield f"formulations[{place}]", {name: stated.get(name) for name in here}, here
    for row, run in zip(rows, runs, strict=True):
        compared = asdict(ties.compared[run.run_id]) | {"mean": _of(run, made).summary["metrics"][objective]["mean"]}
        yield f"candidates.{run.run_id}", {name: row.get(name) for name in compared}, compared


def _inner(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
