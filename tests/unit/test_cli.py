"""The command line: quick help, one clear line for every mistake, the right configuration for a command."""

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rag_lightning
from rag_lightning import cli
from rag_lightning.cli import COMMANDS, explain, main, parse
from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.training import TrainConfig
from rag_lightning.core.console import is_verbose
from rag_lightning.core.errors import ArtifactError, ConfigError, DataError, Terminated
from rag_lightning.matrix.matrix import load_matrix

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "faiss", "mlflow", "transformers", "pytorch_lightning", "matplotlib", "datasets", "optuna", "scipy"}
Called = list[tuple[Any, ...]]
PARSED = sorted({(command.config, command.extras): name for name, command in COMMANDS.items()}.values())
"""One command of each kind of parser: most stages have the same."""


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> Called:
    """Record the arguments of every command instead of running it."""
    calls: Called = []
    monkeypatch.setattr(cli, "load", lambda target: lambda *arguments: calls.append((target, *arguments)))
    return calls


def raising(error: BaseException) -> Callable[[str], Callable[..., None]]:
    def stage(*arguments: Any) -> None:
        raise error

    return lambda target: stage


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """The message on stderr: exactly one line, no traceback."""
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1 and shown.endswith("\n"), shown
    assert shown.startswith("rag-lightning: ") and "Traceback" not in shown
    return shown.removeprefix("rag-lightning: ").rstrip()


# --- help ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["train", "--help"], ["sweep", "--print_config"], ["trian"]]
)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = f"import sys, rag_lightning.cli as c; c.main({words}); print(*sorted({HEAVY} & set(sys.modules)), sep='\\n')"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not HEAVY & set(done.stdout.splitlines())


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
    assert "nprobe ivf_flat, ivf_pq: Number of cells that a search visits (int, at least 1; default 32)" in shown


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
    assert called == [("rag_lightning.stages.corpus:run", ExperimentConfig())]


def test_keys_after_the_file_win_and_the_rest_keeps_its_default(called: Called, tmp_path: Path) -> None:
    file = tmp_path / "e.yaml"
    file.write_text("# a header\nname: e\nseed: 4\nreader: {steps: 7}\nindex: {kind: hnsw, m: 16}\n")
    assert main(["train", "--config", str(file), "--seed", "5", "--index.m=8", "--train.trainer", "{devices: 2}"]) == 0
    config = called[0][1]
    assert (config.name, config.seed, config.index.kind, config.index.made().m) == ("e", 5, "hnsw", 8)
    assert config.reader.steps == 7 and config.reader.lr == ExperimentConfig().reader.lr
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
    extra = ["who are you"] if name == "ask" else ["--deep"] if name == "doctor" else []
    assert main([name, *extra, "--print_config"]) == 0
    assert called == []
    file = tmp_path / "printed.yaml"
    file.write_text(capsys.readouterr().out)
    other = next(n for n, one in COMMANDS.items() if one.config is COMMANDS[name].config and not one.extras)
    assert parse(other, ["--config", str(file)]) == (COMMANDS[name].config(), [])


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
    assert [call[2] for call in called] == ["who: is [this?", "123"]


def test_doctor_is_deep_only_when_asked(called: Called) -> None:
    assert main(["doctor"]) == main(["doctor", "--deep"]) == 0
    assert [call[2] for call in called] == [False, True]


def test_score_takes_files_of_others(called: Called) -> None:
    assert main(["score", "--predictions", "f.jsonl", "--seed", "1", "--format=kilt"]) == main(["score"]) == 0
    assert [call[2:] for call in called] == [("f.jsonl", "kilt", "", ""), ("", "ours", "", "")]


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
    assert parse("sweep", ["--config", str(ROOT / "sweeps" / "nq.yaml")]) == (SweepConfig(), [False])


@pytest.mark.parametrize("name", load_matrix(ROOT / "experiments" / "matrix.yaml").files)
def test_every_experiment_loads(name: str) -> None:
    file = ROOT / "experiments" / f"{name}.yaml"
    parsed = parse("score", ["--config", str(file)])
    assert parsed is not None and parsed[0].name == file.stem


