"""What can be known before training ends an experiment before training, in one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import BertConfig

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.data import TaskConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.stages import predict, reader, retriever_warmup, train
from rag_lightning.stages.workspace import Workspace
from rag_lightning.sweep import run as sweep
from tests.tiny_project import experiment, questions, write_data, write_lines

LONG = "what is the capital of " + "a1 " * 25
"""54 tokens with those at its ends; 52 of max_source_length=60 are for the question."""


@pytest.fixture
def fresh(tmp_path: Path, bert_folder: Path) -> ExperimentConfig:
    """A project of which nothing is built."""
    write_data(tmp_path / "data")
    return experiment(tmp_path, tmp_path / "data", bert_folder)


def swept(config: ExperimentConfig) -> None:
    space = {"decoding": ("rag_token/greedy", "rag_sequence/thorough"), "retriever": ("flat",), "k": (1,)}
    objectives = ("label_accuracy" if config.task.name == "fever3" else "em",)
    sweep.run(SweepConfig("early", config, space, trials=2, objectives=objectives, always=(), trivial=False))


def trained(config: ExperimentConfig) -> None:
    train.build(Workspace(config))


def predicted(config: ExperimentConfig) -> None:
    predict.build(Workspace(config), "dev")


BEGUN: list[Callable[[ExperimentConfig], Any]] = [
    swept,
    trained,
    predicted,
    lambda config: reader.build(Workspace(config)),
    lambda config: retriever_warmup.build(Workspace(config)),
]
begun = pytest.mark.parametrize("begin", BEGUN, ids=["sweep", "train", "predict", "reader", "retriever_warmup"])


def made(config: ExperimentConfig) -> set[str]:
    """Kinds of artifacts, half-built ones too."""
    return {folder.name for folder in (Path(config.folder) / "artifacts").iterdir() if any(folder.iterdir())}


@begun
@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_a_question_that_no_passage_fits_beside(
    fresh: ExperimentConfig, begin: Callable[[ExperimentConfig], Any], split: str
) -> None:
    rows = questions(split)
    rows[6]["question"], rows[8]["question"] = LONG, LONG + "?"
    file = write_lines(Path(fresh.folder) / "data" / f"{split}.jsonl", rows)
    says = (
        rf"{file}, row 7, field 'question': the question of {split} has 57 tokens, too many for "
        rf"generator\.max_source_length=60 \(the first of 2 such questions\) .*"
        "'what .*; questions are never cut for the generator: raise it, or shorten or remove the row"
    )
    with pytest.raises(DataError, match=says):
        begin(fresh)
    assert made(fresh) == {"corpus", "examples"}


def test_a_question_that_is_not_asked_may_be_long(fresh: ExperimentConfig) -> None:
    rows = questions("dev")
    rows[6]["question"] = LONG
    write_lines(Path(fresh.folder) / "data" / "dev.jsonl", rows)
    few = replace(fresh, task=replace(fresh.task, limit=6), reader=replace(fresh.reader, steps=0))
    assert reader.build(Workspace(few)).info["steps"] == 0


@begun
def test_k_above_the_corpus(fresh: ExperimentConfig, begin: Callable[[ExperimentConfig], Any]) -> None:
    large = replace(fresh, retriever=replace(fresh.retriever, k_max=65))
    with pytest.raises(ConfigError, match=r"^retriever\.k_max=65, but the corpus has 64 passages; choose 1 to 64$"):
        begin(large)
    with pytest.raises(ConfigError, match=r"^train\.k=65, but the corpus has 64 passages; choose 1 to 64$"):
        begin(replace(fresh, train=replace(fresh.train, k=65)))
    assert made(fresh) == {"corpus", "examples"}


@begun
def test_encoders_of_two_widths(
    fresh: ExperimentConfig, begin: Callable[[ExperimentConfig], Any], tmp_path: Path
) -> None:
    BertConfig(hidden_size=16, num_attention_heads=4).save_pretrained(tmp_path / "narrow")
    two = replace(fresh, encoder=replace(fresh.encoder, passage_model=str(tmp_path / "narrow")))
    says = r"encoder\.model=.* gives vectors of width 32, encoder\.passage_model=.*narrow of width 16; give two of one"
    with pytest.raises(ConfigError, match=says):
        begin(two)
    assert made(fresh) == {"corpus", "examples"}
    lexical = replace(two, retriever=replace(two.retriever, kind="bm25"), reader=replace(two.reader, steps=0))
    reader.build(Workspace(lexical))  # which asks no passage encoder


@pytest.mark.parametrize("begin", [trained, predicted], ids=["train", "predict"])
def test_an_index_that_the_vectors_do_not_fit(
    fresh: ExperimentConfig, begin: Callable[[ExperimentConfig], Any]
) -> None:
    with pytest.raises(
        ConfigError, match=r"index\.pq=PQ48x8np: 48 parts do not divide the vector size 32; use PQ32x8np"
    ):
        begin(replace(fresh, index=IndexConfig("ivf_pq")))
    assert made(fresh) == {"corpus", "examples"}


@begun
def test_labels_outside_the_set(fresh: ExperimentConfig, begin: Callable[[ExperimentConfig], Any]) -> None:
    data = Path(fresh.folder) / "data"
    claims = [{"id": i, "claim": f"porto {i}", "label": "SUPPORTS", "evidence": [[[0, 0, "b0a", 0]]]} for i in range(9)]
    good = str(write_lines(data / "good.jsonl", claims))
    claims[4]["label"] = "MAYBE"
    bad = str(write_lines(data / "bad.jsonl", claims))
    task = TaskConfig(name="fever3", dataset="tiny", train=(good,), dev=good, test=bad)
    with pytest.raises(
        DataError, match=r"bad\.jsonl, row 5, field 'label': is no label of FEVER \(got 'MAYBE'\); one of"
    ):
        begin(replace(fresh, task=task))
    columns = {"query": "claim", "answers": "label"}
    with pytest.raises(
        DataError, match=r"bad\.jsonl, row 5, field 'label': is no label \(got 'MAYBE'\); one of supports"
    ):
        begin(replace(fresh, task=replace(task, columns=columns)))
    assert made(fresh) <= {"corpus", "examples"}


@begun
def test_ids_that_do_not_match(fresh: ExperimentConfig, begin: Callable[[ExperimentConfig], Any]) -> None:
    data = Path(fresh.folder) / "data"
    rows = questions("test")
    rows[3]["gold_passage_id"] = "p64"
    file = write_lines(data / "other.jsonl", rows)
    says = r"other\.jsonl, row 4, field 'gold_passage_id': no such passage in the corpus .*'p64'.*; use the corpus"
    with pytest.raises(DataError, match=says):
        begin(replace(fresh, task=replace(fresh.task, test=str(file))))
    (data / "qrels").mkdir()
    asked = [{"_id": row["id"], "text": row["question"], "answers": row["answers"]} for row in questions("test")]
    write_lines(data / "queries.jsonl", asked)
    judged = data / "qrels" / "test.tsv"
    judged.write_text("query-id\tcorpus-id\tscore\nq52\tp52\t1\nq53\tp99\t1\n")
    says = r"test\.tsv, row 3, field 'gold_passage_id': no such passage in the corpus .*'p99'"
    with pytest.raises(DataError, match=says):
        begin(replace(fresh, task=replace(fresh.task, test=str(judged))))
    judged.write_text("query-id\tcorpus-id\tscore\nq52\tp52\t1\nq1\tp1\t1\n")
    with pytest.raises(
        DataError, match=r"test\.tsv, row 3, field 'query-id': is no query of queries\.jsonl \(got 'q1'\)"
    ):
        begin(replace(fresh, task=replace(fresh.task, test=str(judged))))
    assert made(fresh) <= {"corpus", "examples"}
