"""The Makefile calls the command line with what it parses, lists itself, and removes nothing by accident."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from rag_lightning.cli import parse
from rag_lightning.config.commands import ClaimsConfig, MatrixConfig, SweepConfig
from rag_lightning.config.loading import experiment_of
from rag_lightning.core.files import sqlite_url
from rag_lightning.sweep.space import open_space

ROOT = Path(__file__).parents[2]
STAMP = ".venv/.installed"
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = ["make", "-f", str(ROOT / "Makefile"), *words]
    outside = {name: value for name, value in os.environ.items() if name not in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS")}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, env=outside, check=False)


def dry(*words: str) -> list[list[str]]:
    """The words of every rag-lightning call a target would make, without the program."""
    done = make("--dry-run", *words)
    assert done.returncode == 0, done.stderr
    calls = [shlex.split(line) for line in done.stdout.splitlines() if line.startswith(".venv/bin/rag-lightning ")]
    return [call[1:] for call in calls]


def sweep(*words: str) -> SweepConfig:
    """What `make sweep` sweeps; the report must be of the same."""
    (stage, *first), (report, *second) = dry("sweep", *words)
    assert (stage, report) == ("sweep", "report") and first == second
    parsed = parse("sweep", first)
    assert parsed is not None and isinstance(parsed[0], SweepConfig)
    return parsed[0]


def test_sweep_runs_the_file_of_the_task() -> None:
    assert sweep("TASK=nq") == SweepConfig(experiment=experiment_of({}, "here"))


TASKS = ("triviaqa", "webquestions", "curatedtrec", "msmarco", "jeopardy", "fever3", "fever2")


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_sweep(task: str) -> None:
    config = sweep(f"TASK={task}")
    assert (config.name, config.experiment.task.name) == (task, task)
    assert config.experiment.task.dataset == f"mini-{task}"
    assert {"flat", "hnsw", "bm25"} <= set(config.space["retriever"])
    space = open_space(config)
    assert space.budget == config.trials and space.always
    classified = task.startswith("fever")
    assert (config.experiment.generator.head != "none") == classified
    assert all(name.endswith("/classify") == classified for name in config.space["decoding"])


def test_studies_of_one_question_open_too() -> None:
    sizes = {"index_tradeoff": 126, "decoding": 44, "k_curve": 54, "training": None}
    for name, size in sizes.items():
        config = sweep(f"TASK={name}")
        space = open_space(config)
        assert config.name == name and config.experiment.task.name == "nq"
        assert (None if space.points is None else len(space.points)) == size
        assert space.budget == config.trials


def test_a_shared_reader_is_not_for_a_users_passages() -> None:
    assert sweep("TASK=jeopardy").experiment.reader.task == "triviaqa", "mini-nq may train on what another task tests"
    assert sweep("TASK=jeopardy", "CORPUS=p.tsv", "TRAIN=a").experiment.reader.task == ""


@pytest.mark.parametrize("target", ["sweep", "smoke", "matrix", "claims"])
def test_details_are_shown_when_asked_for(target: str) -> None:
    assert "--verbose" in dry(target, "VERBOSE=yes")[0] and "--verbose" not in dry(target)[0]


def test_sweep_takes_trials_and_seed() -> None:
    config = sweep("TRIALS=3", "SEED=7")
    assert (config.trials, config.seed, config.experiment.seed, config.name) == (3, 7, 7, "nq-seed7")


def test_sweep_takes_workers_engine_and_storage() -> None:
    config = sweep("WORKERS=2", "ENGINE=ray", "STORAGE=postgresql://ann:secret@db/x")
    assert (config.workers, config.engine) == (2, "ray")
    assert config.storage == "$STORAGE", "the shell expands it, so that make prints no password"
    assert "secret" not in make("--dry-run", "sweep", "STORAGE=postgresql://ann:secret@db/x").stdout
    assert sweep().workers == 1


def test_quotes_and_spaces_stay_inside_their_variable() -> None:
    (call, _) = dry("sweep", "NAME=it's; exit 3", "WORKERS=2' 3", 'ENGINE=a"b', "TRIALS=$$(x)'", "TASK=o'k")
    given = dict(zip(call[1::2], call[2::2], strict=True))
    assert given["--name"] == "it's; exit 3" and given["--workers"] == "2' 3" and given["--engine"] == 'a"b'
    assert given["--trials"] == "$(x)'" and given["--config"] == "sweeps/o'k.yaml"
    assert sweep("CORPUS=my 'own'.tsv", "TRAIN=a'b").experiment.task.train == ("a'b",)


def test_status_is_of_the_same_sweep() -> None:
    (call,) = dry("status", "TASK=fever2", "SEED=3")
    parsed = parse(call[0], call[1:])
    assert parsed is not None and parsed == (sweep("TASK=fever2", "SEED=3"), [True])


def test_a_scale_without_a_sweep_file_is_refused_in_one_line() -> None:
    done = make("--dry-run", "sweep", "TASK=triviaqa", "SCALE=paper")
    assert done.returncode != 0 and done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert "there is no sweep of TASK=triviaqa for SCALE=paper, only for mini" in done.stderr
    assert "only for mini mini-long paper" in make("--dry-run", "report", "SCALE=papr").stderr


def test_sweep_takes_the_file_of_the_scale() -> None:
    config = sweep("SCALE=mini-long")
    assert (config.name, config.experiment.scale) == ("nq-mini-long", "mini-long")
    assert config.experiment.train.steps > SweepConfig().experiment.train.steps


def test_sweep_takes_a_users_files_under_another_name() -> None:
    config = sweep("CORPUS=my passages.tsv.gz", "TRAIN=a.json  b.jsonl", "DEV=d.csv", "TEST=t.csv")
    assert config.experiment.corpus.source == "my passages.tsv.gz"
    task = config.experiment.task
    assert (task.train, task.dev, task.test) == (("a.json", "b.jsonl"), "d.csv", "t.csv")
    assert config.name == task.dataset == "nq-own"


def test_the_name_is_the_label_of_a_users_data_unless_it_has_one() -> None:
    assert sweep("CORPUS=p.tsv", "TRAIN=a", "NAME=nq-subset").experiment.task.dataset == "nq-subset"
    assert sweep("CORPUS=p.tsv", "TRAIN=a", "NAME=x", "DATASET=nq-subset").experiment.task.dataset == "nq-subset"


def test_an_unknown_task_reaches_the_command_line() -> None:
    assert dry("sweep", "TASK=nqq")[0][:3] == ["sweep", "--config", "sweeps/nqq.yaml"]


def test_an_experiment_is_run_by_its_name() -> None:
    (call,) = dry("experiment", "NAME=fever3_rag_token", "SEED=2")
    parsed = parse(call[0], call[1:])
    assert call[0] == "matrix" and parsed is not None
    assert parsed[0] == MatrixConfig(only=("fever3_rag_token",), seeds=(2,))


def test_an_experiment_needs_a_name() -> None:
    done = make("-o", STAMP, "experiment")
    assert done.returncode != 0 and "make experiment NAME=nq_rag_sequence" in done.stderr


def test_matrix_claims_and_plan_call_their_stages() -> None:
    assert dry("matrix", "SCALE=mini-long") == [["matrix", "--scale", "mini-long"]]
    assert dry("claims") == [["claims", "--scale", "mini", "--split", "dev"]]
    own = ["--corpus", "p.tsv", "--train", '["q.jsonl","squad.json"]']
    files = ("SCALE=nq-subset", "CORPUS=p.tsv", "TRAIN=q.jsonl squad.json")
    assert dry("matrix", *files) == [["matrix", "--scale", "nq-subset", *own]]
    assert dry("claims", *files) == [["claims", "--scale", "nq-subset", *own, "--split", "dev"]]
    one = ["matrix", "--only", '["nq_no_reader_subset"]', "--seeds", "[0]", *own]
    assert dry("experiment", "NAME=nq_no_reader_subset", *files) == [one]
    (call,) = dry("claims", "SPLIT=test")
    parsed = parse(call[0], call[1:])
    assert parsed is not None and parsed[0] == ClaimsConfig(split="test")
    assert dry("plan") == [["plan", "--config", "experiments/nq_rag_sequence.yaml"]]


def test_demo_shows_the_bundle_of_the_project() -> None:
    assert dry("demo") == [["demo"]]


def test_smoke_calls_its_own_file() -> None:
    assert dry("smoke") == [[stage, "--config", "sweeps/smoke.yaml"] for stage in ("sweep", "report")]


def test_help_lists_every_target() -> None:
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets is not None
    shown = make("help").stdout
    missing = [name for name in targets[1].split() if not re.search(rf"^  {name} +\S", shown, re.MULTILINE)]
    assert not missing
    names = {file.stem for file in (ROOT / "sweeps").glob("*.yaml")} - {"smoke", "nq-paper", "nq-mini-long"}
    assert f"sweeps/TASK.yaml: {' '.join(sorted(names))} TRIALS=N" in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 100
    for variable in (
        "WORKERS=",
        "STORAGE=",
        "ENGINE=",
        "TASK=",
        "TRIALS=",
        "SEED=",
        "SCALE=",
        "CORPUS=",
        "TORCH_INDEX=",
        "PORT=",
        "CONFIRM=",
        'Q="',
    ):
        assert variable in shown


@pytest.mark.parametrize("confirm", ["", "CONFIRM=no"])
def test_runs_are_not_removed_without_a_yes(tmp_path: Path, confirm: str) -> None:
    (tmp_path / "runs").mkdir()
    done = make("clean-runs", *filter(None, [confirm]), cwd=tmp_path)
    assert done.returncode != 0 and "make clean-runs CONFIRM=yes" in done.stderr
    assert (tmp_path / "runs").exists()


def test_runs_are_removed_with_a_yes_and_clean_keeps_them(tmp_path: Path) -> None:
    kept = ["runs", "artifacts", "reports/out", "assets"]
    for name in (*kept, ".venv", ".mypy_cache", "rag_lightning/__pycache__"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "mlflow.db").touch()
    assert make("clean", cwd=tmp_path).returncode == 0
    assert all((tmp_path / name).exists() for name in (*kept, "mlflow.db"))
    assert not any((tmp_path / name).exists() for name in (".venv", ".mypy_cache", "rag_lightning/__pycache__"))
    assert make("clean-runs", "CONFIRM=yes", cwd=tmp_path).returncode == 0
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["assets", "rag_lightning", "reports"]


def installs(folder: Path, target: str) -> list[list[str]]:
    """The words of every `pip install` a target would make where nothing is installed yet."""
    for name in ("pyproject.toml", "constraints.txt"):
        (folder / name).touch()
    lines = make("--dry-run", target, cwd=folder).stdout.replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if " pip install " in line]


USER = ("install", "fetch", "sweep", "smoke", "report", "status", "experiment", "matrix", "claims", "plan", "ask")


@pytest.mark.parametrize("target", USER)
def test_a_user_installs_neither_linters_nor_oracles(tmp_path: Path, target: str) -> None:
    (words,) = installs(tmp_path, target)
    assert words[-4:] == ["-c", "constraints.txt", "-e", ".[generation]"]


@pytest.mark.parametrize("target", ["test", "test-all", "bench", "check"])
def test_tests_and_checks_install_what_they_need_on_top(tmp_path: Path, target: str) -> None:
    extras = [words[-4:] for words in installs(tmp_path, target)]
    assert extras == [["-c", "constraints.txt", "-e", wanted] for wanted in (".[generation]", ".[dev,generation]")]


def test_the_dashboard_is_installed_for_its_own_target_only(tmp_path: Path) -> None:
    assert installs(tmp_path, "optuna-ui")[1][-1] == ".[dashboard,generation]"


def test_the_dashboard_opens_the_study_of_a_sweep(tmp_path: Path) -> None:
    def opened(*words: str) -> subprocess.CompletedProcess[str]:
        return make("-o", STAMP, "-o", f"{STAMP}-dashboard", "optuna-ui", f"BIN={bin_}", *words, cwd=folder)

    folder, bin_ = tmp_path / "a {b} 50%?", tmp_path / "bin"
    for path in (folder / "runs" / "nq-seed3", bin_):
        path.mkdir(parents=True)
    (bin_ / "python").symlink_to(sys.executable)
    (bin_ / "optuna-dashboard").write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    (bin_ / "optuna-dashboard").chmod(0o755)
    done = opened("SEED=3")
    assert done.returncode != 0 and "runs/nq-seed3/study.db: no study yet" in done.stderr
    done = opened(f"STORAGE=sqlite:///{tmp_path}/typo.db")
    assert done.returncode != 0 and f"{tmp_path}/typo.db: no study yet" in done.stderr and done.stdout == ""
    study = folder / "runs" / "nq-seed3" / "study.db"
    url = sqlite_url(study)
    optuna.create_study(storage=url, study_name="s")
    words = opened("SEED=3", f"PYTHONPATH={ROOT}").stdout.split("|")
    assert words[:5] == [url, "--host", "127.0.0.1", "--port", "8080"]
    assert optuna.load_study(storage=words[0], study_name="s").study_name == "s"
    shown = opened("STORAGE=postgresql://host/db", "PORT=9").stdout.split("|")
    assert shown[::4] == ["postgresql+psycopg://host/db", "9"], "the driver that the extra postgres installs"


def test_ask_passes_a_question_on_as_it_is() -> None:
    printed = 'RAG=printf "%s|"'
    done = make("-o", STAMP, "ask", printed, 'Q=what\'s "this" `ls` $$HOME?')
    assert done.stdout.splitlines()[-1].startswith('ask|what\'s "this" `ls` $HOME?|--config|')


def test_ask_opens_a_prompt_without_a_question() -> None:
    assert dry("ask", 'Q=who is "this" $$x')[0][:3] == ["ask", "$QUESTION", "--config"]
    assert dry("ask")[0][:2] == dry("ask", "Q= ")[0][:2] == ["ask", "--config"]
