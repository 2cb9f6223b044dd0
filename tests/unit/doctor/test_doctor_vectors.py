"""`doctor --data` on vectors, FAISS indexes and results: what they are, and what is wrong with them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rag_lightning.cli import FAILED, MISUSED, main
from tests.foreign_vectors import IDS, SAVED, dpr_index, save_npy, write_faiss

V = np.random.default_rng(0).normal(size=(64, 32)).astype(np.float32)
UNIT = V / np.linalg.norm(V, axis=1, keepdims=True)
Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Exit code, what is printed on a wide terminal, and what is complained of."""
    monkeypatch.setenv("COLUMNS", "300")

    def run(path: Path, *words: str) -> tuple[int, str, str]:
        code = main(["doctor", "--data", str(path), *words])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


@pytest.mark.parametrize("layout", ["npy", "npz", "parquet"])
def test_vectors_are_described(ask: Ask, tmp_path: Path, layout: str) -> None:
    SAVED[layout](tmp_path / "given", V)
    code, out, err = ask(tmp_path / "given")
    assert (code, err) == (0, "") and "embed --vectors" in out and f" {layout} " in out
    lengths = np.linalg.norm(V, axis=1)
    assert f"64 vectors of width 32, float32; lengths {lengths.min():.4g} to {lengths.max():.4g}" in out
    assert ("no ids: the order must be the corpus's" in out) if layout == "npy" else ("ids p0 to p63" in out)


def test_a_raw_memory_map_is_told_by_its_width(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "v.f16").write_bytes(UNIT.astype(np.float16).tobytes())
    code, out, _ = ask(tmp_path / "v.f16", "--width", "32")
    assert code == 0 and "64 vectors of width 32, float16; all of length 1" in out
    assert "raw float32" in out, "its size fits that, too"
    code, _, err = ask(tmp_path / "v.f16", "--width", "33")
    assert code == FAILED and "no raw file of vectors of width 33: 4,096 bytes are no multiple of 66" in err
    assert ask(tmp_path / "v.f16", "--width", "wide")[0] == MISUSED


def save_npz(path: Path, **arrays: Any) -> None:
    with path.open("wb") as handle:
        np.savez(handle, **arrays)


def broken() -> Any:
    vectors = V.copy()
    vectors[40, 3] = np.nan
    return vectors


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda path: save_npy(path, broken()), "row 41: vector is not finite"),
        (lambda path: save_npy(path, V[:, 0]), "must be [N, D] of floats"),
        (lambda path: save_npy(path, V.astype(object)), "holds Python objects; a pickle can run code"),
        (lambda path: path.write_bytes(pickle.dumps([("1", V[0])])), "is a pickle; a pickle can run code when"),
        (lambda path: save_npz(path, ids=IDS[:-1], v=V), "has 63 ids for 64 vectors"),
        (lambda path: save_npz(path, ids=[*IDS[:-1], "p3"], v=V), "row 64, field 'id': is the id of row 4"),
        (lambda path: save_npz(path, a=V, b=V), "must hold one array [N, D]"),
        (lambda path: pq.write_table(pa.table({"v": [[1.0, 2.0], [1.0]]}), path), "row 2, field 'v': is no list of 2"),
    ],
    ids=["finite", "shape", "objects", "pickle", "few ids", "ids twice", "two arrays", "ragged"],
)
def test_what_is_wrong_with_vectors(ask: Ask, tmp_path: Path, write: Callable[[Path], Any], says: str) -> None:
    write(tmp_path / "v")
    code, _, err = ask(tmp_path / "v")
    assert code == FAILED and says in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("made", "vectors", "says"),
    [
        (faiss.IndexFlatIP(32), V, "64 vectors of width 32 by inner product; lengths"),
        (faiss.IndexHNSWFlat(32, 8, faiss.METRIC_INNER_PRODUCT), UNIT, "by inner product; all of length 1"),
        (faiss.IndexFlatL2(32), UNIT, "by L2 distance; all of length 1, so that it ranks as inner product does"),
        (
            faiss.index_factory(32, "IVF4,Flat", faiss.METRIC_INNER_PRODUCT),
            V,
            "64 vectors of width 32 by inner product",
        ),
        (
            faiss.index_factory(32, "SQ8", faiss.METRIC_INNER_PRODUCT),
            V,
            "it does not keep its vectors: import them first",
        ),
    ],
)
def test_an_index_is_described(ask: Ask, tmp_path: Path, made: Any, vectors: Any, says: str) -> None:
    code, out, err = ask(write_faiss(tmp_path / "f", made, vectors))
    assert (code, err) == (0, "") and "index --import" in out and says in out and type(made).__name__ in out


