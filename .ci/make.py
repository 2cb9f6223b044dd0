"""What the targets of the Makefile run: the arguments of make, from the environment, as the words of one command.

No shell and no make reads the values: `--key=value` is one word, whatever is in it.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from rag_lightning.core.files import sqlite_url
from rag_lightning.core.plain import clean
from rag_lightning.core.redact import redact

SCALES = ("mini-long", "nq-subset", "paper")
"""Scales whose sweep is a file sweeps/TASK-SCALE.yaml of its own; that of mini is sweeps/TASK.yaml."""
DEFAULTS = {
    "TASK": "nq",
    "SCALE": "mini",
    "SEED": "0",
    "SPLIT": "dev",
    "EXPERIMENT": "experiments/nq_rag_sequence.yaml",
    "PORT": "5000",
}
HOTSWAP = "hotswap"
"""An experiment that is a command of its own."""
SILENT = ("status",)
"""Targets whose command is not shown."""
Given = Mapping[str, str]
MISUSED = 2


class Misuse(Exception):
    """An argument that cannot be used, told in one line."""


def option(key: str, value: str) -> list[str]:
    """The word of an option, none for an empty value."""
    return [f"--{key}={value}"] if value else []


def listed(values: list[str]) -> str:
    """A list as a value of an option."""
    return json.dumps(values, ensure_ascii=False)


def training_files(given: Given) -> str:
    """TRAIN as a list: files between spaces, a name with a space in quotes."""
    try:
        files = shlex.split(given["TRAIN"])
    except ValueError as error:
        hint = "write a name with a space or a quote as a shell would: TRAIN=\"'my file.json' b.jsonl\""
        raise Misuse(f"TRAIN={given['TRAIN']}: a quote or a backslash is left open; {hint}") from error
    return listed(files) if files else ""


def has_own(given: Given) -> bool:
    """Whether a file of the user's is named."""
    return any(given[name].strip() for name in ("CORPUS", "TRAIN", "DEV", "TEST"))


def name_of(given: Given) -> str:
    """The name of a sweep."""
    parts = (
        given["TASK"],
        given["SCALE"] if given["SCALE"] != "mini" else "",
        "own" if has_own(given) else "",
        f"seed{given['SEED']}" if given["SEED"] != "0" else "",
    )
    return given["NAME"] or "-".join(filter(None, parts))


def sweep_file(given: Given) -> str:
    """The sweep's file: that of task and scale, else that of the task, which is for scale mini."""
    task, scale = given["TASK"], given["SCALE"]
    has = ["mini", *(one for one in SCALES if os.path.exists(f"sweeps/{task}-{one}.yaml"))]
    if scale not in has:
        raise Misuse(f"there is no sweep of TASK={task} for SCALE={scale}, only for {' '.join(has)}")
    return f"sweeps/{task}.yaml" if scale == "mini" else f"sweeps/{task}-{scale}.yaml"


def storage(given: Given) -> str:
    """STORAGE, whose value stands on a command line, which every user of the machine can read."""
    url = given["STORAGE"]
    if redact(url) != url:
        raise Misuse(
            "STORAGE: holds a password; keep it out of the URL, in PGPASSWORD or PGPASSFILE (docs/parallel.md)"
        )
    return url


def swept(given: Given) -> list[str]:
    """The words that name a sweep, the same for all commands about it."""
    words = ["--config=" + sweep_file(given), "--name=" + name_of(given), *option("trials", given["TRIALS"])]
    words += [f"--seed={given['SEED']}", f"--experiment.scale={given['SCALE']}", f"--experiment.seed={given['SEED']}"]
    if has_own(given):  # a user's corpus needs its own reader: reader.task is for questions about the mini corpus
        words += [f"--experiment.task.dataset={given['DATASET'] or name_of(given)}", "--experiment.reader.task="]
        words += option("experiment.corpus.source", given["CORPUS"])
        words += option("experiment.task.train", training_files(given))
        words += option("experiment.task.dev", given["DEV"]) + option("experiment.task.test", given["TEST"])
    words += option("workers", given["WORKERS"]) + option("engine", given["ENGINE"])
    words += option("experiment.devices", given["DEVICES"])
    return words + option("storage", storage(given))


def details(given: Given) -> list[str]:
    """--verbose if it was asked for."""
    return ["--verbose"] if given["VERBOSE"] else []


def cells(given: Given) -> list[str]:
    """The user's files, for a scale of the matrix that needs them."""
    return option("corpus", given["CORPUS"]) + option("train", training_files(given))


def experiment(given: Given) -> list[str]:
    """The words of one cell of the matrix."""
    if not given["NAME"].strip():
        raise Misuse("needs a name: make experiment NAME=nq_rag_sequence SEED=0")
    if not given["SEED"].isdecimal():
        raise Misuse(f"SEED={given['SEED']}: is no whole number")
    if given["NAME"] == HOTSWAP:
        return [HOTSWAP, f"--config=experiments/{HOTSWAP}.yaml", f"--seed={given['SEED']}", *details(given)]
    words = [f"--only={listed([given['NAME']])}", f"--seeds=[{given['SEED']}]"]
    return ["matrix", *words, *cells(given), *details(given)]


