"""Command `assess`: two runs -> reports/assessments/<name>/, the page for annotators and the key that stays behind."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rag_lightning.assess.pairs import KEY, PAGE, QUESTIONS, Key, describe, draw, page_digest, read_key
from rag_lightning.assess.stored import Pair, read_shared
from rag_lightning.config.commands import AssessConfig
from rag_lightning.core.console import say
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.files import write_sealed, write_text
from rag_lightning.core.links import make_folder
from rag_lightning.report.page import render
from rag_lightning.report.side import finished_run
from rag_lightning.runs import folders

TEMPLATE = "reports/templates/assess.html.j2"


def run(config: AssessConfig, runs: Sequence[str]) -> None:
    """Write the page and its key and print what to do with them; the same arguments write the same bytes.

    Raises:
        ConfigError: not two runs, runs that cannot be compared, or a name that another assessment has.
        UnknownNameError: no such run.
        ArtifactError, DataError: what the runs stored is damaged, or no longer there.
    """
    if len(runs) != 2:
        raise ConfigError("assess needs two runs: rag-lightning assess --runs A B")
    pair = finished_run(config.folder, runs[0]), finished_run(config.folder, runs[1])
    shared = read_shared(config.folder, pair)
    drawn = draw(shared, config.pairs, config.seed)
    items, shown = [item for item, _ in drawn], [one for _, one in drawn]
    a, b = describe(pair)
    where = (pair[0].dataset, pair[0].split, pair[0].scale)
    key = Key(page_digest(shown), *where, config.seed, a, b, tuple(items))
    folder = folders.assessments(config.folder) / (config.name or _name(pair))
    _check_free(folder, key)
    make_folder(folder, folder.parent)
    # the key first: a page that was sent without one could never be read
    write_sealed(folder / KEY, key.to_dict())
    write_text(folder / PAGE, render(TEMPLATE, page=key.page, items=list(map(asdict, shown)), questions=QUESTIONS))
    _tell(folder, key, len(shared.questions), sum(one.left == one.right for one in shown))


def _name(pair: Pair) -> str:
    text = "-".join((pair[0].dataset, pair[0].split, *(run.run_id for run in pair)))
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[:100].lstrip(".-")


def _check_free(folder: Path, key: Key) -> None:
    """Raise ConfigError where a folder holds another assessment, whose page may have been sent already."""
    if (folder / KEY).exists() and read_key(folder / KEY) != key:
        raise ConfigError(f"{folder} holds another assessment: give this one a name of its own with --name")


def _tell(folder: Path, key: Key, questions: int, same: int) -> None:
    controls = sum(item.control for item in key.items)
    pairs = len(key.items) - controls
    say(f"assess            {folder / PAGE}")
    say(f"                  {pairs} pairs of {questions:,} shared questions, {controls} control items, seed {key.seed}")
    if same:
        say(f"                  {same} pairs are of two outputs that are the same")
    say(f"                  send only {PAGE}; {KEY} tells which system is which")
    say(f"                  put the files that annotators save into {folder},")
    say("                  then: rag-lightning paper, or rag-lightning report --table 4")