def test_dprs_l2_trick_and_a_map_of_ids_are_named(ask: Ask, tmp_path: Path) -> None:
    faiss.write_index(dpr_index(V), str(tmp_path / "dpr"))
    code, out, _ = ask(tmp_path / "dpr")
    assert (
        code == 0 and "64 vectors of width 33 by L2 distance; DPR's L2 trick: the last of 33 numbers makes all" in out
    )
    mapped = faiss.IndexIDMap(faiss.IndexFlatIP(32))
    mapped.add_with_ids(V, np.arange(100, 164))
    faiss.write_index(mapped, str(tmp_path / "map"))
    assert "a map of ids, 100 to 163, which are taken for passage ids" in ask(tmp_path / "map")[1]


def test_what_is_wrong_with_an_index(ask: Ask, tmp_path: Path) -> None:
    whole = write_faiss(tmp_path / "l2", faiss.IndexFlatL2(32), V).read_bytes()
    assert "ranks by L2 distance, and its vectors differ in length" in ask(tmp_path / "l2")[2]
    (tmp_path / "cut").write_bytes(whole[:-1000])
    assert "cut: claims 64 vectors of width 32, too many for its 7,237 bytes" in ask(tmp_path / "cut")[2]
    (tmp_path / "large").write_bytes(whole[:8] + (1 << 50).to_bytes(8, "little") + whole[16:])
    assert (
        "claims 1,125,899,906,842,624 vectors of width 32, too many for its 8,237 bytes" in ask(tmp_path / "large")[2]
    )
    faiss.write_index(faiss.IndexFlatIP(32), str(tmp_path / "empty"))
    assert "empty: holds no vectors" in ask(tmp_path / "empty")[2]
    faiss.write_index(faiss.index_factory(32, "IVF4,Flat"), str(tmp_path / "raw"))
    assert "raw: is not trained" in ask(tmp_path / "raw")[2]
    made = faiss.IndexFlat(32, faiss.METRIC_L1)
    assert "searches neither by inner product nor by L2" in ask(write_faiss(tmp_path / "l1", made, V))[2]
    code, _, err = ask(write_faiss(tmp_path / "nan", faiss.IndexFlatIP(32), broken()))
    assert code == FAILED and "row 41: vector is not finite" in err


PASSAGE = {"id": "p1", "title": "t", "text": "a b", "score": "1.5"}
RESULTS: dict[str, tuple[Any, str]] = {
    "trec": ("q1 Q0 p1 1 2.5 x\nq1 Q0 p2 2 1.5 x\nq2 Q0 p1 1 3 x\n", "2 questions; 1 to 2 passages each"),
    "kilt": (
        [{"id": "1", "output": [{"answer": "a", "provenance": [{"wikipedia_id": "3"}]}]}],
        "1 questions; 1 predictions; 1 pages each",
    ),
    "dpr": (
        [{"question": "who?", "answers": ["a"], "ctxs": [PASSAGE]}],
        "1 questions; 1 passages each; without ids, joined by the text",
    ),
    "ours": ([{"example_id": "q1", "text": "a"}, {"example_id": "q2", "text": "b"}], "2 questions; 2 predictions"),
    "flashrag": (
        [{"id": "1", "question": "who?", "golden_answers": ["a"], "output": {"pred": "a"}}],
        "1 questions; 1 predictions",
    ),
    "trec_rag": (
        [{"topic_id": "1", "topic": "who?", "references": ["p1"], "answer": [{"text": "a", "citations": [0]}]}],
        "1 questions; 1 predictions; 1 passages each",
    ),
}


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else "".join(json.dumps(row) + "\n" for row in content))
    return path


@pytest.mark.parametrize("name", RESULTS)
def test_results_are_described(ask: Ask, tmp_path: Path, name: str) -> None:
    content, says = RESULTS[name]
    code, out, err = ask(write(tmp_path / "run", content))
    assert (code, err) == (0, "")
    (line,) = [line for line in out.splitlines() if f"score --format {name} " in line]
    assert " ok " in line and says in line
    assert sum("score --format" in line for line in out.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("q1 Q0 p1 1 2.5 x\nq1 Q0 p1 2 1.5 x\n", "row 2, field 'passage-id': is there twice for query 'q1'"),
        ("q1 Q0 p1 1 2.5 x\nq1 Q0 p2 2 high x\n", "row 2, field 'score': must be a number (got 'high')"),
        ([{"example_id": "q1", "text": "a"}] * 2, "field 'id': has results twice for 1 questions (got 'q1')"),
        ([{"example_id": "q1", "text": "a"}, {"example_id": "q2"}], "row 2, field 'text': is missing"),
    ],
)
def test_what_is_wrong_with_results(ask: Ask, tmp_path: Path, content: Any, says: str) -> None:
    code, out, err = ask(write(tmp_path / "run", content))
    assert code == FAILED and says in err and err.count("\n") == 1 and "score --format" in out
