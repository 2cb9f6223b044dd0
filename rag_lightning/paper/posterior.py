"""The passages behind each token of a prediction: computed once with its system, then read from its run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rag_lightning.core.artifacts import open_artifact
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.files import UNREADABLE, read_sealed, write_sealed
from rag_lightning.core.records import Example, read_jsonl
from rag_lightning.paper.cells import Results
from rag_lightning.report.collect import Run
from rag_lightning.runs import folders

FILE = "posterior.json"
WHOLE = "whole output"
"""The only column of a RAG-Sequence prediction, where one passage stands behind the output."""


@dataclass(frozen=True)
class Shown:
    """A prediction with its passages by token.

    Args:
        run_id: Name of its run folder.
        label: Label of its system.
        example_id: Id of the question.
        query: The question.
        text: The prediction.
        tokens: T tokens, or WHOLE.
        passages: Titles of the K passages, best first.
        values: [T, K] p(z|x,y up to each token).
    """

    run_id: str
    label: str
    example_id: str
    query: str
    text: str
    tokens: tuple[str, ...]
    passages: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]


def stored(results: Results) -> list[Shown]:
    """Those of the scale's runs that were computed before, in order of the runs.

    Raises:
        DataError: a file is damaged.
    """
    files = [_file(results, run) for run in results.runs]
    return [_read(path) for path in files if path.exists()]


def compute(results: Results, prediction: str) -> Shown:
    """Answer the question of a prediction again with its system, and keep the passages by token in its run folder.

    Args:
        results: The stored runs.
        prediction: RUN/EXAMPLE: the name of a run or a part of it, and the id of a question.

    Raises:
        UnknownNameError: no such run, or several.
        ConfigError: no such question, or a system without passages.
        ArtifactError: the run's model was made by another version of the code, or is gone.
    """
    named, _, example_id = prediction.partition("/")  # ids of questions have slashes
    run_id = folders.find_run(results.config.folder, named).name
    run = next((one for one in results.runs if one.run_id == run_id and one.finished), None)
    if run is None or not run.k:
        raise ConfigError(f"prediction={prediction!r}: {run_id} is no finished run with passages at this scale")
    example = _example(results, run, example_id)
    # the system needs torch, which nothing else of the paper's page does
    from rag_lightning.serving.stored import open_run

    answer = open_run(Path(results.config.folder), run.record).answer(example.query)
    rows = answer.tokens or ((WHOLE, answer.posteriors),)
    shown = Shown(
        run_id,
        run.label,
        example_id,
        example.query,
        answer.prediction.text,
        tuple(token for token, _ in rows),
        tuple(passage.title for passage in answer.passages),
        tuple(tuple(map(float, shares)) for _, shares in rows),
    )
    write_sealed(_file(results, run), asdict(shown))
    return shown


def _example(results: Results, run: Run, example_id: str) -> Example:
    folder = folders.artifacts(results.config.folder) / "examples" / str(run.record["digests"].get("examples"))
    path = open_artifact(folder, "examples").path / f"{run.split}.jsonl"
    found = next((one for one in read_jsonl(path, Example) if one.example_id == example_id), None)
    if found is None:
        raise ConfigError(f"prediction: {run.run_id} has no question {example_id!r}; ids are in {path}")
    return found


def _file(results: Results, run: Run) -> Path:
    return folders.run_group(results.config.folder, str(run.record["sweep"])) / run.run_id / FILE


def _read(path: Path) -> Shown:
    try:
        raw: Mapping[str, Any] = read_sealed(path, "remove it and show the prediction again")
        values: dict[str, Any] = {
            name: tuple(raw[name]) if isinstance(raw[name], list) else str(raw[name])
            for name in Shown.__dataclass_fields__
        }
        rows = tuple(tuple(map(float, row)) for row in raw["values"])
    except (KeyError, TypeError, ValueError, *UNREADABLE) as error:
        raise DataError(path, "is cut short or damaged", hint="remove it and show the prediction again") from error
    if [len(row) for row in rows] != [len(raw["passages"])] * len(raw["tokens"]):
        raise DataError(path, "needs a number per token and passage", field="values", hint="remove it")
    return Shown(**{**values, "values": rows})
