"""The points of a sweep are checked before anything runs, and say which sweep it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.retrieval import RetrieverConfig
from rag_lightning.core.errors import ConfigError, UnknownNameError
from rag_lightning.runs.system import configure
from rag_lightning.sweep.space import open_space
from tests.tiny_project import write_lines

SPACE = {"decoding": ("rag_token/greedy", "rag_sequence/fast"), "retriever": ("flat", "bm25"), "k": (1, 5)}


def config(folder: Path, **changes: Any) -> SweepConfig:
    return replace(SweepConfig(name="s", experiment=ExperimentConfig(folder=str(folder)), space=SPACE), **changes)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"trials": 0}, ConfigError, "trials=0: must be at least 1"),
        ({"space": {}}, ConfigError, "at least one choice of each field"),
        ({"space": SPACE | {"k": ()}}, ConfigError, "at least one choice of each field"),
        ({"space": SPACE | {"k": (1, 1)}}, ConfigError, "space.k names a choice twice"),
        ({"space": SPACE | {"retriever": ("flatt",)}}, UnknownNameError, "did you mean 'flat'"),
        ({"space": SPACE | {"decoding": ("rag_token/thorough",)}}, UnknownNameError, "unknown decoding"),
        ({"space": SPACE | {"decoding": ("closed_book/greedy",)}}, ConfigError, "uses no passages"),
        ({"space": SPACE | {"train.leap": (1,)}}, UnknownNameError, "unknown key 'train.leap'"),
        ({"space": SPACE | {"k": (1, 50)}}, ConfigError, "k=50 must be 1 to experiment.retriever.k_max=20"),
        ({"always": ({"decoding": "rag_token/greedy", "k": 50},)}, ConfigError, "k=50 must be 1 to"),
        (
            {"space": {"decoding.strategy": ("thorough",), "formulation": ("rag_token",)}},
            ConfigError,
            "does not decode",
        ),
        ({"objectives": ("emm",)}, UnknownNameError, "did you mean 'em'"),
        (
            {"space": {"task.name": ("nq", "jeopardy"), "decoding": ("rag_token/greedy",)}},
            UnknownNameError,
            "unknown objective of jeopardy 'em'",
        ),
        ({"objectives": None}, ConfigError, "objectives=None: must be a list"),
        ({"sampler": None}, UnknownNameError, "sampler: 'None'"),
        ({"alpha": 2.0}, ConfigError, "alpha=2.0: must be between 0 and 1"),
        ({"always": None}, ConfigError, "always=None: must be a list"),
        ({"always": ({1: 2},)}, ConfigError, "keys must be text"),
        ({"space": {1: (2,)}}, ConfigError, "keys must be text"),
        ({"space": {"k": 1}}, ConfigError, "space.k=1: must be a list"),
        ({"space": {"index": ("flat",)}}, UnknownNameError, "'index' is a section"),
        ({"name": "../other"}, ConfigError, "name='../other': must be 1 to 80 letters"),
        ({"name": "a\nb"}, ConfigError, "must be 1 to 80 letters"),
        ({"name": "experiments"}, ConfigError, "must be none of experiments, claims"),
        ({"name": "nq.lock"}, ConfigError, "must not end with .lock or .jsonl, which are files in runs/"),
        ({"name": "é" * 100 + "語"}, ConfigError, "must be 1 to 80 letters"),
        ({"name": "語"}, ConfigError, "must be 1 to 80 letters"),
        (
            {"experiment": ExperimentConfig(retriever=RetrieverConfig(null_document="bias"))},
            ConfigError,
            "null_document=bias: its logit is learnt beside the scores of dense, not of retriever.kind=bm25",
        ),
    ],
)
def test_a_search_space_is_checked_before_anything_runs(
    changes: dict[str, object], error: type[Exception], says: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=says):
        open_space(config(tmp_path, **changes))


def test_the_default_space() -> None:
    space = open_space(SweepConfig())
    assert len(space.points or ()) == 4 * 6 * 4
    assert [system.label for system in space.always[2:]] == [
        "Trivial · most_common",
        "Trivial · most_common_by_type",
        "Trivial · nearest_question",
        "Trivial · knn_vote",
    ]
    models = [system.config.decoding.strategy for system in space.shared_models]
    assert len(models) == 3 and not any(name.startswith(("most", "near", "knn")) for name in models)
    given = open_space(SweepConfig(always=({"decoding": "trivial/knn_vote"},), space={"k": (1, 2)}))
    assert len(given.always) == 4, "named and automatic, once"
    with pytest.raises(ConfigError, match="trivial/knn_vote uses no passages; remove k"):
        open_space(SweepConfig(always=({"decoding": "trivial/knn_vote", "k": 5},)))


def test_points_that_differ_in_nothing_are_one(tmp_path: Path) -> None:
    size, token = "decoding.pair_store_mb", {"decoding": "rag_token/greedy", "k": 5}
    space = open_space(config(tmp_path, space={"decoding": ("rag_token/greedy",), size: (1, 2), "k": (1, 5)}, trials=9))
    assert len(space.points or ()) == 4 and space.budget == 2
    assert space.digest_of(token | {size: 1}) == space.digest_of(token | {size: 2})


def test_choices_may_be_lists(tmp_path: Path) -> None:
    files = [str(write_lines(tmp_path / name, [{"question": name}])) for name in ("a.jsonl", "b.jsonl")]
    space = open_space(config(tmp_path, space={**SPACE, "task.train": (files[:1], files)}))
    found = {space.system_of(point).config.task.train for point in space.points or ()}
    assert found == {tuple(files[:1]), tuple(files)}


def test_what_makes_it_another_sweep(tmp_path: Path) -> None:
    base = config(tmp_path)
    experiment = base.experiment
    same = [
        replace(base, trials=99, seed=3, sampler="random", alpha=0.1, always=(), trivial=False),
        replace(base, experiment=replace(experiment, folder="elsewhere", tracking_uri="sqlite:///x.db")),
        replace(base, experiment=replace(experiment, decoding=replace(experiment.decoding, pair_store_mb=9))),
        replace(base, experiment=replace(experiment, decoding=replace(experiment.decoding, k=3))),
    ]
    assert {open_space(other).digest for other in same} == {open_space(base).digest}
    unlike = [
        replace(base, space=SPACE | {"k": (1,)}),
        replace(base, objectives=("f1",)),
        replace(base, experiment=replace(experiment, seed=1)),
        replace(base, experiment=configure(experiment, {"decoding.length_penalty": 1.0})),
    ]
    assert len({open_space(other).digest for other in (base, *unlike)}) == 5
