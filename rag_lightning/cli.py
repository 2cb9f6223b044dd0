"""The command line: `rag-lightning COMMAND [--config F.yaml] [--key value …]`.

The function of a command is imported only when it is called, so that help needs no heavy package.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_lightning import __version__
from rag_lightning.config import yaml_files
from rag_lightning.config.commands import ClaimsConfig, MatrixConfig, PaperConfig, SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.help import OVERVIEW_END, command_help, section_help
from rag_lightning.config.loading import PRINT, UNREADABLE, add_fields, explain, keys_of, parse_expanded
from rag_lightning.core import console
from rag_lightning.core.artifacts import DISK_ERRORS
from rag_lightning.core.errors import TERMINATED, ConfigError, RagLightningError, Terminated, disk_problem
from rag_lightning.core.hardware import limit_compiled_products
from rag_lightning.core.redact import redact
from rag_lightning.core.registry import check_name, load
from rag_lightning.core.shipped import find_configs

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

FAILED, MISUSED, INTERRUPTED = 1, 2, 130
VERBOSE, VERBOSE_HELP = "--verbose", "Show details: stages of each trial, dropped examples, messages of libraries."
STATUS = "--status", "Show what the sweep has done and is doing, instead of running it.", False
OCCUPIED = {errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}
"""Errors of a file in the place of one of our folders, or the reverse, and of a path that cannot be one."""
Config = ExperimentConfig | SweepConfig | MatrixConfig | ClaimsConfig | PaperConfig


@dataclass(frozen=True)
class Extra:
    """An argument outside of the configuration.

    Args:
        name: Name; an option if it begins with dashes, else positional.
        help: Help sentence.
        default: Default; False makes the option a flag.
        usage: A positional argument in the usage line.
    """

    name: str
    help: str
    default: str | bool = ""
    usage: str = ""

    @property
    def is_option(self) -> bool:
        """Whether the name begins with dashes."""
        return self.name.startswith("--")


@dataclass(frozen=True)
class Command:
    """One subcommand.

    Args:
        target: "module:function"; called with the configuration and the extra arguments.
        line: Description for `--help`.
        config: Dataclass of its configuration, which defines its options and its YAML.
        extras: Extra arguments, in the order of the function's parameters.
        artifact: Folder of artifacts/ that the command of a stage fills; empty for the others.
    """

    target: str
    line: str
    config: type[Config] = ExperimentConfig
    extras: tuple[Extra, ...] = ()
    artifact: str = ""


def _stage(module: str, artifact: str, line: str) -> Command:
    return Command(f"rag_lightning.stages.{module}:run", line, artifact=artifact)


TABLE = (
    Extra("--table", "Print this table of the paper instead: 1, 2, 4, 5, 6 or 7, with runs of the scale."),
    Extra("--fragment", "Print the table as LaTeX.", False),
)
COMMANDS = {
    "sweep": Command(
        "rag_lightning.sweep.command:run", "search systems on dev, then test the best", SweepConfig, (Extra(*STATUS),)
    ),
    "report": Command(
        "rag_lightning.paper.command:report", "write the report of a sweep, or print a table", SweepConfig, TABLE
    ),
    "matrix": Command("rag_lightning.matrix.command:run", "run the experiments of the matrix", MatrixConfig),
    "claims": Command("rag_lightning.claims.command:run", "test the claims on the matrix", ClaimsConfig),
    "paper": Command("rag_lightning.paper.command:run", "write the paper's tables and figures from runs", PaperConfig),
    "ask": Command(
        "rag_lightning.stages.ask:run",
        "answer one question; show passages, scores and hypotheses",
        extras=(Extra("question", "The question, in quotes.", usage='"question"'),),
    ),
    "plan": Command("rag_lightning.plan.command:run", "estimate memory, disk and time of an experiment"),
    "doctor": Command(
        "rag_lightning.doctor.command:run",
        "check the installation and the artifacts, or a file of examples",
        extras=(
            Extra("--deep", "Also verify the checksums of files above 1 GB.", False),
            Extra("--data", "Check this file of examples instead: its format, counts and errors."),
            Extra("--as_task", "Task to read that file for; empty for every task that can read it."),
        ),
    ),
    "artifacts": Command(
        "rag_lightning.artifacts.command:run",
        "list artifacts and the runs that use them, sum their sizes, or remove unused ones",
        extras=(
            Extra("action", "ls lists, du sums sizes, gc shows what no run uses (--folder: where).", usage="ls|du|gc"),
            Extra("--sweep", "For ls: only artifacts of this sweep (a folder of runs/)."),
            Extra("--confirm", "For gc: yes removes what no run uses."),
        ),
    ),
    "fetch": Command("rag_lightning.stages.fetch:run", "download the data and models of a scale; show their licences"),
    "track": Command(
        "rag_lightning.tracking.track:run",
        "send stored runs to MLflow, except those that are already there",
        extras=(Extra("--all", "Send every run again, also those that are there unchanged.", False),),
    ),
    "export": Command(
        "rag_lightning.stages.export:run",
        "write a trained model as a RAG model of transformers",
        extras=(Extra("--to", "Folder to write; new or empty."),),
    ),
    "corpus": _stage("corpus", "corpus", "split the articles into passages"),
    "examples": _stage("examples", "examples", "read or build the train, dev and test questions"),
    "bm25": _stage("bm25", "bm25", "build the BM25 index of the passages"),
    "biencoder": _stage("biencoder", "biencoder", "train query and passage encoder as DPR"),
    "embed": _stage("embed", "vectors", "encode the passages as vectors"),
    "index": _stage("index", "index", "build the FAISS index of the vectors"),
    "targets": _stage("targets", "targets", "find training targets in retrieved passages"),
    "bm25_scale": _stage("bm25_scale", "bm25_scale", "fit the score_scale of BM25 on dev"),
    "retriever_warmup": _stage("retriever_warmup", "retriever_warmup", "train the query encoder on known passages"),
    "reader": _stage("reader", "reader", "train the reader on single passages"),
    "train": _stage("train", "model", "train the formulation, starting from the reader"),
    "retrieve": _stage("retrieve", "rankings", "rank the passages of each question"),
    "predict": _stage("predict", "predictions", "decode a prediction per question"),
    "score": Command(
        "rag_lightning.runs.score:run",
        "compute metrics with confidence intervals",
        extras=(
            Extra("--predictions", "Score this instead: a folder of artifacts/predictions, or a result file."),
            Extra("--format", "Format of the result file: ours, trec, dpr, kilt or flashrag.", "ours"),
            Extra("--questions", "File of the task's questions that the result file answers; empty for the split."),
            Extra("--export", "FORMAT:FILE; also write the results to FILE in that format."),
        ),
        artifact="scores",
    ),
}
"""Name -> command: the everyday ones first, then one per stage, in the order of their work."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 1 failed, 2 misused, 130 interrupted, 143 ended by SIGTERM."""
    given = sys.argv[1:] if arguments is None else arguments
    limit_compiled_products()
    try:
        with console.opened(verbose=VERBOSE in given):
            return _dispatch([word for word in given if word != VERBOSE])
    except ConfigError as error:
        return _complain(str(error), MISUSED)
    except RagLightningError as error:
        return _complain(str(error), FAILED)
    except KeyboardInterrupt:
        return _complain("interrupted; run the same command again to continue", INTERRUPTED)
    except Terminated:
        return _complain("ended by SIGTERM; run the same command again to continue", TERMINATED)
    except BrokenPipeError:
        return FAILED
    except OSError as error:
        if error.errno not in DISK_ERRORS | OCCUPIED:
            raise
        return _complain(disk_problem(error), FAILED)


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(overview())
        return 0 if words else MISUSED
    if words[0] in ("-V", "--version"):
        print(f"rag-lightning {__version__}")
        return 0
    if (name := words[0]) == "help":
        print(section_help(words[1], ExperimentConfig) if len(words) > 1 else overview())
        return 0
    check_name("command", name, COMMANDS)
    if {"-h", "--help"} & set(words[1:]):
        print(describe(name))
        return 0
    if (parsed := parse(name, words[1:])) is not None:
        load(COMMANDS[name].target)(parsed[0], *parsed[1])
    return 0


