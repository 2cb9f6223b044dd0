"""Every bounded field, out of its range by every route: one line that names section and field, exit code 2."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from rag_lightning.cli import main
from rag_lightning.commands import COMMANDS
from rag_lightning.config import presets
from rag_lightning.config.bounds import Device, Name
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import BOUNDS, KindSection, Leaf, leaves, sections_of
from rag_lightning.config.loading import experiment_of, load_experiment
from rag_lightning.core.errors import ConfigError
from rag_lightning.matrix.matrix import Cell

BOUNDED = [leaf for leaf in leaves(ExperimentConfig) if leaf.hint in BOUNDS and leaf.hint not in (Name, Device)]
WHOLE = [leaf for leaf in leaves(ExperimentConfig) if getattr(leaf.hint, "_type", leaf.hint) is int]
SECTIONS = {"": ExperimentConfig, **sections_of(ExperimentConfig)}


def path_of(leaf: Leaf) -> str:
    return leaf.path


every_bounded_field = pytest.mark.parametrize("leaf", BOUNDED, ids=path_of)


def values_outside(leaf: Leaf) -> list[int | float]:
    """On both sides where there are two."""
    plain = getattr(leaf.hint, "_type", leaf.hint)
    limits = {compare.__name__: limit for compare, limit in leaf.hint._restrictions}
    found: list[int | float] = [plain(limits["ge"] - 1 if "ge" in limits else limits["gt"])]
    return [*found, plain(limits["le"] + 1)] if "le" in limits else found


def nested(path: str, value: Any) -> dict[str, Any]:
    section, _, name = path.rpartition(".")
    return {section: {name: value}} if section else {name: value}


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "rag_lightning.cli.COMMANDS", {**COMMANDS, "corpus": replace(COMMANDS["corpus"], target="none:run")}
    )


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[[list[str], str], None]:
    """Asserts that a command line is misused, with one line of standard error that says so."""

    def check(words: list[str], says: str) -> None:
        assert main(words) == 2
        shown = capsys.readouterr().err
        assert says in shown and shown.startswith("rag-lightning: ") and shown.count("\n") == 1

    return check


def says_of(leaf: Leaf, value: float, prefix: str = "") -> str:
    return f"{prefix}{leaf.path}={value}: {BOUNDS[leaf.hint]}"


def test_there_are_bounded_fields_in_every_numeric_section() -> None:
    named = {leaf.path.partition(".")[0] for leaf in BOUNDED}
    assert named >= {"task", "corpus", "encoder", "index", "bm25", "retriever", "generator", "targets", "biencoder"}
    assert named >= {"retriever_warmup", "reader", "train", "decoding"}
    assert {values_outside(leaf)[0] for leaf in BOUNDED} == {0, -1}


@every_bounded_field
def test_by_the_command_line(leaf: Leaf, refused: Callable[[list[str], str], None]) -> None:
    for value in values_outside(leaf):
        refused(["corpus", f"--{leaf.path}={value}"], says_of(leaf, value))


@every_bounded_field
def test_by_a_file(leaf: Leaf, tmp_path: Path, refused: Callable[[list[str], str], None]) -> None:
    file, (value, *_) = tmp_path / "some.yaml", values_outside(leaf)
    file.write_text(yaml.safe_dump(nested(leaf.path, value)))
    refused(["corpus", "--config", str(file)], f"{file}: {says_of(leaf, value)}")
    with pytest.raises(ConfigError) as error:
        load_experiment(file, {})
    assert says_of(leaf, value) in str(error.value)


@every_bounded_field
def test_in_python(leaf: Leaf) -> None:
    """By constructor and by dataclasses.replace; NaN is no number in bounds either."""
    section, _, name = leaf.path.rpartition(".")
    cls = SECTIONS[section]
    options = issubclass(cls, KindSection) and cls.is_option(name)
    for value in values_outside(leaf):
        given: dict[str, Any] = {"options": {name: value}} if options else {name: value}
        for make in (lambda given=given: cls(**given), lambda given=given: replace(cls(), **given)):
            with pytest.raises(ConfigError) as error:
                make()
            assert str(error.value) == says_of(leaf, value)
    nothing = float("nan")
    with pytest.raises(ConfigError, match=rf"^{re.escape(leaf.path)}=nan: must be"):
        cls(**({"options": {name: nothing}} if options else {name: nothing}))


@every_bounded_field
def test_by_a_sweep(leaf: Leaf, tmp_path: Path, refused: Callable[[list[str], str], None]) -> None:
    file, (value, *_) = tmp_path / "sweep.yaml", values_outside(leaf)
    file.write_text(yaml.safe_dump({"experiment": nested(leaf.path, value)}))
    refused(["sweep", "--config", str(file)], f"{file}: {says_of(leaf, value, 'experiment.')}")
    refused(["sweep", f"--experiment.{leaf.path}={value}"], says_of(leaf, value, "experiment."))


@every_bounded_field
def test_by_a_cell_of_the_matrix(leaf: Leaf) -> None:
    value = values_outside(leaf)[0]
    cell = Cell("some", "nq", "rag", "mini", "row", nested(leaf.path, value), "some.yaml")
    with pytest.raises(ConfigError) as error:
        cell.experiment(0)
    assert str(error.value) == f"cell some: {says_of(leaf, value)}"
    with pytest.raises(ConfigError) as error:
        replace(cell, values={}).experiment(0, **nested(leaf.path, value))
    assert str(error.value) == f"cell some: {says_of(leaf, value)}"


@every_bounded_field
def test_by_a_preset(leaf: Leaf, monkeypatch: pytest.MonkeyPatch, refused: Callable[[list[str], str], None]) -> None:
    value = values_outside(leaf)[0]
    setting = presets.Setting(value, True, "nowhere")
    monkeypatch.setattr(presets, "TRAIN_PRESETS", {"recipe": {}, "paper": {leaf.path: setting}})
    refused(["corpus", "--train_preset", "paper"], says_of(leaf, value))
    with pytest.raises(ConfigError, match=r"^here: ") as error:
        experiment_of({"train_preset": "paper"}, "here")
    assert says_of(leaf, value) in str(error.value)


@pytest.mark.parametrize("words", [["--space", "{k: [0]}"], ["--space", "{index.m: [0]}"], ["--always", "[{k: 0}]"]])
def test_by_a_point_of_a_sweep(words: list[str], tmp_path: Path, refused: Callable[[list[str], str], None]) -> None:
    folder = tmp_path / "none"
    refused(["sweep", "--experiment.folder", str(folder), *words], "must be at least")
    assert not folder.exists()


@pytest.mark.parametrize("leaf", WHOLE, ids=path_of)
def test_no_whole_number_is_larger_than_libraries_count(leaf: Leaf, refused: Callable[[list[str], str], None]) -> None:
    """FAISS, PyTorch and islice end in an OverflowError."""
    for value in (2**31, 10**20, *((-(2**31),) if leaf.hint is int else ())):
        refused(["corpus", f"--{leaf.path}={value}"], f"{leaf.path}={value}: must be at most 2,147,483,647 in size")
    section, _, name = leaf.path.rpartition(".")
    cls = SECTIONS.get(section, ExperimentConfig)
    options = issubclass(cls, KindSection) and cls.is_option(name)
    with pytest.raises(ConfigError, match="must be at most 2,147,483,647"):
        cls(**({"options": {name: 2**31}} if options else {name: 2**31}))
