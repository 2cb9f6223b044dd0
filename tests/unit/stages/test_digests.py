"""What identifies a result: what changes it is in a stage's digest, what does not is not. Nothing is built for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.config.data import TaskConfig
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.core.artifacts import ArtifactStore, Recipe, read_manifest
from rag_lightning.core.stage import Bound
from rag_lightning.stages import bm25_scale, cost, index, reader, retrieve, score, train
from rag_lightning.stages.workspace import Workspace
from tests import points
from tests.tiny_project import experiment, write_data

PLAIN = ExperimentConfig(formulation="rag_token")


def changed(config: ExperimentConfig, **values: Any) -> ExperimentConfig:
    """The configuration with dotted fields changed; two underscores stand for the dot."""
    for path, value in values.items():
        config = points.changed(config, path.replace("__", "."), value)
    return config


def lineage(**values: Any) -> dict[str, str]:
    """Kind -> digest of the scores on dev, and of all they are made from."""
    return score.stage(Workspace(changed(PLAIN, **values)).on("dev")).lineage()


def differing(one: dict[str, str], other: dict[str, str]) -> set[str]:
    """Kinds that one has and the other has not, or with another digest."""
    return {kind for kind in one.keys() | other.keys() if one.get(kind) != other.get(kind)}


AFTER_MODEL = {"model", "rankings", "predictions", "scores"}


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        ({"decoding__pair_store_mb": 7}, set()),
        ({"decoding__pairs_per_batch": 7}, set()),
        ({"encoder__tokens_per_batch": 7}, set()),
        ({"train__checkpoint_encoder": True, "reader__checkpoint_encoder": True}, set()),
        ({"name": "other", "task__dataset": "other", "tracking_uri": "x", "generator__mismatch": "allow"}, set()),
        ({"decoding__strategy": "beam"}, {"predictions", "scores"}),
        ({"decoding__strategy": "thorough", "formulation": "rag_sequence"}, AFTER_MODEL),
        ({"decoding__max_length": 9}, {"predictions", "scores"}),
        ({"generator__max_fused_length": 9}, set()),
        ({"decoding__k": 3}, {"predictions", "scores"}),
        ({"retriever__k_max": 30}, {"rankings", "predictions", "scores"}),
        ({"task__limit": 5}, AFTER_MODEL),
        ({"train__lr": 1e-5}, AFTER_MODEL),
        ({"generator__train": "decoder"}, AFTER_MODEL),
        ({"generator__dropout": 0.1}, {"reader", *AFTER_MODEL}),
        ({"reader__steps": 5}, {"reader", *AFTER_MODEL}),
        ({"retriever_warmup__lr": 1e-6}, {"retriever_warmup", *AFTER_MODEL}),
        ({"encoder__query_prefix": "query: "}, {"retriever_warmup", *AFTER_MODEL}),
        ({"bm25__k1": 1.2}, {"bm25", "reader", "retriever_warmup", *AFTER_MODEL}),
        ({"encoder__passage_prefix": "p: "}, {"vectors", "index", "retriever_warmup", *AFTER_MODEL}),
        ({"biencoder__steps": 5}, {"biencoder", "vectors", "index", "retriever_warmup", *AFTER_MODEL}),
        ({"corpus__limit": 500}, set(lineage())),
    ],
)
def test_a_field_changes_the_stages_that_read_it(values: dict[str, Any], kinds: set[str]) -> None:
    assert differing(lineage(), lineage(**values)) == kinds


@pytest.mark.parametrize(
    "values",
    [
        {"retriever__kind": "bm25"},
        {"retriever__k_max": 50, "retriever__train": False},
        {"index": IndexConfig("hnsw"), "encoder__pooling": "cls", "bm25__score_scale": 2.0},
        {"train__k": 9, "train__retriever_lr": 1.0, "train__scale_lr": 1.0, "train__retrieve_ahead": True},
        {"retriever_warmup__steps": 7, "biencoder__steps": 7},
        {"decoding__k": 9, "decoding__passage_beams": 4, "decoding__length_penalty": 1.0},
    ],
)
def test_closed_book_has_no_retriever(values: dict[str, Any]) -> None:
    assert differing(lineage(formulation="closed_book"), lineage(formulation="closed_book", **values)) == set()


def test_a_retriever_swapped_in_at_test_reuses_the_model() -> None:
    dense, swapped = lineage(), lineage(retriever__kind="bm25", retriever__trained_with="dense")
    assert differing(dense, swapped) == {"bm25_scale", "rankings", "predictions", "scores"}
    assert swapped["model"] == dense["model"] != lineage(retriever__kind="bm25")["model"]


def test_how_an_index_is_searched_is_no_part_of_it() -> None:
    one, other = (lineage(index=IndexConfig("hnsw", {"ef_search": n})) for n in (16, 64))
    assert differing(one, other) == {"rankings", "predictions", "scores"}
    built = [index.STAGE.digest(Workspace(changed(PLAIN, index=IndexConfig("hnsw", {"m": m})))) for m in (8, 32)]
    assert built[0] != built[1]
    assert lineage(index=IndexConfig("hnsw", {"m": 8}))["model"] == lineage()["model"], "training searches exactly"
    assert lineage(index=IndexConfig("flat", {"m": 8})) == lineage(), "flat has no such field"


def test_a_lineage_names_the_index_that_is_searched_not_that_of_training() -> None:
    config = changed(PLAIN, index=IndexConfig("hnsw"))
    assert lineage(index=config.index)["index"] == index.STAGE.digest(Workspace(config)) != lineage()["index"]


def test_what_a_strategy_does_not_use_has_no_effect() -> None:
    greedy = lineage()
    assert lineage(decoding__num_beams=9, decoding__length_penalty=1.0) == greedy
    beam = {"decoding__strategy": "beam"}
    assert lineage(**beam, decoding__num_beams=9) != lineage(**beam) != lineage(**beam, decoding__length_penalty=1.0)
    fast = {"formulation": "rag_sequence", "decoding__strategy": "fast"}
    assert lineage(**fast, decoding__num_beams=9) == lineage(**fast) != lineage(**fast, decoding__passage_beams=4)
    assert lineage(**fast, decoding__length_penalty=-0.5) != lineage(**fast)


def test_the_scale_of_bm25_is_tuned_on_dev_alone() -> None:
    own = {"retriever__kind": "bm25"}
    digests = {bm25_scale.STAGE.digest(Workspace(changed(PLAIN, **own, split=split))) for split in ("dev", "test")}
    assert len(digests) == 1
    tuned = train.STAGE.at(Workspace(changed(PLAIN, **own))).inputs
    given = train.STAGE.at(Workspace(changed(PLAIN, **own, bm25__score_scale=1.0))).inputs
    assert set(tuned) - set(given) == {"bm25_scale"}


def test_seconds_depend_on_how_much_is_generated_together() -> None:
    digests = {cost.STAGE.digest(Workspace(changed(PLAIN, decoding__pairs_per_batch=n))) for n in (8, 256)}
    assert len(digests) == 2


def test_rankings_name_their_corpus_where_examples_do_not(tmp_path: Path) -> None:
    """Examples of the hub name no gold passages; their digest says nothing of the passages."""
    (tmp_path / "nq").mkdir()
    (tmp_path / "nq" / "rows").write_text("rows")
    task = TaskConfig(name="msmarco", source=f"hub:{tmp_path / 'nq'}")
    for kind in ("dense", "bm25", "oracle", "random"):
        config = changed(PLAIN, task=task, retriever__kind=kind)
        asked = [retrieve.stage("warmed_up").at(Workspace(changed(config, corpus__limit=n))).inputs for n in (0, 500)]
        digests = [{name: of.digest for name, of in one.items() if isinstance(of, Bound)} for one in asked]
        assert digests[0]["examples"] != digests[1]["examples"] or digests[0]["corpus"] != digests[1]["corpus"]
        assert "corpus" in digests[0]


def test_an_embedded_model_is_not_unpacked_for_a_digest(tmp_path: Path) -> None:
    config = changed(PLAIN, folder=str(tmp_path), generator__init="smollm2", generator__template="prompt")
    assert reader.bound(Workspace(config)).digest and train.STAGE.digest(Workspace(config))
    assert not list(tmp_path.iterdir())


# --- what is opened -----------------------------------------------------------------


Key = tuple[str, str]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[Key, set[Key]]]:
    """(kind, digest) of what is made -> those of all artifacts that are opened meanwhile."""
    found: dict[Key, set[Key]] = {}
    making: list[Key] = []
    make, find = ArtifactStore._make, ArtifactStore.find

    def making_one(store: ArtifactStore, recipe: Recipe, *rest: Any) -> Any:
        making.append((recipe.kind, recipe.digest))
        found[making[-1]] = set()
        try:
            return make(store, recipe, *rest)
        finally:
            making.pop()

    def finding(store: ArtifactStore, kind: str, digest: str) -> Any:
        artifact = find(store, kind, digest)
        if artifact is not None and making:
            found[making[-1]].add((kind, digest))
        return artifact

    monkeypatch.setattr(ArtifactStore, "_make", making_one)
    monkeypatch.setattr(ArtifactStore, "find", finding)
    yield found


def made_from(root: Path, one: Key) -> set[Key]:
    """All artifacts below one, by the manifests; an artifact of its own digest."""
    found: set[Key] = set()
    for digest in read_manifest(root / one[0] / one[1])["inputs"].values():
        for folder in root.glob(f"*/{digest}"):
            found |= {(folder.parent.name, digest)} | made_from(root, (folder.parent.name, digest))
    return found


@pytest.mark.parametrize(
    "values",
    [
        {"biencoder__steps": 1},
        {"retriever__kind": "bm25"},
        {"retriever__kind": "bm25", "retriever__trained_with": "dense"},
        {"retriever__kind": "oracle", "formulation": "rag_sequence", "decoding__strategy": "thorough"},
        {"retriever__kind": "random"},
        {"formulation": "closed_book"},
    ],
)
def test_whatever_a_stage_opens_is_among_its_inputs(
    tmp_path: Path, bert_folder: Path, opened: dict[Key, set[Key]], values: dict[str, Any]
) -> None:
    write_data(tmp_path / "data")
    base = experiment(tmp_path, tmp_path / "data", bert_folder)
    small = {
        "reader__steps": 2,
        "train__steps": 1,
        "train__eval_every": 1,
        "decoding__k": 2,
        "biencoder__batch_size": 4,
    }
    workspace = Workspace(changed(base, **small, **values), lambda message: None)
    score.build(workspace, "dev")
    cost.build(workspace)
    kinds = {kind for kind, _ in opened}
    assert {"corpus", "examples", "reader", "model", "predictions", "scores", "cost"} <= kinds
    for one, used in opened.items():
        assert used - {one} <= made_from(tmp_path / "artifacts", one), one
