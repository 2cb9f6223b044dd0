"""The systems whose predictions are recorded: settings by dotted keys, with the names of `names.py` as recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.tiny_project import ANSWERS, PLACES, SPLITS, passages, place, write_data, write_lines

Settings = dict[str, Any]
READER = Path(__file__).parent / "reader"
"""A tiny BART that has learned to read the tiny project, in 80 steps of its warm-up.

It is kept as a file since so many steps carry the last bit of a sum, which is another on another CPU, to the third
digit of a likelihood; the few steps that every system still trains do not.
"""
CLAIM_LABELS = ("SUPPORTS", "REFUTES", "NOT ENOUGH INFO")
NAMES = {*ANSWERS, *map(place, range(PLACES))}

TOKEN = {"formulation": "rag_token", "decoding.strategy": "greedy"}
BEAM = {"formulation": "rag_token", "decoding.strategy": "beam", "decoding.num_beams": 3}
THOROUGH = {"formulation": "rag_sequence", "decoding.strategy": "thorough"}
FAST = {"formulation": "rag_sequence", "decoding.strategy": "fast"}
CLOSED = {"formulation": "closed_book", "retriever.kind": "none"}
SYSTEMS: dict[str, Settings] = {
    "token_greedy": TOKEN,
    "token_beam": BEAM,
    "token_beam_length_penalty": BEAM | {"decoding.length_penalty": 1.0},
    "sequence_thorough": THOROUGH,
    "sequence_thorough_k5": THOROUGH | {"decoding.k": 5},
    "sequence_thorough_passage_beams": THOROUGH | {"decoding.passage_beams": 3},
    "sequence_thorough_length_penalty": THOROUGH | {"decoding.passage_beams": 3, "decoding.length_penalty": 1.0},
    "sequence_fast": FAST,
    "sequence_fast_passage_beams": FAST | {"decoding.passage_beams": 3},
    "sequence_first_entity": {"formulation": "rag_sequence", "decoding.strategy": "first_entity"},
    "closed_greedy": CLOSED | {"decoding.strategy": "greedy"},
    "closed_beam": CLOSED | {"decoding.strategy": "beam", "decoding.num_beams": 3},
    "fid_greedy": {"formulation": "fid", "decoding.strategy": "greedy"},
    "fid_beam": {"formulation": "fid", "decoding.strategy": "beam", "decoding.num_beams": 3},
    "recipe_token": TOKEN | {"train_preset": "recipe"},
    "recipe_sequence": THOROUGH | {"train_preset": "recipe"},
    "index_hnsw": TOKEN | {"index.kind": "hnsw"},
    "index_ivf_flat": THOROUGH | {"index.kind": "ivf_flat"},
    "index_ivf_pq": TOKEN | {"index.kind": "ivf_pq", "index.pq": "PQ4x4"},
    "index_sq8": THOROUGH | {"index.kind": "sq8"},
    "bm25_swapped_token": TOKEN | {"retriever.kind": "bm25", "retriever.trained_with": "dense"},
    "bm25_swapped_sequence": THOROUGH | {"retriever.kind": "bm25", "retriever.trained_with": "dense"},
    "bm25_token": TOKEN | {"retriever.kind": "bm25"},
    "bm25_sequence": THOROUGH | {"retriever.kind": "bm25"},
    "bm25_given_scale": THOROUGH | {"retriever.kind": "bm25", "retriever.train": False, "bm25.score_scale": 0.7},
    "oracle_token": TOKEN | {"retriever.kind": "oracle"},
    "oracle_sequence": THOROUGH | {"retriever.kind": "oracle"},
    "random_token": TOKEN | {"retriever.kind": "random"},
    "random_sequence": THOROUGH | {"retriever.kind": "random"},
    "dense_swapped_for_random": THOROUGH | {"retriever.kind": "dense", "retriever.trained_with": "random"},
    "frozen_token": TOKEN | {"retriever.train": False},
    "frozen_sequence": THOROUGH | {"retriever.train": False},
    "null_document_token": TOKEN | {"retriever.null_document": "bias"},
    "null_document_sequence": THOROUGH | {"retriever.null_document": "bias"},
    "pretrained_encoder": THOROUGH | {"retriever_warmup.steps": 0},
    "biencoder": THOROUGH | {"biencoder.steps": 3},
    "biencoder_dense_negatives": TOKEN | {"biencoder.steps": 3, "biencoder.negatives": "dense"},
    "template_hf_rag": TOKEN | {"generator.template": "hf_rag"},
    "warm_start": THOROUGH | {"generator.init": "warm_start", "warmup.steps": 6, "warmup.lr": 1e-3},
    "decoder_only_trained": THOROUGH | {"generator.train": "decoder"},
    "other_training": TOKEN
    | {
        "train.decay": "polynomial",
        "train.end_lr": 1e-4,
        "train.label_smoothing": 0.1,
        "train.trainer": {"accumulate_grad_batches": 2},
        "train.retrieve_ahead": True,
        "train.checkpoint_encoder": True,
    },
}
for _head in ("label_token", "class_head"):
    for _formulation, _more in {"rag_token": {}, "rag_sequence": {}, "closed_book": CLOSED}.items():
        SYSTEMS[f"claims_{_formulation}_{_head}"] = {
            **_more,
            "formulation": _formulation,
            "decoding.strategy": "classify",
            "generator.head": _head,
            "generator.verbalisers": ["paris", "rome", "novo"] if _head == "label_token" else [],
            "task.name": "fever3",
        }


def settings(name: str, root: Path, bert: Path) -> Settings:
    """The whole settings of a system; its files are in `root`/data or, of claims, in `root`/claims."""
    own = SYSTEMS[name]
    return base(root, root / ("claims" if own.get("task.name") == "fever3" else "data"), bert) | own


def base(root: Path, data: Path, bert: Path) -> Settings:
    """What systems share: the tiny project, everything in float32."""
    return {
        "train_preset": "plain",
        "folder": str(root),
        "task.name": "nq",
        "task.dataset": "tiny",
        "task.train": [str(data / "train.jsonl")],
        "task.dev": str(data / "dev.jsonl"),
        "task.test": str(data / "test.jsonl"),
        "corpus.source": str(data / "corpus.jsonl"),
        "encoder.model": str(bert),
        "encoder.max_query_length": 24,
        "encoder.max_passage_length": 48,
        "encoder.dtype": "float32",
        "index.m": 8,
        "index.ef_construction": 40,
        "index.ef_search": 16,
        "index.nlist": 4,
        "index.nprobe": 2,
        "retriever.k_max": 5,
        "generator.init": str(READER),
        "generator.encoder": str(bert),
        "generator.decoder_layers": 2,
        "generator.max_source_length": 60,
        "generator.max_target_length": 4,
        "biencoder.batch_size": 4,
        "biencoder.warmup": 1,
        "biencoder.dtype": "float32",
        "retriever_warmup.steps": 3,
        "retriever_warmup.batch_size": 4,
        "retriever_warmup.k": 8,
        "retriever_warmup.warmup": 1,
        "retriever_warmup.dtype": "float32",
        "warmup.steps": 2,
        "warmup.batch_size": 8,
        "warmup.lr": 1e-4,
        "warmup.warmup": 1,
        "warmup.dtype": "float32",
        "train.steps": 4,
        "train.batch_size": 4,
        "train.k": 2,
        "train.lr": 2e-4,
        "train.warmup": 1,
        "train.eval_every": 2,
        "train.dtype": "float32",
        "decoding.k": 3,
        "decoding.max_length": 4,
        "decoding.dtype": "float32",
    }


def write_files(root: Path) -> None:
    """The questions in `root`/data and the claims in `root`/claims, over one corpus, whose names have capitals."""
    for folder in ("data", "claims"):
        write_data(root / folder)
        write_lines(root / folder / "corpus.jsonl", map(_with_names, passages()))
    for split in SPLITS:
        write_lines(root / "claims" / f"{split}.jsonl", _claims(split))


def _with_names(passage: dict[str, str]) -> dict[str, str]:
    """Its places and cities begin with capitals, by which names are known."""
    words = (word.capitalize() if word.strip(".") in NAMES else word for word in passage["text"].split(" "))
    return passage | {"text": " ".join(words)}


def _claims(split: str) -> list[dict[str, Any]]:
    """Three claims of every second place in FEVER's layout, one a label; the last names no evidence."""
    rows: list[dict[str, Any]] = []
    for i in list(SPLITS[split])[::2]:
        for label, capital in zip(CLAIM_LABELS, (ANSWERS[i % 4], ANSWERS[(i + 1) % 4], "7"), strict=True):
            decided = label != CLAIM_LABELS[2]
            evidence = [[[i, i, place(i) if decided else None, 0 if decided else None]]]
            claim = f"the capital of {place(i)} is {capital}"
            rows.append({"id": len(rows), "label": label, "claim": claim, "evidence": evidence})
    return rows
