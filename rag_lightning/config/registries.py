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

RETRIEVERS = Registry(
    "retriever",
    {
        "dense": "rag_lightning.retrieval.retriever:Dense",
        "bm25": "rag_lightning.retrieval.bm25:BM25",
        "oracle": "rag_lightning.retrieval.questions:Oracle",
        "random": "rag_lightning.retrieval.questions:Random",
        "none": "rag_lightning.retrieval.retriever:Nothing",
    },
)
