"""A sweep, and a claim over a matrix, as files of today say them; which systems they hold does not change."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import yaml

from tests.golden import names
from tests.golden.systems import THOROUGH, base

K, RETRIEVERS = (1, 2), ("flat", "bm25")
DECODINGS = ("rag_token/greedy", "rag_sequence/thorough")
NAME = "golden"


def sweep(root: Path, data: Path, bert: Path) -> dict[str, Any]:
    """Every point of the space once, and each on test, so that nothing depends on which is chosen."""
    space = {"decoding": list(DECODINGS), "retriever": list(RETRIEVERS), "k": list(K)}
    points = [dict(zip(space, values, strict=True)) for values in product(*space.values())]
    return {
        "name": NAME,
        "experiment": names.nested(base(root, data, bert)),
        "space": space,
        "trials": len(points),
        "sampler": "grid",
        "always": [{"decoding": "closed_book/greedy"}, *points],
        "trivial": False,
    }


def claims(folder: Path, root: Path, data: Path, bert: Path) -> tuple[Path, Path]:
    """The files of a claim and its matrix: RAG-Sequence against closed book, two seeds."""
    settings = base(root, data, bert) | THOROUGH
    settings |= {"name": "nq_rag_sequence", "decoding.k": 2}
    del settings["folder"]
    closed = names.nested({"formulation": "closed_book", "retriever.kind": "none", "decoding.strategy": "greedy"})
    systems = {"rag_sequence": {"row": "RAG-Sequence"}, "closed_book": {"row": "BART", "values": closed}}
    part = {"task": "nq", "metric": "em", "systems": ["rag_sequence"], "baselines": ["closed_book"]}
    claim = {"name": "above", "says": "x", "source": "y", "seeds": [0, 1], "comparisons": [part]}
    claim["test"] = "paired_permutation"
    matrix = {
        "seeds": [0],
        "questions_seed": 0,
        "reader_seed": 0,
        "tasks": ["nq"],
        "systems": systems,
        "decoding": {},
        "scales": {"mini": {}},
    }
    files = {"claims": {"claims": [claim]}, "matrix": matrix, "nq_rag_sequence": names.nested(settings)}
    folder.mkdir()
    for name, values in files.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return folder / "claims.yaml", folder / "matrix.yaml"
