"""Rows of questions as other projects write them; each is told by the names and types of its fields.

Formats: FlashRAG (https://github.com/RUC-NLPIR/FlashRAG), KILT (https://github.com/facebookresearch/KILT), HotpotQA and
2WikiMultihopQA (https://hotpotqa.github.io), MuSiQue (https://github.com/StonyBrookNLP/musique), PopQA
(https://github.com/AlexTMallen/adaptive-retrieval), FiD and DPR (https://github.com/facebookresearch/FiD, …/DPR),
Tevatron (https://github.com/texttron/tevatron), WebQuestions as released (https://nlp.stanford.edu/software/sempre),
AmbigQA (https://github.com/shmsw25/AmbigQA), SQuAD and TriviaQA as rows (the hub's).

A row that a format leaves without answer on purpose is dropped and counted; a fault is an error that names the row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rag_lightning.core.errors import DataError
from rag_lightning.tasks.examples import (
    Dropped,
    RawExample,
    Row,
    answer_list,
    gold_ids,
    objects,
    own_id,
    question_text,
    title_sets,
)
from rag_lightning.tasks.layout import ParseRow, rows

Values = Mapping[str, Any]
HIDDEN = "files of a hidden test hold no answers; use a dev file"
IMPOSSIBLE = "is_impossible"
_DESCRIPTION = r'\(description (?:"((?:[^"\\]|\\.)*)"|([^)"]+))\)'
_TARGET = re.compile(rf"\(list(?: {_DESCRIPTION})*\)")
_LIKE = re.compile(_DESCRIPTION)


def question_row(path: Path, row: int, values: Values) -> RawExample:
    """`question`, `answer` or `answers`, and optionally `id` and gold passage ids.

    Raises:
        DataError: a field is missing or of a wrong type.
    """
    name = "answers" if "answers" in values else "answer"
    question = question_text(path, row, "question", values.get("question"))
    answers = answer_list(path, row, name, values.get(name))
    return RawExample(row, question, answers, gold_ids(path, row, values), own_id(path, row, values))


def web_row(path: Path, row: int, values: Values) -> RawExample:
    """`qText`, `answers`, and optionally `qId`.

    Raises:
        DataError: a field is missing or of a wrong type.
    """
    question = question_text(path, row, "qText", values.get("qText"))
    answers = answer_list(path, row, "answers", values.get("answers"))
    return RawExample(row, question, answers, own_id=own_id(path, row, values, "qId"), id_field="qId")


def released_web_row(path: Path, row: int, values: Values) -> RawExample:
    """`utterance` and `targetValue`: `(list (description "Jamaican English") (description Spanish))`.

    Raises:
        DataError: a field is missing or of a wrong type.
    """
    question = question_text(path, row, "utterance", values.get("utterance"))
    target = values.get("targetValue")
    if not isinstance(target, str) or not _TARGET.fullmatch(target.strip()):
        hint = 'expected (list (description "…") …)'
        raise DataError(path, "holds no list of answers", row=row, field="targetValue", value=target, hint=hint)
    found = [re.sub(r"\\(.)", r"\1", quoted) if quoted else plain for quoted, plain in _LIKE.findall(target)]
    return RawExample(row, question, answer_list(path, row, "targetValue", found))


def flashrag_row(path: Path, row: int, values: Values) -> Row:
    """`id, question, golden_answers, metadata`; supporting facts of the metadata name gold articles.

    Raises:
        DataError: a field is missing or of a wrong type.
    """
    question = question_text(path, row, "question", values.get("question"))
    if values.get("golden_answers") in (None, []):
        return Dropped(row, "no golden answers")
    answers = answer_list(path, row, "golden_answers", values.get("golden_answers"))
    metadata = values.get("metadata")
    titles = _supporting(path, row, metadata) if isinstance(metadata, dict) else ()
    return RawExample(row, question, answers, own_id=own_id(path, row, values), titles=titles)


def kilt_row(path: Path, row: int, values: Values) -> Row:
    """`id, input, output`: the answers of all outputs; the pages of one output's provenance are evidence together.

    Raises:
        DataError: a field is missing or of a wrong type.
    """
    question = question_text(path, row, "input", values.get("input"))
    outputs = objects(path, row, "output", values.get("output"))
    given = [output["answer"] for output in outputs if output.get("answer") is not None]
    if not given:
        return Dropped(row, "no output with an answer")
    answers = answer_list(path, row, "output.answer", given)
    found = [objects(path, row, "output.provenance", output.get("provenance") or []) for output in outputs]
    titles = title_sets([page.get("title", page.get("wikipedia_title")) for page in pages] for pages in found)
    return RawExample(row, question, answers, own_id=own_id(path, row, values), titles=titles)


def hotpot_row(path: Path, row: int, values: Values) -> Row:
    """`_id` (or `id`), `question`, `answer`, `supporting_facts`, whose articles are evidence together.

    Raises:
        DataError: a field is missing or of a wrong type.
    """
    question = question_text(path, row, "question", values.get("question"))
    answers = _shown(path, row, "answer", values.get("answer"))
    name = "_id" if "_id" in values else "id"
    titles = _supporting(path, row, values)
    kinds = {name: str(values[name]) for name in ("type", "level") if isinstance(values.get(name), str)}
    return RawExample(
        row, question, answers, own_id=own_id(path, row, values, name), id_field=name, titles=titles, tags=kinds
    )


def musique_row(path: Path, row: int, values: Values) -> Row:
    """`id, question, answer, answer_aliases, answerable, paragraphs`; the supporting paragraphs are evidence together.

    Raises:
        DataError: a field is missing or of a wrong type.
    """
    question = question_text(path, row, "question", values.get("question"))
    if values.get("answerable") is False:
        return Dropped(row, "answerable: false")
    aliases = values.get("answer_aliases") or []
    answer = _shown(path, row, "answer", values.get("answer"))
    answers = answer_list(path, row, "answer_aliases", [*answer, *aliases] if isinstance(aliases, list) else aliases)
    used = [
        one.get("title")
        for one in objects(path, row, "paragraphs", values.get("paragraphs"))
        if one.get("is_supporting")
    ]
    return RawExample(row, question, answers, own_id=own_id(path, row, values), titles=title_sets([used]))


def popqa_row(path: Path, row: int, values: Values) -> RawExample:
    """`id, question, possible_answers` (a JSON list in a cell), `subj`, `prop`.

    Raises:
        DataError: a field is missing or of a wrong type.
    """
    question = question_text(path, row, "question", values.get("question"))
    answers = answer_list(path, row, "possible_answers", values.get("possible_answers"))
    tags = {"relation": str(values["prop"])} if values.get("prop") else {}
    entity = str(values.get("subj") or "")
    return RawExample(row, question, answers, own_id=own_id(path, row, values), entity=entity, tags=tags)


def tevatron_row(path: Path, row: int, values: Values) -> Row:
    """`query_id, query, positive_passages`, whose `docid`s are gold, and `answers`, which not all its sets have.

    Raises:
        DataError: a field is missing or of a wrong type.
    """
    question = question_text(path, row, "query", values.get("query"))
    gold = _ids(path, row, "positive_passages", values.get("positive_passages"), ("docid",))
    answered = bool(values.get("answers"))
    answers = answer_list(path, row, "answers", values["answers"]) if answered else ()
    made = RawExample(row, question, answers, gold, own_id(path, row, values, "query_id"), id_field="query_id")
    return made if answered else Dropped(row, "no answers", unanswered=made)


def biencoder_row(path: Path, row: int, values: Values) -> RawExample:
    """DPR's training data: `question, answers, positive_ctxs`, whose `passage_id` or `psg_id` are gold.

    Raises:
        DataError: a field is missing or of a wrong type.
    """
    made = question_row(path, row, values)
    gold = _ids(path, row, "positive_ctxs", values.get("positive_ctxs"), ("passage_id", "psg_id"))
    return RawExample(row, made.question, made.answers, made.gold or gold, made.own_id)


def ambig_row(path: Path, row: int, values: Values) -> RawExample:
    """`id, question, annotations`: every answer to every reading of the question is right.

    Raises:
        DataError: a field is missing or of a wrong type.
    """
    question = question_text(path, row, "question", values.get("question"))
    found: list[Any] = []
    several = False
    for annotation in objects(path, row, "annotations", values.get("annotations")):
        pairs = objects(path, row, "annotations.qaPairs", annotation.get("qaPairs") or [])
        several |= bool(pairs)
        for one in pairs or [annotation]:
            found += answer_list(path, row, "annotations.answer", one.get("answer"))
    tags = {"readings": "several" if several else "one"}
    answers = answer_list(path, row, "annotations", found)
    return RawExample(row, question, answers, own_id=own_id(path, row, values), tags=tags)


def squad_row(path: Path, row: int, values: Values) -> Row:
    """`id, title, context, question, answers` with `text` in it, as the hub has SQuAD; without answers: impossible.

    Raises:
        DataError: a field is missing or of a wrong type.
    """
    question = question_text(path, row, "question", values.get("question"))
    answers = values.get("answers")
    texts = answers.get("text") if isinstance(answers, dict) else None
    if texts == []:
        return Dropped(row, IMPOSSIBLE)
    found = answer_list(path, row, "answers.text", texts)
    title = str(values.get("title") or "").replace("_", " ")
    paragraph = question_text(path, row, "context", values.get("context"))
    return RawExample(row, question, found, own_id=own_id(path, row, values), entity=title, paragraph=paragraph)


def _shown(path: Path, row: int, field: str, value: Any) -> tuple[str, ...]:
    if value is None:
        raise DataError(path, "is missing", row=row, field=field, hint=HIDDEN)
    return answer_list(path, row, field, value)


def _supporting(path: Path, row: int, values: Values) -> tuple[str, ...]:
    """The articles of `supporting_facts`: pairs of title and sentence, or as the hub has them, lists of each."""
    facts = values.get("supporting_facts") or []
    titles = facts.get("title") if isinstance(facts, dict) else facts
    if isinstance(facts, list) and all(isinstance(fact, list) and fact for fact in facts):
        titles = [fact[0] for fact in facts]
    if not isinstance(titles, list) or not all(isinstance(title, str) for title in titles):
        problem = "must be pairs of title and sentence"
        raise DataError(path, problem, row=row, field="supporting_facts", value=facts)
    return title_sets([titles])


def _ids(path: Path, row: int, field: str, value: Any, names: Sequence[str]) -> tuple[str, ...]:
    """The ids of passages; those without one are passed over, as DPR's own files have some."""
    found = []
    for passage in objects(path, row, field, value if value is not None else []):
        name = next((name for name in names if passage.get(name) is not None), names[0])
        found.append(own_id(path, row, passage, name))
    return tuple(dict.fromkeys(filter(None, found)))


