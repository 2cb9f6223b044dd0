"""The command line: quick help, one clear line for every mistake, the right configuration for a command."""

import ast
import os
import subprocess
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

import rag_lightning
from rag_lightning import cli
from rag_lightning.cli import main, parse
from rag_lightning.commands import COMMANDS
from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.loading import experiment_of
from rag_lightning.config.training import TrainConfig
from rag_lightning.core import console
from rag_lightning.core.console import is_verbose
from rag_lightning.matrix.matrix import load_matrix
from tests.run_folders import Called

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "faiss", "mlflow", "transformers", "pytorch_lightning", "matplotlib", "datasets", "optuna", "scipy"}
DEFAULT = experiment_of({}, "here")
PARSED = sorted({(command.config, command.extras): name for name, command in COMMANDS.items()}.values())
"""One command of each kind of parser: most stages have the same."""


# --- help ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["train", "--help"], ["sweep", "--print_config"], ["trian"]]
)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = f"import sys, rag_lightning.cli as c; c.main({words}); print(*sorted({HEAVY} & set(sys.modules)), sep='\\n')"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not HEAVY & set(done.stdout.splitlines())


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_a_console_that_cannot_encode_what_is_printed_gets_it_escaped(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def speak(*_: object) -> None:
        print("naïve … 数 \udcff 🙂")
        console.say("naïve … 数 🙂")
        Console(highlight=False).print(Table("…", "数", title="ü"))

    for command in (
        COMMANDS if encoding == "ascii" else ("ask", "report", "sweep")
    ):  # ASCII has none of the others' signs
        out, err = (TextIOWrapper(BytesIO(), encoding=encoding, write_through=True) for _ in range(2))
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        monkeypatch.setattr(cli, "load", lambda target: speak)
        positional = ["x" for extra in COMMANDS[command].extras if not extra.is_option]
        assert [main([command, "--help"]), main([command, *positional]), main([command, "--näme", "数"])] == [0, 0, 2]
        shown = out.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
        said = err.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
        assert r"\udcff" in shown and (r"\u6570" in shown) == (encoding != "utf-8")
        assert "unknown key" in said and "Traceback" not in said


HOMELESS = """
import os, pwd, sys
os.environ.pop("HOME", None)
def nobody(uid):
    raise KeyError(uid)
pwd.getpwuid = nobody
import rag_lightning
import matplotlib, mlflow.environment_variables
from rag_lightning.runs.record import user
print(os.environ["HOME"], user())
"""


@pytest.mark.parametrize(("home", "expected"), [(None, ""), ("/", "/")])
def test_a_user_without_home_and_entry_gets_the_working_folder(home: str | None, expected: str, tmp_path: Path) -> None:
    code = HOMELESS if home is None else HOMELESS.replace('os.environ.pop("HOME", None)', "")
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | ({} if home is None else {"HOME": home})
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path, env=given)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == (expected or str(tmp_path))


def test_the_overview_names_every_command_and_artifact(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown and command.line in shown for name, command in COMMANDS.items())
    assert all(command.artifact in shown for command in COMMANDS.values())


def test_without_a_command_the_overview_is_shown_and_it_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "commands:" in capsys.readouterr().out


def test_the_help_of_a_section_shows_sentences_types_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "index"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "ivf_rabitq: Number of cells that a search visits (int, at least 1; default 32)" in shown


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"rag-lightning {rag_lightning.__version__}\n"
    assert f'version = "{rag_lightning.__version__}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_function(name: str) -> None:
    module, _, function = COMMANDS[name].target.partition(":")
    source = ROOT / (module.replace(".", "/") + ".py")
    defined = {node.name for node in ast.parse(source.read_text()).body if isinstance(node, ast.FunctionDef)}
    assert function in defined


# --- configurations --------------------------------------------------------------


def test_a_stage_gets_the_defaults(called: Called) -> None:
    assert main(["corpus"]) == 0
    assert called == [("rag_lightning.stages.corpus:run", DEFAULT)]


def test_keys_after_the_file_win_and_the_rest_keeps_its_default(called: Called, tmp_path: Path) -> None:
    file = tmp_path / "e.yaml"
    file.write_text("# a header\nname: e\nseed: 4\nreader: {steps: 7}\nindex: {kind: hnsw, m: 16}\n")
    assert main(["train", "--config", str(file), "--seed", "5", "--index.m=8", "--train.trainer", "{devices: 2}"]) == 0
    config = called[0][1]
    assert (config.name, config.seed, config.index.kind, config.index.made().m) == ("e", 5, "hnsw", 8)
    assert config.reader.steps == 7 and config.reader.lr == DEFAULT.reader.lr
    assert config.train.trainer == {"devices": 2}
    assert isinstance(config.train, TrainConfig)


def test_lists_are_tuples(called: Called) -> None:
    assert main(["sweep", "--space", '{"k": [1, 3]}', "--experiment.task.train", '["a b.tsv", "c.json"]']) == 0
    config = called[0][1]
    assert config.space == {"k": (1, 3)} and config.experiment.task.train == ("a b.tsv", "c.json")


