"""Measuring indexes one after the other; each result is a sealed file, so that an interrupted bench continues."""

from __future__ import annotations

import fcntl
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag_lightning.bench.child import CUTOFFS
from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.errors import ConfigError, DataError, RagLightningError
from rag_lightning.core.files import digest, read_sealed, write_json, write_sealed
from rag_lightning.core.links import make_folder, open_lock
from rag_lightning.core.registry import LazyModule
from rag_lightning.metrics.answers import AnswerMatcher

faiss: Any = LazyModule("faiss")
ANSWER_CUTOFFS = (5, 20)
TIMES = ("p50_ms", "p95_ms", "p99_ms", "first_seconds", "queries_per_second", "queries_per_second_64")
VALUES = (*(f"recall@{k}" for k in CUTOFFS), *TIMES, "build_seconds", "bytes", "anonymous_mib", "mapped_mib")
"""What is measured of every index that can be built."""
TIED = 1e-6
"""Largest difference of inner products that counts as none."""
VERSION = 3
"""Changes where the same request is measured in another way."""


@dataclass(frozen=True)
class Listed:
    """An index to measure.

    Args:
        kind: Kind of index.
        values: Values of its fields.
        sweep: Field of its search -> values that are measured on one built index.
    """

    kind: str
    values: Mapping[str, Any] = field(default_factory=dict)
    sweep: Mapping[str, Any] = field(default_factory=dict)

    def points(self) -> Iterator[dict[str, Any]]:
        """The values of each search."""
        names = list(self.sweep)
        for values in product(*(self.sweep[name] for name in names)):
            yield dict(self.values) | dict(zip(names, values, strict=True))

    def check(self, file: Path) -> None:
        """Raise DataError for an unknown kind or field, or a field of the sweep that no search reads."""
        for name, values in self.sweep.items():
            if not isinstance(values, list) or not values:
                raise DataError(file, "must be a list of values, such as [1, 8]", field=name, value=values)
        for options in self.points():
            try:
                IndexConfig(self.kind, options)
            except RagLightningError as error:
                raise DataError(file, str(error), field="indexes") from error


@dataclass(frozen=True)
class Questions:
    """The questions that are asked of every index: their vectors, and their answers where passages are real."""

    vectors: Path
    answers: Sequence[Sequence[str]] = ()
    matcher: AnswerMatcher | None = None


@dataclass(frozen=True)
class Source:
    """Vectors to search.

    Args:
        name: Name in tables: real or generated.
        file: .npy file of [N, D] float32.
        identity: What they are made of.
    """

    name: str
    file: Path
    identity: str

    @property
    def vectors(self) -> NDArray[np.float32]:
        """[N, D], memory-mapped."""
        found: NDArray[np.float32] = np.load(self.file, mmap_mode="r")
        return found


