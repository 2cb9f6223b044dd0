"""A kind of each sort, registered from this file alone, goes from the command line to the report.

Each class below with its line in `KINDS` is all that it takes; nothing else of the package knows of them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import yaml

from rag_lightning.cli import main
from rag_lightning.config.bounds import PositiveInt
from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.decoding import DecodingConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.config.registries import DECODINGS, INDEX_KINDS, METRICS, RETRIEVERS, TASKS
from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.records import Hypothesis, Prediction
from rag_lightning.core.registry import Registry
from rag_lightning.decoding.strategy import Batch, Strategy
from rag_lightning.index.index import IndexKind, faiss
from rag_lightning.metrics.metric import EVERY_TASK, Metric, Outcome
from rag_lightning.retrieval.retriever import Asked, Hits, Parts, QuestionRetriever, RetrieverKind
from rag_lightning.stages import index, predict
from rag_lightning.stages.workspace import Workspace
from rag_lightning.tasks.examples import RawExample, Row
from rag_lightning.tasks.layout import Layout
from rag_lightning.tasks.spec import TaskSpec
from rag_lightning.tracking import track
from tests import tiny_project
from tests.run_folders import NoMirror, svg_only

HERE = "tests.contracts.test_extending"
KINDS: tuple[tuple[Registry, str, str], ...] = (
    (INDEX_KINDS, "toy_index", "ToyIndex"),
    (RETRIEVERS, "toy_retriever", "ToyRetriever"),
    (DECODINGS, "toy_decoding", "ToyDecoding"),
    (METRICS, "toy_titles", "TOY_TITLES"),
    (TASKS, "toy_task", "TOY_TASK"),
)


@dataclass(frozen=True)
class ToyIndex(IndexKind):
    """Every vector in full.

    Args:
        toy_links: Changes nothing but the digest.
    """

    title: ClassVar[str] = "toy index"
    toy_links: PositiveInt = 3

    def empty(self, count: int, dim: int) -> Any:
        """An IndexFlatIP."""
        return faiss.IndexFlatIP(dim)


@dataclass(frozen=True)
class ToyRetriever(RetrieverKind):
    """The gold passage of a question, then the first rows of the corpus."""

    title: ClassVar[str] = "toy retrieval"

    def open(self, parts: Parts) -> QuestionRetriever:
        """Looks up the corpus alone."""
        return GoldThenFirst(parts)


class GoldThenFirst:
    def __init__(self, parts: Parts) -> None:
        self.store = parts.store

    def retrieve(self, asked: Sequence[Asked], k: int) -> list[Hits]:
        return [self._hits([self.store.row(i) for i in question.gold_passage_ids], k) for question in asked]

    def _hits(self, gold: list[int], k: int) -> Hits:
        rows = list(dict.fromkeys([*gold, *range(k)]))[:k]
        return Hits(np.array(rows, dtype=np.int64), -np.arange(k, dtype=np.float32))


@dataclass(frozen=True)
class ToyDecoding(Strategy):
    """The last words of the first sentence of the first passage.

    Args:
        toy_words: Words of an answer.
    """

    title: ClassVar[str] = "toy decoding"
    formulations: ClassVar[tuple[str, ...]] = ("rag_sequence",)
    generates: ClassVar[bool] = False
    toy_words: PositiveInt = 1

    def predict(self, batch: Batch) -> list[Prediction]:
        """One hypothesis a question."""
        firsts = [context[0].text if context[0] else "" for context in batch.read]
        answers = [" ".join(text.split(".")[0].split()[-self.toy_words :]) for text in firsts]
        return batch.predictions([[Hypothesis(answer, 0.0)] for answer in answers])


def _titles(outcome: Outcome) -> float | None:
    return len(set(outcome.titles)) / len(outcome.titles) if outcome.titles else None


TOY_TITLES = Metric("toy_titles", "%", "higher", _titles, needs=("passages",), beside=(EVERY_TASK,))
"""Share of distinct titles among the passages."""


def _read(path: Path) -> Iterator[Row]:
    for row, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        question, answer, gold = line.split("\t")
        yield RawExample(row, question, (answer,), (gold,))


TOY_TASK = TaskSpec(
    name="toy_task",
    title="Toy",
    citation="this file",
    licence="that of this project",
    layouts=(Layout("toy TSV", "tab-separated text", _read, cells=(3,)),),
    metrics=("em",),
)


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    for registry, name, attribute in KINDS:
        registry.register(name, f"{HERE}:{attribute}")
    yield
    for registry, name, _ in KINDS:
        registry.unregister(name)


@pytest.fixture(scope="module")
def config(registered: None, tmp_path_factory: pytest.TempPathFactory, bert_folder: Path) -> SweepConfig:
    """The tiny project with questions in the toy task's own format."""
    data = tmp_path_factory.mktemp("toys")
    tiny_project.write_data(data)
    for split in tiny_project.SPLITS:
        rows = ((q["question"], q["answers"][0], q["gold_passage_id"]) for q in tiny_project.questions(split))  # type: ignore[index]
        (data / f"{split}.tsv").write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    base = tiny_project.experiment(data, data, bert_folder)
    files = {"train": (str(data / "train.tsv"),), "dev": str(data / "dev.tsv"), "test": str(data / "test.tsv")}
    experiment = replace(
        base,
        formulation="rag_sequence",
        task=replace(base.task, name="toy_task", dataset="toy", **files),
        index=IndexConfig("toy_index", {"toy_links": 2}),
        decoding=DecodingConfig("toy_decoding", {"toy_words": 1}, k=2, dtype="float32"),
        reader=replace(base.reader, steps=2, warmup=1),
        train=replace(base.train, steps=1, eval_every=0),
    )
    space = {"decoding": ("rag_sequence/toy_decoding",), "retriever": ("toy_index", "toy_retriever"), "k": (2,)}
    return SweepConfig("toys", experiment, space=space, trials=2, always=(), trivial=False)


