"""A made-up project of stored runs that can be compared, with tidy or hostile texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rag_lightning.core.artifacts import ArtifactStore, Recipe
from rag_lightning.core.files import write_json, write_sealed
from rag_lightning.core.records import Example, Passage, Prediction, Ranking, Score, write_jsonl
from rag_lightning.corpus.store import write_passages
from rag_lightning.metrics.summary import summarise
from rag_lightning.report.compare import Comparison, compare
from rag_lightning.report.side import find_side

BAD = "<script>alert(1)</script> [bold]x[/bold] \x1b[31mred\x1b[0m \u202eevil\u202c \x00 | \\input{x} & % "
LONG = "y" * 50_000


@dataclass
class Project:
    """Runs with the whole chain of artifacts, as `score` leaves them."""

    root: Path
    text: str = "plain"
    made: dict[str, str] = field(default_factory=dict)

    def build(self, kind: str, config: Any, inputs: dict[str, str], make: Any) -> str:
        return ArtifactStore(self.root / "artifacts").build(Recipe(kind, config, inputs, 1), make).digest

    def rows(self, kind: str, config: Any, inputs: dict[str, str], file: str, rows: Sequence[Any]) -> str:
        return self.build(kind, config, inputs, lambda folder: {"n": write_jsonl(folder / file, rows)})

    def run(self, name: str, values: Sequence[float], **given: Any) -> str:
        """A finished run; returns the digest of its scores.

        Keywords: sweep, first (number of the first question), ask (its words), metric, notes, k, status.
        """
        first, ask, metric = given.get("first", 0), given.get("ask", "question"), given.get("metric", "em")
        ids = [f"q{i}" for i in range(first, first + len(values))]
        long = {one: LONG if self.text == BAD and one == "q2" else "" for one in ids}
        asked = [Example(one, f"{ask} {one} {self.text}{long[one]}", (f"answer {self.text}",)) for one in ids]
        listed = [Passage(f"p{i}", f"title {i} {self.text}", f"text {i} {self.text}") for i in range(6)]
        corpus = self.build("corpus", {}, {}, lambda folder: write_passages(folder, listed))
        examples = self.rows("examples", {"of": first, "ask": ask}, {}, "dev.jsonl", asked)
        k = given.get("k", 2)
        ranked = [Ranking(one, tuple(range(k)), tuple(float(9 - z) for z in range(k))) for one in ids]
        rankings = self.rows("rankings", {"k": k}, {"examples": examples, "corpus": corpus}, "rankings.jsonl", ranked)
        said = [Prediction(one, f"said by {name} {self.text}{long[one]}", "said", -0.5) for one in ids]
        inputs = {"examples": examples, "rankings": rankings}
        inputs["predictions"] = self.rows("predictions", {"of": name}, inputs, "predictions.jsonl", said)
        scores = [Score(one, one, {metric: float(value), "f1": 0.5}) for one, value in zip(ids, values, strict=True)]

        summary = summarise(scores, seed=0) | {"notes": given.get("notes", [])}

        def score(folder: Path) -> dict[str, Any]:
            write_json(folder / "summary.json", summary)
            return {"n": write_jsonl(folder / "scores.jsonl", scores)}

        config = {"split": "dev", "k": k, "metrics": [metric, "f1"], "of": name}
        digest = self.build("scores", config, inputs, score)
        folder = self.root / "runs" / given.get("sweep", "s1") / name
        folder.mkdir(parents=True)
        raw = {"run_id": name, "role": "cell", "split": "dev", "status": given.get("status", "finished")}
        raw |= {"label": f"system {name} {self.text}", "dataset": "mini-nq", "scale": "mini", "seed": 0}
        system = {"formulation": "rag_token", "decoding": {"strategy": "greedy", "k": k}}
        raw["config"] = system | {"retriever": {"kind": "dense"}, "index": {"kind": "flat"}}
        write_sealed(folder / "run.json", raw | {"digests": {"scores": digest}})
        write_sealed(folder / "summary.json", summary)
        return digest

    def compare(self, left: str, right: str, metric: str = "") -> Comparison:
        return compare(find_side(self.root, left), find_side(self.root, right), metric)