def named_row(columns: Mapping[str, str], labels: Iterable[str] = ()) -> ParseRow:
    """A reader of rows whose columns `task.columns` names: query and answers, and optionally id and gold_passage_ids.

    Args:
        columns: Our name -> the column of the file.
        labels: Labels of a task of classification; an answer is one of them, in any case.
    """
    known = {label.casefold(): label for label in labels}

    def parse(path: Path, row: int, values: Values) -> RawExample:
        given = {}
        for ours, column in columns.items():
            # the names of a header are read without case
            name = column if column in values else column.lower()
            if name not in values:
                raise DataError(path, "is missing", row=row, field=column, hint=f"task.columns names it for {ours}")
            given[ours] = values[name]
        query = question_text(path, row, columns["query"], given["query"])
        answers = answer_list(path, row, columns["answers"], given["answers"])
        for answer in answers if known else ():
            if answer.casefold() not in known:
                hint = f"one of {', '.join(known.values())}"
                raise DataError(path, "is no label", row=row, field=columns["answers"], value=answer, hint=hint)
        found = tuple(known.get(answer.casefold(), answer) for answer in answers)
        gold, identifier = gold_ids(path, row, given), own_id(path, row, given)
        return RawExample(row, query, found, gold, identifier, id_field=columns.get("id", "id"))

    return parse


