"""Rows of questions in the shapes of other projects, written from a few facts, and what must be read from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rag_lightning.core.records import Example
from rag_lightning.tasks.beir import NO_ANSWERS


@dataclass(frozen=True)
class Fact:
    """A question, its answers, and where they stand."""

    number: int
    question: str
    answers: tuple[str, ...]
    gold: tuple[str, ...]
    titles: tuple[str, ...]


FACTS = (
    Fact(1, 'who wrote "Dracula",\u2028 in 1897?', ("Bram Stoker", 'Abraham "Bram" Stoker'), ("p1",), ("Dracula",)),
    Fact(
        2,
        "[REC] or (500) Days:\x0b which is older",
        ("(500) Days of Summer", "It's O'Neil, café"),
        ("p2", "9"),
        ("Rec", "Films"),
    ),
    Fact(3, "what is 日本 in English\x85?", ("Japan",), ("p3",), ("Japan",)),
)
"""Quotes, brackets, other scripts, and the characters at which `str.splitlines` cuts a line."""
ROW_STORES = ("lines", "list", "columns", "parquet", "stream")
TABLES = ("parquet", "arrow", "stream", "saved")


@dataclass(frozen=True)
class Sample:
    """A format.

    Args:
        name: The layout that it must be recognised as.
        looks: What it looks like, for the page.
        row: A fact as the format writes it.
        gold: What it has of gold: passages, articles, a paragraph or nothing.
        evidence: Where in a row gold stands.
        without: A row that the format leaves without answers, and the reason it is counted under.
        identifies: Whether rows have ids.
        table: A fact as the hub's tables write it, where lists of one type only are possible.
    """

    name: str
    looks: str
    row: Callable[[Fact], dict[str, Any]]
    gold: str = ""
    evidence: str = ""
    without: tuple[dict[str, Any], str] | None = None
    identifies: bool = True
    table: Callable[[Fact], dict[str, Any]] | None = None

    def rows(self, store: str = "lines") -> list[dict[str, Any]]:
        """The facts as a file stores them."""
        write = self.table if self.table and store in TABLES else self.row
        return [write(fact) for fact in FACTS]


def _hotpot(fact: Fact) -> dict[str, Any]:
    facts = [[title, 0] for title in fact.titles]
    return {"_id": str(fact.number), "question": fact.question, "answer": fact.answers[0], "supporting_facts": facts,
            "context": [["Other", ["A sentence."]]], "type": "bridge", "level": "hard"}  # fmt: skip


def _musique(fact: Fact) -> dict[str, Any]:
    used = [{"idx": i, "title": t, "paragraph_text": "x", "is_supporting": True} for i, t in enumerate(fact.titles)]
    other = {"idx": 9, "title": "Other", "paragraph_text": "x", "is_supporting": False}
    return {"id": str(fact.number), "paragraphs": [*used, other], "question": fact.question, "answer": fact.answers[0],
            "answer_aliases": list(fact.answers[1:]), "answerable": True}  # fmt: skip


def _kilt(fact: Fact) -> dict[str, Any]:
    pages = [{"wikipedia_id": "1", "title": title, "start_paragraph_id": 1} for title in fact.titles]
    first = {"answer": fact.answers[0], "provenance": pages}
    return {"id": str(fact.number), "input": fact.question,
            "output": [first, *({"answer": a} for a in fact.answers[1:])], "meta": {"x": 1}}  # fmt: skip


def _ambig(fact: Fact) -> dict[str, Any]:
    pairs = [{"question": f"{fact.question} {i}", "answer": [answer]} for i, answer in enumerate(fact.answers)]
    single = {"type": "singleAnswer", "answer": list(fact.answers)}
    several = {"type": "multipleQAs", "qaPairs": pairs}
    return {"id": str(fact.number), "question": fact.question, "annotations": [several if len(pairs) > 1 else single],
            "nq_answer": list(fact.answers), "nq_doc_title": "X"}  # fmt: skip


def _ambig_columns(fact: Fact) -> dict[str, Any]:
    """As the hub has it: a dictionary of lists in the place of a list of dictionaries, at both levels."""
    (one,) = _ambig(fact)["annotations"]
    pairs = one.get("qaPairs", [])
    turned = {"question": [pair["question"] for pair in pairs], "answer": [pair["answer"] for pair in pairs]}
    columns = {"type": [one["type"]], "answer": [one.get("answer", [])], "qaPairs": [turned]}
    return {"id": str(fact.number), "question": fact.question, "annotations": columns}


def _released_web(fact: Fact) -> dict[str, Any]:
    quoted = [json.dumps(a, ensure_ascii=False) if " " in a or '"' in a else a for a in fact.answers]
    target = f"(list {' '.join(f'(description {answer})' for answer in quoted)})"
    return {"url": "http://www.freebase.com/view/en/x", "targetValue": target, "utterance": fact.question}


def _squad(fact: Fact) -> dict[str, Any]:
    answers = {"text": list(fact.answers), "answer_start": [0] * len(fact.answers)}
    return {"id": str(fact.number), "title": "Some_Title", "context": "A paragraph.", "question": fact.question,
            "answers": answers}  # fmt: skip


def _trivia(fact: Fact) -> dict[str, Any]:
    answer = {"value": fact.answers[0], "aliases": list(fact.answers), "normalized_aliases": []}
    return {
        "question": fact.question,
        "question_id": str(fact.number),
        "answer": answer,
        "search_results": {"url": ["u"]},
    }


def _named(fact: Fact) -> dict[str, Any]:
    return {"question": fact.question, "answers": list(fact.answers)}


def _passages(fact: Fact, name: str) -> list[dict[str, str]]:
    return [{name: identifier, "title": "T", "text": "x"} for identifier in fact.gold]


SAMPLES = (
    Sample("questions", "`question`, `answers` or NQ-open's `answer`, optionally `id`, `gold_passage_id(s)`",
           lambda f: {**_named(f), "id": str(f.number), "gold_passage_ids": list(f.gold)},
           "passages", "gold_passage_ids"),
    Sample("FlashRAG", "`id`, `question`, `golden_answers`, `metadata`",
           lambda f: {"id": str(f.number), "question": f.question, "golden_answers": list(f.answers),
                      "metadata": {"supporting_facts": {"title": list(f.titles), "sent_id": [0] * len(f.titles)}}},
           "articles", "metadata.supporting_facts.title",
           ({"id": "0", "question": "who?", "golden_answers": [], "metadata": {}}, "no golden answers")),
    Sample("KILT", "`id`, `input`, `output` with `answer` and `provenance`", _kilt, "articles", "output.provenance",
           ({"id": "0", "input": "who?", "output": [{"provenance": []}], "meta": {}}, "no output with an answer")),
    Sample("HotpotQA or 2WikiMultihopQA", "`_id` or `id`, `question`, `answer`, `supporting_facts`", _hotpot,
           "articles", "supporting_facts",
           table=lambda f: {**_hotpot(f), "context": {"title": ["Other"], "sentences": [["A sentence."]]},
                            "supporting_facts": {"title": list(f.titles), "sent_id": [0] * len(f.titles)}}),
    Sample("MuSiQue", "`id`, `question`, `answer`, `answer_aliases`, `paragraphs`", _musique, "articles",
           "paragraphs.is_supporting",
           ({**_musique(FACTS[0]), "id": "0", "answerable": False}, "answerable: false")),
    Sample("PopQA", "`id`, `subj`, `prop`, `question`, `possible_answers`; TSV as released",
           lambda f: {"id": str(f.number), "subj": "X", "prop": "author", "question": f.question,
                      "possible_answers": json.dumps(f.answers)}),
    Sample("Tevatron", "`query_id`, `query`, `positive_passages`, `answers`",
           lambda f: {"query_id": str(f.number), "query": f.question, "answers": list(f.answers),
                      "positive_passages": _passages(f, "docid"), "negative_passages": []}, "passages",
           "positive_passages",
           ({"query_id": "0", "query": "who?", "answers": [], "positive_passages": []}, "no answers")),
    Sample("DPR training", "`question`, `answers`, `positive_ctxs`, `hard_negative_ctxs`",
           lambda f: {**_named(f), "positive_ctxs": _passages(f, "passage_id"), "hard_negative_ctxs": []}, "passages",
           "positive_ctxs",
           identifies=False),
    Sample("FiD or DPR with ctxs", "`question`, `answers`, `ctxs`, optionally `id`",
           lambda f: {**_named(f), "id": str(f.number), "ctxs": [{"id": "5", "title": "T", "text": "x"}]}),
    Sample("AmbigQA", "`id`, `question`, `annotations`; every reading's answers are right", _ambig,
           table=_ambig_columns),
    Sample("SQuAD rows", "`id`, `title`, `context`, `question`, `answers` with `text`, as on the hub", _squad,
           "paragraph", "context",
           ({**_squad(FACTS[0]), "id": "0", "answers": {"text": [], "answer_start": []}}, "is_impossible")),
    Sample("TriviaQA rows", "`question`, `question_id`, `answer` with `value` and `aliases`, as on the hub", _trivia),
    Sample("WebQuestions as released", "`utterance`, `targetValue`", _released_web, identifies=False),
    Sample("WebQuestions", "`qText`, `answers`, optionally `qId`",
           lambda f: {"qId": str(f.number), "qText": f.question, "answers": list(f.answers)}),
    Sample("BEIR queries", "`_id`, `text`, and `answers` there or in `metadata`; `qrels/SPLIT.tsv` adds gold",
           lambda f: {"_id": str(f.number), "text": f.question, "metadata": {"answers": list(f.answers)}},
           without=({"_id": "0", "text": "who?", "metadata": {}}, NO_ANSWERS)),
)  # fmt: skip


def check(sample: Sample, examples: Sequence[Example]) -> None:
    """Compare what was read with the facts themselves."""
    assert [e.query for e in examples] == [fact.question for fact in FACTS]
    for example, fact in zip(examples, FACTS, strict=True):
        one = sample.name.startswith("Hotpot")
        assert example.answers == (fact.answers[:1] if one else fact.answers)
        assert example.gold_passage_ids == (fact.gold if sample.gold == "passages" else ())
        together = ("|".join(sorted(fact.titles)),) if sample.gold == "articles" else ()
        assert example.gold_titles == together
        if sample.identifies:
            assert example.example_id == str(fact.number)
