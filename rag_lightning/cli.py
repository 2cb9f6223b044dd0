"""The command line: `rag-lightning COMMAND [--config F.yaml] [--key value …]`.

The function of a command is imported only when it is called, so that help needs no heavy package.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from io import TextIOWrapper
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_lightning import __version__
from rag_lightning.commands import COMMANDS, Command, Config
from rag_lightning.config import yaml_files
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.help import OVERVIEW_END, command_help, section_help
from rag_lightning.config.loading import PRINT, UNREADABLE, add_fields, explain, keys_of, parse_expanded
from rag_lightning.config.trainer import place_of
from rag_lightning.core import console
from rag_lightning.core.devices import named_memory
from rag_lightning.core.errors import DISK_ERRORS, TERMINATED, ConfigError, RagLightningError, Terminated, disk_problem
from rag_lightning.core.hardware import limit_compiled_products
from rag_lightning.core.plain import clean
from rag_lightning.core.redact import redact
from rag_lightning.core.registry import Registry, check_name, load
from rag_lightning.core.shipped import find_configs

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

FAILED, MISUSED, INTERRUPTED = 1, 2, 130
JOB = "rag_lightning.training.job:run_as_part"
VERBOSE, VERBOSE_HELP = "--verbose", "Show details: stages of each trial, dropped examples, messages of libraries."
OCCUPIED = {errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}
"""Errors of a file in the place of one of our folders, or the reverse, and of a path that cannot be one."""
LESS_MEMORY = "lower decoding.pairs_per_batch, encoder.tokens_per_batch or train.batch_size, or use device=cpu"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 1 failed, 2 misused, 130 interrupted, 143 ended by SIGTERM."""
    if arguments is not None:
        return _run(arguments)
    code = _run(sys.argv[1:])
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # all is done, and Python's end would show a traceback
    if code in (INTERRUPTED, TERMINATED):  # no thread that still sends or waits keeps the process
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
    return code


def _run(given: Sequence[str]) -> int:
    limit_compiled_products()
    _keep_printing()
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


def _keep_printing() -> None:
    """Let stdout and stderr show what their encoding does not have as \\x.., where they would end in an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


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
        with named_memory(LESS_MEMORY):
            _call(name, *parsed)
    return 0


def _call(name: str, config: Config, extras: Sequence[Any]) -> None:
    """Run a command, or its part in the job of several machines or devices that it was started for."""
    experiment = config if isinstance(config, ExperimentConfig) else getattr(config, "experiment", None)
    if not isinstance(experiment, ExperimentConfig) or (place := place_of(experiment)) is None:
        load(COMMANDS[name].target)(config, *extras)
    else:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # a lost connection is one line, without torch's frames
        load(JOB)(place, experiment.device, lambda: load(COMMANDS[name].target)(config, *extras))


def _complain(message: str, code: int) -> int:
    print(f"rag-lightning: {redact(clean(message))}", file=sys.stderr)
    return code


def overview() -> str:
    """The text of `rag-lightning --help`."""
    lines = ["usage: rag-lightning COMMAND [--config F.yaml] [--key value ...]", "", "commands:"]
    lines += [f"  {name:13} {one.line}" for name, one in COMMANDS.items() if not one.artifact]
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
    return _parser(name, COMMANDS[name], extra, Registry.changes)


@lru_cache(maxsize=8)
def _parser(name: str, command: Command, extra: bool, changes: int) -> ArgumentParser:
    """One parser for a command, as long as no kind is registered."""
    parser = yaml_files.make_parser(prog=f"rag-lightning {name}", usage=_usage(name))
    for given in command.extras if extra else ():
        if given.default is False:
            parser.add_argument(given.name, action="store_true", help=given.help)
        elif given.is_option:
            parser.add_argument(given.name, type=str, default=given.default, nargs=given.nargs, help=given.help)
        else:
            parser.add_argument(given.name, type=str, nargs=given.nargs, help=given.help)
    parser.add_argument("--config", action="config", help="YAML file with values; keys after it override it.")
    add_fields(parser, command.config)
    return parser


def _without_extra(command: Command, words: list[str]) -> list[str]:
    """The words without extra arguments, so that every command can read the printed configuration."""
    options = (extra for extra in command.extras if extra.is_option)
    values = {option.name: 0 if option.default is False else int(option.nargs or 1) for option in options}
    positional = any(not extra.is_option for extra in command.extras)
    kept: list[str] = []
    left = 0
    for word in words:
        name, equals, _ = word.partition("=")
        if left:
            left -= 1
        elif name in values:
            left = 0 if equals else values[name]
        else:
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
