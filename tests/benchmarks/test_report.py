"""The report of 200 trials of 3,610 questions, from stored runs in their real format, in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.core.artifacts import ArtifactStore, Recipe
from rag_lightning.core.files import write_sealed
from rag_lightning.core.records import Example, Prediction, write_jsonl
from rag_lightning.metrics.em import EXACT_MATCHES
from rag_lightning.metrics.metric import Estimate
from rag_lightning.runs.record import RunInfo, recorded
from rag_lightning.runs.system import make_system

TRIALS, QUESTIONS, TRAIN = 200, 3_610, 79_168
SECONDS, BYTES = 20.0, 3 << 29
KS, INDEXES = (1, 2, 5, 10, 20), ("flat", "hnsw", "ivf_flat", "ivf_pq", "sq8", "bm25")
DECODINGS = ("rag_token/greedy", "rag_token/beam", "rag_sequence/thorough", "rag_sequence/fast")
GRID = [*product(DECODINGS, INDEXES, KS)]
ASKED = ["who", "what", "when", "where", "which", "how"]
WORDS = 30_000
"""Words of the questions, with frequencies as 1 / rank."""


class Stored:
    """Writes a sweep as it is stored: artifacts with manifests, run folders, selection and description."""

    def __init__(self, root: Path) -> None:
        self.root, self.store, self.draw = root, ArtifactStore(root / "artifacts"), np.random.default_rng(0)
        self.base = ExperimentConfig(folder=str(root))
        self.examples = self._examples()
        self.difficulty = self.draw.random(QUESTIONS)

    def _examples(self) -> str:
        shares = 1 / np.arange(1, WORDS + 1)
        words = self.draw.choice(WORDS, (TRAIN + QUESTIONS, 8), p=shares / shares.sum())

        def example(number: int) -> Example:
            asked = " ".join(f"w{word}" for word in words[number if number % 9 else number // 2])
            return Example(f"q{number}", f"{ASKED[number % 6]} {asked}", (f"answer {number % 81_000}",))

        def make(folder: Path) -> dict[str, Any]:
            for part, numbers in (("train", range(TRAIN)), ("test", range(TRAIN, TRAIN + QUESTIONS))):
                write_jsonl(folder / f"{part}.jsonl", map(example, numbers))
            return {}

        return self.store.build(Recipe("examples", {}, {}, 1), make).digest

    def run(self, point: dict[str, Any], role: str, split: str, seed: int = 0) -> str:
        """One finished run; quality grows with k and falls with the index's losses."""
        system = make_system(self.base, point)
        config = to_dict(system.config) | {"seed": seed}
        loss = INDEXES.index(point["retriever"]) if "retriever" in point else 12
        recall = 0.5 + 0.1 * np.log2(point.get("k", 1) + 1) - 0.02 * loss
        read = self.difficulty + 0.1 * self.draw.random(QUESTIONS) < recall
        right = (read & (self.draw.random(QUESTIONS) < 0.6)).astype(float)
        run_id = f"{split}-{role}-{len(list(self.root.glob('runs/big/*')))}"
        info = RunInfo(run_id, "big", role, split, system.label, "nq", "nq", "paper", config, seed=seed)
        with recorded(self.root / "runs" / "big" / run_id, info) as result:
            result.digests["examples"] = self.examples
            result.digests["scores"] = self._keep("scores", run_id, self._scores(right, read, point.get("k", 0)))
            if split == "test":
                result.digests["predictions"] = self._keep("predictions", run_id, self._predictions())
            result.timings["seconds_per_query"] = 0.01 * (1 + point.get("k", 1)) * (1 + self.draw.random())
            result.work |= {"pairs": point.get("k", 1), "beams": 3, "index_bytes": 61_000_000_000 // (1 + loss)}
            result.summary |= {"metrics": self._metrics(right, read, point.get("k", 0)), "slices": {}, "notes": []}
        return run_id

    def _keep(self, kind: str, run_id: str, lines: Iterator[str]) -> str:
        def make(folder: Path) -> dict[str, Any]:
            (folder / f"{kind}.jsonl").write_text("".join(lines), encoding="utf-8")
            return {}

        return self.store.build(Recipe(kind, {"run": run_id}, {}, 1), make).digest

    def _scores(self, right: Any, read: Any, k: int) -> Iterator[str]:
        cutoffs = [c for c in KS if c <= k]
        for number, (won, had) in enumerate(zip(right.tolist(), read.tolist(), strict=True)):
            values = dict.fromkeys(EXACT_MATCHES[:3], won)
            values |= {"em_contains": float(won or number % 19 == 0), "f1": max(won, 1 / 3)}
            for c in cutoffs:
                values |= {f"answer_recall@{c}": float(had), f"answer_precision@{c}": had / c}
            score = {"example_id": f"q{TRAIN + number}", "entity": f"e{number // 2}", "values": values}
            yield json.dumps(score | {"tags": {}, "statistics": {}}) + "\n"

    def _predictions(self) -> Iterator[str]:
        for number in range(QUESTIONS):
            yield json.dumps(asdict(Prediction(f"q{TRAIN + number}", "an answer", "an answer", -0.5))) + "\n"

    def _metrics(self, right: Any, read: Any, k: int) -> dict[str, Any]:
        shares = dict.fromkeys(EXACT_MATCHES, right.mean()) | {"f1": right.mean() + 0.05}
        shares |= {f"answer_recall@{c}": read.mean() for c in KS if c <= k}
        means = {name: 100 * float(share) for name, share in shares.items()}
        return {name: asdict(Estimate(m, m - 1.5, m + 1.5, QUESTIONS, "%", QUESTIONS / 2)) for name, m in means.items()}


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a project with one sweep that has ended."""
    stored = Stored(tmp_path_factory.mktemp("big"))
    candidates = []
    for number in range(TRIALS):
        decoding, retriever, k = GRID[number % len(GRID)]
        point = {"decoding": decoding, "retriever": retriever, "k": k}
        run_id = stored.run(point, "trial", "dev", seed=number // len(GRID))
        candidates.append({"run_id": run_id, "p": 0.5, "within": number < 40, "chosen": number in (4, 64)})
    for at in (4, 19, 64, 79):
        decoding, retriever, k = GRID[at]
        stored.run({"decoding": decoding, "retriever": retriever, "k": k}, "final", "test")
    stored.run({"decoding": "closed_book/greedy"}, "baseline", "test")
    stored.run({"decoding": "rag_token/greedy", "retriever": "bm25", "k": 20}, "baseline", "test")
    folder = stored.root / "runs" / "big"
    write_sealed(folder / "selection.json", {"candidates": candidates})
    described = {"name": "big", "dataset": "nq", "scale": "paper", "objective": "em", "finished": True}
    write_sealed(folder / "sweep.json", described)
    return stored.root


@pytest.mark.benchmark
def test_the_report_of_a_large_sweep(big: Path, benchmark: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Seconds of one process from its start to the last file, and its largest memory."""
    code = "import sys; from rag_lightning.cli import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", code, "report", "--name", "big", "--experiment.folder", str(big)]

    def report() -> float:
        started = time.perf_counter()
        subprocess.run(words, check=True, cwd=Path(__file__).parents[2], env=os.environ | {"OMP_NUM_THREADS": "1"})
        return time.perf_counter() - started

    seconds = benchmark.pedantic(report, rounds=1)
    taken = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    page = (big / "reports" / "out" / "big" / "index.html").read_text(encoding="utf-8")
    with capsys.disabled():
        print(f"\nreport of {TRIALS} trials of {QUESTIONS} questions: {seconds:.1f} s, {taken >> 20} MiB")
    assert all(part in page for part in ("Why answers on nq test are wrong", "The price of an index", "seen in train"))
    assert seconds < SECONDS and taken < BYTES
