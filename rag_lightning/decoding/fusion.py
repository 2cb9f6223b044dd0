"""FiD decoding: beam search on p(y_i|x,z_1,...,z_K,y_<i), the decoder attending to all passages of a question together.

Encoder states of a pair are those of RAG, and computed once; those of a question are kept once for all of its beams and
steps, and nothing is projected per beam (generator/bart.py). The search depends on k. What it found is kept by
(encoded pairs, beams, length), and doc_scores play no part. The log-probs are of the text given all passages.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from rag_lightning.core.errors import ConfigError
from rag_lightning.core.files import content_digest
from rag_lightning.decoding.beam import Finished, check_search
from rag_lightning.decoding.encodings import Encodings
from rag_lightning.decoding.pair_store import PairStore
from rag_lightning.decoding.rag_sequence import search_pairs
from rag_lightning.decoding.rag_token import split_pairs, stored_searches
from rag_lightning.generator.fusion import fused_lengths
from rag_lightning.generator.inputs import Pair
from rag_lightning.generator.seq2seq import Seq2SeqGenerator, token_batches
from rag_lightning.generator.steps import Generator


def seq2seq_writer(generator: Generator) -> Seq2SeqGenerator:
    """The generator, if it can read passages together.

    Raises:
        ConfigError: it is decoder-only, or predicts labels.
    """
    if not isinstance(generator, Seq2SeqGenerator):
        raise ConfigError("formulation=fid needs a seq2seq generator; a decoder-only one has no encoder to read with")
    if generator.classes is not None:
        raise ConfigError("formulation=fid writes text, but the generator predicts labels; use generator.head=none")
    return generator


@torch.inference_mode()
def decode(
    encodings: Encodings,
    questions: Sequence[Sequence[Pair]],
    *,
    num_beams: int,
    max_length: int,
    store: PairStore | None = None,
) -> list[list[Finished]]:
    """Decode a batch of questions, as many together as `generator.max_fused_length` allows.

    Args:
        encodings: Encodings of the generator.
        questions: B lists of at least one pair; each may have another number of them.
        num_beams: 1 is greedy.
        max_length: Maximum number of tokens, the end token included.
        store: Stored results of questions; all pairs of a stored question count as reused. None keeps nothing.

    Returns:
        For each question its hypotheses, best first, with log p(y|x,z_1,...,z_K).

    Raises:
        ConfigError: num_beams or max_length below 1, a generator that cannot read passages together, or a question with
            more tokens than fit.
    """
    check_search(num_beams, max_length)
    limit = seq2seq_writer(encodings.generator).config.max_fused_length
    keys, rows = split_pairs(encodings, questions)
    lengths = fused_lengths(rows, limit)

    def search(at: Sequence[int]) -> list[list[Finished]]:
        pools: dict[int, list[Finished]] = {}
        for group in token_batches([lengths[i] for i in at], limit):
            here = [at[n] for n in group]
            memory = encodings.fused([keys[i] for i in here], [rows[i] for i in here])
            pools |= zip(here, search_pairs(encodings, memory, len(here), num_beams, max_length), strict=True)
        return [pools[i] for i in at]

    settings = f"fid {num_beams} {max_length}"
    names = [content_digest(f"{settings} {' '.join(own)}".encode(), 24) for own in keys]
    return stored_searches(names, [len(own) for own in keys], search, store)