# --- mistakes ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["swep"], "unknown command 'swep': did you mean 'sweep'?"),
        (["corpus", "--sed", "3"], "unknown key '--sed'; did you mean '--seed'"),
        (["corpus", "--index.knd=flat"], "unknown key '--index.knd'; did you mean '--index.kind'"),
        (["corpus", "--seed", "x"], "seed: must be int, not 'x'"),
        (["corpus", "--seed", "1.5"], "seed: must be int, not '1.5'"),
        (["corpus", "--train.lr", "fast"], "train.lr: must be float, not 'fast'"),
        (["corpus", "--encoder.normalize", "maybe"], "encoder.normalize: must be bool, not 'maybe'"),
        (["corpus", "--index.kind", "hnws"], "unknown index kind 'hnws': did you mean 'hnsw'? known: flat, hnsw, ivf"),
        (["corpus", "--decoding.strategy", "greedi"], "unknown decoding 'greedi': did you mean 'greedy'?"),
        (["corpus", "--retriever.kind", "bm52"], "unknown retriever 'bm52': did you mean 'bm25'?"),
        (["corpus", "--formulation", "rag_tokens"], "not 'rag_tokens'; did you mean 'rag_token'?"),
        (["corpus", "--task.train", "a.csv"], "task.train: must be list, such as [a, b], not 'a.csv'"),
        (["corpus", "--train.trainer", "[1]"], "train.trainer: must be mapping"),
        (["corpus", "--index", "flat"], "'--index' is a section; its keys are written --index.KEY"),
        (["corpus", "--index.k1", "1"], "'--index.k1'; 'k1' is a field of section bm25; did you mean '--bm25.k1'?"),
        (["corpus", "--trian.lr=1"], "biencoder, retriever_warmup, reader, train; did you mean '--train.lr'"),
        (["corpus", "--index.k", "flat"], "unknown key '--index.k'"),
        (["corpus", "--decoding.k", "1.5"], "decoding.k: must be int, not '1.5'"),
        (["corpus", "--reader.seed", "x"], "reader.seed: must be int or null, not 'x'"),
        (["corpus", "--config"], "argument --config: expected one argument"),
        (["corpus", "more"], "unknown key 'more'"),
        (["ask"], "the following arguments are required: question"),
        (["sweep", "--sampler", "tpee"], "must be one of tpe, random, nsga2, grid, not 'tpee'; did you mean 'tpe'?"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_clear_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], called: Called
) -> None:
    assert main(words) == 2
    assert said in complaint(capsys)
    assert called == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sed: 3\n", "unknown key 'sed'; did you mean 'seed'?"),
        ("index: {knd: flat}\n", "unknown key 'index.knd'; did you mean 'index.kind'"),
        ("index: {kind: 3}\n", "index.kind: must be str, not '3'"),
        ("index: {k1: 3}\n", "unknown key 'index.k1'; 'k1' is a field of section bm25; did you mean 'bm25.k1'?"),
        ("index: flat\n", "index=flat: is a section; its fields are index.FIELD"),
        ("index: {kind: hnsw, m: 1}\n", "index.m=1: must be at least 2"),
        ("decoding: {k: 0}\n", "decoding.k=0: must be at least 1"),
        ("seed: many\n", "seed: must be int, not 'many'"),
        ("index: [\n", "is not YAML"),
        ("[1, 2]\n", "is not a YAML mapping"),
        ("", "is not a YAML mapping"),
        ("# only a comment\n", "is not a YAML mapping"),
    ],
)
def test_a_bad_file_is_named(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], called: Called
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    assert main(["corpus", "--seed", "1", "--config", str(file)]) == 2
    shown = complaint(capsys)
    assert shown.startswith(f"{file}: ") and said in shown
    assert called == []


def test_a_mistake_beside_a_good_file_is_not_blamed_on_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "good.yaml"
    file.write_text("seed: 1\n")
    assert main(["corpus", "--config", str(file), "--seed", "x"]) == 2
    assert complaint(capsys).startswith("seed: must be int")


def test_a_missing_file_is_named_with_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "fever.yaml").touch()
    assert main(["sweep", "--config", "sweeps/fevre.yaml"]) == 2
    assert complaint(capsys) == (
        "sweeps/fevre.yaml: no such file (sweeps holds fever.yaml); did you mean 'fever.yaml'?"
    )


def test_a_message_nobody_foresaw_is_passed_on() -> None:
    assert explain("something new", []) == "something new"


# --- how a stage ends ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError("k=50 exceeds the corpus"), 2, "k=50 exceeds the corpus"),
        (ArtifactError("a/b: was altered;\nremove it"), 1, "a/b: was altered; remove it"),
        (DataError("q.tsv", "is empty", row=3, field="question"), 1, "q.tsv, row 3, field 'question': is empty"),
        (KeyboardInterrupt(), 130, "interrupted; run the same command again to continue"),
        (Terminated(), 143, "ended by SIGTERM; run the same command again to continue"),
        (OSError(28, "No space left on device", "runs/a"), 1, "runs/a: No space left on device"),
    ],
)
def test_an_error_of_a_stage_is_one_line_and_an_exit_code(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "load", raising(error))
    assert main(["corpus"]) == code
    assert complaint(capsys).startswith(said)


@pytest.mark.parametrize("error", [ValueError("a bug"), FileNotFoundError(2, "a bug")])
def test_a_bug_keeps_its_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "load", raising(error))
    with pytest.raises(type(error), match="a bug"):
        main(["corpus"])


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
