"""Stage `biencoder`: training of both encoders as in DPR, before the corpus is embedded.

The paper's retriever is DPR, trained on questions with known passages (section 2.2). This stage trains such a pair,
starting from the configured encoder. Positives are gold passages (for a question without one, the first BM25 hit with
an answer); hard negatives are hits without an answer, of BM25 or of the pretrained encoders; or both come from files.
With steps 0 the pretrained encoders are used. Files: `query_encoder/`, `passage_encoder/`, `history.jsonl`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.config.retrieval import IndexConfig
from rag_lightning.config.training import BiencoderConfig
from rag_lightning.core.errors import ConfigError
from rag_lightning.core.files import file_digest
from rag_lightning.core.records import Example
from rag_lightning.core.stage import Bound
from rag_lightning.corpus.store import PassageStore
from rag_lightning.index.index import build_index
from rag_lightning.retrieval.encoders import Role, TextEncoder
from rag_lightning.retrieval.retriever import DenseRetriever, Retriever
from rag_lightning.stages import beforehand, bm25, corpus, examples, vectors
from rag_lightning.stages.ranking import CANDIDATES, rank_and_judge
from rag_lightning.stages.vectors import Start, pretrained
from rag_lightning.stages.workspace import Workspace, config_stage
from rag_lightning.tasks.biencoder import LabelledQuestion, read_biencoder
from rag_lightning.training.batches import Lesson
from rag_lightning.training.encoders import BiencoderModule
from rag_lightning.training.fitting import fit
from rag_lightning.training.scaled_retrieval import check_learnt_scale

FOLDERS: dict[Role, str] = {"query": "query_encoder", "passage": "passage_encoder"}
Judged = list[tuple[int, bool]]
"""(row, whether the passage answers the question), best first."""


def query_start(workspace: Workspace) -> Start:
    """The query encoder of this stage, or the pretrained one if biencoder.steps is 0."""
    return _start(workspace, "query")


def passage_start(workspace: Workspace) -> Start:
    """The passage encoder of this stage, or the pretrained one if biencoder.steps is 0."""
    return _start(workspace, "passage")


def _start(workspace: Workspace, role: Role) -> Start:
    if workspace.config.biencoder.steps == 0:
        return pretrained(workspace, role)

    def trained() -> tuple[Path, float]:
        built = STAGE.build(workspace)
        return built.path / FOLDERS[role], float(built.info["score_scale"])

    return Start(STAGE.at(workspace), trained)


def with_pretrained(workspace: Workspace) -> Workspace:
    """The workspace with biencoder.steps=0, which uses the pretrained encoders."""
    return workspace.with_config(biencoder=replace(workspace.config.biencoder, steps=0))


def _inputs(workspace: Workspace) -> dict[str, str | Bound[Workspace]]:
    config = workspace.config.biencoder
    found = {f"{role}_model": pretrained(workspace, role).identity for role in FOLDERS}
    if config.files:
        return found | {f"file {i}": file_digest(Path(path)) for i, path in enumerate(config.files)}
    found |= {"examples": examples.STAGE.at(workspace), "bm25": bm25.STAGE.at(workspace)}
    return found | ({"vectors": vectors.PRETRAINED.at(workspace)} if config.negatives == "dense" else {})


def _make(workspace: Workspace, folder: Path) -> dict[str, Any]:
    config = workspace.config
    items, left_out = _from_files(config.biencoder) if config.biencoder.files else _from_task(workspace)
    if not items:
        lacking = "no row of biencoder.files has a positive passage"
        if not config.biencoder.files:
            lacking = f"no train question has a gold passage, or an answer in its first {CANDIDATES} BM25 hits"
        raise ConfigError(f"the biencoder has no training data: {lacking}; set biencoder.steps=0")
    if left_out:
        workspace.detail(f"biencoder: {left_out} of {len(items) + left_out} train questions have no known passage")
    encoders = {role: TextEncoder(config.encoder, pretrained(workspace, role).source, role) for role in FOLDERS}
    scale = config.encoder.score_scale
    training = config.biencoder.training()
    module = BiencoderModule(encoders["query"], encoders["passage"], scale, training, config.seed)
    lesson = Lesson(items, training.batch_size)
    result = fit(
        module, [lesson], training, folder, seed=config.seed, device=workspace.device, announce=workspace.announce
    )
    for role, trained in encoders.items():
        trained.model.save_pretrained(folder / FOLDERS[role])
        trained.tokenizer.save_pretrained(folder / FOLDERS[role])
    scale = check_learnt_scale(float(module.log_scale.detach().exp()), "biencoder.scale_lr")
    return {"steps": result["steps"], "score_scale": scale, "questions": len(items), "left_out": left_out}


def _from_files(config: BiencoderConfig) -> tuple[list[LabelledQuestion], int]:
    rows = [row for path in config.files for row in read_biencoder(Path(path), config.k)]
    found = [row for row in rows if row is not None]
    return found, len(rows) - len(found)


def _from_task(workspace: Workspace) -> tuple[list[LabelledQuestion], int]:
    """Train questions with a known passage, and the number of those without."""
    store, asked = corpus.open_store(workspace), examples.read(workspace, "train")
    lexical = bm25.open_bm25(workspace)
    positives = _judged_rows(workspace, lexical, asked)
    dense = workspace.config.biencoder.negatives == "dense"
    negatives = _judged_rows(workspace, pretrained_retriever(workspace), asked) if dense else positives
    k = workspace.config.biencoder.k
    items = [known_passages(store, *three, k) for three in zip(asked, positives, negatives, strict=True)]
    found = [item for item in items if item is not None]
    return found, len(asked) - len(found)


def pretrained_retriever(workspace: Workspace) -> DenseRetriever:
    """Exact search with the pretrained encoders."""
    start = pretrained(workspace, "query")
    encoder = TextEncoder(workspace.config.encoder, start.source, "query").to(workspace.device).eval()
    found = vectors.read(vectors.PRETRAINED.build(workspace))
    return DenseRetriever(encoder, build_index(IndexConfig("flat"), found))


def _judged_rows(workspace: Workspace, retriever: Retriever, asked: Sequence[Example]) -> list[Judged]:
    rankings, flags = rank_and_judge(workspace, retriever, asked, CANDIDATES)
    return [list(zip(ranking.rows, hits, strict=True)) for ranking, hits in zip(rankings, flags, strict=True)]


def known_passages(
    store: PassageStore, example: Example, hits: Judged, others: Judged, k: int
) -> LabelledQuestion | None:
    """The positive and the hard negatives of a question; None if no passage is known to answer it.

    Args:
        store: The corpus.
        example: The question; its first gold passage is the positive, else the first hit that answers it.
        hits: BM25's hits.
        others: Hits of the retriever of hard negatives, which are the first k without an answer.
        k: Number of hard negatives.
    """
    gold = [store[store.row(name)] for name in example.gold_passage_ids[:1]]
    positives = gold or [store[row] for row, right in hits if right][:1]
    if not positives:
        return None
    right = {*example.gold_passage_ids, *(store[row].passage_id for row, right in (*hits, *others) if right)}
    wrong = (store[row] for row, right in others if not right)
    negatives = [passage for passage in wrong if passage.passage_id not in right]
    return LabelledQuestion(example.query, positives[0], frozenset(right), tuple(negatives[:k]))


STAGE = config_stage("biencoder", 2, _inputs, _make, resumable=True, check_data=beforehand.check)
build = STAGE.build


def run(config: ExperimentConfig) -> None:
    """Train both encoders and print their folder."""
    workspace = Workspace(config)
    artifact = build(workspace)
    workspace.announce(f"{artifact.info['steps']} steps on {artifact.info['questions']} questions: {artifact.path}")
