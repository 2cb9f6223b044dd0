"""The Makefile calls the command line with what it parses, lists itself, and removes nothing by accident."""

import re
import shlex
from pathlib import Path

import optuna
import pytest

from rag_lightning.cli import parse
from rag_lightning.config.commands import ClaimsConfig, MatrixConfig, SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.loading import experiment_of
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.files import sqlite_url
from rag_lightning.sweep.space import open_space
from tests.making import NEEDS_MAKE, ROOT, calls, make, new_project, script, words_of

pytestmark = NEEDS_MAKE


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def config_of(target: str, *given: str) -> object:
    """The configuration that the program reads from the words of a target."""
    name, *words = words_of(target, *given)
    parsed = parse(name, words)
    assert parsed is not None
    return parsed[0]


def sweep(*given: str) -> SweepConfig:
    """What `make sweep` sweeps; the report and the status are of the same."""
    (name, *words), (report, *same) = words_of("sweep", *given), words_of("report", *given)
    assert (name, report) == ("sweep", "report") and words == same
    assert words_of("status", *given) == [name, *words, "--status"]
    found = config_of("sweep", *given)
    assert isinstance(found, SweepConfig)
    return found


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
    sizes = {"index_tradeoff": 264, "index_price": 22, "decoding": 44, "k_curve": 54, "training": None}
    for name, size in sizes.items():
        config = sweep(f"TASK={name}")
        space = open_space(config)
        assert config.name == name and config.experiment.task.name == "nq"
        assert (None if space.points is None else len(space.points)) == size
        assert space.budget == config.trials


def test_a_shared_reader_is_not_for_a_users_passages() -> None:
    assert sweep("TASK=jeopardy").experiment.reader.task == "triviaqa", "mini-nq may train on what another task tests"
    assert sweep("TASK=jeopardy", "CORPUS=p.tsv", "TRAIN=a").experiment.reader.task == ""


@pytest.mark.parametrize("target", ["sweep", "matrix", "claims", "experiment"])
def test_details_are_shown_when_asked_for(target: str) -> None:
    assert "--verbose" in words_of(target, "NAME=x", "VERBOSE=yes")
    assert "--verbose" not in words_of(target, "NAME=x")


def test_sweep_takes_trials_and_seed() -> None:
    config = sweep("TRIALS=3", "SEED=7")
    assert (config.trials, config.seed, config.experiment.seed, config.name) == (3, 7, 7, "nq-seed7")


def test_sweep_takes_workers_engine_and_storage() -> None:
    config = sweep("WORKERS=2", "ENGINE=ray", "STORAGE=postgresql://ann@db/x")
    assert (config.workers, config.engine, config.storage) == (2, "ray", "postgresql://ann@db/x")
    assert sweep().workers == 1


def test_quotes_dollars_and_spaces_reach_the_configuration() -> None:
    config = sweep("CORPUS=my 'own' cost$5.tsv", "TRAIN='a b' c", "DATASET=anna.s-data", "DEV=-d", "TEST= #t")
    task = config.experiment.task
    assert config.experiment.corpus.source == "my 'own' cost$5.tsv"
    assert (task.train, task.dataset, task.dev, task.test) == (("a b", "c"), "anna.s-data", "-d", " #t")
    with pytest.raises(ConfigError, match="must be 1 to 80 letters"):
        sweep("CORPUS=f.tsv", "DATASET=Anna's data")


def test_a_scale_without_a_sweep_file_is_refused_in_one_line(project: Path) -> None:
    done = make("sweep", "TASK=triviaqa", "SCALE=paper", cwd=project)
    assert done.returncode != 0 and done.stdout == "" and calls(project) == []
    line, _ = done.stderr.splitlines()
    assert line == "make sweep: there is no sweep of TASK=triviaqa for SCALE=paper, only for mini"
    with pytest.raises(script.Misuse, match="only for mini mini-long paper"):
        words_of("report", "SCALE=papr")


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
    assert words_of("sweep", "TASK=nqq")[:2] == ["sweep", "--config=sweeps/nqq.yaml"]


def test_an_experiment_is_run_by_its_name() -> None:
    found = config_of("experiment", "NAME=fever3_rag_token", "SEED=2")
    assert found == MatrixConfig(only=("fever3_rag_token",), seeds=(2,))


def test_the_hot_swap_is_a_command_of_its_own() -> None:
    words = words_of("experiment", "NAME=hotswap", "SEED=2", "VERBOSE=yes")
    assert words == ["hotswap", "--config=experiments/hotswap.yaml", "--seed=2", "--verbose"]
    config = config_of("experiment", "NAME=hotswap", "SEED=2")
    assert isinstance(config, ExperimentConfig) and config.seed == 2 and len(config.task.without) == 71


