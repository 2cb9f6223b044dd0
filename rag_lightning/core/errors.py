"""Every error a user can cause. The command line prints the message and exits non-zero, without a traceback."""

from __future__ import annotations

import signal
from pathlib import Path


class RagLightningError(Exception):
    """Base of all errors that are reported in one clear line."""


class ConfigError(RagLightningError):
    """A configuration value that cannot be used."""


class UnknownNameError(ConfigError):
    """A name that no registry holds; the message offers the nearest ones."""


class ArtifactError(RagLightningError):
    """An artifact that is missing, altered or cut short."""


class TrainingError(RagLightningError):
    """Training that cannot go on: a loss that is not finite, a process that died."""


class AssetError(RagLightningError):
    """A model or data set that cannot be fetched or does not match its checksum."""


TERMINATED = 128 + signal.SIGTERM
"""Exit code of a process that SIGTERM ended, by the convention of shells."""


class Terminated(SystemExit):
    """SIGTERM, received while the process can still close what it has open."""

    def __init__(self) -> None:
        super().__init__(TERMINATED)


class DataError(RagLightningError):
    """Bad content of a user's file: names the file, the row (1-based line), the field and the value.

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
        shown = "" if value is None else f" (got {_shorten(repr(value))})"
        super().__init__(f"{where}: {problem}{shown}" + (f"; {hint}" if hint else ""))
        self.path, self.problem, self.row, self.field, self.value = Path(path), problem, row, field, value


def _shorten(text: str, limit: int = 120) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
