"""The bench of indexes: generated vectors, measures in a process of their own, laws and tables."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm

from rag_lightning.bench import command, generated, laws, measuring, shown
from rag_lightning.bench.child import CUTOFFS
from rag_lightning.bench.measuring import Bench, Listed, Questions, Source
from rag_lightning.cli import main, parse
from rag_lightning.config.commands import BenchConfig, SweepConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.errors import ConfigError, DataError, UnknownNameError
from rag_lightning.index.index import build_index
from rag_lightning.metrics.answers import AnswerMatcher
from tests.making import ROOT, script, words_of

WIDTH = 16


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Questions]:
    """300 vectors in 6 groups, and 70 queries near them, the texts of whose passages are their numbers."""
    place, rng = tmp_path_factory.mktemp("vectors"), np.random.default_rng(0)
    vectors = rng.standard_normal((6, WIDTH)).repeat(50, axis=0) + 0.3 * rng.standard_normal((300, WIDTH))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = vectors[:70] + 0.05 * rng.standard_normal((70, WIDTH))
    for name, array in (("vectors", vectors), ("queries", queries)):
        np.save(place / f"{name}.npy", array.astype(np.float32))
    matcher = AnswerMatcher(lambda row: f"number {row}")
    asked = Questions(place / "queries.npy", [[f"number {row}"] for row in range(70)], matcher)
    return Source("real", place / "vectors.npy", "v"), asked


def measured(made: tuple[Source, Questions], out: Path, listed: Listed) -> list[dict[str, Any]]:
    bench = Bench(out, 1, 20)
    with bench.alone():
        found = list(bench.measured(made[0], listed, made[1]))
    return [one | {"label": shown.label_of(one)} for one in found]


def test_exact_search_finds_everything_and_is_measured_once(
    made: tuple[Source, Questions], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (flat,) = measured(made, tmp_path, Listed("flat"))
    assert [flat[f"recall@{k}"] for k in CUTOFFS] == [100.0] * 4
    assert flat["answer_recall@5"] == 100.0 and flat["count"] == 300 and flat["bytes"] > 300 * 4 * WIDTH
    assert flat["build_mib"] > 0 and {"anonymous_mib", "mapped_mib", "read_mib"} <= flat.keys()
    assert 0 < flat["p50_ms"] <= flat["p95_ms"] <= flat["p99_ms"] and flat["queries_per_second"] > 0
    monkeypatch.setattr(Bench, "_child", lambda *given: pytest.fail("measured again"))
    assert measured(made, tmp_path, Listed("flat")) == [flat]


def test_one_index_is_built_for_all_its_searches(
    made: tuple[Source, Questions], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, real = [], Bench._child
    monkeypatch.setattr(Bench, "_child", lambda self, what, asked: work.append(what) or real(self, what, asked))
    one, all_cells = measured(made, tmp_path, Listed("ivf_flat", {"nlist": 6}, {"nprobe": [1, 6]}))
    assert work == ["build", "search", "search"]
    assert one["recall@100"] < all_cells["recall@100"] == 100.0
    assert one["label"] == "ivf_flat nlist=6 nprobe=1"


def test_recall_is_that_of_a_search_for_as_many_results(made: tuple[Source, Questions], tmp_path: Path) -> None:
    """A search for 100 results refines 200 candidates: its first 5 are better than those of a search for 5."""
    options = {"pq": "PQ4x4np", "nlist": 1, "nprobe": 1, "refine": 2}
    (found,) = measured(made, tmp_path, Listed("ivf_pq", options))
    vectors, queries = made[0].vectors, np.load(made[1].vectors)
    index = build_index(IndexConfig("ivf_pq", options), vectors)
    for k in CUTOFFS:
        exact = np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :k]
        pairs = zip(index.search(queries, k)[1], exact, strict=True)
        wanted = 100 * np.mean([len(set(mine) & set(best)) / k for mine, best in pairs])
        assert found[f"recall@{k}"] == pytest.approx(wanted), k
    assert found["recall@5"] < 95


def test_an_index_that_cannot_be_built_is_a_row_with_the_reason(made: tuple[Source, Questions], tmp_path: Path) -> None:
    (row,) = measured(made, tmp_path, Listed("ivf_flat", {"nlist": 301}))
    assert "there are only 300 vectors" in row["problem"]
    shown.write(tmp_path, [row], 1)
    assert "there are only 300 vectors" in (tmp_path / "table.md").read_text()


def test_an_altered_measure_is_refused(made: tuple[Source, Questions], tmp_path: Path) -> None:
    measured(made, tmp_path, Listed("flat"))
    (file,) = (tmp_path / "measures").iterdir()
    file.write_text(file.read_text().replace('"recall@20": 100.0', '"recall@20": 99.0'))
    with pytest.raises(DataError, match="was altered"):
        measured(made, tmp_path, Listed("flat"))


def test_a_process_that_dies_is_one_line(
    made: tuple[Source, Questions], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring.sys, "executable", "/bin/false")
    with pytest.raises(ConfigError, match=r"^index.kind=flat: its process ended with 1: no message$"):
        measured(made, tmp_path, Listed("flat"))


def test_generated_vectors_have_the_cells_of_the_real_ones(made: tuple[Source, Questions], tmp_path: Path) -> None:
    real = made[0].vectors
    one = generated.fit(real, 1)
    drawn = generated.draw(replace(one, unit=False), 6000, tmp_path / "a.npy")
    assert np.allclose(drawn.mean(axis=0), real.mean(axis=0), atol=0.02)
    assert np.allclose(np.cov(drawn.T), np.cov(real.T), atol=0.01)
    mixture = generated.fit(real, 6)
    drawn = generated.draw(mixture, 6000, tmp_path / "a.npy")
    assert np.array_equal(drawn[:500], generated.draw(mixture, 500, tmp_path / "b.npy")), "larger draws begin alike"
    assert mixture.unit and np.allclose(np.linalg.norm(drawn, axis=1), 1, atol=1e-5)
    nearest = np.argmin(np.linalg.norm(drawn[:, None] - mixture.centres, axis=2), axis=1)
    assert np.allclose(np.bincount(nearest, minlength=6) / len(drawn), mixture.shares, atol=0.05)


def test_a_law_is_that_of_statsmodels() -> None:
    counts, seconds = [10_000, 30_000, 100_000, 1_000_000], [1.1, 3.4, 9.0, 101.0]
    found = laws.fit(counts, seconds)
    assert found is not None
    line = sm.OLS(np.log(seconds), sm.add_constant(np.log(counts))).fit()
    frame = line.get_prediction(np.array([[1.0, np.log(laws.WIKIPEDIA)]])).summary_frame(alpha=0.05)
    wanted = np.exp(frame[["mean", "obs_ci_lower", "obs_ci_upper"]].iloc[0].to_numpy())
    assert np.allclose([found.value, found.low, found.high], wanted)
    assert laws.fit(counts[:2], seconds[:2]) is None and laws.fit([1, 2, 3], [0.0, 1.0, 2.0]) is None


def row(label: str, recall: float, speed: float, own: float, count: int = 10, source: str = "real") -> dict[str, Any]:
    timed = {name: 1.0 for name in ("p99_ms", "queries_per_cpu_second", "build_seconds", "build_cpu_seconds")}
    about = {
        "source": source,
        "count": count,
        "width": 4,
        "kind": "flat",
        "label": label,
        "bytes": 16 * count,
        "options": {},
    }
    return {**about, **timed, "recall@20": recall, "queries_per_second": speed, "anonymous_mib": own}


def test_what_no_other_index_beats() -> None:
    rows = [row("a", 100, 10, 5), row("b", 100, 10, 4), row("c", 90, 50, 5), row("d", 89, 49, 5), row("e", 1, 1, 0)]
    assert [one["label"] for one in shown._pareto(rows)] == ["b", "c", "e"]


def test_generated_rows_that_differ_from_the_real_ones_are_marked(tmp_path: Path) -> None:
    rows = [row("a", 90, 1, 1), row("b", 90, 1, 1)]
    rows += [row("a", 91, 1, 1, 10, "generated"), row("b", 93, 1, 1, 10, "generated")]
    rows += [row(name, 50, 1, 1, size, "generated") for name in "ab" for size in (100, 1000)]
    shown.write(tmp_path, rows, 1)
    text = (tmp_path / "table.md").read_text()
    assert "bᵃ" in text and "aᵃ" not in text and "21,015,324" in text
    assert (tmp_path / "fidelity.csv").exists() and (tmp_path / "pareto-generated-1000.svg").exists()
    heads = (tmp_path / "real-10.csv").read_text().splitlines()[0]
    assert "build_cpu_seconds" in heads and "build_cpu" not in text, "table.md is short"


def test_laws_are_shown_for_the_largest_size_that_was_measured_whole(tmp_path: Path) -> None:
    rows = [row("a", 91, 1, 1, size, "generated") for size in (1000, 100, 10)]
    rows += [row("b", 91, 1, 1, size, "generated") | {"kind": "sq8"} for size in (10, 100, 500)]
    failed = {name: value for name, value in row("b", 0, 1, 1, 1000, "generated").items() if name != "recall@20"}
    shown.write(tmp_path, [*rows, failed | {"kind": "sq8", "problem": "does not fit"}], 1)
    derived = (tmp_path / "derived.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in derived] == ["index", "a"]
    assert "on 1,000 generated vectors." in (tmp_path / "table.md").read_text()


def test_the_chart_leaves_low_recall_out_unless_there_is_no_other() -> None:
    rows = [row("a", 99, 10, 5), row("b", 40, 50, 5)]
    assert shown._chart(rows).panels[0].words == "a 99.0"
    assert shown._chart(rows[1:]).panels[0].words == "b 40.0"


@pytest.mark.parametrize("speeds", [(2100, 4400), (300, 300), (12, 38000)])
def test_the_chart_has_ticks_that_can_be_read(speeds: tuple[float, float]) -> None:
    for panel in shown._chart([row(str(speed), 90, speed, 1) for speed in speeds]).inline("x"):
        texts = re.findall(r"<text[^>]*>([^<]*)</text>", panel)
        ticks = texts[: next(place for place, text in enumerate(texts) if text in ("queries/s", "bytes a vector"))]
        assert ticks and all(re.fullmatch(r"[\d,]+", text) for text in ticks), ticks


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("indexes: [{kind: nope}]", "did you mean|unknown index kind"),
        ("indexes: [{kind: flat, sweep: {nprobe: 1}}]", "must be a list"),
        ("indexes: [{kind: flat, values: {wrong: 1}}]", "unknown"),
        ("indexes: [{kinds: flat}]", "did you mean 'kind'"),
        ("[", "is not YAML"),
        ("indexes: []", "field 'indexes': lists no index"),
    ],
)
def test_a_file_of_indexes_that_cannot_be_used_is_one_line(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "bench.yaml"
    file.write_text(text)
    with pytest.raises((DataError, UnknownNameError), match=problem):
        command.read_bill(file)


def test_the_file_of_the_project_lists_every_kind_that_needs_no_server() -> None:
    from rag_lightning.config.registries import INDEX_KINDS

    listed = {one.kind for one in command.read_bill(Path("experiments/index_bench.yaml"))}
    assert listed == set(INDEX_KINDS) - {"milvus"}


def test_a_bench_needs_as_many_questions_as_a_batch(
    tiny_sweep: SweepConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = tmp_path / "tiny.yaml"
    experiment.write_text(json.dumps(to_dict(replace(tiny_sweep.experiment, folder="."))))
    folder = tiny_sweep.experiment.folder
    words = ["index_bench", "--experiment", str(experiment), "--folder", folder]
    assert main(words) == 2
    assert "queries: 12 questions, but a batch has 64" in " ".join(capsys.readouterr().err.split())
    assert BenchConfig().queries >= 64


def test_make_passes_sizes_and_kinds_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    name, *words = words_of("index-bench", "SIZES=10000 100000", "KINDS=flat hnsw", "THREADS=2")
    parsed = parse(name, words)
    assert parsed and parsed[0] == BenchConfig(sizes=(10_000, 100_000), only=("flat", "hnsw"), threads=2)
    with pytest.raises(script.Misuse, match="must be whole numbers"):
        words_of("index-bench", "SIZES=many")