def ask(given: Given) -> list[str]:
    """The words of a question, or of the prompt."""
    if given["Q"].startswith("-"):
        raise Misuse(f"Q={given['Q']}: a question cannot begin with -, as an option does")
    return ["ask", *([given["Q"]] if given["Q"].strip() else []), f"--config={given['EXPERIMENT']}"]


def claims(given: Given) -> list[str]:
    """The words of the claims."""
    return ["claims", f"--scale={given['SCALE']}", *cells(given), f"--split={given['SPLIT']}", *details(given)]


def index_bench(given: Given) -> list[str]:
    """The words of the bench of indexes."""
    words = [f"--experiment={given['EXPERIMENT']}", *option("threads", given["THREADS"])]
    if sizes := given["SIZES"].split():
        if not all(size.isdecimal() for size in sizes):
            raise Misuse(f"SIZES={given['SIZES']}: must be whole numbers, such as SIZES='10000 100000'")
        words.append(f"--sizes=[{','.join(sizes)}]")
    return ["index_bench", *words, *(["--only=" + listed(kinds)] if (kinds := given["KINDS"].split()) else [])]


def embed(given: Given) -> list[str]:
    """The words that embed the corpus of an experiment."""
    words = [f"--config={given['EXPERIMENT']}", *option("corpus.source", given["CORPUS"])]
    words += option("encoder.engine", given["ENGINE"]) + option("encoder.workers", given["WORKERS"])
    return ["embed", *words, *details(given)]


COMMANDS: Mapping[str, Callable[[Given], list[str]]] = {
    "fetch": lambda given: ["fetch", f"--scale={given['SCALE']}"],
    "sweep": lambda given: ["sweep", *swept(given), *details(given)],
    "status": lambda given: ["sweep", *swept(given), "--status"],
    "report": lambda given: ["report", *swept(given)],
    "experiment": experiment,
    "matrix": lambda given: ["matrix", f"--scale={given['SCALE']}", *cells(given), *details(given)],
    "claims": claims,
    "paper": lambda given: ["paper", f"--scale={given['SCALE']}"],
    "embed": embed,
    "index-bench": index_bench,
    "plan": lambda given: ["plan", f"--config={given['EXPERIMENT']}", *(["--measure"] if given["MEASURE"] else [])],
    "ask": ask,
}
"""Target -> words of its `rag-lightning` command."""


def dashboard(given: Given) -> list[str]:
    """The words that open the study of a sweep."""
    url, study = storage(given), Path("runs") / name_of(given) / "study.db"
    if url.startswith("sqlite:///"):
        study = Path(url.removeprefix("sqlite:///"))
    if not url.startswith("postgresql") and "%" not in url and not os.path.isfile(study):
        raise Misuse(f"{study}: no study yet; run make sweep first, or check NAME and STORAGE")
    if url.startswith("postgresql:"):
        url = url.replace("postgresql:", "postgresql+psycopg:", 1)  # the driver that the extra postgres installs
    return [url or sqlite_url(study)]


def command(target: str, given: Given) -> list[str]:
    """The words that a target runs, the program first.

    Raises:
        Misuse: an argument that cannot be used.
    """
    given = {name: value or DEFAULTS.get(name, "") for name, value in given.items()}
    if target in COMMANDS:
        return ["rag-lightning", *COMMANDS[target](given)]
    server = ["--host", "127.0.0.1", f"--port={given['PORT']}"]
    if target == "optuna-ui":
        return ["optuna-dashboard", *dashboard(given), *server]
    return ["mlflow", "ui", "--backend-store-uri", "sqlite:///mlflow.db", *server]


def find_files() -> None:
    """Let MLflow find the files of a store that was moved with the project, as every command does that sends runs."""
    from sqlalchemy.exc import SQLAlchemyError

    from rag_lightning.tracking.places import bring_along

    store = Path("mlflow.db")
    if store.is_symlink() or not store.is_file() or not store.stat().st_size:
        return
    try:
        bring_along(sqlite_url(store))
    except SQLAlchemyError as error:  # the server says more about a file that cannot be used
        print(
            clean(f"{store}: the places of its files were not checked ({str(error).splitlines()[0]})"), file=sys.stderr
        )


def main(target: str, names: list[str]) -> NoReturn:
    """Run what a target stands for, in the place of this process."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    given = {name: os.environ.get(name, "") for name in names}
    if target == "optuna-ui":
        given["PORT"] = given["PORT"] or "8080"
    try:
        words = command(target, given)
    except Misuse as error:
        print(clean(f"make {target}: {error}"), file=sys.stderr)
        sys.exit(MISUSED)
    program = Path(sys.executable).with_name(words[0])
    if target == "mlflow-ui":
        find_files()
    if target.endswith("-ui"):
        port = given["PORT"] or DEFAULTS["PORT"]
        print(clean(f"open http://127.0.0.1:{port}/ in a browser; Ctrl-C ends the server"), file=sys.stderr)
    elif target not in SILENT:
        print(clean(shlex.join([os.path.relpath(program), *words[1:]])), flush=True)
    os.execv(program, [str(program), *words[1:]])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
