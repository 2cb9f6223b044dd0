"""Read runs/<sweep>/ and what it points to. Damaged files are errors that name them; unfinished runs are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rag_lightning.core.artifacts import open_artifact
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_sealed
from rag_lightning.core.records import Prediction, Score, read_jsonl
from rag_lightning.metrics.metric import Estimate
from rag_lightning.report.reading import estimates_of, need
from rag_lightning.runs.record import EXACT, REDO, SUMMARY, read_summary

R = TypeVar("R")
STATUSES = ("finished", "failed", "running")
ROLES = ("trial", "baseline", "final", "cell")
PARTS = ("digests", "git", "packages", "hardware", "timings", "work")
CONFIG_FIELDS = (
    ("decoding", "strategy", str),
    ("decoding", "k", int),
    ("retriever", "kind", str),
    ("index", "kind", str),
)
"""Section, field and type of what tables are made from."""
Estimates = Mapping[str, Estimate]
FOUND = ("answer_recall", "gold_recall", "gold_title")
"""Metrics of how often the right passage was found; a report shows the first that there is."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run folder: run.json as `record`, summary.json as estimates (empty unless finished).

    `degraded` are the metrics whose values are worth less than they look; `confusion` is true label -> predicted label
    -> how often, of classification tasks; `exact` is the digest of the scores of exact search, where they were stored.
    """

    run_id: str
    role: str
    split: str
    status: str
    label: str
    dataset: str
    scale: str
    config: Mapping[str, Any]
    record: Mapping[str, Any]
    estimates: Estimates
    slices: Mapping[str, Estimates]
    degraded: frozenset[str]
    confusion: Mapping[str, Mapping[str, int]]
    exact: str = ""

    @property
    def finished(self) -> bool:
        """Whether it has estimates."""
        return self.status == "finished"

    @property
    def formulation(self) -> str:
        """rag_token, rag_sequence, closed_book or fid."""
        return str(self.config["formulation"])

    @property
    def strategy(self) -> str:
        """How predictions are decoded."""
        return str(self.config["decoding"]["strategy"])

    @property
    def retriever(self) -> str:
        """The index kind of dense retrieval, else the retriever kind."""
        kind = str(self.config["retriever"]["kind"])
        return str(self.config["index"]["kind"]) if kind == "dense" else kind

    @property
    def k(self) -> int:
        """Passages that are read; 0 for closed book."""
        return 0 if self.formulation == "closed_book" else int(self.config["decoding"]["k"])

    @property
    def seconds_per_query(self) -> float | None:
        """From the question to the answer, None if it was not measured."""
        value = self.record.get("timings", {}).get("seconds_per_query")
        return None if value is None else float(value)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes to print below the tables."""
        return tuple(map(str, self.record.get("notes", ())))


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Metrics of one retriever alone."""

    retriever: str
    model: str
    split: str
    estimates: Estimates
    index_bytes: int | None
    build_seconds: float | None
    seconds_per_query: float | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One trial compared with the best: p of the paired test, whether it is not worse, whether it is chosen."""

    run_id: str
    p: float | None
    within: bool
    chosen: bool


@dataclass(frozen=True, slots=True)
class Sweep:
    """All stored data of one sweep for its report."""

    name: str
    dataset: str
    scale: str
    objective: str
    finished: bool
    spec: Mapping[str, Any]
    warnings: tuple[str, ...]
    retrieval: tuple[Retrieved, ...]
    runs: tuple[Run, ...]
    candidates: Mapping[str, Candidate]

    def on(self, split: str, *roles: str) -> list[Run]:
        """Finished runs on a split with one of the roles."""
        return [run for run in self.runs if run.finished and run.split == split and run.role in roles]

    def unfinished(self) -> list[Run]:
        """Runs that failed or have not ended."""
        return [run for run in self.runs if not run.finished]


def collect(sweep_dir: Path) -> Sweep:
    """Read the folder of a sweep.

    Raises:
        DataError: the folder or sweep.json is missing, or a file is truncated, lacks a field or has a wrong value.
    """
    path = sweep_dir / "sweep.json"
    missing = "run the sweep first, or give the folder runs/<sweep>"
    raw = read_sealed(path, "remove it and run the sweep again" if path.exists() else missing)
    return Sweep(
        name=str(need(path, raw, "name", str)),
        dataset=str(need(path, raw, "dataset", str)),
        scale=str(need(path, raw, "scale", str)),
        objective=str(need(path, raw, "objective", str)),
        finished=bool(raw.get("finished", False)),
        spec=need(path, {"spec": {}} | raw, "spec", dict),
        warnings=tuple(map(str, need(path, {"warnings": []} | raw, "warnings", list))),
        retrieval=tuple(_retrieved(path, item) for item in need(path, {"retrieval": []} | raw, "retrieval", list)),
        runs=tuple(read_stored(file) for file in sorted(sweep_dir.glob("*/run.json"))),
        candidates=_candidates(sweep_dir / "selection.json"),
    )


def found_family(listed: Iterable[Estimates]) -> str:
    """The first family of FOUND among these estimates."""
    families = {name.partition("@")[0] for estimates in listed for name in estimates}
    return next((family for family in FOUND if family in families), FOUND[0])


