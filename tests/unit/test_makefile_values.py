"""What stands behind a target reaches the program word for word, or is refused; none of it is run."""

from __future__ import annotations

import json
import os
import re
from itertools import zip_longest
from pathlib import Path

import pytest

from tests.making import NEEDS_MAKE, ROOT, arguments, calls, make, new_project, script, words_of, write_stub

pytestmark = NEEDS_MAKE
CANARY = "canary"
HOSTILE = (
    "Anna's data",
    "cost$5.tsv",
    "cost$$5.tsv",
    'a "b" c',
    "'",
    '"',
    "\\",
    "a\\",
    f"$(shell touch {CANARY})",
    f"${{shell touch {CANARY}}}",
    f"$(eval $(shell touch {CANARY}))",
    f"$(file >{CANARY},x)",
    f"$(error x)$(shell touch {CANARY})",
    "$(NAME)",
    "$",
    "$(",
    f"$(touch {CANARY})",
    f"`touch {CANARY}`",
    f"; touch {CANARY}",
    f"x; touch {CANARY} #",
    f"x' ; touch {CANARY} ; '",
    f'x" ; touch {CANARY} ; "',
    f"x\ntouch {CANARY}",
    f"x'\ntouch {CANARY}\n'",
    f"x | touch {CANARY} & touch {CANARY}",
    f"> {CANARY}",
    "a  b\tc ",
    "# no comment",
    "50%",
    "%s%n",
    "*",
    "~",
    "!x",
    "-x",
    "--help",
    "--config=x",
    "a=b:=c",
    "{a: b}",
    "[1, 2]",
    "é漢\u202e\x1b[31m",
    "\udcff",
)
TARGETS = (*script.COMMANDS, "mlflow-ui", "optuna-ui")
SHOW = "#!/bin/sh\nprintf '%s\\0' \"$@\" '' >> calls\nenv -0 >> environment\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose Python writes down its words and its environment."""
    folder = new_project(tmp_path_factory.mktemp("watched"))
    (folder / ".venv" / ".installed-dev").touch()
    for name in ("python", "rag-lightning"):
        (folder / ".venv" / "bin" / name).unlink()
        write_stub(folder / ".venv" / "bin" / name, SHOW)
    return folder


def canaries(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if CANARY in path.name]


@pytest.mark.parametrize("value", HOSTILE)
def test_every_target_finds_every_value_as_it_was_typed(watched: Path, value: str) -> None:
    given = [f"{name}={value}" for name in arguments() if name != "CONFIRM"]
    done = make(*TARGETS, "smoke", "demo", "test", "test-all", "bench", *given, cwd=watched)
    assert done.returncode == 0, done.stderr
    found = (watched / "environment").read_bytes().decode(errors="surrogateescape").split("\0")[:-1]
    (watched / "environment").unlink()
    assert {one for one in found if one in given} == set(given)
    scripts = [words[1] for words in calls(watched) if words[:1] == [".ci/make.py"]]
    assert {*scripts} == {*TARGETS}
    assert not canaries(watched)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", arguments())
def test_a_value_is_one_word_of_the_program_or_refused(target: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "isfile", lambda path: True)
    chosen = name == "SCALE" and target in ("sweep", "status", "report")
    others = [] if target != "experiment" or name == "NAME" else ["NAME=nq"]

    def words(value: str) -> list[str] | None:
        try:
            return words_of(target, *others, f"{name}={value}")
        except script.Misuse as refused:
            assert value in str(refused)
            return None

    mark = "3" if name in ("SEED", "SIZES") else "paper" if chosen else "mark"
    expected = words(mark)
    assert expected is not None
    for value in HOSTILE:
        if target == "optuna-ui" and "\udcff" in value:
            continue  # no URL holds it
        found = words(value)
        if found is None:
            assert (target, name) in REFUSING or name == "TRAIN" or chosen
            continue
        for before, after in zip(expected, found, strict=True):
            if mark not in before:
                assert after == before
            elif before.startswith(("--only=", "--train=", "--experiment.task.train=")):
                assert name in ("NAME", "TRAIN", "KINDS")
                found_values = json.loads(after.partition("=")[2])
                assert name == "TRAIN" or found_values == (value.split() if name == "KINDS" else [value])
            elif target != "optuna-ui" or before.startswith("--port"):
                assert after in (before.replace(mark, value), value.join(before.rsplit(mark, 1)))


REFUSING = {("experiment", "SEED"), ("ask", "Q"), ("index-bench", "SIZES")}
"""Values that cannot be given to the program as a word that means them."""


SHOWN = [value for value in HOSTILE if "\udcff" not in value]
THREES = list(zip_longest(SHOWN[::3], SHOWN[1::3], SHOWN[2::3], fillvalue="x"))


@pytest.mark.parametrize(("corpus", "split", "experiment"), THREES)
def test_the_program_gets_the_words(project: Path, corpus: str, split: str, experiment: str) -> None:
    done = make("claims", "plan", f"CORPUS={corpus}", f"SPLIT={split}", f"EXPERIMENT={experiment}", cwd=project)
    assert done.returncode == 0, done.stderr
    claims, plan = calls(project)
    assert claims == ["rag-lightning", "claims", "--scale=mini", f"--corpus={corpus}", f"--split={split}"]
    assert plan == ["rag-lightning", "plan", f"--config={experiment}"]
    assert len(done.stdout.splitlines()) == 2 and "\x1b" not in done.stdout
    assert not canaries(project)


