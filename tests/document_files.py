"""Question files that are no plain rows, or of tasks with rows of their own, beside what json or csv finds in them."""

from __future__ import annotations

import ast
import csv
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.format_files import Parsed, lines, parse, write_rows
from tests.question_files import FACTS

Written = tuple[Path, Parsed, int]
"""A file, the rows of the independent parse, and how many of the last have no answers."""

PATTERNS = [{"id": "1", "question": "how high?", "answers": [r"\b2,?[45]\d\d\b"]}]
MARCO = [
    {"query_id": 2, "query": "pain scale", "answers": ["5"], "wellFormedAnswers": ["It is 5."], "passages": []},
    {"query_id": 1, "query": "what is a barn", "answers": ["A building."], "wellFormedAnswers": [], "passages": []},
    {"query_id": 3, "query": "no", "answers": ["No Answer Present."], "wellFormedAnswers": [], "passages": []},
]
CLUES = [
    {"category": "TOWNS", "air_date": "2004-12-31", "question": "'It stands on the Amber'", "value": "$200",
     "answer": "Alderford", "round": "Jeopardy!", "show_number": "4680"},
]  # fmt: skip
CLAIMS = [
    {"id": 1, "label": "SUPPORTS", "claim": "Ada was a poet.", "evidence": [[[1, 2, "Ada", 0]]]},
    {"id": 2, "label": "NOT ENOUGH INFO", "claim": "He is tall.", "evidence": []},
]
KILT_CLAIMS = [
    {"id": "k1", "input": "Rome is new.", "output": [{"answer": "REFUTES", "provenance": [{"title": "Rome"}]}]},
]


def stored(rows: Sequence[dict[str, Any]], stores: Sequence[str], left: int = 0) -> Callable[[Path], list[Written]]:
    """Rows in every one of these stores."""

    def write(folder: Path) -> list[Written]:
        files = [(write_rows(folder / store, store, rows), store) for store in stores]
        return [(path, parse(path, store), left) for path, store in files]

    return write


def dpr_csv(folder: Path) -> list[Written]:
    path = folder / "nq-test.qa.csv"
    with path.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle, delimiter="\t", lineterminator="\n").writerows(
            (fact.question, repr(list(fact.answers))) for fact in FACTS
        )
    with path.open(encoding="utf-8", newline="") as handle:
        cells = list(csv.reader(handle, delimiter="\t"))
    return [(path, [{"question": one, "answers": ast.literal_eval(two)} for one, two in cells], 0)]


def pattern_csv(folder: Path) -> list[Written]:
    path = folder / "trec.csv"
    path.write_text("how high?\t['2,?[45]00']\n")
    return [(path, [{"question": "how high?"}], 0)]


def trec_patterns(folder: Path) -> list[Written]:
    path = folder / "trec.tsv"
    path.write_text("1\twhich dog?\tRover\n2\tfactoid\twhich cat?\tchat | gato\n")
    cells = [line.split("\t") for line in path.read_text().splitlines()]
    return [(path, [{"id": one[0], "question": one[-2], "pattern": one[-1]} for one in cells], 0)]


def squad(folder: Path) -> list[Written]:
    """Version 2.0: the last question is impossible."""
    asked = [{"id": f"s{f.number}", "question": f.question, "answers": [{"text": f.answers[0]}]} for f in FACTS]
    impossible = {"id": "s9", "question": "who?", "answers": [], "is_impossible": True}
    paragraph = {"context": "A paragraph.", "qas": [*asked, impossible]}
    path = folder / "dev-v2.0.json"
    path.write_text(json.dumps({"version": "v2.0", "data": [{"title": "Ada", "paragraphs": [paragraph]}]}))
    articles = json.loads(path.read_text())["data"]
    return [(path, [{**qa, "context": p["context"]} for a in articles for p in a["paragraphs"] for qa in p["qas"]], 1)]


def trivia(folder: Path) -> list[Written]:
    asked = [{"Question": fact.question, "QuestionId": f"t{fact.number}",
              "Answer": {"Value": fact.answers[0], "Aliases": list(fact.answers)}} for fact in FACTS]  # fmt: skip
    path = folder / "wikipedia-dev.json"
    path.write_text(json.dumps({"Data": asked, "Domain": "Wikipedia"}))
    return [(path, json.loads(path.read_text())["Data"], 0)]


def judged(folder: Path) -> list[Written]:
    """A split of two of the three queries."""
    (folder / "qrels").mkdir()
    queries = [{"_id": str(f.number), "text": f.question, "metadata": {"answers": list(f.answers)}} for f in FACTS]
    lines(folder / "queries.jsonl", queries)
    path = folder / "qrels" / "test.tsv"
    rows = [(fact.number, gold, 1) for fact in FACTS[:2] for gold in fact.gold]
    text = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(text) + "\n")
    gold = parse(path, "tsv")
    joined = [
        {**query, "gold": [one["corpus-id"] for one in gold if one["query-id"] == query["_id"]]}
        for query in parse(folder / "queries.jsonl", "lines")
    ]
    return [(path, [query for query in joined if query["gold"]], 0)]


def topics(folder: Path) -> list[Written]:
    path = folder / "topics.txt"
    path.write_text("<top>\n<num> Number: 301\n<title> organised crime\n</top>\n")
    return [(path, [{"title": "organised crime"}], 1)]


def clue_files(folder: Path) -> list[Written]:
    """A file a clue, in a folder and in an archive."""
    inside = folder / "train"
    inside.mkdir()
    for number, clue in enumerate(CLUES):
        (inside / f"{number:06}.json").write_text(json.dumps(clue))
    with zipfile.ZipFile(folder / "train.zip", "w") as archive:
        for file in sorted(inside.iterdir()):
            archive.write(file, file.name)
    parsed = [json.loads(file.read_text()) for file in sorted(inside.iterdir())]
    rows = stored(CLUES, ("list", "lines", "parquet"))(folder)
    return [*rows, (inside, parsed, 0), (folder / "train.zip", parsed, 0)]


def clue_table(folder: Path) -> list[Written]:
    path = folder / "clues.tsv"
    path.write_text('clue\tanswer\n"A ""big"" apple"\tNew York\nIt\'s red\tMars\n')
    return [(path, parse(path, "tsv"), 0)]
