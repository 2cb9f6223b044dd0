"""`rag-lightning STAGE [--config F.yaml] [--key value …]`: stage -> "module:function", imported only when called."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_lightning import __version__
from rag_lightning.config import yaml_files
from rag_lightning.config.commands import ClaimsConfig, MatrixConfig, SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.help import command_help, section_help
from rag_lightning.config.loading import PRINT, UNREADABLE, add_fields, explain, keys_of, parse_expanded
from rag_lightning.core import console
from rag_lightning.core.artifacts import DISK_ERRORS
from rag_lightning.core.errors import TERMINATED, ConfigError, RagLightningError, Terminated
from rag_lightning.core.hardware import limit_compiled_products
from rag_lightning.core.registry import check_name
from rag_lightning.core.shipped import find_configs

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

FAILED, MISUSED, INTERRUPTED = 1, 2, 130
VERBOSE, VERBOSE_HELP = "--verbose", "Show details: parts of trials, what was dropped, libraries' bars and messages."
"""An option of every command; no part of a configuration."""
OCCUPIED = {errno.ENOTDIR, errno.EEXIST}
"""A file stands where a folder of ours belongs."""
Function = Callable[..., None]
Config = ExperimentConfig | SweepConfig | MatrixConfig | ClaimsConfig


@dataclass(frozen=True)
class Extra:
    """An argument that is no part of the configuration.

    Args:
        name: With dashes an option, else positional.
        help: What it is.
        default: False makes the option a flag.
    """

    name: str
    help: str
    default: str | bool = ""

    @property
    def is_option(self) -> bool:
        """Begins with dashes."""
        return self.name.startswith("--")


@dataclass(frozen=True)
class Stage:
    """One subcommand.

    Args:
        target: "module:function" that is called with the configuration and the extra arguments.
        line: What `--help` says of it.
        config: The dataclass that is its command line and its YAML.
        extras: What else it takes, in the order of the function's parameters.
    """

    target: str
    line: str
    config: type[ExperimentConfig] | type[SweepConfig] | type[MatrixConfig] | type[ClaimsConfig] = ExperimentConfig
    extras: tuple[Extra, ...] = ()


STAGES = {
    "doctor": Stage(
        "rag_lightning.doctor.command:run",
        "tell what works on this machine, or what is wrong with a file",
        extras=(
            Extra("--deep", "Hash every artifact, also files above 1 GB.", False),
            Extra("--data", "Look at this file of examples instead: its format, counts, and what is wrong with it."),
            Extra("--as_task", "The task that file is for; empty for any that reads it."),
        ),
    ),
    "fetch": Stage("rag_lightning.stages.fetch:run", "fetch the data and models of a scale, with their licences"),
    "corpus": Stage("rag_lightning.stages.corpus:run", "cut the text into passages"),
    "examples": Stage("rag_lightning.stages.examples:run", "build or read the questions: train, dev, test"),
    "embed": Stage("rag_lightning.stages.embed:run", "passages -> vectors"),
    "index": Stage("rag_lightning.stages.index:run", "vectors -> a FAISS index, or words -> BM25"),
    "retrieve": Stage("rag_lightning.stages.retrieve:run", "questions -> rankings, once at the largest k"),
    "targets": Stage("rag_lightning.stages.targets:run", "what to train on, where answers are no targets themselves"),
    "train": Stage("rag_lightning.stages.train:run", "train a formulation, from the shared reader warm-up"),
    "predict": Stage("rag_lightning.stages.predict:run", "questions and rankings -> predictions"),
    "score": Stage(
        "rag_lightning.stages.score_results:run",
        "predictions -> scores and estimates with intervals",
        extras=(
            Extra("--predictions", "Score this instead: a folder of artifacts/predictions, or a result file."),
            Extra("--format", "Layout of that file: ours, trec, dpr, kilt or flashrag.", "ours"),
            Extra("--questions", "File of the task's questions that it answers, instead of the configured split."),
            Extra("--export", "FORMAT:FILE, write the same results there in that layout."),
        ),
    ),
    "export": Stage(
        "rag_lightning.stages.export:run",
        "write a trained model in the layout of transformers' RAG",
        extras=(Extra("--to", "The new folder."),),
    ),
    "sweep": Stage(
        "rag_lightning.sweep.command:run", "search a space of systems on dev, then test the best", SweepConfig
    ),
    "report": Stage("rag_lightning.report.command:run", "stored runs -> tables beside the paper's", SweepConfig),
    "matrix": Stage(
        "rag_lightning.matrix.command:run",
        "run experiments of the matrix, by name or all of them",
        MatrixConfig,
    ),
    "claims": Stage("rag_lightning.claims.command:run", "test the claims on the matrix's experiments", ClaimsConfig),
    "plan": Stage(
        "rag_lightning.plan.command:run",
        "tell passages, bytes, memory, disk and hours of an experiment before anything is built",
    ),
    "track": Stage("rag_lightning.runs.track:run", "send stored runs to MLflow that are not there yet"),
    "ask": Stage(
        "rag_lightning.stages.ask:run",
        "answer one question, with its passages, scores and hypotheses",
        extras=(Extra("question", "The question, in quotes."),),
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one stage; returns the exit code: 0, 1 failed, 2 misused, 130 interrupted, 143 ended by SIGTERM."""
    given = sys.argv[1:] if arguments is None else arguments
    words = [word for word in given if word != VERBOSE]
    limit_compiled_products()
    try:
        with console.opened(verbose=VERBOSE in given):
            return _dispatch(words)
    except ConfigError as error:
        return _complain(str(error), MISUSED)
    except RagLightningError as error:
        return _complain(str(error), FAILED)
    except KeyboardInterrupt:
        return _complain("interrupted; run the same command again to go on", INTERRUPTED)
    except Terminated:
        return _complain("ended by SIGTERM; run the same command again to go on", TERMINATED)
    except BrokenPipeError:
        return FAILED
    except OSError as error:
        if error.errno not in DISK_ERRORS | OCCUPIED:
            raise
        return _complain(f"{error.filename or 'the disk'}: {error.strerror}; what was finished before is whole", FAILED)


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(overview())
        return 0 if words else MISUSED
    if words[0] in ("-V", "--version"):
        print(f"rag-lightning {__version__}")
        return 0
    if words[0] == "help":
        print(section_help(words[1], ExperimentConfig) if len(words) > 1 else overview())
        return 0
    name = words[0]
    check_name("stage", name, STAGES)
    if {"-h", "--help"} & set(words[1:]):
        print(stage_help(name))
        return 0
    parsed = parse(name, words[1:])
    if parsed is None:
        return 0
    config, extra = parsed
    load(STAGES[name].target)(config, *extra)
    return 0


