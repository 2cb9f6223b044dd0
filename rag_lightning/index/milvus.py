"""Vectors in Milvus, the distributed vector database: a file of Milvus Lite, a server or a cluster, by its URI.

The artifact names the collection, its number and width of vectors; the vectors themselves are in Milvus. One process
at a time opens a file of Milvus Lite.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar

import numpy as np

from rag_lightning.config.bounds import PositiveFloat
from rag_lightning.config.fields import setting
from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core import seeds
from rag_lightning.core.errors import ArtifactError, ConfigError
from rag_lightning.core.files import read_object, write_json
from rag_lightning.core.links import check_unlinked, make_folder
from rag_lightning.index.codes import CompressedKind
from rag_lightning.index.index import INFO_FILE, FaissIndex, Floats, Report, Rows

TOKEN = "MILVUS_TOKEN"
"""Variable of the environment with the token of a server, `user:password` or an API key."""
FILES = "milvus"
"""Folder beside artifacts/ for the files of Milvus Lite."""
ROW, VECTOR = "row", "vector"
SENT = 1024
"""Vectors sent at a time; a message of Milvus has at most 64 MiB."""
COMPARED, TOLERANCE = 16, 1e-5
"""Rows whose vectors are compared when a collection is opened, and the largest difference."""
LOADING = 600.0
"""Seconds that Milvus may take to write or load a collection, which hangs on its size."""
PAUSE = 0.1
"""Seconds before a request is tried again; doubled each time."""
INSTALL = "index.kind=milvus needs the package pymilvus: pip install -c constraints.txt -e '.[milvus]'"
NO_PINGS = {"grpc.keepalive_time_ms": 2**31 - 1}  # Milvus Lite refuses them, which gRPC would print
T = TypeVar("T")


@dataclass(frozen=True)
class Milvus(CompressedKind):
    """A collection of Milvus, a distributed vector database (https://milvus.io).

    Args:
        uri: http://HOST:PORT of a server, with its token in MILVUS_TOKEN; empty for a file of Milvus Lite, which one
            process at a time can open.
        index_type: Milvus's index, with its own defaults; FLAT is exact.
        timeout: Seconds after which a server that does not answer is an error.
    """

    title: ClassVar[str] = "Milvus"
    deterministic: ClassVar[bool] = False
    uri: str = ""
    index_type: Literal["FLAT", "AUTOINDEX", "IVF_FLAT", "IVF_SQ8", "HNSW"] = "FLAT"
    timeout: PositiveFloat = setting(5.0, digest="never")

    def __post_init__(self) -> None:
        """Raise ConfigError for a URI with a password, or one that is of no server."""
        super().__post_init__()
        if "@" in self.uri:
            raise ConfigError(f"index.uri: holds a user or password; put them into {TOKEN} (user:password)")
        if self.uri and not self.uri.startswith(("http://", "https://")):
            raise ConfigError(f"index.uri={self.uri}: must be http://HOST:PORT, or empty for a file of Milvus Lite")

    @property
    def reads_vectors(self) -> bool:
        """Always: a collection is compared with some of them when it is opened."""
        return True

    def empty(self, count: int, dim: int) -> Any:
        """A collection that is made by `fill`."""
        return Collection(self, "", Path(), count, dim)

    def bytes(self, count: int, dim: int) -> int:
        """The size of the vectors in Milvus."""
        return count * 4 * dim

    def rules(self, count: int, dim: int) -> str:
        """Those of Milvus."""
        return f"Milvus's own for {self.index_type}, {self.uri or 'in a file of Milvus Lite'}"

    @property
    def opened_as(self) -> type[FaissIndex]:
        """The class that searches it."""
        return MilvusIndex

    def fill(self, index: Any, vectors: Floats, report: Report, folder: Path | None) -> Any:
        """Make the collection and send all vectors; one that an interrupted build left is made anew.

        Raises:
            ConfigError: no folder, whose name a collection has.
            ArtifactError: Milvus does not answer.
        """
        if folder is None:
            raise ConfigError("index.kind=milvus is built as an artifact, whose name the collection has")
        name = f"rag_{folder.name.partition('.')[0]}"
        made = Collection(self, name, _file_of(folder, name), *vectors.shape)
        made.create()
        for start in range(0, len(vectors), SENT):
            made.send(start, vectors[start : start + SENT])
            report(min(start + SENT, len(vectors)), len(vectors))
        made.load()
        return made


def _file_of(folder: Path, name: str) -> Path:
    """The file of Milvus Lite of a collection, whose artifact is `<root>/artifacts/index/<digest>`.

    Raises:
        ArtifactError: the name is none of ours.
    """
    if not re.fullmatch("rag_[0-9a-f]{16}", name):
        raise ArtifactError(f"{folder / INFO_FILE}: {name!r} is no collection of ours; remove {folder} and run again")
    return folder.resolve().parents[2] / FILES / f"{name}.db"


class Collection:
    """A collection of Milvus, in the place of an index of FAISS."""

    def __init__(self, kind: Milvus, name: str, file: Path, count: int, dim: int) -> None:
        self.kind, self.name, self.file, self.ntotal, self.d = kind, name, file, count, dim
        self._client: Any = None

    @property
    def place(self) -> str:
        """Its place in messages."""
        return self.kind.uri or str(self.file)

    def create(self) -> None:
        """Make it empty, in the place of one of the same name."""
        self._connect()
        from pymilvus import DataType

        if self._ask(lambda client: client.has_collection(self.name, timeout=self.kind.timeout)):
            self._ask(lambda client: client.drop_collection(self.name, timeout=self.kind.timeout))
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field(ROW, DataType.INT64, is_primary=True)
        schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=self.d)
        index = self._client.prepare_index_params()
        index.add_index(VECTOR, index_type=self.kind.index_type, metric_type="IP")
        asked = {"schema": schema, "index_params": index, "timeout": self.kind.timeout}
        self._ask(lambda client: client.create_collection(self.name, **asked))

    def send(self, start: int, vectors: Floats) -> None:
        """Add vectors, whose rows begin with `start`; sent again they replace themselves."""
        rows = [{ROW: start + place, VECTOR: vector} for place, vector in enumerate(vectors)]
        self._ask(lambda client: client.upsert(self.name, rows, timeout=self.kind.timeout))

    def load(self) -> None:
        """Let it be searched, also after it was opened again."""
        self._ask(lambda client: client.flush(self.name, timeout=LOADING))
        self._ask(lambda client: client.load_collection(self.name, timeout=LOADING))

    def open(self) -> None:
        """Connect, and check that it holds as many vectors as its artifact says.

        Raises:
            ArtifactError: Milvus does not answer, or the collection is missing or another one.
        """
        remedy = "remove the artifact of the index and run again"
        if not self.kind.uri and not self.file.exists():
            raise ArtifactError(f"{self.file}: is missing, with the vectors of the index; {remedy}")
        self._connect()
        if not self._ask(lambda client: client.has_collection(self.name, timeout=self.kind.timeout)):
            raise ArtifactError(f"{self.place}: has no collection {self.name}; {remedy}")
        self._ask(lambda client: client.load_collection(self.name, timeout=LOADING))
        asked = {"filter": "", "output_fields": ["count(*)"], "timeout": self.kind.timeout}
        counted = self._ask(lambda client: client.query(self.name, **asked))
        if (found := int(counted[0]["count(*)"])) != self.ntotal:
            raise ArtifactError(f"{self.place}: {self.name} holds {found:,} vectors, not {self.ntotal:,}; {remedy}")

    def search(self, queries: Floats, k: int, params: Any = None) -> tuple[Floats, Rows]:
        """The scores and rows [Q, k] of queries [Q, D]; -inf and -1 where fewer are found."""
        scores = np.full((len(queries), k), -np.inf, np.float32)
        rows = np.full((len(queries), k), -1, np.int64)
        asked = {"limit": k, "anns_field": VECTOR, "output_fields": [ROW], "timeout": self.kind.timeout}
        for start in range(0, len(queries), SENT):
            part = list(queries[start : start + SENT])
            found = self._ask(partial(self._found, part, asked))
            for number, hits in enumerate(found, start):
                scores[number, : len(hits)] = [hit["distance"] for hit in hits]
                rows[number, : len(hits)] = [hit[ROW] for hit in hits]
        return scores, rows

    def _found(self, queries: list[Floats], asked: Mapping[str, Any], client: Any) -> Any:
        return client.search(self.name, data=queries, **asked)

    def check(self, vectors: Floats) -> None:
        """Raise ArtifactError if some rows are missing, or their vectors are others, as those of another encoder."""
        rows = seeds.generator(0, "rows compared").choice(len(vectors), min(COMPARED, len(vectors)), replace=False)
        asked = {"ids": rows.tolist(), "output_fields": [ROW, VECTOR], "timeout": self.kind.timeout}
        found = self._ask(lambda client: client.get(self.name, **asked))
        if missing := set(asked["ids"]) - {stored[ROW] for stored in found}:
            problem = f"row {min(missing)} is not in {self.name}"
            raise ArtifactError(f"{self.place}: {problem}; remove the artifact of the index and run again")
        for stored in found:
            if not np.allclose(stored[VECTOR], vectors[stored[ROW]], atol=TOLERANCE):
                problem = f"row {stored[ROW]} of {self.name} is not the passage's vector: of another encoder"
                raise ArtifactError(f"{self.place}: {problem}; remove the artifact of the index and run again")

    def _connect(self) -> None:
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs a traceback for each error
        logging.getLogger("milvus_lite").setLevel(logging.CRITICAL)
        try:
            from pymilvus import MilvusClient
        except ImportError as error:
            raise ConfigError(INSTALL) from error
        if not self.kind.uri:
            make_folder(self.file.parent, self.file.parent.parent)
            check_unlinked(self.file, self.file.parent)
        given: dict[str, Any] = {"token": os.environ.get(TOKEN, "")} if self.kind.uri else {"grpc_options": NO_PINGS}
        try:
            self._client = MilvusClient(self.place, timeout=self.kind.timeout, **given)
        except _failures() as error:
            raise self._problem(error) from error

    def _ask(self, request: Callable[[Any], T]) -> T:
        """The answer to a request, which is tried again until the time is over.

        Raises:
            ArtifactError: no answer.
        """
        until, pause = time.monotonic() + self.kind.timeout, PAUSE
        while True:
            try:
                return request(self._client)
            except _failures() as error:
                if not _is_absent(error) or time.monotonic() + pause > until:
                    raise self._problem(error) from error
                time.sleep(pause)
                pause *= 2

    def _problem(self, error: Exception) -> ArtifactError:
        text = " ".join(str(getattr(error, "message", "") or error).split())[:200]
        hint = "start it, or check index.uri" if self.kind.uri else "one process at a time can open it; end the other"
        late = "DEADLINE_EXCEEDED" in str(error)
        hint = f"raise index.timeout={self.kind.timeout:g}" if late else hint
        what = "does not answer" if late or _is_absent(error) else "fails"
        return ArtifactError(f"{self.place}: Milvus {what} ({text}); {hint}")


def _failures() -> tuple[type[Exception], ...]:
    """What Milvus's packages raise: their own errors, those of the network, and ValueError for a closed channel."""
    from grpc import RpcError
    from pymilvus.exceptions import MilvusException

    return MilvusException, RpcError, OSError, RuntimeError, ValueError


def _is_absent(error: Exception) -> bool:
    """Whether a server could not be reached, so that another try may help."""
    return any(part in str(error) for part in ("UNAVAILABLE", "connect", "closed channel"))


class MilvusIndex(FaissIndex):
    """A collection that is searched as any index."""

    def __init__(self, config: IndexConfig, index: Any) -> None:
        self.config, self.kind, self.faiss_index, self._parameters = config, config.made(), index, {}

    def with_vectors(self, vectors: Floats | None) -> Self:
        """The index, after its vectors were compared with some of these.

        Raises:
            ArtifactError: it holds others.
        """
        if vectors is not None:
            self.faiss_index.check(self._check_vectors(vectors))
        return super().with_vectors(vectors)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write what the collection is into a folder; see `FaissIndex.save`."""
        info = {"kind": self.config.kind, "ntotal": self.ntotal, "dim": self.dim, "metric": "inner_product"}
        info["bytes"] = self.kind.bytes(self.ntotal, self.dim)
        named = {**info, "collection": self.faiss_index.name, "options": dict(self.config.options)}
        write_json(folder / INFO_FILE, named)
        return info

    @classmethod
    def read(cls, folder: Path, config: IndexConfig) -> Self:
        """The collection of an artifact, connected and checked.

        Raises:
            ArtifactError: see `Collection.open`.
        """
        info = read_object(folder / INFO_FILE, f"remove {folder} and run again")
        name = str(info.get("collection", ""))
        file = _file_of(folder, name)
        found = Collection(config.made(), name, file, int(info["ntotal"]), int(info["dim"]))
        found.open()
        return cls(config, found)
