"""One training step in a process of its own, so that its peak memory is its own.

`python -m tests.benchmarks.training_step ours|checkpointed|transformers rag_sequence|rag_token float32|bfloat16 STEPS`
prints one JSON object; checkpointed is ours with the encoder's activations recomputed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rag_lightning.generator import likelihoods
from rag_lightning.generator.trained_part import checkpoint_encoder
from rag_lightning.training.module import fast_attention
from tests.benchmarks.processes import forget_peak, peak_of_tensors, resident
from tests.benchmarks.rag_models import IdsGenerator, generator, reference, rows, seconds

QUESTIONS, K, SOURCE, TARGET = 2, 5, 64, 12
LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "rag_sequence": likelihoods.rag_sequence,
    "rag_token": likelihoods.rag_token,
}


def ours(made: IdsGenerator, formulation: str, asked: Any, scores: Tensor, targets: Tensor) -> Tensor:
    """Mean negative log p(y|x) as the training computes it, without smoothing."""
    gathered = made.token_log_probs([row for rows in asked for row in rows], targets.repeat_interleave(K, 0))
    docs = likelihoods.doc_log_probs(scores)
    return -LOSSES[formulation](gathered.unflatten(0, (-1, K)), docs, targets.ne(made.pad_id)).mean()


def theirs(model: Any, made: IdsGenerator, asked: Any, scores: Tensor, targets: Tensor) -> Tensor:
    """The same of transformers' RAG; its labels begin with the start token."""
    contexts = torch.tensor([row for rows in asked for row in rows])
    start = torch.full((QUESTIONS, 1), made.start_id)
    loss: Tensor = model(
        context_input_ids=contexts,
        context_attention_mask=torch.ones_like(contexts),
        doc_scores=scores,
        labels=torch.cat([start, targets], dim=1),
    ).loss
    return loss.mean()


def main(whose: str, formulation: str, dtype: str, steps: int) -> None:
    """Print seconds of each step, loss, norm of the gradients, memory above model and gradients (resident; tensors)."""
    made = generator("base").train()
    if whose != "transformers":
        fast_attention(made.model, torch.device("cpu"))
    if whose == "checkpointed":
        checkpoint_encoder(made)
    asked = rows(made, QUESTIONS, K, SOURCE)
    draw = torch.Generator().manual_seed(1)
    scores = torch.randn((QUESTIONS, K), generator=draw).requires_grad_()
    targets = torch.randint(3, made.model.config.vocab_size, (QUESTIONS, TARGET), generator=draw)
    targets[:, -1] = made.eos_id
    model = reference(made, formulation, K).train() if whose == "transformers" else None
    for parameter in made.parameters():
        parameter.grad = torch.zeros_like(parameter)
    forget_peak()
    before, found = resident(peak=False), []
    loss = torch.zeros(())

    def step() -> None:
        nonlocal loss
        made.zero_grad(set_to_none=False)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            loss = (
                ours(made, formulation, asked, scores, targets)
                if model is None
                else theirs(model, made, asked, scores, targets)
            )
        loss.backward()  # type: ignore[no-untyped-call]

    for _ in range(steps):
        found.append(seconds(step))
    held = resident(peak=True) - before
    tensors = peak_of_tensors(step)
    if model is not None:  # timed as it comes, compared with the attention that ours trains with
        fast_attention(model.generator, torch.device("cpu"))
        step()
    squares = [p.grad.double().square().sum() for p in made.parameters() if p.grad is not None]
    norm = float(torch.stack(squares).sum().sqrt())
    print(json.dumps({"seconds": found, "loss": float(loss), "norm": norm, "bytes": held, "tensors": tensors}))


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]))
