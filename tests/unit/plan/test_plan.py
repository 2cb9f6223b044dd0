"""The plan: sizes against what FAISS and transformers make, counts, rates of artifacts, mistakes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from transformers import BartConfig, BartModel, BertConfig, BertModel

from rag_lightning.checkpoints.architectures import BART_LARGE, BERT_BASE, MINILM, Shape, shape_of
from rag_lightning.config.data import CorpusConfig
from rag_lightning.config.digesting import settings
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.generator import GeneratorConfig
from rag_lightning.config.loading import load_experiment
from rag_lightning.config.retrieval import EncoderConfig, IndexConfig
from rag_lightning.core.errors import ConfigError, DataError, RagLightningError
from rag_lightning.core.files import write_sealed
from rag_lightning.index.index import build_index
from rag_lightning.matrix.matrix import load_matrix
from rag_lightning.plan import command, rates
from rag_lightning.stages.workspace import Workspace

ROOT = Path(__file__).parents[3]
COUNT, DIM = 3000, 16


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is timed: every part takes a second."""
    for name in ("encode_seconds", "train_seconds", "search_seconds"):
        monkeypatch.setattr(rates, name, lambda *_: 1.0)


def rows(config: ExperimentConfig) -> dict[str, command.Line]:
    return {line.what: line for line in command.plan(Workspace(config, lambda message: None))}


# --- sizes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        IndexConfig("flat"),
        IndexConfig("sq8"),
        IndexConfig("hnsw", {"m": 8, "ef_construction": 16}),
        IndexConfig("hnsw", {"m": 32, "ef_construction": 40}),
        IndexConfig("ivf_flat", {"nlist": 20}),
        IndexConfig("ivf_pq", {"nlist": 20, "pq": "PQ8x8np"}),
        IndexConfig("ivf_pq", {"nlist": 20, "pq": "PQ4x4np"}),
    ],
    ids=lambda config: "-".join([config.kind, *map(str, config.options.values())]),
)
def test_an_index_is_as_large_as_faiss_writes_it(config: IndexConfig) -> None:
    vectors = np.random.default_rng(0).standard_normal((COUNT, DIM)).astype(np.float32)
    written = faiss.serialize_index(build_index(config, vectors, threads=1).faiss_index).size
    assert config.made().bytes(COUNT, DIM) == pytest.approx(written, rel=0.02)


def test_the_papers_flat_index_has_the_bytes_of_its_vectors() -> None:
    assert IndexConfig("flat").made().bytes(21_015_324, 768) == 64_559_075_328


def test_parameters_are_those_of_transformers() -> None:
    bert = BertModel(
        BertConfig(
            vocab_size=50, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=24,
            max_position_embeddings=20, type_vocab_size=2,
        ),
        add_pooling_layer=False,
    )  # fmt: skip
    assert Shape(16, 24, 3, 50, 20).parameters == bert.num_parameters() - 2 * 16, "token types are left out"
    bart = BartModel(
        BartConfig(
            vocab_size=50, d_model=16, encoder_layers=3, decoder_layers=2, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24, max_position_embeddings=20,
            pad_token_id=0, bos_token_id=2, eos_token_id=3, decoder_start_token_id=2, forced_eos_token_id=None,
        )
    )  # fmt: skip
    assert Shape(16, 24, 3, 50, 22, 2).parameters == bart.num_parameters()


def test_known_shapes_have_the_published_parameters() -> None:
    assert BART_LARGE.parameters / 1e6 == pytest.approx(406, abs=1)
    assert BERT_BASE.parameters / 1e6 == pytest.approx(110, abs=2)
    assert MINILM.parameters / 1e6 == pytest.approx(22.7, abs=0.2)


def test_a_folder_tells_its_shape(bert_folder: Path, toy_folder: Path, llama_folder: Path) -> None:
    assert shape_of(str(bert_folder), "encoder").layers == 4
    assert shape_of(str(toy_folder), "generator").decoder_layers == 2
    with pytest.raises(ConfigError, match="type 'llama' cannot be planned with"):
        shape_of(str(llama_folder), "generator")
    with pytest.raises(ConfigError, match="'someone/model': its shape is not known before it is downloaded"):
        shape_of("someone/model", "encoder")


# --- counts and hours ---------------------------------------------------------------------------


def test_mini_is_planned_before_anything_is_there(tmp_path: Path, still: None) -> None:
    config = replace(load_experiment(ROOT / "experiments" / "nq_rag_sequence.yaml", {}), folder=str(tmp_path))
    found = rows(config)
    assert found["passages"].value == "25,650" and found["vectors"].value == "39.4 MB"
    assert found["index flat (configured)"].value == "39.4 MB"
    pairs = config.reader.steps * config.reader.batch_size
    assert found["reader warm-up"].value == f"{pairs / 3600:,.2f} h"
    assert "derived" in found["reader warm-up"].basis and "timed on this machine" in found["reader warm-up"].basis
    assert found["embedding"].value == f"{25_650 / 3600:,.2f} h"
    questions = config.train.steps * config.train.batch_size
    assert found["training"].value == f"{questions * (config.train.k + 2) / 3600:,.2f} h"
    assert all(line.basis for line in found.values())
    assert list(tmp_path.iterdir()) == []


