"""Two finished runs that wrote clues, and what annotators answered on the page of their pairs."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rag_lightning.assess import command
from rag_lightning.assess.answers import KIND, checksum
from rag_lightning.assess.pairs import KEY, QUESTIONS, Item, read_key
from rag_lightning.config.commands import AssessConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.config.loading import experiment_of, merged
from rag_lightning.core.artifacts import ArtifactStore, Recipe
from rag_lightning.core.files import write_sealed
from rag_lightning.core.records import Example, Passage, Prediction
from rag_lightning.corpus.store import write_passages
from tests.run_folders import keep

RUNS = {"bart": "closed_book", "rag": "rag_token"}
Answering = Callable[[Item, str], str]
"""The option that an annotator chooses for an item and a question: left, right, both, neither; "" for none."""


def make_runs(
    root: Path, count: int = 40, texts: Mapping[str, Callable[[int], str]] | None = None, **changes: Any
) -> None:
    """Runs of BART and RAG-Token on mini-jeopardy; RAG's clues hold a word of the gold passage, BART's do not.

    Args:
        root: The project's folder.
        count: Questions.
        texts: Run, or "subject" for the questions -> its text of question i, where it is another than usual.
        changes: Changes of the run's records.
    """
    written: dict[str, Callable[[int], str]] = {"subject": lambda i: f"subject {i}"}
    written |= {"bart": lambda i: f"It is a common thing {i}", "rag": lambda i: f"This author {i} wrote novel{i}"}
    written |= dict(texts or {})
    asked = [
        Example(f"q{i}", written["subject"](i), (f"The writer of novel{i} from town{i}",), (f"p{i}",), f"e{i}")
        for i in range(count)
    ]
    passages = [
        Passage(f"p{i}", written["subject"](i), f"an author who wrote novel{i} in town{i}") for i in range(count)
    ]
    store = ArtifactStore(root / "artifacts")
    corpus = store.build(Recipe("corpus", {}, {}, 1), lambda folder: write_passages(folder, passages)).digest
    examples = keep(root, "examples", "jeopardy", {"dev": asked, "test": asked}, {})
    for name, formulation in RUNS.items():
        answers = [Prediction(f"q{i}", written[name](i), "", -0.5) for i in range(count)]
        made = keep(root, "predictions", name, {"predictions": answers}, {"examples": examples})
        values: dict[str, Any] = {"formulation": formulation}
        values["retriever"] = {"kind": "none"} if formulation == "closed_book" else {"train": True}
        raw: dict[str, Any] = {"run_id": name, "sweep": "experiments", "role": "cell", "split": "test", "label": name}
        raw |= {"status": "finished", "dataset": "mini-jeopardy", "scale": "mini", "seed": 0, "command": "matrix"}
        raw["digests"] = {"examples": examples, "predictions": made, "corpus": corpus}
        raw["config"] = merged(to_dict(experiment_of({}, "here")), values)
        folder = root / "runs" / "experiments" / name
        folder.mkdir(parents=True)
        write_sealed(folder / "run.json", raw | changes)
        summary = {
            "metrics": {"bleu1": {"mean": 50.0, "low": 40.0, "high": 60.0, "n": count, "unit": "%"}},
            "slices": {},
        }
        write_sealed(folder / "summary.json", summary)


def assess(root: Path, **config: Any) -> Path:
    """The folder of an assessment of the two runs."""
    command.run(AssessConfig(folder=str(root), **{"name": "ours", "pairs": 30, **config}), list(RUNS))
    return root / "reports" / "assessments" / config.get("name", "ours")


def attentive(item: Item, question: str) -> str:
    """Prefers the reference in control items, and system B everywhere else."""
    return "left" if item.left in ("gold", "B") else "right"


def save(folder: Path, name: str, answering: Answering = attentive, file: str = "", **changes: Any) -> Path:
    """A file as the page saves it."""
    key = read_key(folder / KEY)
    answers = {
        str(place): found
        for place, item in enumerate(key.items, 1)
        if (found := {q.name: option for q in QUESTIONS if (option := answering(item, q.name))})
    }
    raw = {"kind": KIND, "schema": 1, "page": key.page, "annotator": name, "session": f"s-{name}", "answers": answers}
    raw |= {"saved": "2026-01-01T00:00:00.000Z"} | changes
    path = folder / (file or f"assess-{name}.json")
    path.write_text(json.dumps({**raw, "checksum": checksum(raw, len(key.items))} | changes))
    return path
