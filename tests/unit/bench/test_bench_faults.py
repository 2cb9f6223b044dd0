"""The bench's folder: one process at a time, nothing through links, and no measure of another kind than it says."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_lightning.bench.measuring import VALUES, Bench, Listed, Questions, Source
from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_sealed, write_sealed
from rag_lightning.report.charts import Chart, Panel

LISTED = Listed("flat", {}, {})


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Questions]:
    """120 vectors, which are the queries as well."""
    place = tmp_path_factory.mktemp("vectors")
    np.save(place / "vectors.npy", np.random.default_rng(0).standard_normal((120, 8)).astype(np.float32))
    return Source("real", place / "vectors.npy", "v"), Questions(place / "vectors.npy")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "out" / "bench", 1, 20)


@pytest.fixture(scope="module")
def finished(given: tuple[Source, Questions], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bench that has measured LISTED; tests copy it."""
    bench = Bench(tmp_path_factory.mktemp("finished") / "bench", 1, 20)
    measured(bench, given)
    return bench.out


def measured(bench: Bench, given: tuple[Source, Questions]) -> list[dict[str, Any]]:
    with bench.alone():
        return list(bench.measured(given[0], LISTED, given[1]))


def test_a_second_bench_at_the_same_time_is_refused(bench: Bench) -> None:
    with bench.alone():
        (bench.work / "answer.json").write_text("{}")
        with pytest.raises(DataError, match=r"bench\.lock: is held: another bench is running; wait until it ends"):
            bench.alone().__enter__()
        assert (bench.work / "answer.json").exists(), "of the first"
    assert not bench.work.exists()


def test_what_an_interrupted_bench_left_is_not_written_to(bench: Bench, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("kept")
    bench.work.mkdir(parents=True)
    (bench.work / "queries.npy").symlink_to(outside)
    with bench.alone():
        assert not list(bench.work.iterdir())
    assert outside.read_text() == "kept"


@pytest.mark.parametrize("name", ["", "work", "measures"])
def test_nothing_is_written_through_a_link(bench: Bench, name: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    place = bench.out / name if name else bench.out
    place.parent.mkdir(parents=True)
    place.symlink_to(outside)
    with pytest.raises(DataError, match="is a link, and nothing is written through one"):
        bench.alone().__enter__()
    assert not list(outside.iterdir())


def test_a_chart_replaces_a_link_in_its_place(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("kept")
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "some.svg").symlink_to(outside)
    Chart("some", "Some", [Panel("a", "b", lambda axes: None)]).save(tmp_path / "made")
    assert outside.read_text() == "kept"
    assert sorted(os.listdir(tmp_path / "made")) == ["some.pdf", "some.png", "some.svg"]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "hnsw"}, {"count": 7}, {"source": "generated"}, {"options": {"m": 4}}, {"recall@20": float("nan")},
        {"bytes": "many"}, {"p50_ms": None}, {"anonymous_mib": []}, {"problem": 3}, {"label": "other"},
    ],
    ids=str,
)  # fmt: skip
def test_a_sealed_measure_of_another_content_is_refused(
    bench: Bench, given: tuple[Source, Questions], finished: Path, change: Mapping[str, Any]
) -> None:
    shutil.copytree(finished, bench.out)
    (file,) = (bench.out / "measures").iterdir()
    write_sealed(file, read_sealed(file) | change)
    with pytest.raises(DataError, match=rf"field '{next(iter(change))}': is missing, or no value of this measure"):
        measured(bench, given)


def test_a_measure_without_one_of_its_values_is_refused(
    bench: Bench, given: tuple[Source, Questions], finished: Path
) -> None:
    shutil.copytree(finished, bench.out)
    (whole,) = measured(bench, given)
    (file,) = (bench.out / "measures").iterdir()
    for name in VALUES:
        write_sealed(file, {key: value for key, value in whole.items() if key != name})
        with pytest.raises(DataError, match=f"field '{name}'"):
            measured(bench, given)
