"""Names of sweeps, experiments, data sets and claims: one rule by every route, refused before anything is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rag_lightning.cli import main
from rag_lightning.config.bounds import NAME, is_name
from rag_lightning.config.commands import TAKEN, AssessConfig, SweepConfig
from rag_lightning.config.data import TaskConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.loading import experiment_of, load_experiment
from rag_lightning.config.yaml_files import check_file_name
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.runs import folders
from rag_lightning.runs.system import System

RULE = "must be 1 to 80 letters (a-z, A-Z), digits, . _ or -, and not begin with . or -"
HOSTILE = ["", ".", "..", "...", ".hidden", "-x", "--name", "a/b", "../../escape", "/etc", "a\\b", "a b", "nq ", " nq"]
HOSTILE += ["a\n", "a\0b", "a\rb", "a\x1b[31m", "\u202egpj", "ü", "数据", "\ufb00", "a" * 81, "a" * 5000]
HOSTILE += ["$(id)", "a;b", "it's", "{x}", "%2e"]
GOOD = ["nq", "nq-own", "2024", "1e5", "null", "true", "_x", "v1.2", "a..b", "a" * 80]
ROUTES: dict[str, tuple[Callable[[str], Any], str]] = {
    "a sweep": (lambda name: SweepConfig(name=name), "name"),
    "an experiment": (lambda name: ExperimentConfig(name=name), "name"),
    "a data set": (lambda name: TaskConfig(dataset=name), "task.dataset"),
    "a replaced data set": (lambda name: replace(TaskConfig(), dataset=name), "task.dataset"),
    "plain values": (lambda name: experiment_of({"name": name}, "here"), "name"),
    "a data set of plain values": (lambda name: experiment_of({"task": {"dataset": name}}, "here"), "task.dataset"),
}
on_the_command_line = pytest.mark.parametrize(
    ("command", "key"),
    [("sweep", "name"), ("report", "name"), ("train", "name"), ("score", "task.dataset"), ("track", "task.dataset")],
)


@pytest.fixture(autouse=True)
def nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    yield
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".yaml"] == []


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", HOSTILE)
def test_in_python(route: str, name: str) -> None:
    make, field = ROUTES[route]
    with pytest.raises(ConfigError) as error:
        make(name)
    assert f"{field}=" in str(error.value) and str(error.value).endswith(RULE) and len(str(error.value)) < 300


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", GOOD)
def test_what_is_a_name(route: str, name: str) -> None:
    ROUTES[route][0](name)


@on_the_command_line
def test_on_the_command_line(command: str, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in HOSTILE:
        if "\0" in name:
            continue  # no argument can hold one
        assert main([command, f"--{key}={name}"]) == 2
        shown = capsys.readouterr().err
        assert f"{key}=" in shown and RULE in shown and shown.count("\n") == 1 and len(shown) < 400


@pytest.mark.parametrize("name", [*HOSTILE, 2024, None, ["nq"], True])
def test_in_a_file(name: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "some.yaml"
    file.write_text(yaml.safe_dump({"name": name}), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"some\.yaml: name"):
        load_experiment(file, {})
    assert main(["sweep", "--config", str(file)]) == 2
    shown = capsys.readouterr().err
    assert "name" in shown and "must be" in shown and shown.count("\n") == 1


@pytest.mark.parametrize("name", [name for name in HOSTILE if name])
def test_of_an_assessment_a_claim_a_system_and_a_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must (be 1 to 80|hold no NUL)"):
        AssessConfig(name=name)
    with pytest.raises(DataError, match="must be 1 to 80"):
        check_file_name(Path("claims.yaml"), "claims.name", name)
    if "/" in name or "\0" in name or not name.strip("."):
        for folder in (folders.run_group, folders.report):
            if name != "...":
                with pytest.raises(ConfigError, match="is not the name of a folder of runs or reports"):
                    folder(tmp_path, name)


@pytest.mark.parametrize("name", [*TAKEN, "x.lock", "ledger.jsonl"])
def test_names_in_use(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^name='.*': must (be none of|not end with) "):
        SweepConfig(name=name)


@given(st.text(max_size=100) | st.from_regex(NAME))
def test_a_name_is_one_folder_and_one_word(text: str) -> None:
    if is_name(text):
        assert (Path("runs") / text).parent == Path("runs") and text.isascii() and text.split() == [text]
        assert len(text) <= 80 and text[0] not in ".-"


@given(st.text(max_size=200))
def test_a_run_has_a_name_whatever_its_label(label: str) -> None:
    system = System(ExperimentConfig(), label)
    system._lineages["dev"] = {"scores": "0123456789abcdef"}
    name = system.run_id("dev")
    assert name.isascii() and name.startswith("dev-") and set(name).isdisjoint("/\\ \0\n") and len(name) < 130