@pytest.mark.parametrize("name", PARSED)
def test_the_printed_configuration_can_be_read_back(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], called: Called
) -> None:
    extra = {"ask": ["who are you"], "doctor": ["--deep"], "inspect": ["r1"]}.get(name, [])
    assert main([name, *extra, "--print_config"]) == 0
    assert called == []
    file = tmp_path / "printed.yaml"
    file.write_text(capsys.readouterr().out)
    alike = [n for n, one in COMMANDS.items() if one.config is COMMANDS[name].config]
    other = next((n for n in alike if not COMMANDS[n].extras), alike[-1])
    needed = [given.name for given in COMMANDS[other].extras if not given.is_option]
    assert parse(other, [*needed, "--config", str(file)])[0] == parse(other, needed)[0]


@pytest.mark.parametrize("name", PARSED)
def test_every_command_shows_details_when_asked_for(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(cli, "load", lambda target: lambda *arguments: seen.append(is_verbose()))
    extra = [given.name for given in COMMANDS[name].extras if not given.is_option]
    assert main(["--verbose", name, *extra]) == main([name, *extra, "--verbose"]) == main([name, *extra]) == 0
    assert seen == [True, True, False]
    assert main([name, *extra, "--verbose", "--print_config"]) == 0
    assert "verbose" not in capsys.readouterr().out
    assert main([name, "--help"]) == 0
    assert "--verbose" in capsys.readouterr().out


def test_ask_takes_the_question_wherever_it_stands(called: Called) -> None:
    assert main(["ask", "who: is [this?", "--seed", "1"]) == 0
    assert main(["ask", "--seed", "1", "123"]) == 0
    assert main(["ask", "--seed", "1"]) == main(["ask", ""]) == 0
    assert [call[2] for call in called] == ["who: is [this?", "123", None, ""]


def test_report_takes_two_runs(called: Called) -> None:
    assert main(["report", "--compare", "a", "s/b", "--metric", "f1"]) == main(["report"]) == 0
    assert [call[2:] for call in called] == [("", False, ["a", "s/b"], "f1"), ("", False, (), "")]
    assert main(["report", "--compare", "a", "b", "--name", "x", "--print_config"]) == 0


def test_doctor_is_deep_only_when_asked(called: Called) -> None:
    assert main(["doctor"]) == main(["doctor", "--deep"]) == 0
    assert [call[2] for call in called] == [False, True]


def test_score_takes_files_of_others(called: Called) -> None:
    assert main(["score", "--predictions", "f.jsonl", "--seed", "1", "--format=kilt"]) == main(["score"]) == 0
    assert [call[2:] for call in called] == [("f.jsonl", "kilt", "", ""), ("", "ours", "", "")]


@pytest.mark.parametrize("name", ["sweep", "report", "matrix", "claims", "plan", "doctor"])
def test_the_printed_configuration_hides_passwords(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    section = "experiment." if COMMANDS[name].config is SweepConfig else ""
    lines = [f"{section}tracking_uri: http://ann:it's-hunter2@host/?token=hunter2"]
    lines += ["storage: postgresql://ann:hunter2@db/x"] if section else []
    (tmp_path / "c.yaml").write_text("\n".join(lines))
    for flag in ("--print_config", "--print_config=skip_default"):
        assert main([name, "--config", str(tmp_path / "c.yaml"), flag]) == 0
        shown = "".join(capsys.readouterr())
        assert "hunter2" not in shown and "http://ann:***@host/?token=***" in shown
        assert ("postgresql://ann:***@db/x" in shown) == bool(section)


@pytest.mark.parametrize(
    "given", [["--predictions", "f", "--format", "kilt"], ["--format=kilt", "--seed", "3", "--export", "dpr:f"]]
)
def test_options_are_no_part_of_the_printed_configuration(
    given: list[str], capsys: pytest.CaptureFixture[str], called: Called
) -> None:
    assert main(["score", *given, "--print_config"]) == 0
    shown = capsys.readouterr().out
    assert "name: experiment" in shown and "predictions" not in shown and not called
    assert ("seed: 3" in shown) == ("3" in given)


def test_the_sweep_file_of_nq_is_the_default() -> None:
    assert parse("sweep", ["--config", str(ROOT / "sweeps" / "nq.yaml")]) == (SweepConfig(experiment=DEFAULT), [False])


@pytest.mark.parametrize("name", load_matrix(ROOT / "experiments" / "matrix.yaml").files)
def test_every_experiment_loads(name: str) -> None:
    file = ROOT / "experiments" / f"{name}.yaml"
    parsed = parse("score", ["--config", str(file)])
    assert parsed is not None and parsed[0].name == file.stem


# --- mistakes ---------------------------------------------------------------------


def test_the_installed_command_exits_with_the_code() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rag_lightning.cli", "nosuch"], capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1


# --- the package ------------------------------------------------------------------


def test_experiment_is_imported_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake:
        Experiment = object()

    monkeypatch.setitem(sys.modules, "rag_lightning.runs.experiment", Fake)
    assert rag_lightning.Experiment is Fake.Experiment
    assert "Experiment" in dir(rag_lightning)
    with pytest.raises(AttributeError, match="no attribute 'Experimant'"):
        _ = rag_lightning.Experimant
