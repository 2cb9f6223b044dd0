"""What the numbers of a run were computed from: questions, predictions, rankings and passages.

A project and an unpacked bundle hold the same, at other places; the rest of the package does not see the difference. A
bundle's files may be anybody's: every field that is used is checked for its type.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rag_lightning.core.artifacts import MANIFEST, Artifact, folder_of, open_artifact
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_jsonl_objects, read_sealed
from rag_lightning.core.records import Example, Passage, Prediction, Ranking, fits, read_checked
from rag_lightning.corpus.store import PassageStore
from rag_lightning.metrics.outcomes import Outcomes, PassageTable, from_artifacts, join_by_id, read_rankings
from rag_lightning.report.collect import Run
from rag_lightning.report.reading import need
from rag_lightning.tasks.results.record import Result, RetrievedPassage
from rag_lightning.tasks.spec import TaskSpec, get_task


class Quoted:
    """The passages of a bundle, by row: those that its rankings name.

    Raises:
        DataError: a line that is no passage with its row.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._found = path, dict[int, Passage]()
        for line, raw in read_jsonl_objects(path):
            if set(raw) != {"row", "passage_id", "title", "text"} or not fits(raw["row"], int):
                raise DataError(path, "is no passage with its row", row=line)
            texts = [raw[name] for name in ("passage_id", "title", "text")]
            if not all(isinstance(text, str) for text in texts):
                raise DataError(path, "holds a field that is no text", row=line)
            self._found[raw["row"]] = Passage(*texts)

    def __getitem__(self, row: int) -> Passage:
        """The passage of a row of the corpus.

        Raises:
            DataError: the bundle does not hold it.
        """
        if row not in self._found:
            raise DataError(self.path, "has no passage of this row, which a ranking names", field="row", value=row)
        return self._found[row]


class Source(ABC):
    """Where runs and what they rest on are read from.

    Args:
        root: A project, or the folder of a bundle.
    """

    def __init__(self, root: Path) -> None:
        self.root, self._opened = root, dict[str, PassageTable]()

    @abstractmethod
    def artifact(self, kind: str, digest: str) -> Artifact:
        """An artifact of scores, predictions or rankings.

        Raises:
            ArtifactError, DataError: missing or damaged.
        """

    @abstractmethod
    def examples(self, digest: str, split: str) -> list[Example]:
        """The questions of a split, without a limit.

        Raises:
            ArtifactError, DataError: missing or damaged.
        """

    @abstractmethod
    def open_passages(self, digest: str) -> PassageTable:
        """Open the passages of a corpus.

        Raises:
            ArtifactError, DataError: missing or damaged.
        """

    def passages(self, digest: str) -> PassageTable:
        """The passages of a corpus, by row; opened once.

        Raises:
            ArtifactError, DataError: missing or damaged.
        """
        if digest not in self._opened:
            self._opened[digest] = self.open_passages(digest)
        return self._opened[digest]

    def folder(self, kind: str, digest: str) -> Path:
        """The folder of an artifact in artifacts/.

        Raises:
            DataError: a digest that no artifact has.
        """
        return folder_of(self.root / "artifacts", kind, digest)


class Project(Source):
    """A project; its artifacts are verified against their manifests."""

    def artifact(self, kind: str, digest: str) -> Artifact:
        """As `Source.artifact`."""
        return open_artifact(self.folder(kind, digest), kind)

    def examples(self, digest: str, split: str) -> list[Example]:
        """As `Source.examples`."""
        return read_checked(self.artifact("examples", digest).path / f"{split}.jsonl", Example)

    def open_passages(self, digest: str) -> PassageTable:
        """As `Source.open_passages`."""
        return PassageStore(self.artifact("corpus", digest).path)


class Unpacked(Source):
    """The folder of a bundle, whose checksums were compared when it was opened."""

    def artifact(self, kind: str, digest: str) -> Artifact:
        """As `Source.artifact`."""
        path = self.folder(kind, digest)
        manifest = read_sealed(path / MANIFEST, hint="the bundle lacks it")
        for name in ("config", "inputs", "info", "files"):
            need(path / MANIFEST, manifest, name, dict)
        return Artifact(kind, digest, path, manifest)

    def examples(self, digest: str, split: str) -> list[Example]:
        """As `Source.examples`."""
        self.folder("examples", digest)
        return read_checked(self.root / "questions" / digest / f"{split}.jsonl", Example)

    def open_passages(self, digest: str) -> PassageTable:
        """As `Source.open_passages`."""
        self.folder("corpus", digest)
        return Quoted(self.root / "passages" / f"{digest}.jsonl")


