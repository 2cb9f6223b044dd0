"""FAISS files of other projects: published as ours where they are ours, refused where they are not."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest

from rag_lightning.cli import main
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.core.files import file_sha256
from rag_lightning.stages import embed, imported, index
from rag_lightning.stages.workspace import Workspace
from tests.foreign_vectors import IDS, OTHER, Vectors, dpr_index, in_order, quiet, save_npy, write_faiss


def best(workspace: Workspace, vectors: Vectors) -> list[int]:
    """The nearest row of some queries."""
    rows: list[int] = index.open_index(workspace).search((vectors[:8] + 0.1).astype(np.float32), 1)[1][:, 0].tolist()
    return rows


def test_an_index_that_is_what_we_would_build_is_taken_as_it_is(
    tiny: ExperimentConfig, ours: Vectors, tmp_path: Path
) -> None:
    file = write_faiss(tmp_path / "f.faiss", faiss.IndexFlatIP(32), ours)
    work = quiet(tiny)
    made = imported.import_index(work, file, None)
    assert made.digest == index.STAGE.digest(work) and made.info["imported"]["sha256"] == file_sha256(file)
    assert (made.path / "index.faiss").read_bytes() == file.read_bytes()
    np.testing.assert_array_equal(embed.open_vectors(work), ours)
    assert embed.build(work).info["imported"]["layout"] == "FAISS IndexFlatIP"
    assert best(work, ours) == (ours @ (ours[:8] + 0.1).T).argmax(axis=0).tolist()
    with pytest.raises(ConfigError, match="holds the index of this configuration already"):
        imported.import_index(work, file, None)


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_dprs_l2_trick_is_recognised_and_converted(
    tiny: ExperimentConfig, ours: Vectors, tmp_path: Path, kind: str
) -> None:
    faiss.write_index(dpr_index(ours), str(tmp_path / "dpr.index"))
    said: list[str] = []
    work = Workspace(replace(tiny, index=IndexConfig(kind, {})), said.append)
    imported.import_index(work, tmp_path / "dpr.index", None)
    np.testing.assert_allclose(embed.open_vectors(work), ours, atol=1e-5)
    (line,) = [line for line in said if line.startswith("dpr.index has ")]
    assert "metric L2, not inner product" in line and line.endswith("the index is built anew from its vectors")
    assert best(work, ours) == (ours @ (ours[:8] + 0.1).T).argmax(axis=0).tolist()


def test_an_index_by_l2_distance_of_other_vectors_is_refused(
    tiny: ExperimentConfig, ours: Vectors, tmp_path: Path
) -> None:
    file = write_faiss(tmp_path / "l2.faiss", faiss.IndexFlatL2(32), ours)
    with pytest.raises(DataError, match="ranks by L2 distance, and its vectors differ in length"):
        imported.import_index(quiet(tiny), file, None)
    unit = ours / np.linalg.norm(ours, axis=1, keepdims=True)
    file = write_faiss(tmp_path / "unit.faiss", faiss.IndexFlatL2(32), unit)
    work = quiet(replace(tiny, encoder=replace(tiny.encoder, normalize=True)))
    imported.import_index(work, file, None)
    assert best(work, unit) == (unit @ (unit[:8] + 0.1).T).argmax(axis=0).tolist()


def test_ids_of_a_map_and_of_a_file_give_the_order(tiny: ExperimentConfig, ours: Vectors, tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(64)
    mapped = faiss.IndexIDMap(faiss.IndexFlatIP(32))
    mapped.add_with_ids(ours, np.arange(100, 164))
    faiss.write_index(mapped, str(tmp_path / "map.faiss"))
    with pytest.raises(DataError, match=r"map\.faiss, row 1, field 'id': is no passage of the corpus.*'100'"):
        imported.import_index(quiet(tiny), tmp_path / "map.faiss", None)
    plain = write_faiss(tmp_path / "plain.faiss", faiss.IndexFlatIP(32), ours[order])
    work = quiet(tiny)
    with pytest.raises(DataError, match="the order is not that of the corpus; give --ids"):
        imported.import_index(work, plain, None)
    imported.import_index(work, plain, in_order([IDS[i] for i in order], tmp_path / "ids"))
    np.testing.assert_array_equal(embed.open_vectors(work), ours)
    assert best(work, ours) == (ours @ (ours[:8] + 0.1).T).argmax(axis=0).tolist()


def test_an_index_of_other_vectors_than_those_that_are_there_is_refused(
    tiny: ExperimentConfig, ours: Vectors, tmp_path: Path
) -> None:
    work = quiet(tiny)
    save_npy(tmp_path / "v.npy", ours)
    imported.import_vectors(work, tmp_path / "v.npy", None)
    for name, vectors in (("turned", ours[::-1].copy()), ("other", OTHER)):
        file = write_faiss(tmp_path / name, faiss.IndexFlatIP(32), vectors)
        with pytest.raises(DataError, match="is not the vector of its passage in the artifact of vectors"):
            imported.import_index(work, file, None)


def test_quantised_vectors_need_the_kind_and_the_vectors(tiny: ExperimentConfig, ours: Vectors, tmp_path: Path) -> None:
    made = faiss.IndexScalarQuantizer(32, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    file = write_faiss(tmp_path / "sq8", made, ours)
    with pytest.raises(DataError, match=r"is an IndexScalarQuantizer, which does not keep its vectors.*index\.kind"):
        imported.import_index(quiet(tiny), file, None)
    work = quiet(tiny, "sq8")
    with pytest.raises(DataError, match=r"import them first: embed --vectors FILE"):
        imported.import_index(work, file, None)
    save_npy(tmp_path / "v.npy", ours)
    imported.import_vectors(work, tmp_path / "v.npy", None)
    made.reset()
    turned = write_faiss(tmp_path / "turned", made, ours[::-1].copy())
    with pytest.raises(DataError, match="is not the vector of its passage in the artifact"):
        imported.import_index(work, turned, None)
    found = imported.import_index(work, file, None)
    assert (found.path / "index.faiss").read_bytes() == file.read_bytes()


def inverted(quantizer: faiss.Index, residual: bool = True) -> faiss.Index:
    """An inverted file of 8 bits a number."""
    made = faiss.IndexIVFScalarQuantizer(
        quantizer, 32, 4, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT, residual
    )
    made.cp.min_points_per_centroid = 1
    return made


@pytest.mark.parametrize(
    ("quantizer", "residual", "says"),
    [
        (faiss.IndexFlatL2, True, "quantizer metric L2, not inner product"),
        (faiss.IndexFlatIP, False, "by_residual 0, not 1"),
        (faiss.IndexFlatIP, True, ""),
    ],
)
def test_codes_of_another_quantizer_are_not_what_we_would_build(
    tiny: ExperimentConfig, ours: Vectors, tmp_path: Path, quantizer: type[faiss.Index], residual: bool, says: str
) -> None:
    work = quiet(tiny, "ivf_sq8", nlist=4)
    save_npy(tmp_path / "v.npy", ours)
    imported.import_vectors(work, tmp_path / "v.npy", None)
    file = write_faiss(tmp_path / "ivf", inverted(quantizer(32), residual), ours)
    if not says:
        assert (imported.import_index(work, file, None).path / "index.faiss").read_bytes() == file.read_bytes()
        return
    with pytest.raises(DataError, match=re.escape(f"to its own ({says}; kind factory ")):
        imported.import_index(work, file, None)


def test_codes_behind_a_rotation(tiny: ExperimentConfig, ours: Vectors, tmp_path: Path) -> None:
    work = quiet(tiny, "factory", factory="RR32,IVF4,SQ8")
    save_npy(tmp_path / "v.npy", ours)
    imported.import_vectors(work, tmp_path / "v.npy", None)
    for factory, says in (
        ("PCA16,IVF4,SQ8", "chain PCAMatrix to 16, not RandomRotationMatrix to 32"),
        ("RR32,IVF8,SQ8", "index nlist 8, not 4"),
    ):
        file = write_faiss(tmp_path / "f", faiss.index_factory(32, factory, faiss.METRIC_INNER_PRODUCT), ours)
        with pytest.raises(DataError, match=re.escape(says)):
            imported.import_index(work, file, None)
    made = faiss.index_factory(32, "RR32,IVF4,SQ8", faiss.METRIC_INNER_PRODUCT)
    assert imported.import_index(work, write_faiss(tmp_path / "f", made, ours), None).info["ntotal"] == 64


def test_an_inverted_file_without_its_lists_is_named(tiny: ExperimentConfig, ours: Vectors, tmp_path: Path) -> None:
    made = faiss.index_factory(32, "IVF4,Flat", faiss.METRIC_INNER_PRODUCT)
    file = write_faiss(tmp_path / "ivf", made, ours)
    content = file.read_bytes()
    file.write_bytes(content[: content.index(b"ilar")] + b"il00")
    with pytest.raises(DataError, match="ivf: is an inverted file without its lists; write it again with them"):
        imported.import_index(quiet(tiny, "ivf_flat", nlist=4), file, None)


@pytest.mark.parametrize("kind", ["ivf_pq", "ivf_rabitq"])
def test_coarse_codes_are_known_by_what_they_make_of_the_vectors(
    tiny: ExperimentConfig, ours: Vectors, tmp_path: Path, kind: str
) -> None:
    """Many of them are nearer to the vector of another passage than to their own."""
    work = quiet(tiny, kind, nlist=4, **({"pq": "PQ2x4np"} if kind == "ivf_pq" else {}))
    save_npy(tmp_path / "v.npy", ours)
    imported.import_vectors(work, tmp_path / "v.npy", None)
    made = work.config.index.made().empty(64, 32)
    turned = write_faiss(tmp_path / "turned", made, ours[::-1].copy())
    with pytest.raises(DataError, match="is not the vector of its passage in the artifact"):
        imported.import_index(work, turned, None)
    made.reset()
    file = write_faiss(tmp_path / "right", made, ours)
    assert (imported.import_index(work, file, None).path / "index.faiss").read_bytes() == file.read_bytes()


@pytest.mark.parametrize("damage", ["no links", "no first node"])
def test_a_graph_that_reaches_nothing_is_named(
    tiny: ExperimentConfig, ours: Vectors, tmp_path: Path, damage: str
) -> None:
    made = faiss.index_factory(32, "IDMap,HNSW8", faiss.METRIC_INNER_PRODUCT)
    made.add_with_ids(ours, np.arange(64))
    graph = faiss.downcast_index(made.index).hnsw
    if damage == "no links":
        faiss.copy_array_to_vector(np.full(graph.neighbors.size(), -1, np.int32), graph.neighbors)
    else:
        graph.entry_point = -1
    faiss.write_index(made, str(tmp_path / "f"))
    with pytest.raises(DataError, match=r"f: is a graph of 64 vectors with 0 links, .* build it again"):
        imported.import_index(quiet(tiny, "hnsw", m=8), tmp_path / "f", None)


def test_an_index_that_ranks_unlike_ours_is_named(tiny: ExperimentConfig, ours: Vectors, tmp_path: Path) -> None:
    file = write_faiss(tmp_path / "l1", faiss.IndexFlat(32, faiss.METRIC_L1), ours)
    with pytest.raises(DataError, match=r"l1: ranks by FAISS's metric 2, unlike .*give them with embed --vectors"):
        imported.import_index(quiet(tiny), file, None)
    binary = faiss.IndexBinaryFlat(32)
    binary.add(np.zeros((64, 4), np.uint8))
    faiss.write_index_binary(binary, str(tmp_path / "binary"))
    with pytest.raises(DataError, match="binary: is an index of binary vectors; give one of float vectors"):
        imported.import_index(quiet(tiny), tmp_path / "binary", None)


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_every_vector_is_compared(tiny: ExperimentConfig, ours: Vectors, tmp_path: Path, value: float) -> None:
    work, other = quiet(tiny), ours.copy()
    other[7] = value
    file = write_faiss(tmp_path / "f", faiss.IndexFlatIP(32), other)
    with pytest.raises(DataError, match=r"f, row 8: vector is (not finite|zero)"):
        imported.import_index(work, file, None)
    save_npy(tmp_path / "v.npy", ours)
    imported.import_vectors(work, tmp_path / "v.npy", None)
    with pytest.raises(DataError, match="f, row 8: is not the vector of its passage in the artifact of vectors"):
        imported.import_index(work, file, None)


@pytest.mark.parametrize("content", [b"x" * 400, b"IxFI" + b"\0" * 20])
def test_a_file_that_is_no_index_is_named(tiny: ExperimentConfig, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(DataError, match=r"f: is no FAISS index, or a damaged one"):
        imported.import_index(quiet(tiny), tmp_path / "f", None)


def test_the_commands(
    ours: Vectors, tiny: ExperimentConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = tiny.encoder
    words = ["--folder", tiny.folder, "--corpus.source", tiny.corpus.source, "--encoder.model", encoder.model]
    words += ["--encoder.max_passage_length", "48", "--encoder.dtype", "float32", "--encoder.normalize", "false"]
    file = write_faiss(tmp_path / "f.faiss", faiss.IndexFlatIP(32), ours)
    assert main(["index", "--ids", str(file), *words]) == 2
    assert "--ids needs the index that it names" in capsys.readouterr().err
    assert main(["index", "--import", str(file), *words]) == 0
    assert "from f.faiss (FAISS IndexFlatIP" in "".join(capsys.readouterr())
    assert main(["embed", "--vectors", str(file), *words]) == 2
    assert "holds the vectors of this configuration already" in capsys.readouterr().err
    assert main(["embed", *words]) == 0, "what was imported is what there is"
