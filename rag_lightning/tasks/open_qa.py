"""Open-domain question answering: Natural Questions, TriviaQA and WebQuestions, whose formats overlap.

- DPR csv: `question \\t ['answer', …]`, a Python list, no header (https://github.com/facebookresearch/DPR)
- SQuAD JSON (https://arxiv.org/abs/1606.05250; v2.0 https://arxiv.org/abs/1806.03822), articles, paragraphs, questions
- TriviaQA JSON (https://aclanthology.org/P17-1147), and its columns on the hub. All aliases are answers, the value
  first. Normalised aliases are added only where no alias normalises to them, so that targets stay readable and EM sees
  the same set.
- rows of many projects (`qa_layouts.py`), and queries with judgements (`beir.py`)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from rag_lightning.core.errors import DataError
from rag_lightning.core.files import read_json
from rag_lightning.core.separated import read_tsv
from rag_lightning.metrics.tokens import normalize_answer
from rag_lightning.tasks.beir import BEIR_LAYOUTS
from rag_lightning.tasks.examples import (
    Dropped,
    RawExample,
    Row,
    answer_list,
    objects,
    own_id,
    question_text,
    written_list,
)
from rag_lightning.tasks.hub import HubSource, by_row
from rag_lightning.tasks.layout import Layout, rows
from rag_lightning.tasks.qa_layouts import HIDDEN, IMPOSSIBLE, PLAIN, QUESTION_ROWS, question_row
from rag_lightning.tasks.spec import TaskSpec

DPR_HINT = "expected question, tab, ['answer', …]; JSON files start with { or ["


def read_dpr(path: Path) -> Iterator[RawExample]:
    """Every question with its answers; cells may be quoted as csv quotes them, answers as Python does.

    Raises:
        DataError: a row that has not two cells, no question, or no list of answers.
    """
    for row, fields in read_tsv(path, DPR_HINT):
        if len(fields) != 2:
            raise DataError(path, f"has {len(fields)} fields instead of 2", row=row, value=fields[0], hint=DPR_HINT)
        question = question_text(path, row, "question", fields[0])
        yield RawExample(
            row, question, answer_list(path, row, "answers", written_list(path, row, "answers", fields[1]))
        )


def read_squad(path: Path) -> Iterator[Row]:
    """Every question, with its article's title as entity and its paragraph; rows count questions from 1.

    Those of v2.0 that are impossible are dropped.

    Raises:
        DataError: a part of the layout is missing or of another type.
    """
    row = 0
    for article in _list(path, 1, read_json(path), "data"):
        title = _title(article)
        for paragraph in _list(path, row + 1, article, "paragraphs"):
            text = question_text(path, row + 1, "context", paragraph.get("context"))
            for item in _list(path, row + 1, paragraph, "qas"):
                row += 1
                yield _question(path, row, item, title, text)


def _question(path: Path, row: int, item: dict[str, Any], title: str, paragraph: str) -> Row:
    question = question_text(path, row, "question", item.get("question"))
    if item.get("is_impossible") is True:
        return Dropped(row, IMPOSSIBLE)
    texts = [answer.get("text") for answer in _list(path, row, item, "answers")]
    answers = answer_list(path, row, "answers", texts)
    return RawExample(row, question, answers, own_id=str(item.get("id", "")), entity=title, paragraph=paragraph)


def _title(article: dict[str, Any]) -> str:
    """`Saint_Barth%C3%A9lemy` -> `Saint Barthélemy`."""
    return unquote(str(article.get("title", ""))).replace("_", " ")


def _list(path: Path, row: int, holder: Any, field: str) -> list[dict[str, Any]]:
    value = holder.get(field) if isinstance(holder, dict) else None
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise DataError(path, "must be a list of objects, as in SQuAD", row=row, field=field, value=value)
    return value


HUB_COLUMNS = ("question", "question_id", "answer")


def read_trivia(path: Path) -> Iterator[RawExample]:
    """Every question of a file such as `wikipedia-dev.json`; tagged with the file's `Domain` as evidence.

    Raises:
        DataError: a part of the layout is missing or of another type, or the answers are hidden.
    """
    document = read_json(path)
    domain = str(document.get("Domain", "")).lower() if isinstance(document, dict) else ""
    items = objects(path, 1, "Data", document.get("Data") if isinstance(document, dict) else None)
    for row, item in enumerate(items, 1):
        question = question_text(path, row, "Question", item.get("Question"))
        answers = _answers(path, row, "Answer", item.get("Answer"), ("Value", "Aliases", "NormalizedAliases"))
        identifier = own_id(path, row, item, "QuestionId")
        tags = {"evidence": domain} if domain else {}
        yield RawExample(row, question, answers, own_id=identifier, id_field="QuestionId", tags=tags)


def trivia_row(path: Path, row: int, values: Mapping[str, Any]) -> RawExample:
    """A row of the hub's `trivia_qa`: `question, question_id, answer` with `value` and aliases.

    Raises:
        DataError: a field is missing or of another type, or the answers are hidden.
    """
    question = question_text(path, row, "question", values.get("question"))
    answers = _answers(path, row, "answer", values.get("answer"), ("value", "aliases", "normalized_aliases"))
    return RawExample(row, question, answers, own_id=own_id(path, row, values, "question_id"), id_field="question_id")


def hub_rows(path: Path, given: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    """The columns of the hub's `trivia_qa`; `rc` holds some questions twice, once for each kind of evidence.

    Raises:
        DataError: a column is missing or of another type, or the answers are hidden.
    """
    seen: set[str] = set()
    for row, values in enumerate(given, 1):
        made = trivia_row(path, row, values)
        if made.own_id and made.own_id in seen:
            yield Dropped(row, "question that is there with other evidence too")
        else:
            seen.add(made.own_id)
            yield made


def _answers(path: Path, row: int, field: str, answer: Any, names: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(answer, dict):
        raise DataError(path, "must be an object of value and aliases", row=row, field=field, value=answer, hint=HIDDEN)
    value, (aliases, normal) = answer.get(names[0]), (answer.get(name) or [] for name in names[1:])
    for name, given in zip(names[1:], (aliases, normal), strict=True):
        if not isinstance(given, list):
            raise DataError(path, "must be a list of strings", row=row, field=f"{field}.{name}", value=given)
    listed = [*([value] if value else []), *aliases, *normal]
    if value == "<unk>" or not listed:
        raise DataError(path, "holds no answer", row=row, field=field, value=value, hint=HIDDEN)
    found = answer_list(path, row, f"{field}.{names[1]}", listed)
    return tuple(dict.fromkeys(_readable(found, set(normal))))


def _readable(answers: Sequence[str], normal: set[str]) -> Iterator[str]:
    """The answers without the normalised forms of others."""
    covered = {normalize_answer(answer) for answer in answers if answer not in normal}
    return (answer for answer in answers if answer not in normal or normalize_answer(answer) not in covered)


def _holds_a_list(cells: Sequence[str]) -> bool:
    return cells[1].strip()[:1] in tuple("[('\"")


TRIVIA_JSON = Layout("TriviaQA JSON", "JSON document", read_trivia, {"Data": list})
TRIVIA_ROWS = rows("TriviaQA rows", {"question": str, "answer": dict}, trivia_row)
DPR_CSV = Layout("DPR csv", "tab-separated text", read_dpr, cells=(2,), like=_holds_a_list)
SQUAD_JSON = Layout("SQuAD JSON", "JSON document", read_squad, {"data": list})
QA_LAYOUTS = (*QUESTION_ROWS, TRIVIA_ROWS, PLAIN, *BEIR_LAYOUTS, DPR_CSV, SQUAD_JSON)

NATURAL_QUESTIONS = TaskSpec(
    name="nq",
    title="NQ",
    citation="Kwiatkowski et al. 2019, open-domain split of Lee et al. 2019 (https://arxiv.org/abs/1906.00300)",
    licence="CC BY-SA 3.0",
    layouts=QA_LAYOUTS,
    counts={"train": 79_168, "dev": 8_757, "test": 3_610},
    printed={"train": 79_169, "dev": 8_758, "test": 3_611},
    hub=HubSource("google-research-datasets/nq_open", "", by_row(question_row), test="validation", held_out=8_757),
    mini="rag_lightning.mini.nq:build",
)
"""The hub has 87,925 train and 3,610 validation questions: validation is the paper's test, dev is held out of train by
seed, as large as DPR's; it is not DPR's dev split."""
TRIVIA_QA = TaskSpec(
    name="triviaqa",
    title="TQA",
    citation="Joshi et al. 2017 (https://aclanthology.org/P17-1147)",
    licence="questions: not stated, their authors' copyright; code Apache 2.0",
    layouts=(TRIVIA_JSON, *QA_LAYOUTS),
    counts={"train": 78_785, "dev": 8_837, "test": 11_313},
    mine="present",
    printed={"train": 78_786, "dev": 8_838, "test": 11_314},
    hub=HubSource(
        "mandarjoshi/trivia_qa",
        "unfiltered.nocontext",
        hub_rows,
        test="validation",
        held_out=8_837,
        columns=HUB_COLUMNS,
    ),
    mini="rag_lightning.mini.triviaqa:build",
)
"""Counts are of the open-domain split: test is the published dev of `unfiltered`, whose own test hides its answers.
The paper's second test set, Wikipedia's, is a source of its own: the release's `wikipedia-dev.json`, whose examples
carry the tag `evidence`, or `hub:mandarjoshi/trivia_qa:rc.wikipedia.nocontext`. The two are never averaged."""
WEB_QUESTIONS = TaskSpec(
    name="webquestions",
    title="WQ",
    citation="Berant et al. 2013 (https://aclanthology.org/D13-1160)",
    licence="CC BY 4.0",
    layouts=QA_LAYOUTS,
    counts={"train": 3_417, "dev": 361, "test": 2_032},
    printed={"train": 3_418, "dev": 362, "test": 2_033},
    hub=HubSource("stanfordnlp/web_questions", "", by_row(question_row), held_out=361),
    mini="rag_lightning.mini.webquestions:build",
)
"""The hub has 3,778 train and 2,032 test questions; dev is held out of train by seed."""
