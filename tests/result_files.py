"""Result files as other toolkits write them, each with the results that json or a split of its lines finds."""

from __future__ import annotations

from pathlib import Path

from tests.document_files import Written, stored

QUESTIONS = ("who is it", "what is it")
DOCUMENTS = [{"id": "1", "contents": '"Title"\nthe text'}, {"id": "2", "contents": "no title"}]
CONTEXTS = [{"id": "wiki:1", "title": "T", "text": "words", "score": "78.1", "has_answer": False}]
OURS = [{"example_id": f"q{i}", "text": "an answer", "raw_text": "an answer", "log_prob": -1.0} for i in range(2)]
FLASHRAG = [
    {"id": f"q{i}", "question": text, "golden_answers": ["x"], "output": {"pred": "x", "retrieval_result": DOCUMENTS}}
    for i, text in enumerate(QUESTIONS)
]
DPR = [{"question": text, "answers": ["x"], "ctxs": CONTEXTS} for text in QUESTIONS]
KILT = [
    {"id": f"q{i}", "input": text, "output": [{"answer": "x", "provenance": [{"wikipedia_id": "12"}]}]}
    for i, text in enumerate(QUESTIONS)
]
TREC_RAG = [
    {"run_id": "r", "topic_id": i, "topic": text, "references": ["a#1"], "response_length": 1,
     "answer": [{"text": "Yes.", "citations": [0]}]}
    for i, text in enumerate(QUESTIONS)
]  # fmt: skip


def trec(folder: Path) -> list[Written]:
    path = folder / "run.trec"
    path.write_text("q1 Q0 a 1 2.0 t\nq1 Q0 b 2 1.0 t\nq2 Q0 a 1 1.0 t\n")
    queries = dict.fromkeys(line.split()[0] for line in path.read_text().splitlines())
    return [(path, [{"query-id": query} for query in queries], 0)]


RESULTS = {
    "ours": stored(OURS, ("lines",)),
    "trec": trec,
    "trec_rag": stored(TREC_RAG, ("lines",)),
    "dpr": stored(DPR, ("list", "lines")),
    "kilt": stored(KILT, ("lines",)),
    "flashrag": stored(FLASHRAG, ("list", "lines")),
}
"""Format, by its name in the registry -> writes its files."""
LOOKS = {
    "ours": "`predictions.jsonl`: `example_id` (or `id`), `text`",
    "trec": "`query-id Q0 passage-id rank score tag`",
    "trec_rag": "`topic_id`, `references`, `answer` with `text` and `citations`",
    "dpr": "`question`, `answers`, `ctxs` with `id`, `title`, `text`, `score`",
    "kilt": "`id`, `input`, one `output` with `answer` and `provenance`",
    "flashrag": "`id`, `question`, `golden_answers`, `output` with `pred` and `retrieval_result`",
}
