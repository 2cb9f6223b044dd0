"""Thorough decoding in a process of its own, so that its peak memory is its own.

`python -m tests.benchmarks.thorough ours|transformers mini|base K BEAMS QUESTIONS` prints one JSON object.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch

from rag_lightning.decoding import rag_sequence
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.generator.likelihoods import doc_log_probs
from tests.benchmarks.processes import forget_peak, resident
from tests.benchmarks.rag_models import DEVICE, IdsGenerator, generated, generator, reference, rows, seconds

SOURCE, LENGTH = 96, 5


def thorough(made: IdsGenerator, asked: Any, scores: torch.Tensor, beams: int) -> tuple[list[tuple[int, ...]], float]:
    """Best hypotheses, and the mean number of distinct candidates C."""
    found = rag_sequence.matrices(Encodings(made), asked, PairStore(), num_beams=beams, max_length=LENGTH)
    priors = doc_log_probs(scores).numpy()
    pools = [rag_sequence.decode(m, p, "thorough") for m, p in zip(found, priors, strict=True)]
    return [pool[0].token_ids for pool in pools], sum(len(m.candidates) for m in found) / len(found)


def main(whose: str, size: str, k: int, beams: int, questions: int) -> None:
    """Print the best hypotheses, seconds, the number of candidates (ours), and the memory above the model."""
    made = generator(size)
    asked = rows(made, questions, k, SOURCE)
    scores = torch.randn((questions, k), generator=torch.Generator().manual_seed(1))
    model = reference(made, "rag_sequence", k) if whose == "transformers" else None
    found: dict[str, Any] = {}
    forget_peak(DEVICE)
    before = resident(peak=False, device=DEVICE)

    def run() -> None:
        if model is None:
            found["tokens"], found["C"] = thorough(made, asked, scores, beams)
        else:
            found["tokens"] = generated(model, made, asked, scores, num_beams=beams, max_length=LENGTH + 1)

    found["seconds"] = seconds(run)
    print(json.dumps(found | {"bytes": resident(peak=True, device=DEVICE) - before}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
