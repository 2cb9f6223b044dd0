"""All kinds there are, by name: to add one, write its file and its line here."""

from __future__ import annotations

from rag_lightning.core.registry import Registry

INDEX_KINDS = Registry(
    "index kind",
    {
        "flat": "rag_lightning.index.flat:Flat",
        "hnsw": "rag_lightning.index.hnsw:HNSW",
        "ivf_flat": "rag_lightning.index.ivf:IVFFlat",
        "ivf_pq": "rag_lightning.index.ivf:IVFPQ",
        "sq8": "rag_lightning.index.flat:SQ8",
    },
)

DECODINGS = Registry(
    "decoding strategy",
    {
        "greedy": "rag_lightning.decoding.token_search:Greedy",
        "beam": "rag_lightning.decoding.token_search:Beam",
        "thorough": "rag_lightning.decoding.sequence_search:Thorough",
        "fast": "rag_lightning.decoding.sequence_search:Fast",
        "first_entity": "rag_lightning.decoding.first_entity:FirstEntity",
        "classify": "rag_lightning.decoding.classify:Classify",
    },
)
