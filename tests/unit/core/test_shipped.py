"""The project's own files are found from any folder; a user's file of the same name wins."""

from pathlib import Path

import pytest

from rag_lightning.cli import main, parse
from rag_lightning.config.commands import SweepConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.shipped import HOME, find_shipped
from rag_lightning.runs.experiment import Experiment

SMOKE = Path("sweeps/smoke.yaml")


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("path", [SMOKE, Path("experiments/matrix.yaml"), Path("reports/templates")])
def test_a_file_of_the_project_is_found_from_an_empty_folder(empty: Path, path: Path) -> None:
    assert find_shipped(path) == HOME / path and (HOME / path).exists()


def test_the_working_folder_wins(empty: Path) -> None:
    own = empty / SMOKE
    own.parent.mkdir()
    assert find_shipped(SMOKE) == HOME / SMOKE
    own.write_text("name: mine\n")
    assert find_shipped(SMOKE) == SMOKE


@pytest.mark.parametrize(
    "path", ["sweeps/gone.yaml", "sweeps/../README.md", "README.md", "rag_lightning/cli.py", "", "x" * 5000]
)
def test_anything_else_is_left_as_it_is(empty: Path, path: str) -> None:
    assert find_shipped(path) == Path(path)
    assert find_shipped(empty / "sweeps" / "smoke.yaml") == empty / "sweeps" / "smoke.yaml"


@pytest.mark.parametrize("words", [["--config", str(SMOKE)], [f"--config={SMOKE}"]])
def test_the_command_line_finds_configurations_of_the_project(empty: Path, words: list[str]) -> None:
    parsed = parse("sweep", [*words, "--trials", "3"])
    assert parsed is not None and isinstance(parsed[0], SweepConfig)
    assert (parsed[0].name, parsed[0].trials) == ("smoke", 3)


def test_python_finds_experiments_of_the_project(empty: Path) -> None:
    assert Experiment.load("experiments/nq_rag_token.yaml").workspace.config.name == "nq_rag_token"


def test_a_misspelt_file_is_answered_with_the_project_s_names(empty: Path) -> None:
    with pytest.raises(ConfigError, match=r"^sweeps/smok\.yaml: no such file .*did you mean 'smoke\.yaml'"):
        parse("sweep", ["--config", "sweeps/smok.yaml"])


@pytest.mark.parametrize("stage", ["matrix", "claims"])
def test_matrix_and_claims_read_the_project_s_files(
    empty: Path, stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([stage, "--only", '["rag_above_closed_bok"]']) == 2
    assert "unknown" in (shown := capsys.readouterr().err) and "closed_book" in shown, shown