def _complain(message: str, code: int) -> int:
    print(f"rag-lightning: {' '.join(message.split())}", file=sys.stderr)
    return code


def overview() -> str:
    """What `--help` prints."""
    lines = ["usage: rag-lightning STAGE [--config F.yaml] [--key value ...]", "", "stages:"]
    lines += [f"  {name:9} {stage.line}" for name, stage in STAGES.items()]
    lines += [
        "",
        "rag-lightning STAGE --help lists its arguments, `rag-lightning help SECTION` the fields of a section;",
    ]
    lines += ["--print_config prints a stage's whole configuration as YAML, --verbose shows details of the work."]
    return "\n".join(lines)


def stage_help(name: str) -> str:
    """What `rag-lightning STAGE --help` prints."""
    stage = STAGES[name]
    own = [*((extra.name, extra.help) for extra in stage.extras), (VERBOSE, VERBOSE_HELP)]
    return command_help(_usage(name), stage.line, own, stage.config)


def _usage(name: str) -> str:
    questions = "".join(f' "{given.name}"' for given in STAGES[name].extras if not given.is_option)
    return f"rag-lightning {name}{questions} [--config F.yaml] [--key value ...]"


def load(target: str) -> Function:
    """Import what "module:function" names."""
    module, _, function = target.partition(":")
    found: Function = getattr(import_module(module), function)
    return found


def parse(name: str, words: Sequence[str]) -> tuple[Config, list[Any]] | None:
    """A stage's configuration and extra argument; None where only help or the configuration was to be printed.

    Raises:
        ConfigError: an unknown key, a value of a wrong type, a file that cannot be read; one line.
    """
    from jsonargparse import ArgumentError

    stage = STAGES[name]
    parser, words = make_parser(name), list(find_configs(words))
    if any(word.startswith(PRINT) for word in words):
        parser, words = make_parser(name, extra=False), _without_extra(stage, words)
    try:
        built, parsed = parse_expanded(parser, words, stage.config)
    except SystemExit as stop:
        if stop.code:
            raise
        return None
    except (ArgumentError, *UNREADABLE) as error:
        raise ConfigError(_blame(name, words) + explain(str(error), keys_of(parser))) from error
    except ConfigError as error:
        raise type(error)(_blame(name, words) + str(error)) from error
    return built, [parsed[extra.name.lstrip("-")] for extra in stage.extras]


def make_parser(name: str, *, extra: bool = True) -> ArgumentParser:
    """The parser of a stage: its dataclass, `--config`, `--print_config`, and the extra arguments."""
    stage = STAGES[name]
    parser = yaml_files.make_parser(prog=f"rag-lightning {name}", usage=_usage(name))
    for given in stage.extras if extra else ():
        if given.default is False:
            parser.add_argument(given.name, action="store_true", help=given.help)
        elif given.is_option:
            parser.add_argument(given.name, type=str, default=given.default, help=given.help)
        else:
            parser.add_argument(given.name, type=str, help=given.help)
    parser.add_argument("--config", action="config", help="YAML file of these keys; keys given after it win.")
    add_fields(parser, stage.config)
    return parser


def _without_extra(stage: Stage, words: list[str]) -> list[str]:
    """What is printed can be read back by any stage, so the extra arguments are no part of it."""
    flags = {extra.name for extra in stage.extras if extra.default is False}
    valued = {extra.name for extra in stage.extras if extra.is_option} - flags
    positional = any(not extra.is_option for extra in stage.extras)
    kept: list[str] = []
    for before, word in pairwise(["", *words]):
        if before not in valued and word not in valued | flags and word.partition("=")[0] not in valued:
            kept.append(word)
    return kept[1:] if positional and not kept[0].startswith("-") else kept


def _blame(name: str, words: Sequence[str]) -> str:
    """The configuration file, where it is at fault by itself."""
    from jsonargparse import ArgumentError

    files = [after for word, after in pairwise(words) if word == "--config"]
    files += [word.removeprefix("--config=") for word in words if word.startswith("--config=")]
    for file in files:
        if Path(file).is_file():
            try:
                parse_expanded(make_parser(name, extra=False), ["--config", file], STAGES[name].config)
            except (ArgumentError, *UNREADABLE, ConfigError):
                return f"{file}: "
    return ""


if __name__ == "__main__":
    sys.exit(main())