@pytest.fixture(scope="module")
def reported(config: SweepConfig) -> list[Mapping[str, str]]:
    """Rows of table.csv after `sweep` and `report`."""
    root = Path(config.experiment.folder)
    file = root / "sweep.yaml"
    file.write_text(yaml.safe_dump(to_dict(config)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(track, "Mirror", NoMirror)
        svg_only(patch)
        for command in ("sweep", "report"):
            assert main([command, "--config", str(file)]) == 0
    with (root / "reports" / "out" / "toys" / "table.csv").open(encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def test_they_are_in_the_report(reported: list[Mapping[str, str]], config: SweepConfig) -> None:
    by_system = {row["system"]: row for row in reported}
    (swapped,) = (row for label, row in by_system.items() if "toy_retriever" in label)
    assert "toy_decoding" in swapped["system"] and float(swapped["em"]) == 100, "its first passage holds the answer"
    assert float(swapped["toy_titles"]) == 100 and swapped["n"] == "12"
    page = (Path(config.experiment.folder) / "reports" / "out" / "toys" / "table.md").read_text(encoding="utf-8")
    assert "toy\\_index" in page and "toy\\_retriever" in page


def test_its_own_fields_stand_in_its_digest_and_in_no_other(config: SweepConfig) -> None:
    def digests(kind: str, links: int, strategy: str, words: int) -> tuple[str, str]:
        made = replace(
            config.experiment,
            index=IndexConfig(kind, {"toy_links": links}),
            decoding=replace(config.experiment.decoding, strategy=strategy, options={"toy_words": words}),
        )
        return index.STAGE.digest(Workspace(made)), predict.STAGE.digest(Workspace(made))

    own = digests("toy_index", 2, "toy_decoding", 1)
    assert digests("toy_index", 4, "toy_decoding", 1)[0] != own[0]
    assert digests("toy_index", 2, "toy_decoding", 2)[1] != own[1]
    assert digests("flat", 2, "fast", 1) == digests("flat", 4, "fast", 2)


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("index", ["toy_index", "toy_links"]),
        ("retriever", ["toy_retriever"]),
        ("decoding", ["toy_decoding", "toy_words"]),
        ("task", ["toy_task"]),
    ],
)
def test_help_tells_them(section: str, told: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", section]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in told)


def test_doctor_tells_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--folder", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert [name for _, name, _ in KINDS if name not in shown] == []


def test_doctor_knows_the_format_of_the_task(config: SweepConfig, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--data", config.experiment.task.dev, "--as_task", "toy_task"]) == 0
    shown = capsys.readouterr().out
    assert "toy TSV" in shown and "12 examples" in shown


def test_plan_tells_them(
    config: SweepConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    file = tmp_path / "experiment.yaml"
    file.write_text(yaml.safe_dump(to_dict(config.experiment)))
    assert main(["plan", "--config", str(file)]) == 0
    shown = capsys.readouterr().out
    for told in ("index toy_index (configured)", "decoding toy_decoding (configured)", "toy_titles", "toy_task"):
        assert told in shown
