"""The record of a claim: its last outcome on a split. A claim is tested on test only once.

`runs/claims/<scale>-<split>/<claim>.json` holds settings, digest and outcome; on test it is written before the first
experiment touches test, so that a killed run counts too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rag_lightning.claims.claims import Claim
from rag_lightning.config.data import Split
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.files import digest, read_sealed, write_sealed
from rag_lightning.core.links import make_folder
from rag_lightning.matrix.cells import Job
from rag_lightning.runs import folders
from rag_lightning.runs.identity import differing, run_digest
from rag_lightning.runs.record import now

WORDS = ("says", "source")
"""Fields of a claim that do not affect its test."""
SHOWN_CHANGES = 5


@dataclass(frozen=True)
class Entry:
    """A claim's file.

    Args:
        path: Path of the file.
        settings: All that the outcome depends on.
        shown: Plain values in which a change of the settings is looked for, to name it.
    """

    path: Path
    settings: Mapping[str, Any]
    shown: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Digest of the settings."""
        return digest(self.settings)

    def stored(self) -> dict[str, Any] | None:
        """The stored record, None if there is no file.

        Raises:
            DataError: it is damaged or altered.
        """
        if not self.path.exists():
            return None
        found = read_sealed(self.path, "restore it from a copy")
        if not _is_record(found):
            raise DataError(self.path, "is not the record of a claim", hint="restore it from a copy")
        return found

    def outcome(self) -> dict[str, Any] | None:
        """The stored outcome if it has the same settings, else None."""
        found = self.stored()
        return found["outcome"] if found and found["digest"] == self.digest else None

    def check(self) -> None:
        """Check that the claim can be tested on test.

        Raises:
            ConfigError: it was tested on test before with other settings.
            DataError: the record is damaged.
        """
        found = self.stored()
        if found is not None and found["digest"] != self.digest:
            names = differing(found["shown"], self.shown) or differing(found["settings"], self.settings)
            changed = ", ".join(names[:SHOWN_CHANGES]) or "its settings"
            raise ConfigError(
                f"claim {self.path.stem} was tested on test at {found['started']} with other settings (digest "
                f"{found['digest']}, now {self.digest}; changed: {changed}); a claim is tested there once: restore the "
                "settings, or give the changed claim another name"
            )

    def touch_test(self) -> None:
        """Record that the claim is now tested on test, unless it was before."""
        self.check()
        if self.stored() is None:
            self.write(None)

    def write(self, outcome: Mapping[str, Any] | None) -> None:
        """Write the record with an outcome; None for a test that has begun."""
        make_folder(self.path.parent, self.path.parents[2])
        found = self.stored()
        same = found is not None and found["digest"] == self.digest
        started = found["started"] if found and same else now()
        record = {"digest": self.digest, "started": started, "settings": self.settings, "shown": self.shown}
        write_sealed(self.path, record | {"outcome": outcome})


def _is_record(found: Any) -> bool:
    if not isinstance(found, dict) or not {"digest", "started", "settings", "shown", "outcome"} <= set(found):
        return False
    outcome = found["outcome"]
    whole = outcome is None or (isinstance(outcome, dict) and {"verdict", "why", "tested", "points"} <= set(outcome))
    return isinstance(found["settings"], dict) and isinstance(found["shown"], dict) and whole


def entry(root: Path, claim: Claim, scale: str, split: Split, jobs: Sequence[Job]) -> Entry:
    """The record of a claim.

    Args:
        root: Project folder.
        claim: The claim; its texts are not part of the settings.
        scale: Scale of its experiments.
        split: dev, test or test2.
        jobs: All its experiments; their folders are not part of the settings.
    """
    tested = {name: value for name, value in claim.as_dict().items() if name not in WORDS}
    about = {"claim": tested, "scale": scale, "split": split}
    settings = about | {"experiments": {_key(job): run_digest(job.config, split) for job in jobs}}
    shown = about | {"experiments": {_key(job): _shown(job.config) for job in jobs}}
    path = folders.runs(root) / "claims" / f"{scale}-{split}" / f"{claim.name}.json"
    return Entry(path, json.loads(json.dumps(settings)), json.loads(json.dumps(shown)))


def _shown(config: ExperimentConfig) -> dict[str, Any]:
    """The configuration without folder and tracking_uri."""
    return {name: value for name, value in to_dict(config).items() if name not in ("folder", "tracking_uri")}


def _key(job: Job) -> str:
    return f"{job.cell.name} with k={job.config.decoding.k} and seed {job.config.seed}"