def read_scores(run: Run, artifacts: Path) -> list[Score] | None:
    """The per-example scores of a run, None if the artifact no longer exists.

    Raises:
        ArtifactError, DataError: the artifact is damaged.
    """
    return read_records(artifacts, "scores", run.record.get("digests", {}).get("scores"), Score)


def read_predictions(run: Run, artifacts: Path) -> list[Prediction] | None:
    """The predictions of a run, None if the artifact no longer exists.

    Raises:
        ArtifactError, DataError: the artifact is damaged.
    """
    return read_records(artifacts, "predictions", run.record.get("digests", {}).get("predictions"), Prediction)


def read_records(artifacts: Path, kind: str, digest: Any, cls: type[R], file: str = "") -> list[R] | None:
    """The records of a file of an artifact, by default `<kind>.jsonl`; None if the artifact no longer exists.

    Raises:
        ArtifactError, DataError: the artifact is damaged.
    """
    folder = artifacts / kind / str(digest)
    if not digest or not folder.exists():
        return None
    open_artifact(folder, kind)
    return list(read_jsonl(folder / (file or f"{kind}.jsonl"), cls))


def read_stored(path: Path, against_scores: bool = True) -> Run:
    """The run of a run.json and the summary.json beside it.

    Raises:
        DataError: one of them is damaged.
    """
    raw = {name: value for name, value in read_sealed(path, REDO).items() if value is not None}
    names = ("run_id", "role", "split", "status", "label", "dataset", "scale")
    fields = {name: str(need(path, raw, name, str)) for name in names}
    for name, known in (("status", STATUSES), ("role", ROLES)):
        if fields[name] not in known:
            raise DataError(path, f"is none of {', '.join(known)}", field=name, value=fields[name])
    for name in PARTS:
        need(path, {name: {}} | raw, name, dict)
    need(path, {"notes": []} | raw, "notes", list)
    need(path, {"seed": 0} | raw, "seed", int)
    config = need(path, raw, "config", dict)
    check_config(path, config)
    if fields["status"] != "finished":
        return Run(**fields, config=config, record=raw, estimates={}, slices={}, degraded=frozenset(), confusion={})
    summary = path.with_name(SUMMARY)
    found = read_summary(path.parent, against_scores) if summary.exists() else read_sealed(summary, REDO)
    slices = {
        name: estimates_of(summary, values, f"slices.{name}")
        for name, values in need(summary, found, "slices", dict).items()
    }
    estimates = estimates_of(summary, need(summary, found, "metrics", dict), "metrics")
    return Run(
        **fields,
        config=config,
        record=raw,
        estimates=estimates,
        slices=slices,
        degraded=degraded_metrics(summary, found),
        confusion=_confusion(summary, found),
        exact=str(need(summary, {EXACT: {}} | found, EXACT, dict).get("scores", "")),
    )


def check_config(path: Path, config: Any) -> None:
    """Raise DataError unless the configuration in a run.json has the fields that tables are made from."""
    need(path, config, "formulation", str, "config")
    for section, name, kind in CONFIG_FIELDS:
        where = f"config.{section}"
        need(path, need(path, config, section, dict, "config"), name, kind, where)


def degraded_metrics(path: Path, summary: Any) -> frozenset[str]:
    """The metrics whose values are worth less than they look, of the content of a summary.json.

    Raises:
        DataError: its notes are damaged.
    """
    notes = need(path, {"notes": []} | summary, "notes", list)
    found = [note for note in notes if isinstance(note, dict) and note.get("degraded")]
    return frozenset(str(name) for note in found for name in need(path, note, "metrics", list, "notes"))


def _confusion(path: Path, summary: Any) -> dict[str, dict[str, int]]:
    if "confusion" not in summary:
        return {}
    raw = need(path, summary, "confusion", dict)
    heads = [str(label) for label in need(path, raw, "predicted", list, "confusion")]
    found = {}
    for label, counts in need(path, raw, "true", dict, "confusion").items():
        if not isinstance(counts, list) or len(counts) != len(heads) or not all(isinstance(c, int) for c in counts):
            raise DataError(path, "is not a count per predicted label", field=f"confusion.true.{label}", value=counts)
        found[label] = dict(zip(heads, counts, strict=True))
    return found


def _retrieved(path: Path, raw: Any) -> Retrieved:
    if not isinstance(raw, dict):
        raise DataError(path, "is not a table row", field="retrieval", value=raw)
    return Retrieved(
        retriever=str(need(path, raw, "retriever", str)),
        model=str(raw.get("model", "")),
        split=str(raw.get("split", "")),
        estimates=estimates_of(path, need(path, raw, "metrics", dict), f"retrieval.{raw['retriever']}"),
        index_bytes=_number(path, raw, "index_bytes"),
        build_seconds=_number(path, raw, "build_seconds"),
        seconds_per_query=_number(path, raw, "seconds_per_query"),
    )


def _number(path: Path, raw: dict[str, Any], name: str) -> Any:
    return None if raw.get(name) is None else need(path, raw, name, (int, float), "retrieval")


def _candidates(path: Path) -> dict[str, Candidate]:
    if not path.exists():
        return {}
    found = {}
    for raw in need(path, read_sealed(path), "candidates", list):
        run_id = str(need(path, raw, "run_id", str))
        p = None if raw.get("p") is None else float(need(path, raw, "p", (int, float)))
        found[run_id] = Candidate(run_id, p, bool(raw.get("within")), bool(raw.get("chosen")))
    return found
