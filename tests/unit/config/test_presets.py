"""Words that stand for fields: what they expand to, what wins, what contradicts."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.cli import main, parse
from rag_lightning.config import presets
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.loading import load_experiment
from rag_lightning.config.presets import NEEDED, SYSTEMS, TRAIN_PRESETS, expand
from rag_lightning.config.registries import TASKS
from rag_lightning.core.errors import ConfigError

README = Path(__file__).parents[3] / "docs" / "reproducing-the-paper.md"


def parsed(*words: str, stage: str = "score") -> ExperimentConfig:
    found = parse(stage, words)
    assert found is not None
    config = found[0]
    return config if isinstance(config, ExperimentConfig) else config.experiment


@pytest.mark.parametrize(
    ("system", "formulation", "kind", "train"),
    [
        ("rag", "rag_sequence", "dense", True),
        ("frozen", "rag_sequence", "dense", False),
        ("bm25", "rag_sequence", "bm25", True),
        ("closed_book", "closed_book", "none", True),
        ("oracle", "rag_sequence", "oracle", True),
    ],
)
def test_a_system_is_plain_fields(system: str, formulation: str, kind: str, train: bool, tmp_path: Path) -> None:
    given = parsed("--system", system)
    assert (given.formulation, given.retriever.kind, given.retriever.train) == (formulation, kind, train)
    assert given.retriever.trained_with == "same" and given.system == "custom"
    file = tmp_path / "some.yaml"
    file.write_text(f"system: {system}\nseed: 3\n")
    assert load_experiment(file, {"seed": 0}) == given == parsed("--config", str(file), "--seed", "0")
    file.write_text("seed: 3\n")
    assert load_experiment(file, {"seed": 0, "system": system}) == given
    file.write_text(f"experiment: {{system: {system}}}\n")
    assert parsed("--config", str(file), stage="sweep") == given


def test_what_is_given_wins_wherever_it_is_given(tmp_path: Path) -> None:
    file = tmp_path / "some.yaml"
    file.write_text("formulation: rag_token\nretriever: {trained_with: dense, k_max: 7}\ntrain: {k: 9}\n")
    found = parsed("--config", str(file), "--system", "oracle", "--train_preset", "paper", "--train.scale_lr", "0.5")
    assert (found.formulation, found.retriever.trained_with, found.retriever.k_max) == ("rag_token", "dense", 7)
    assert (found.train.k, found.train.scale_lr, found.train.weight_decay) == (9, 0.5, 0.0)
    assert parsed("--system", "closed_book", "--decoding.strategy", "beam").decoding.strategy == "beam"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--system", "frozen", "--retriever.train", "true"), "system=frozen means retriever.train=false, but ret"),
        (("--system", "closed_book", "--formulation", "rag_token"), "means formulation=closed_book, but formulation="),
        (("--system", "rag", "--formulation", "closed_book"), "means formulation=rag_sequence or rag_token, but"),
        (("--system", "bm25", "--retriever.trained_with", "dense"), "retriever.trained_with=same or bm25, but"),
        (("--system", "oracle", "--retriever.kind", "dense"), "retriever.kind=oracle, but retriever.kind=dense is giv"),
        (("--train_preset", "authors"), "train_preset=authors needs train.steps: the authors trained for 100 epochs"),
        (("--system", "forzen"), "did you mean 'frozen'"),
    ],
)
def test_a_contradiction_is_one_clear_line(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *words]) == 2
    assert said in capsys.readouterr().err


def test_what_is_printed_is_expanded_and_reads_back(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["train", "--system", "frozen", "--print_config"]) == 0
    file = tmp_path / "printed.yaml"
    file.write_text(capsys.readouterr().out)
    assert "train: false" in file.read_text()
    assert parsed("--config", str(file)) == parsed("--system", "frozen")


@pytest.mark.parametrize("change", [{"system": "frozen"}, {"train_preset": "paper"}])
def test_a_word_that_nothing_expands_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="only a file or the command line expands"):
        ExperimentConfig(**change)


@pytest.mark.parametrize("preset", TRAIN_PRESETS)
def test_a_train_preset_names_fields_that_there_are(preset: str) -> None:
    needed = (f"--{NEEDED[preset]}", "700") if preset in NEEDED else ()
    found = parsed("--train_preset", preset, *needed)
    for name, setting in TRAIN_PRESETS[preset].items():
        section, _, field = name.partition(".")
        assert getattr(getattr(found, section), field) == setting.value, name
        assert setting.source
    assert found.train_preset == "ours"


def test_ours_is_the_recipe_where_the_model_is_small_and_plain_at_scale_paper() -> None:
    assert parsed() == parsed("--train_preset", "recipe") != parsed("--train_preset", "plain") == ExperimentConfig()
    assert expand({"scale": "mini-long"}) == expand({"scale": "mini"})
    assert expand({"scale": "paper"}) == {} != expand({"scale": "paper", "train_preset": "recipe"})
    assert expand({"train_preset": "authors", "train.steps": 9}).keys() == TRAIN_PRESETS["authors"].keys()


@pytest.mark.parametrize("task", [*TASKS])
def test_only_copied_answers_are_looked_for_in_passages(task: str) -> None:
    found = parsed("--task.name", task)
    copied = {**presets.RECIPE_COPIED} if TASKS.get(task).extractive else {}
    assert expand({"task.name": task}).keys() == {*presets.RECIPE, *copied}
    assert found.train.answerable_only == TASKS.get(task).extractive
    assert found.reader.distractor_loss == "spread_first" and found.retriever_warmup.steps == 0


def test_what_is_given_wins_over_the_recipe_of_the_scale() -> None:
    found = parsed("--train.distractor_loss", "none", "--retriever_warmup.steps", "100")
    assert (found.train.distractor_loss, found.retriever_warmup.steps, found.train.k) == ("none", 100, 5)


def test_the_readme_has_every_value_and_system() -> None:
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in README.read_text().splitlines()]
    table = {row[0]: row[1:] for row in rows if len(row) == 4 and "." in row[0] and " " not in row[0]}
    named = {name: (TRAIN_PRESETS["paper"].get(name), s) for name, s in TRAIN_PRESETS["authors"].items()}
    shown = {name: [str(s.value) if s else "" for s in pair] for name, pair in named.items()}
    table = {name: cells for name, cells in table.items() if name in shown}
    assert {name: cells[:2] for name, cells in table.items()} == shown
    for name, (paper, authors) in named.items():
        assert table[name][2].startswith("no") != (authors.stated or bool(paper and paper.stated)), name
    assert {row[0] for row in rows if row and row[0] in SYSTEMS} == set(SYSTEMS)


def test_presets_know_every_system_and_preset_that_the_configuration_names() -> None:
    known = {field.name: field.default for field in fields(ExperimentConfig)}
    assert {name: known[name] for name in presets.UNSET} == presets.UNSET
    assert {*presets.SystemName.__args__} == {"custom", *SYSTEMS}
    assert {*presets.TrainPreset.__args__} == set(TRAIN_PRESETS)
