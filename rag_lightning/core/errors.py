"""All errors that a user can cause. The command line prints their message without a traceback and exits non-zero."""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO}


class RagLightningError(Exception):
    """Base class of all errors that are reported in one line."""


class ConfigError(RagLightningError):
    """A configuration value that cannot be used."""


class UnknownNameError(ConfigError):
    """An unknown name; the message suggests the nearest known names."""


class ArtifactError(RagLightningError):
    """An artifact that is missing, altered or truncated."""


class TrainingError(RagLightningError):
    """Training that cannot continue: a loss that is not finite, or a process that died."""


class JobError(RagLightningError):
    """Work of several processes or machines that cannot continue: they are gone, or do not fit together."""


class ServerError(RagLightningError):
    """A server of a model that does not answer, refuses, or serves another model."""


class AssetError(RagLightningError):
    """A model or data set that cannot be fetched or does not match its checksum."""


TERMINATED = 128 + signal.SIGTERM
"""Exit code of a process that SIGTERM ended, as in shells."""


class Terminated(SystemExit):
    """SIGTERM as an exception, so that the process closes its files before it ends."""

    def __init__(self) -> None:
        super().__init__(TERMINATED)


def disk_problem(error: OSError) -> str:
    """The message for a disk that is full or refuses writes.

    >>> disk_problem(OSError(28, "No space left on device", "runs/nq/space.json"))
    'runs/nq/space.json: No space left on device; what is finished is kept: run the same command again to continue'
    """
    place = error.filename or "the disk"
    return f"{place}: {error.strerror}; what is finished is kept: run the same command again to continue"


class DataError(RagLightningError):
    """Invalid content of a file; the message names file, row (line, from 1), field and value.

    >>> str(DataError("q.csv", "is empty", row=3, field="question", value="", hint="remove the row"))
    "q.csv, row 3, field 'question': is empty (got ''); remove the row"
    """

    def __init__(
        self,
        path: Path | str,
        problem: str,
        *,
        row: int | None = None,
        field: str | None = None,
        value: object = None,
        hint: str = "",
    ) -> None:
        where = str(path)
        if row is not None:
            where += f", row {row}"
        if field is not None:
            where += f", field {field!r}"
        said = "" if value is None else f" (got {shown(value)})"
        super().__init__(f"{where}: {problem}{said}" + (f"; {hint}" if hint else ""))
        self.path, self.problem, self.row, self.field, self.value = Path(path), problem, row, field, value
        self.hint = hint

    def __reduce__(self) -> tuple[Callable[..., DataError], tuple[Path, str], dict[str, object]]:
        """Other processes send it; an exception is otherwise made again of its message alone."""
        made = partial(type(self), row=self.row, field=self.field, value=self.value, hint=self.hint)
        return made, (self.path, self.problem), {}


def shown(value: object, limit: int = 120) -> str:
    """A value as a message shows it: its repr, cut where it is long.

    >>> shown("a" * 10, 8)
    "'aaaaaa…"
    """
    try:
        text = repr(value)
    except RecursionError:
        text = "a value that is nested too deeply"
    return text if len(text) <= limit else text[: limit - 1] + "…"


@contextmanager
def written_as(option: str) -> Iterator[None]:
    """Turn errors of the file system into a ConfigError that names the option; a full disk is raised unchanged."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_ERRORS:
            raise
        raise ConfigError(f"{option}: cannot be written ({error.strerror})") from error