def _complain(message: str, code: int) -> int:
    print(f"rag-lightning: {redact(' '.join(message.split()))}", file=sys.stderr)
    return code


def overview() -> str:
    """The text of `rag-lightning --help`."""
    lines = ["usage: rag-lightning COMMAND [--config F.yaml] [--key value ...]", "", "commands:"]
    lines += [f"  {name:11} {one.line}" for name, one in COMMANDS.items() if not one.artifact]
    lines += ["", "stages in order, each with its folder of artifacts/ (a command runs what it needs, once):"]
    lines += [f"  {name:17} {one.artifact:17} {one.line}" for name, one in COMMANDS.items() if one.artifact]
    return "\n".join([*lines, OVERVIEW_END])


def describe(name: str) -> str:
    """The text of `rag-lightning COMMAND --help`."""
    command = COMMANDS[name]
    own = [*((extra.name, extra.help) for extra in command.extras), (VERBOSE, VERBOSE_HELP)]
    return command_help(_usage(name), command.line, own, command.config)


def _usage(name: str) -> str:
    given = "".join(f" {extra.usage}" for extra in COMMANDS[name].extras if not extra.is_option)
    return f"rag-lightning {name}{given} [--config F.yaml] [--key value ...]"


def parse(name: str, words: Sequence[str]) -> tuple[Config, list[Any]] | None:
    """The configuration and extra arguments of a command; None if only the configuration was printed.

    Raises:
        ConfigError: an unknown key, a value of a wrong type, a file that cannot be read; one line.
    """
    from jsonargparse import ArgumentError

    command = COMMANDS[name]
    parser, words = make_parser(name), list(find_configs(words))
    if any(word.startswith(PRINT) for word in words):
        parser, words = make_parser(name, extra=False), _without_extra(command, words)
    try:
        built, parsed = parse_expanded(parser, words, command.config)
    except SystemExit as stop:
        if stop.code:
            raise
        return None
    except (ArgumentError, *UNREADABLE) as error:
        raise ConfigError(_blame(name, words) + explain(str(error), keys_of(parser))) from error
    except ConfigError as error:
        raise type(error)(_blame(name, words) + str(error)) from error
    return built, [parsed[extra.name.lstrip("-")] for extra in command.extras]