@dataclass(frozen=True)
class Material:
    """What an artifact of scores was computed from.

    Args:
        source: Where it lies.
        scores: The artifact; its manifest says how.
    """

    source: Source
    scores: Artifact

    @classmethod
    def of(cls, source: Source, digest: str) -> Material:
        """The material of the scores with a digest.

        Raises:
            ArtifactError, DataError: missing or damaged.
        """
        return cls(source, source.artifact("scores", digest))

    @classmethod
    def of_run(cls, source: Source, run: Run) -> Material:
        """The material of a run's scores.

        Raises:
            ArtifactError, DataError: missing or damaged.
        """
        return cls.of(source, str(run.record.get("digests", {}).get("scores")))

    def setting(self, name: str, kind: type) -> Any:
        """A value of how it was scored.

        Raises:
            DataError: missing, or of another type.
        """
        return need(self.scores.path / MANIFEST, self.scores.manifest["config"], name, kind, "config")

    def given(self, name: str) -> str:
        """The digest of an input of the scores, empty without it."""
        return str(self.scores.manifest["inputs"].get(name, ""))

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics that were asked for."""
        names = self.setting("metrics", list)
        if not all(isinstance(name, str) for name in names):
            raise DataError(self.scores.path / MANIFEST, "are no names", field="config.metrics", value=names)
        return list(map(str, names))

    @property
    def made_with(self) -> dict[str, Any]:
        """Metric -> the tool and version that computed it, where it depends on one."""
        if "made_with" not in self.scores.manifest["config"]:
            return {}
        return dict(self.setting("made_with", dict))

    @property
    def k(self) -> int:
        """Passages of a ranking that count."""
        return int(self.setting("k", int))

    @property
    def task(self) -> TaskSpec:
        """The task."""
        return get_task(self.setting("task.name", str))

    @cached_property
    def asked(self) -> list[Example]:
        """The questions that were scored, in their order.

        Raises:
            ArtifactError, DataError: missing or damaged.
        """
        split, limit = self.setting("split", str), int(self.setting("task.limit", int))
        if not split.isidentifier():
            raise DataError(self.scores.path / MANIFEST, "is no name of a split", field="config.split", value=split)
        found = self.source.examples(self.given("examples"), split)
        return found[:limit] if limit else found

    def artifact(self, kind: str) -> Artifact | None:
        """The predictions or rankings that were scored, None without.

        Raises:
            ArtifactError, DataError: missing or damaged.
        """
        return self.source.artifact(kind, self.given(kind)) if self.given(kind) else None

    @property
    def corpus(self) -> str:
        """The digest of the corpus that the rankings are of, empty without rankings."""
        rankings = self.artifact("rankings")
        return "" if rankings is None else str(rankings.manifest["inputs"].get("corpus", ""))

    def rankings(self) -> list[Ranking] | None:
        """The first k passages of each question, None without.

        Raises:
            DataError: they are of other questions.
        """
        found = self.artifact("rankings")
        if found is None:
            return None
        listed = read_rankings(found, self.asked, self.k)
        for one in listed:
            if len(one.rows) != len(one.scores):
                path = found.path / "rankings.jsonl"
                raise DataError(path, "has not as many scores as rows", field="example_id", value=one.example_id)
        return listed

    def outcomes(self) -> Outcomes:
        """What the metrics see.

        Raises:
            ArtifactError, DataError: something is missing or damaged, or of other questions.
        """
        predictions, rankings = self.artifact("predictions"), self.artifact("rankings")
        passages = self.source.passages(self.corpus) if self.corpus else None
        return from_artifacts(self.task, passages, self.asked, predictions, rankings, self.k)

    def results(self) -> list[Result]:
        """Questions, predictions and passages, as files of results hold them.

        Raises:
            ArtifactError, DataError: as `outcomes`.
        """
        made, texts = self.artifact("predictions"), dict[str, str]()
        if made is not None:
            file = made.path / "predictions.jsonl"
            texts = {p.example_id: p.text for p, _ in join_by_id(read_checked(file, Prediction), self.asked, file)}
        found = [Result(e.example_id, e.query, e.answers, texts.get(e.example_id)) for e in self.asked]
        rankings = self.rankings()
        if rankings is None:
            return found
        passages = self.source.passages(self.corpus)
        return [
            Result(one.example_id, one.question, one.answers, one.prediction, _retrieved(passages, ranking))
            for one, ranking in zip(found, rankings, strict=True)
        ]


def _retrieved(passages: PassageTable, ranking: Ranking) -> tuple[RetrievedPassage, ...]:
    found = [(passages[row], score) for row, score in zip(ranking.rows, ranking.scores, strict=True)]
    return tuple(RetrievedPassage(p.passage_id, score, p.title, p.text) for p, score in found)