def test_training_files_are_words_as_a_shell_has_them(project: Path) -> None:
    def files(value: str) -> object:
        (word,) = [word for word in words_of("matrix", f"TRAIN={value}") if word.startswith("--train=")]
        return json.loads(word.removeprefix("--train="))

    assert files("a.json  b.jsonl\nc") == ["a.json", "b.jsonl", "c"]
    assert files("'my file.json' b\\ c.jsonl \"it's\" $x;#y") == ["my file.json", "b c.jsonl", "it's", "$x;#y"]
    done = make("matrix", "TRAIN=it's.json", cwd=project)
    assert done.returncode != 0 and not calls(project)
    line, _ = done.stderr.splitlines()
    assert line.startswith("make matrix: TRAIN=it's.json: a quote or a backslash is left open; write a name with")


def test_the_environment_gives_no_arguments_but_storage(project: Path) -> None:
    outside = {
        name: "sqlite:///elsewhere.db" if name == "STORAGE" else f"$(shell touch {CANARY})" for name in arguments()
    }
    for target in ("sweep", "claims", "ask"):
        done = make(target, cwd=project, **outside)
        assert done.returncode == 0, done.stderr
    sweep, report, claims, ask = calls(project)
    swept = ["--config=sweeps/nq.yaml", "--name=nq", "--seed=0", "--experiment.scale=mini", "--experiment.seed=0"]
    assert sweep[2:] == report[2:] == [*swept, "--storage=sqlite:///elsewhere.db"]
    assert claims == ["rag-lightning", "claims", "--scale=mini", "--split=dev"]
    assert ask == ["rag-lightning", "ask", "--config=experiments/nq_rag_sequence.yaml"]
    assert make("clean-runs", cwd=project, CONFIRM="yes").returncode != 0
    assert make("-e", "claims", cwd=project, **outside).returncode != 0 and not calls(project)
    assert not canaries(project)


def others() -> list[str]:
    """The other variables of the Makefile and of make; but make reads the files of MAKEFILES before ours."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = set(re.findall(r"^(?:override )?([\w.]+) :?\??= ?", text, re.MULTILINE)) - {"ARGUMENTS", "UNKNOWN", "name"}
    assert {"VENV", "BIN", "RAG", "SHELL", ".SHELLFLAGS", "run"} <= found
    return sorted(found | {"MAKEFLAGS", "MAKE", "CURDIR", "TAKS", "1", "OMP_NUM_THREADS"})


@pytest.mark.parametrize("name", others())
def test_another_variable_is_refused_in_one_line(project: Path, name: str) -> None:
    done = make("status", f"{name}=$(shell touch {CANARY})", cwd=project)
    (line,) = done.stderr.splitlines()
    assert done.returncode != 0 and f"no argument: {name}; make help lists them" in line
    assert not calls(project) and not canaries(project)


@pytest.mark.parametrize("name", ["ARGUMENTS", "UNKNOWN", "name"])
def test_the_names_of_the_check_itself_cannot_be_given(project: Path, name: str) -> None:
    make("status", f"{name}=$(shell touch {CANARY})", "VENV=/x", cwd=project)
    assert not calls(project) and not canaries(project)


@pytest.mark.parametrize("value", HOSTILE)
def test_an_interpreter_or_an_index_that_is_none_runs_nothing_else(tmp_path: Path, value: str) -> None:
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    done = make("install", f"PYTHON={value}", cwd=tmp_path)
    assert done.returncode != 0 and not canaries(tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    write_stub(tmp_path / ".venv" / "bin" / "python")
    write_stub(tmp_path / "python")
    done = make("install", f"PYTHON={tmp_path}/python", f"TORCH_INDEX={value}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    install = calls(tmp_path)[-1]
    assert install[install.index("--extra-index-url") + 1] == value and not canaries(tmp_path)


@pytest.mark.parametrize("value", [*HOSTILE, "yes ", "yes\n", "Yes", "yesyes", "yes no"])
def test_only_yes_confirms(tmp_path: Path, value: str) -> None:
    (tmp_path / "runs").mkdir()
    done = make("clean-runs", f"CONFIRM={value}", cwd=tmp_path)
    assert done.returncode != 0 and "make clean-runs CONFIRM=yes" in done.stderr
    assert (tmp_path / "runs").exists() and not canaries(tmp_path)


@pytest.mark.parametrize("url", ["postgresql://ann:secret@db/x", "postgresql://ann@db/x?password=secret"])
def test_a_password_never_stands_on_a_command_line(project: Path, url: str) -> None:
    for given, outside in ([f"STORAGE={url}"], {}), ([], {"STORAGE": url}):
        for target in ("sweep", "status", "optuna-ui"):
            done = make(target, *given, cwd=project, **outside)
            assert done.returncode != 0 and "secret" not in done.stdout + done.stderr and not calls(project)
            assert "STORAGE: holds a password; keep it out of the URL, in PGPASSWORD or PGPASSFILE" in done.stderr


def test_ask_opens_a_prompt_without_a_question() -> None:
    assert words_of("ask") == words_of("ask", "Q= ") == ["ask", "--config=experiments/nq_rag_sequence.yaml"]
