"""Stage `biencoder`: both encoders trained as DPR's were, before the corpus is embedded.

The paper's retriever is DPR, trained on questions with known passages (section 2.2). This stage trains such a pair from
the configured encoder: the positives are gold passages (for a question without any, the first BM25 hit with an answer),
the hard negatives BM25 hits without; or both come from DPR's own files. With steps 0 the encoders stay as they come.
Files: `query_encoder/`, `passage_encoder/`, `history.jsonl`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rag_lightning.core.artifacts import Artifact, Recipe
from rag_lightning.core.config import to_dict
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.hardware import resolve_dtype
from rag_lightning.core.records import Example, Ranking
from rag_lightning.core.trainer_config import BiencoderConfig, check_one_batch, check_training, recipe_settings
from rag_lightning.corpus.store import PassageStore
from rag_lightning.modules.batches import Lesson
from rag_lightning.modules.biencoder import BiencoderModule
from rag_lightning.modules.fitting import fit
from rag_lightning.modules.live_retrieval import check_learnt_scale, check_scale
from rag_lightning.retrieval.bm25 import BM25Retriever
from rag_lightning.retrieval.encoders import TextEncoder
from rag_lightning.stages import bm25, corpus, examples
from rag_lightning.stages.evidence import evidence_hits
from rag_lightning.stages.workspace import Workspace, file_digest
from rag_lightning.tasks.biencoder import KnownPassages, read_biencoder
from rag_lightning.tasks.spec import get_task

VERSION = 1
CANDIDATES = 20
"""BM25 hits in which hard negatives, and positives of a question without gold passages, are looked for."""
UNUSED = ("lr", "label_smoothing", "eval_every", "eval_limit", "files")


@dataclass(frozen=True)
class Start:
    """An encoder's folder or hub name, the score_scale that goes with it, and what identifies both."""

    source: Path | str
    score_scale: float
    digest: str


def query_start(workspace: Workspace) -> Start:
    """The query encoder of this stage, or as it comes where the stage has no steps."""
    return _start(workspace, workspace.config.encoder.model, "query_encoder")


def passage_start(workspace: Workspace) -> Start:
    """The passage encoder of this stage, or as it comes where the stage has no steps."""
    encoder = workspace.config.encoder
    return _start(workspace, encoder.passage_model or encoder.model, "passage_encoder")


def _start(workspace: Workspace, name: str, folder: str) -> Start:
    config = workspace.config
    check_settings(config.biencoder)
    if config.biencoder.steps == 0:
        return Start(workspace.model_source(name), config.encoder.score_scale, workspace.model_digest(name))
    built = build(workspace)
    return Start(built.path / folder, float(built.info["score_scale"]), f"biencoder:{built.digest}")


def as_it_came(workspace: Workspace) -> Workspace:
    """The same workspace with the encoders as they come: frozen retrieval."""
    return workspace.with_config(biencoder=replace(workspace.config.biencoder, steps=0))


def build(workspace: Workspace) -> Artifact:
    """Both encoders after training.

    Raises:
        ConfigError: settings under which nothing can be learned, or no question with a known passage.
        DataError: a file that is not DPR's biencoder JSON.
    """
    config = workspace.config
    check_settings(config.biencoder)
    check_scale(config.encoder.score_scale)
    section = recipe_settings(to_dict(config.biencoder))
    trained = {name: value for name, value in section.items() if name not in UNUSED}
    settings = {
        "train": trained | {"dtype": resolve_dtype(config.biencoder.dtype)},
        "encoder": to_dict(config.encoder),
        "seed": config.seed,
    }
    encoder = config.encoder
    inputs = {
        "query_model": workspace.model_digest(encoder.model),
        "passage_model": workspace.model_digest(encoder.passage_model or encoder.model),
    }
    if config.biencoder.files:
        inputs |= {f"file {i}": file_digest(Path(path)) for i, path in enumerate(config.biencoder.files)}
    else:
        inputs |= {"examples": examples.build(workspace).digest, "bm25": bm25.build(workspace).digest}
    recipe = Recipe("biencoder", settings, inputs, VERSION)
    return workspace.store.build(recipe, lambda folder: _make(workspace, folder), resumable=True)