def test_a_sample_of_a_dump_and_half_precision(tmp_path: Path, still: None) -> None:
    config = ExperimentConfig(folder=str(tmp_path), corpus=CorpusConfig("wikipedia_2016"))
    whole, halves = rows(config), rows(replace(config, encoder=EncoderConfig(stored="float16")))
    assert (whole["passages"].value, whole["passages"].basis) == ("4,079", "known")
    assert (whole["vectors"].value, halves["vectors"].value) == ("6.3 MB", "3.1 MB")
    assert halves["vectors"].basis == "size 384, float16" and halves["index flat (configured)"].value == "6.3 MB"
    assert list(tmp_path.iterdir()) == []


def test_closed_book_has_no_vectors(tmp_path: Path, still: None) -> None:
    config = replace(load_experiment(ROOT / "experiments" / "nq_closed_book.yaml", {}), folder=str(tmp_path))
    assert {"vectors", "embedding", "retriever warm-up"}.isdisjoint(rows(config))


def test_the_papers_scale_is_planned_without_a_hub(tmp_path: Path, still: None) -> None:
    cells = load_matrix(ROOT / "experiments" / "matrix.yaml").cells("paper")
    cell = next(cell for cell in cells if cell.name == "nq_rag_sequence_paper")
    found = rows(cell.experiment(0, folder=str(tmp_path)))
    assert found["passages"].value == "21,015,324" and found["vectors"].value == "64.6 GB"
    assert float(found["memory"].value.split()[0]) > 64.6
    assert float(found["disk"].value.split()[0]) > 2 * 64.6


def test_own_files_are_counted(tmp_path: Path, tiny_data: Path, bert_folder: Path, still: None) -> None:
    config = ExperimentConfig(
        folder=str(tmp_path),
        corpus=CorpusConfig(str(tiny_data / "corpus.jsonl")),
        encoder=EncoderConfig(model=str(bert_folder)),
        generator=GeneratorConfig(encoder=str(bert_folder), decoder_layers=2),
        index=IndexConfig(options={"nlist": 4}),
    )
    found = rows(config)
    assert (found["passages"].value, found["passages"].basis) == ("64", "counted")
    assert found["vectors"].value == f"{64 * 32 * 4:,} bytes"
    assert found["index ivf_pq"].value.startswith("not possible")
    assert found["index ivf_flat"].basis == "arithmetic; nlist 4, trained on 64 vectors"
    assert found["index hnsw"].basis == "arithmetic; not trained"
    limited = replace(config, corpus=replace(config.corpus, limit=10))
    assert rows(limited)["passages"].value == "10"


def test_rates_come_from_artifacts_of_the_same_models(tmp_path: Path, still: None) -> None:
    config = ExperimentConfig(folder=str(tmp_path))
    workspace = Workspace(config)

    def publish(kind: str, digest: str, **manifest: Any) -> None:
        folder = tmp_path / "artifacts" / kind / digest
        folder.mkdir(parents=True)
        text = {"kind": kind, "digest": digest, "files": {}, "info": {}, "inputs": {}, "config": {}} | manifest
        write_sealed(folder / "manifest.json", text)

    info = {"reused": 0, "passages_per_second": 200.0}
    publish("vectors", "a", inputs={"model": workspace.model_digest("mini")}, info=info, seconds=1.0)
    publish("vectors", "b", inputs={"model": "another"}, info=info | {"passages_per_second": 1.0}, seconds=1.0)
    trained = settings(config, "model") | {"train.steps": 10, "train.batch_size": 30}
    publish("model", "c", config=trained, seconds=100.0)
    publish("model", "d", config=trained | {"train.k": 9}, seconds=1.0)
    publish("model", "e", config=trained | {"generator.decoder_layers": 9}, seconds=1.0)
    publish("model", "f", config=trained | {"train.steps": 0}, seconds=1.0)
    found = rows(config)
    assert found["embedding"].value == f"{25_650 / 200 / 3600:,.2f} h"
    assert found["embedding"].basis.endswith("200.0 passages/s in artifact vectors/a")
    questions = config.train.steps * config.train.batch_size
    assert found["training"].value == f"{questions / 3 / 3600:,.2f} h"
    assert "timed on this machine" in found["reader warm-up"].basis


def test_parts_of_a_small_model_are_timed(one_thread: None) -> None:
    shape = Shape(32, 64, 2, 50, 20, 1)
    assert 0 < rates.encode_seconds(shape, 8, "float32") < 5
    assert 0 < rates.train_seconds(shape, 8, "float32", 4) < 5
    assert rates.search_seconds(32, 2 * rates.ROWS) > 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"corpus": CorpusConfig("gone.tsv")}, "gone.tsv"),
        ({"corpus": CorpusConfig("hub:someone/passages")}, "is unknown before the download"),
        ({"encoder": EncoderConfig(passage_model="facebook/dpr-ctx_encoder-single-nq-base")}, "vectors of size 384"),
        ({"generator": GeneratorConfig(head="label_token")}, "task nq has no labels"),
        ({"index": IndexConfig("ivf_flat", {"nlist": 10**6})}, "choose fewer cells"),
    ],
)
def test_what_cannot_be_planned_is_named(changes: dict[str, Any], said: str, tmp_path: Path, still: None) -> None:
    with pytest.raises(RagLightningError, match=said):
        rows(replace(ExperimentConfig(folder=str(tmp_path)), **changes))


def test_an_empty_corpus_is_named(tmp_path: Path, still: None) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(DataError, match=r"empty\.jsonl"):
        rows(ExperimentConfig(folder=str(tmp_path), corpus=CorpusConfig(str(tmp_path / "empty.jsonl"))))