@dataclass
class Bench:
    """What measures, and where results are kept.

    Args:
        out: Folder of the results.
        threads: FAISS's threads.
        k: Results of a query that is timed.
    """

    out: Path
    threads: int
    k: int
    truths: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        """Folder of what is removed at the end."""
        return self.out / "work"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Measure in the bench's folder as the only process; what an interrupted bench left in `work` is removed.

        Raises:
            DataError: another process measures there, or a folder is a link.
        """
        for folder in (self.out / "measures", self.work):
            make_folder(folder, self.out.parent)
        lock = self.out / "bench.lock"
        with open_lock(lock) as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise DataError(lock, "is held: another bench is running", hint="wait until it ends") from error
            shutil.rmtree(self.work)
            self.work.mkdir()
            yield
            shutil.rmtree(self.work)

    def measured(self, source: Source, listed: Listed, asked: Questions) -> Iterator[dict[str, Any]]:
        """The results of an index, measured now or before: one for each search, each with `label` and `source`."""
        folder = self.work / "index"
        built: dict[str, Any] = {}
        for options in listed.points():
            count, width = source.vectors.shape
            key = {"version": VERSION, "source": source.identity, "count": count, "kind": listed.kind}
            key |= {"options": options, "threads": self.threads, "k": self.k, "cores": os.cpu_count()}
            about = {"source": source.name, "count": count, "width": width, "kind": listed.kind, "options": options}
            file = self.out / "measures" / f"{source.name}-{count}-{listed.kind}-{digest(key)[:12]}.json"
            if not file.exists():
                request = {"kind": listed.kind, "options": options, "threads": self.threads, "k": self.k}
                request |= {"vectors": str(source.file), "queries": str(asked.vectors), "folder": str(folder)}
                if not built:
                    shutil.rmtree(folder, ignore_errors=True)
                    folder.mkdir(parents=True)
                    built = self._child("build", request)
                found = built if "problem" in built else self._searched(source, request, asked) | built
                write_sealed(file, {**about, **found})
            yield _checked(file, read_sealed(file, f"remove {file} and run again"), about)
        shutil.rmtree(folder, ignore_errors=True)

    def _searched(self, source: Source, request: Mapping[str, Any], asked: Questions) -> dict[str, Any]:
        rows_file = self.work / "rows.npy"
        found = self._child("search", {**request, "rows": str(rows_file)})
        if "problem" in found:
            return found
        queries = np.load(asked.vectors)
        parts = np.split(np.load(rows_file)[: len(queries)], np.cumsum(CUTOFFS)[:-1], axis=1)
        rows = dict(zip(CUTOFFS, parts, strict=True))
        found |= {f"recall@{k}": self._recall(source, queries, rows[k]) for k in CUTOFFS}
        if asked.matcher is not None:
            found |= {f"answer_recall@{k}": _answer_recall(asked, rows[k]) for k in ANSWER_CUTOFFS}
        return found

    def _recall(self, source: Source, queries: NDArray[np.float32], rows: NDArray[np.int64]) -> float:
        """The share in percent of the exact best k that are among the rows [Q, k], ties counted as found."""
        vectors = source.vectors
        if source.identity not in self.truths:
            contiguous = np.ascontiguousarray(vectors) if not vectors.flags.c_contiguous else vectors
            depth = min(max(CUTOFFS), len(vectors))
            self.truths[source.identity] = faiss.knn(queries, contiguous, depth, metric=faiss.METRIC_INNER_PRODUCT)[0]
        truth = self.truths[source.identity]
        scores = np.full(rows.shape, -np.inf, np.float32)
        for number, found in enumerate(rows):
            kept = np.flatnonzero(found >= 0)
            scores[number, kept] = vectors[found[kept]] @ queries[number]
        k = rows.shape[1]
        return 100 * float((scores >= truth[:, k - 1 : k] - TIED).mean())

    def _child(self, work: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """What a process of its own answers; `problem` for an index that cannot be built or searched."""
        asked, answered = self.work / "request.json", self.work / "answer.json"
        answered.unlink(missing_ok=True)
        write_json(asked, dict(request))
        words = [sys.executable, "-m", "rag_lightning.bench.child", work, str(asked), str(answered)]
        ended = subprocess.run(words, capture_output=True, text=True, check=False)
        if not answered.exists():
            last = (ended.stderr.strip().splitlines() or ["no message"])[-1]
            raise ConfigError(f"index.kind={request['kind']}: its process ended with {ended.returncode}: {last}")
        answer: dict[str, Any] = json.loads(answered.read_text(encoding="utf-8"))
        return answer


def _checked(file: Path, found: dict[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """A stored measure; raises DataError if it is of something else, lacks a value, or has one that is no number."""
    values = {name: value for name, value in found.items() if name not in about}
    wrong = [name for name, value in about.items() if found.get(name) != value]
    if "problem" not in found:
        wrong += [name for name in VALUES if name not in found]
        wrong += [name for name, value in values.items() if not _is_number(value)]
    elif not isinstance(found["problem"], str):
        wrong.append("problem")
    if wrong:
        value, remedy = found.get(wrong[0]), f"remove {file} and run again"
        raise DataError(file, "is missing, or no value of this measure", field=wrong[0], value=value, hint=remedy)
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _answer_recall(asked: Questions, rows: NDArray[np.int64]) -> float:
    """The share in percent of questions with an answer in the text of the passages of rows [Q, k]."""
    assert asked.matcher is not None
    pairs = zip(asked.answers, rows, strict=True)
    hits = [asked.matcher.hits(answers, [int(row) for row in found if row >= 0]) for answers, found in pairs]
    return 100 * sum(map(any, hits)) / len(hits)
