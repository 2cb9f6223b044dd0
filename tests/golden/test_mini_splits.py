"""The mini data from the real assets, held by sha256: restructuring `mini` changes no passage, question or split.

The hashes stand in `mini_splits.json`. A change of the data that is meant is recorded anew with

    RAG_ASSETS=assets python -c "from tests.golden.test_mini_splits import record; record()"
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.config.registries import TASKS
from rag_lightning.core.assets import asset_path
from rag_lightning.core.records import Example, Passage
from rag_lightning.mini.cloze import build_cloze, train_passages
from rag_lightning.mini.corpus import build_passages
from rag_lightning.mini.registry import builder_of
from rag_lightning.tasks.spec import get_task

ROOT = Path(os.environ.get("RAG_ASSETS") or Path(__file__).parents[2] / "assets")
SOURCES = tuple(asset_path(name, ROOT) for name in ("wiki", "factbook"))
GOLDEN = Path(__file__).with_name("mini_splits.json")
BUILDERS = [name for name in TASKS if get_task(name).mini]
LEADS, PROFILES = 10, 4
"""The slice takes every tenth article and every fourth country."""

pytestmark = pytest.mark.skipif(
    not all(source.exists() for source in SOURCES),
    reason="neither RAG_ASSETS nor assets/ holds the mini text; `rag-lightning fetch` brings it",
)


@dataclass(frozen=True)
class Source:
    """The two sources and the passages made from them."""

    passages: tuple[Passage, ...]
    wiki: Path
    factbook: Path


def read(wiki: Path, factbook: Path) -> Source:
    return Source(tuple(build_passages(wiki, factbook)), wiki, factbook)


@pytest.fixture(scope="module")
def sliced(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return cut(tmp_path_factory.mktemp("slice"))


@pytest.fixture(scope="module")
def whole() -> Source:
    return read(*SOURCES)


def cut(folder: Path) -> Source:
    """A slice of both sources, in files of their own."""
    leads = json.loads(SOURCES[0].read_text(encoding="utf-8"))
    (folder / "wiki.json").write_text(json.dumps(dict(list(leads.items())[::LEADS])), encoding="utf-8")
    for file in sorted(SOURCES[1].glob("*/*.json"), key=lambda file: file.stem)[::PROFILES]:
        (folder / "factbook" / file.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder / "factbook" / file.parent.name)
    return read(folder / "wiki.json", folder / "factbook")


def sha256(rows: Iterable[Any]) -> str:
    """The digest of plain values as JSON, one a line."""
    found = hashlib.sha256()
    for row in rows:
        found.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode() + b"\n")
    return found.hexdigest()


def plain(example: Example) -> dict[str, Any]:
    return {
        "id": example.example_id,
        "query": example.query,
        "answers": list(example.answers),
        "targets": list(example.targets),
        "gold": list(example.gold_passage_ids),
        "gold_titles": list(example.gold_titles),
        "entity": example.entity,
        "tags": dict(example.tags),
    }


def corpus(source: Source) -> dict[str, Any]:
    rows = [[passage.passage_id, passage.title, passage.text] for passage in source.passages]
    return {"passages": len(rows), "sha256": sha256(rows)}


def splits(task: str, source: Source) -> dict[str, Any]:
    """Per split its digest, and every count; for nq the warm-up's cloze questions too."""
    made = builder_of(task)(source.passages, source.wiki, source.factbook, 0)
    found: dict[str, Any] = {name: sha256(map(plain, examples)) for name, examples in made.splits.items()}
    found["counts"] = dict(sorted(made.counts.items()))
    found["dropped"] = sum(made.dropped.values())
    if task == "nq":
        cloze = build_cloze(train_passages(source.passages, made.splits), 0, 2000)
        found["cloze"] = sha256(map(plain, cloze))
    return found


def golden(part: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))[part]
    return found


def test_the_corpus(whole: Source) -> None:
    assert corpus(whole) == golden("whole")["corpus"]


@pytest.mark.parametrize("task", list(BUILDERS))
def test_a_slice_of_the_sources(task: str, sliced: Source) -> None:
    assert splits(task, sliced) == golden("slice")[task]


@pytest.mark.slow
@pytest.mark.parametrize("task", list(BUILDERS))
def test_the_whole_sources(task: str, whole: Source) -> None:
    assert splits(task, whole) == golden("whole")[task]


def record() -> None:
    """Write the hashes of the code as it is."""
    with tempfile.TemporaryDirectory() as folder:
        sources = {"slice": cut(Path(folder)), "whole": read(*SOURCES)}
        found = {
            part: {"corpus": corpus(source), **{task: splits(task, source) for task in BUILDERS}}
            for part, source in sources.items()
        }
    GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
