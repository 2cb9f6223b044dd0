"""Classification: p(c|x) = sum_z p(z|x) p(c|x,z) over the labels of a task (paper section 3.4, appendix E).

log p(c|x,z) is one number per (claim, passage, class), and depends on neither k nor the retriever: it is kept like the
scores of hypotheses, and every k is read from a prefix.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rag_lightning.core.errors import ConfigError
from rag_lightning.core.files import content_digest
from rag_lightning.core.records import Hypothesis
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.generator.heads import Classes, ClassHead, LabelTokens
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.likelihoods import rag_class
from rag_lightning.generator.seq2seq import Seq2SeqGenerator
from rag_lightning.generator.steps import Cache, Memory


@torch.inference_mode()
def class_log_probs(encodings: Encodings, questions: Sequence[Sequence[Pair]], store: PairStore) -> list[Tensor]:
    """log p(c|x,z) [K, C] of each question's K pairs, on the host; those in the store are not computed again.

    Raises:
        ConfigError: the generator has no labels.
    """
    classes = _classes(encodings)
    pairs = [pair for listed in questions for pair in listed]
    keys, rows = encodings.keys(pairs)
    names = keys if isinstance(classes, LabelTokens) else [_with_claim(k, p) for k, p in zip(keys, pairs, strict=True)]
    known = store.scores(names)
    missing = {name: i for i, name in enumerate(names) if any(c not in known[name] for c in classes.candidates)}
    store.count(generated=len(missing), reused=len(known) - len(missing))
    if missing:
        memory = encodings.memory([keys[i] for i in missing.values()], [rows[i] for i in missing.values()])
        fresh = _score(encodings, classes, memory, [pairs[i].query for i in missing.values()])
        for name, values in zip(missing, fresh.tolist(), strict=True):
            known[name] = dict(zip(classes.candidates, values, strict=True))
            store.add_scores(name, known[name])
        store.commit()
    whole = torch.tensor([[known[name][c] for c in classes.candidates] for name in names], device="cpu")
    return list(torch.split(whole, [len(listed) for listed in questions]))


def decode(encodings: Encodings, log_probs: Tensor, doc_log_probs: Tensor) -> list[Hypothesis]:
    """Every label with log p(c|x) over the labels, the most probable first, equal ones in the task's order.

    The vocabulary's other tokens share in p(c|x,z) of a label token; they are left out after the marginal.

    Args:
        encodings: Encodings of a generator with label tokens or a class head.
        log_probs: [K', C] of at least K passages.
        doc_log_probs: [K], normalised over these K.
    """
    classes = _classes(encodings)
    kept = log_probs[: len(doc_log_probs)]
    scores = torch.log_softmax(rag_class(kept.unsqueeze(0), doc_log_probs.unsqueeze(0))[0], dim=-1).tolist()
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    ids = classes.token_ids if isinstance(classes, LabelTokens) else None
    each = kept.T.tolist()
    return [Hypothesis(classes.labels[i], scores[i], (ids[i],) if ids else (), tuple(each[i])) for i in order]


def _classes(encodings: Encodings) -> Classes:
    if encodings.generator.classes is None:
        raise ConfigError("the generator says no labels; set generator.head to label_token or class_head")
    return encodings.generator.classes


def _score(encodings: Encodings, classes: Classes, memory: Memory, queries: Sequence[str]) -> Tensor:
    """[P, C] of P pairs and their queries."""
    if not isinstance(classes, ClassHead):
        start = torch.full((memory.pairs, 1), encodings.generator.start_id, device=encodings.device)
        states, _ = encodings.steps.step(start, memory, Cache([], []))
        return encodings.steps.vocabulary.of(states[:, 0], classes.token_ids)
    if not isinstance(encodings.generator, Seq2SeqGenerator):
        raise ConfigError("a class head reads the decoder of a seq2seq generator; this one has none")
    inputs, last = encodings.generator.claim_inputs(queries, encodings.device)
    states = encodings.steps.states(inputs.unsqueeze(1), memory)[:, 0]
    log_probs: Tensor = classes(states[torch.arange(len(last), device=last.device), last])
    return log_probs


def _with_claim(key: str, pair: Pair) -> str:
    """The decoder reads the claim too, which a template may have cut from the input ids."""
    return f"{key}-{content_digest(pair.query, 12)}"