@pytest.mark.parametrize("given", [[], ["NAME= "], ["NAME=x", "SEED=y"], ["NAME=x", "SEED=1,2"]])
def test_an_experiment_needs_a_name_and_a_seed(given: list[str]) -> None:
    with pytest.raises(script.Misuse, match=r"make experiment NAME=nq_rag_sequence|SEED=.* is no whole number"):
        words_of("experiment", *given)


def test_matrix_claims_and_plan_call_their_stages() -> None:
    assert words_of("matrix", "SCALE=mini-long") == ["matrix", "--scale=mini-long"]
    assert words_of("claims") == ["claims", "--scale=mini", "--split=dev"]
    own = ["--corpus=p.tsv", '--train=["q.jsonl", "squad.json"]']
    files = ("SCALE=nq-subset", "CORPUS=p.tsv", "TRAIN=q.jsonl squad.json")
    assert words_of("matrix", *files) == ["matrix", "--scale=nq-subset", *own]
    assert words_of("claims", *files) == ["claims", "--scale=nq-subset", *own, "--split=dev"]
    one = ["matrix", '--only=["nq_no_reader_subset"]', "--seeds=[0]", *own]
    assert words_of("experiment", "NAME=nq_no_reader_subset", *files) == one
    assert config_of("claims", "SPLIT=test") == ClaimsConfig(split="test")
    assert config_of("matrix", *files) == MatrixConfig(
        scale="nq-subset", corpus="p.tsv", train=("q.jsonl", "squad.json")
    )
    assert config_of("plan") == config_of("plan", "EXPERIMENT=experiments/nq_rag_sequence.yaml")
    encoder = config_of("embed", "ENGINE=ray", "WORKERS=2").encoder
    assert (encoder.engine, encoder.workers) == ("ray", 2)


def test_a_target_runs_its_commands_and_shows_them(project: Path) -> None:
    done = make("sweep", "smoke", "demo", "status", "VERBOSE=yes", "TASK=fever2", cwd=project)
    assert done.returncode == 0, done.stderr
    sweep, report, smoke, of_smoke, demo, status = calls(project)
    assert sweep == ["rag-lightning", *words_of("sweep", "TASK=fever2", "VERBOSE=yes")]
    assert report == ["rag-lightning", *words_of("report", "TASK=fever2")]
    assert smoke == ["rag-lightning", "sweep", "--config", "sweeps/smoke.yaml", "--verbose"]
    assert of_smoke == ["rag-lightning", "report", "--config", "sweeps/smoke.yaml"]
    assert demo == ["rag-lightning", "demo"]
    assert status == ["rag-lightning", *words_of("status", "TASK=fever2")]
    shown = [shlex.split(line) for line in done.stdout.splitlines()]
    assert shown == [[f".venv/bin/{name}", *words] for name, *words in (sweep, report, smoke, of_smoke, demo)]


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


@pytest.mark.parametrize("target", [*USER, "embed"])
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
    folder = new_project(tmp_path / "a {b} 50%?")
    done = make("optuna-ui", "SEED=3", cwd=folder)
    assert done.returncode != 0 and "runs/nq-seed3/study.db: no study yet" in done.stderr
    done = make("optuna-ui", f"STORAGE=sqlite:///{tmp_path}/typo.db", cwd=folder)
    assert done.returncode != 0 and f"{tmp_path}/typo.db: no study yet" in done.stderr and not calls(folder)
    study = folder / "runs" / "nq-seed3" / "study.db"
    study.parent.mkdir(parents=True)
    url = sqlite_url(study)
    storage = optuna.storages.RDBStorage(url)
    optuna.create_study(storage=storage, study_name="s")
    assert "open http://127.0.0.1:8080/ in a browser" in make("optuna-ui", "SEED=3", cwd=folder).stderr
    assert make("optuna-ui", "STORAGE=postgresql://host/db", "PORT=9", cwd=folder).returncode == 0
    first, second = calls(folder)
    assert first == ["optuna-dashboard", url, "--host", "127.0.0.1", "--port=8080"]
    assert optuna.load_study(storage=storage, study_name="s").study_name == "s"
    storage.engine.dispose()
    driver = "postgresql+psycopg://host/db"
    assert (second[1], second[-1]) == (driver, "--port=9"), "the driver that the extra postgres installs"


def test_the_mlflow_ui_has_its_port(project: Path) -> None:
    assert make("mlflow-ui", cwd=project).stderr.startswith("open http://127.0.0.1:5000/ in a browser")
    (words,) = calls(project)
    assert words[:4] == ["mlflow", "ui", "--backend-store-uri", "sqlite:///mlflow.db"] and words[-1] == "--port=5000"


def test_ask_passes_a_question_on_as_it_is(project: Path) -> None:
    question = 'what\'s "this" `ls` $HOME?'
    assert make("ask", f"Q={question}", cwd=project).returncode == 0
    assert calls(project)[0][:3] == ["rag-lightning", "ask", question]
    for option in ("-h", "--help", "--config=x"):
        with pytest.raises(script.Misuse, match="a question cannot begin with -"):
            words_of("ask", f"Q={option}")