def make_parser(name: str, *, extra: bool = True) -> ArgumentParser:
    """The parser of a command: configuration fields, `--config`, `--print_config`, and extra arguments."""
    command = COMMANDS[name]
    parser = yaml_files.make_parser(prog=f"rag-lightning {name}", usage=_usage(name))
    for given in command.extras if extra else ():
        if given.default is False:
            parser.add_argument(given.name, action="store_true", help=given.help)
        elif given.is_option:
            parser.add_argument(given.name, type=str, default=given.default, help=given.help)
        else:
            parser.add_argument(given.name, type=str, help=given.help)
    parser.add_argument("--config", action="config", help="YAML file with values; keys after it override it.")
    add_fields(parser, command.config)
    return parser


def _without_extra(command: Command, words: list[str]) -> list[str]:
    """The words without extra arguments, so that every command can read the printed configuration."""
    flags = {extra.name for extra in command.extras if extra.default is False}
    valued = {extra.name for extra in command.extras if extra.is_option} - flags
    positional = any(not extra.is_option for extra in command.extras)
    kept: list[str] = []
    for before, word in pairwise(["", *words]):
        if before not in valued and word not in valued | flags and word.partition("=")[0] not in valued:
            kept.append(word)
    return kept[1:] if positional and not kept[0].startswith("-") else kept


def _blame(name: str, words: Sequence[str]) -> str:
    """The configuration file, as the beginning of a message, if the error is in the file itself; else empty."""
    from jsonargparse import ArgumentError

    files = [after for word, after in pairwise(words) if word == "--config"]
    files += [word.removeprefix("--config=") for word in words if word.startswith("--config=")]
    for file in files:
        if Path(file).is_file():
            try:
                parse_expanded(make_parser(name, extra=False), ["--config", file], COMMANDS[name].config)
            except (ArgumentError, *UNREADABLE, ConfigError):
                return f"{file}: "
    return ""


if __name__ == "__main__":
    sys.exit(main())
