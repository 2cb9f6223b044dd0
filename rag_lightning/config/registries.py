"""The registries of all kinds by name. To add a kind, write its file and add a line here."""

from __future__ import annotations

from rag_lightning.core.registry import Registry

INDEX_KINDS = Registry(
    "index kind",
    {
        "flat": "rag_lightning.index.flat:Flat",
        "sq8": "rag_lightning.index.codes:SQ8",
        "sqfp16": "rag_lightning.index.codes:SQFP16",
        "hnsw": "rag_lightning.index.hnsw:HNSW",
        "hnsw_sq8": "rag_lightning.index.hnsw:HNSWSQ8",
        "ivf_flat": "rag_lightning.index.ivf:IVFFlat",
        "ivf_sq8": "rag_lightning.index.ivf:IVFSQ8",
        "ivf_pq": "rag_lightning.index.ivf:IVFPQ",
        "opq_ivf_pq": "rag_lightning.index.ivf:OPQIVFPQ",
        "ivf_rabitq": "rag_lightning.index.ivf:IVFRaBitQ",
        "pq_fastscan": "rag_lightning.index.codes:PQFastScan",
        "factory": "rag_lightning.index.codes:Factory",
        "milvus": "rag_lightning.index.milvus:Milvus",
    },
)

RETRIEVERS = Registry(
    "retriever",
    {
        "dense": "rag_lightning.retrieval.retriever:Dense",
        "bm25": "rag_lightning.retrieval.bm25:BM25",
        "hybrid": "rag_lightning.retrieval.hybrid:Hybrid",
        "reranked": "rag_lightning.retrieval.reranked:Reranked",
        "oracle": "rag_lightning.retrieval.questions:Oracle",
        "random": "rag_lightning.retrieval.questions:Random",
        "given": "rag_lightning.retrieval.given:Given",
        "vectors": "rag_lightning.retrieval.query_vectors:Vectors",
        "none": "rag_lightning.retrieval.retriever:Nothing",
    },
)

DECODINGS = Registry(
    "decoding",
    {
        "greedy": "rag_lightning.decoding.token_search:Greedy",
        "beam": "rag_lightning.decoding.token_search:Beam",
        "thorough": "rag_lightning.decoding.sequence_search:Thorough",
        "fast": "rag_lightning.decoding.sequence_search:Fast",
        "thorough_served": "rag_lightning.decoding.served:ThoroughServed",
        "fast_served": "rag_lightning.decoding.served:FastServed",
        "first_entity": "rag_lightning.decoding.first_entity:FirstEntity",
        "classify": "rag_lightning.decoding.classify:Classify",
        "most_common": "rag_lightning.decoding.trivial:MostCommon",
        "most_common_by_type": "rag_lightning.decoding.trivial:MostCommonByType",
        "nearest_question": "rag_lightning.decoding.trivial:NearestQuestion",
        "knn_vote": "rag_lightning.decoding.trivial:KNNVote",
    },
)

METRICS = Registry(
    "metric",
    {
        "em": "rag_lightning.metrics.answers:EM",
        "em_kilt": "rag_lightning.metrics.em:EM_KILT",
        "em_lm_eval": "rag_lightning.metrics.em:EM_LM_EVAL",
        "em_contains": "rag_lightning.metrics.em:EM_CONTAINS",
        "em_regex": "rag_lightning.metrics.patterns:EM_REGEX",
        "em_unanswerable": "rag_lightning.metrics.retrieval:EM_UNANSWERABLE",
        "f1": "rag_lightning.metrics.answers:F1",
        "em_char": "rag_lightning.metrics.characters:EM_CHAR",
        "f1_char": "rag_lightning.metrics.characters:F1_CHAR",
        "bleu1": "rag_lightning.metrics.bleu:BLEU1",
        "bleu1_sentence": "rag_lightning.metrics.bleu:BLEU1_SENTENCE",
        "bleu1_msmarco": "rag_lightning.metrics.bleu:BLEU1_MSMARCO",
        "rouge_l": "rag_lightning.metrics.rouge:ROUGE_L",
        "rouge_l_msmarco": "rag_lightning.metrics.rouge:ROUGE_L_MSMARCO",
        "q_bleu1": "rag_lightning.metrics.qbleu:Q_BLEU1",
        "q_bleu1_2018": "rag_lightning.metrics.qbleu:Q_BLEU1_2018",
        "q_bleu1_uncased": "rag_lightning.metrics.qbleu:Q_BLEU1_UNCASED",
        "distinct_trigrams": "rag_lightning.metrics.diversity:DISTINCT_TRIGRAMS",
        "label_accuracy": "rag_lightning.metrics.labels:LABEL_ACCURACY",
        "answer_recall": "rag_lightning.metrics.retrieval:ANSWER_RECALL",
        "answer_precision": "rag_lightning.metrics.retrieval:ANSWER_PRECISION",
        "gold_recall": "rag_lightning.metrics.retrieval:GOLD_RECALL",
        "gold_title": "rag_lightning.metrics.pages:GOLD_TITLE",
        "page_r_precision": "rag_lightning.metrics.pages:PAGE_R_PRECISION",
        "success": "rag_lightning.metrics.pages:SUCCESS",
        "kilt_em": "rag_lightning.metrics.pages:KILT_EM",
        "kilt_f1": "rag_lightning.metrics.pages:KILT_F1",
        "kilt_accuracy": "rag_lightning.metrics.pages:KILT_ACCURACY",
        "mrr": "rag_lightning.metrics.retrieval:MRR",
    },
)
"""Each is a Metric, a CorpusMetric, or a Family, whose names have a cut-off (`answer_recall@5`)."""

TASKS = Registry(
    "task",
    {
        "nq": "rag_lightning.tasks.open_qa:NATURAL_QUESTIONS",
        "triviaqa": "rag_lightning.tasks.open_qa:TRIVIA_QA",
        "webquestions": "rag_lightning.tasks.open_qa:WEB_QUESTIONS",
        "curatedtrec": "rag_lightning.tasks.curatedtrec:CURATED_TREC",
        "msmarco": "rag_lightning.tasks.abstractive_qa:MS_MARCO",
        "jeopardy": "rag_lightning.tasks.jeopardy:JEOPARDY",
        "fever3": "rag_lightning.tasks.fever:FEVER3",
        "fever2": "rag_lightning.tasks.fever:FEVER2",
    },
)

CORPUS_LAYOUTS = Registry(
    "corpus layout",
    {
        "wikipedia": "rag_lightning.corpus.wikipedia:WIKIPEDIA",
        "kilt": "rag_lightning.corpus.layouts:KILT",
        "msmarco_segments": "rag_lightning.corpus.layouts:MSMARCO",
        "flashrag": "rag_lightning.corpus.layouts:FLASHRAG",
        "atlas": "rag_lightning.corpus.layouts:ATLAS",
        "dpr": "rag_lightning.corpus.layouts:DPR",
        "beir": "rag_lightning.corpus.layouts:BEIR",
        "tevatron": "rag_lightning.corpus.layouts:TEVATRON",
        "no_id": "rag_lightning.corpus.layouts:NO_ID",
    },
)
"""Each is a CorpusLayout; the first that fits a file is taken."""

REGISTRIES = {
    "tasks": TASKS,
    "retrievers": RETRIEVERS,
    "index kinds": INDEX_KINDS,
    "decodings": DECODINGS,
    "metrics": METRICS,
    "corpus layouts": CORPUS_LAYOUTS,
}
"""Plural name of the kinds -> their registry, for tables."""
