"""Made-up sweep folders, as the sweep stage writes them."""

from pathlib import Path
from typing import Any

import numpy as np

from rag_lightning.config.fields import to_dict
from rag_lightning.config.loading import experiment_of, merged
from rag_lightning.core.artifacts import ArtifactStore, Recipe
from rag_lightning.core.files import write_sealed
from rag_lightning.core.records import Prediction, Score, write_jsonl
from rag_lightning.metrics.summary import summarise


def experiment(given: dict[str, Any], scale: str) -> dict[str, Any]:
    """The configuration of a run."""
    name = given["retriever"]
    kind = name if name in ("bm25", "none") else "dense"
    retriever = {"kind": kind, "trained_with": "dense"}
    decoding = {"strategy": given["decoding"], "k": given["k"]}
    own = {
        "formulation": given["formulation"],
        "decoding": decoding,
        "retriever": retriever,
        "index": {"kind": name if kind == "dense" else "flat"},
    }
    return merged(to_dict(experiment_of({"scale": scale}, "here")), own)


class Maker:
    """Writes runs with real scores, summaries and artifacts below one folder."""

    def __init__(self, root: Path, dataset: str = "mini-nq", scale: str = "mini") -> None:
        self.root, self.dataset, self.scale = root, dataset, scale
        self.folder = root / "runs" / "s1"
        self.artifacts = root / "artifacts"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.means: dict[str, float] = {}

    def sweep(self, **changes: Any) -> None:
        estimate = {"mean": 80.0, "low": 76.0, "high": 84.0, "n": 500, "unit": "%"}
        row: dict[str, Any] = {
            "retriever": "flat",
            "model": "pretrained",
            "split": "dev",
            "metrics": {f"answer_recall@{k}": estimate | {"mean": 50.0 + k} for k in (1, 5, 20)},
            "index_bytes": 38_000_000,
            "build_seconds": 0.4,
            "seconds_per_query": 0.0021,
        }
        raw: dict[str, Any] = {
            "name": "s1",
            "dataset": self.dataset,
            "scale": self.scale,
            "objective": "em",
            "spec": {"trials": 4},
        }
        raw |= {"retrieval": [row], "warnings": ["score_scale is 21.3"], "finished": True}
        write_sealed(self.folder / "sweep.json", raw | changes)

    def selection(self, chosen: str, *others: str) -> None:
        candidates = [
            {"run_id": name, "mean": 0.5, "difference": -0.01, "p": 0.4, "within": True, "chosen": name == chosen}
            for name in (chosen, *others)
        ]
        write_sealed(self.folder / "selection.json", {"candidates": candidates})

    def run(self, run_id: str, role: str, split: str, rate: float, n: int = 40, **changes: Any) -> None:
        given = {"formulation": "rag_token", "retriever": "flat", "k": 5, "decoding": "greedy"}
        given |= changes.pop("system", {})
        label = " · ".join(str(part) for part in given.values())
        folder = self.folder / run_id
        folder.mkdir()
        hits = np.random.default_rng(len(run_id)).random(n) < rate
        scores = [
            Score(f"q{i}", f"e{i // 2}", {"em": float(hit), "f1": float(hit), "answer_recall@5": 1.0}, {"family": "x"})
            for i, hit in enumerate(hits)
        ]
        predictions = [Prediction(f"q{i}", changes.get("answer", "Paris"), "paris", -0.5) for i in range(n)]
        changes.pop("answer", None)
        scores = changes.pop("scores", scores)
        raw: dict[str, Any] = {
            "schema": 1,
            "run_id": run_id,
            "sweep": "s1",
            "role": role,
            "split": split,
            "status": "finished",
        }
        raw |= {"label": label, "task": "nq", "dataset": self.dataset, "scale": self.scale}
        raw |= {
            "config": experiment(given, self.scale),
            "git": {"sha": "abc123", "dirty": True},
            "packages": {"numpy": "2"},
            "seed": 0,
        }
        raw |= {"hardware": {"cores": 2}, "timings": {"seconds_per_query": 0.05}, "notes": ["ceiling 99.6"]}
        raw["digests"] = {"scores": self._keep("scores", run_id, scores)}
        raw["digests"]["predictions"] = self._keep("predictions", run_id, predictions)
        if rankings := changes.pop("rankings", None):
            raw["digests"]["rankings"] = self._keep("rankings", run_id, rankings)
        raw |= changes
        write_sealed(folder / "run.json", raw)
        if raw["status"] == "finished":
            write_sealed(folder / "summary.json", summarise(scores, seed=0))

    def _keep(self, kind: str, run_id: str, records: list[Any]) -> str:
        recipe = Recipe(kind, {"run": run_id}, {}, 1)

        def make(folder: Path) -> dict[str, int]:
            return {"count": write_jsonl(folder / f"{kind}.jsonl", records)}

        return ArtifactStore(self.artifacts).build(recipe, make).digest


def fill(maker: Maker) -> None:
    """Trials on dev, a final and a baseline on test, one failed and one cut off."""
    maker.sweep()
    for k in (1, 5, 20):
        maker.run(f"trial-{k}", "trial", "dev", 0.4 + k / 100, system={"k": k})
    maker.run("trial-bm25", "trial", "dev", 0.3, system={"retriever": "bm25"})
    closed = {"formulation": "closed_book", "retriever": "none", "k": 0}
    maker.run("closed", "baseline", "test", 0.1, system=closed)
    maker.run("final-token", "final", "test", 0.7)
    maker.run("broken", "trial", "dev", 0.0, status="failed", notes=["ran out of memory"])
    maker.run("cut", "trial", "dev", 0.0, status="running")
    maker.selection("trial-5", "trial-20")