def check_settings(config: BiencoderConfig) -> None:
    """Raise ConfigError for numbers that train nothing, for ever, or backwards."""
    check_training("biencoder", config)
    check_one_batch("biencoder", config)
    if config.label_smoothing:
        raise ConfigError(f"biencoder.label_smoothing={config.label_smoothing}: there is none here; leave it 0")
    if config.steps and config.retriever_lr == 0:
        raise ConfigError("biencoder trains nothing with retriever_lr=0; set its steps=0")


def _make(workspace: Workspace, folder: Path) -> dict[str, Any]:
    config = workspace.config
    items, left_out = _from_files(config.biencoder) if config.biencoder.files else _from_task(workspace)
    if not items:
        raise ConfigError(
            "the biencoder has nothing to learn: no train question has a gold passage or a BM25 hit with an answer "
            "among the first 20; set biencoder.steps=0"
        )
    if left_out:
        workspace.announce(f"biencoder: {left_out} of {len(items) + left_out} train questions have no known passage")
    encoder, source = config.encoder, workspace.model_source
    asks = TextEncoder(encoder, source(encoder.model), "query")
    answers = TextEncoder(encoder, source(encoder.passage_model or encoder.model), "passage")
    module = BiencoderModule(asks, answers, encoder.score_scale, config.biencoder, config.seed)
    lesson = Lesson(items, config.biencoder.batch_size)
    result = fit(module, [lesson], config.biencoder, folder, seed=config.seed, announce=workspace.announce)
    for name, trained in (("query_encoder", asks), ("passage_encoder", answers)):
        trained.model.save_pretrained(folder / name)
        trained.tokenizer.save_pretrained(folder / name)
    scale = check_learnt_scale(float(module.log_scale.detach().exp()), "biencoder.scale_lr")
    return {"steps": result["steps"], "score_scale": scale, "questions": len(items), "left_out": left_out}


def _from_files(config: BiencoderConfig) -> tuple[list[KnownPassages], int]:
    rows = [row for path in config.files for row in read_biencoder(Path(path), config.k)]
    found = [row for row in rows if row is not None]
    return found, len(rows) - len(found)


def _from_task(workspace: Workspace) -> tuple[list[KnownPassages], int]:
    """Train questions with a known passage, and how many have none."""
    store, asked = corpus.open_store(workspace), examples.read(workspace, "train")
    lexical = BM25Retriever.load(bm25.build(workspace).path)
    hits = lexical.retrieve([example.query for example in asked], min(CANDIDATES, len(store)))
    rankings = [found.ranking(example.example_id) for found, example in zip(hits, asked, strict=True)]
    flags = evidence_hits(get_task(workspace.config.task.name), store, asked, rankings)
    k = workspace.config.biencoder.k
    found = [known(store, e, r, f, k) for e, r, f in zip(asked, rankings, flags, strict=True)]
    items = [item for item in found if item is not None]
    return items, len(asked) - len(items)


def known(
    store: PassageStore, example: Example, ranking: Ranking, flags: Sequence[bool], k: int
) -> KnownPassages | None:
    """A question with its first gold passage (else its first hit with an answer) and k hits without; None for none."""
    answering = [store[row] for row, hit in zip(ranking.rows, flags, strict=True) if hit]
    gold = [store[store.row(name)] for name in example.gold_passage_ids[:1]]
    positives = gold or answering[:1]
    if not positives:
        return None
    right = {*example.gold_passage_ids, *(passage.passage_id for passage in answering)}
    others = (store[row] for row, hit in zip(ranking.rows, flags, strict=True) if not hit)
    negatives = [passage for passage in others if passage.passage_id not in right]
    return KnownPassages(example.query, positives[0], frozenset(right), tuple(negatives[:k]))