PLAIN = rows("questions", {"question": str}, question_row)
FLASHRAG = rows("FlashRAG", {"question": str, "golden_answers": object}, flashrag_row)
QUESTION_ROWS = (
    FLASHRAG,
    rows("KILT", {"input": str, "output": list}, kilt_row),
    rows("HotpotQA or 2WikiMultihopQA", {"question": str, "answer": str, "supporting_facts": (list, dict)}, hotpot_row),
    rows("MuSiQue", {"question": str, "answer": str, "paragraphs": list}, musique_row),
    rows("PopQA", {"question": str, "possible_answers": (str, list)}, popqa_row),
    rows("Tevatron", {"query": str, "positive_passages": list}, tevatron_row),
    rows("DPR training", {"question": str, "answers": list, "positive_ctxs": list}, biencoder_row),
    rows("FiD or DPR with ctxs", {"question": str, "answers": list, "ctxs": list}, question_row),
    rows("AmbigQA", {"question": str, "annotations": (list, dict)}, ambig_row),
    rows("SQuAD rows", {"question": str, "context": str, "answers": dict}, squad_row),
    rows("WebQuestions as released", {"utterance": str, "targetValue": str}, released_web_row),
    rows("WebQuestions", {"qText": str, "answers": list}, web_row),
)
"""The more fields a layout needs, the earlier it stands, PLAIN last: of layouts that fit alike the first is taken."""
