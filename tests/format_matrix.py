"""The format matrix: the files of every layout, read in every role and counted beside an independent parse.

Roles are found by trying: a file is read as a corpus, as questions of its task and, where a format names it, as
results; what is refused is no role. `.ci/render_formats.py` writes the table into docs/own-data.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rag_lightning.config.registries import CORPUS_LAYOUTS
from rag_lightning.core.errors import DataError
from rag_lightning.core.records import Example
from rag_lightning.corpus.layouts import CorpusLayout
from rag_lightning.corpus.passages import read_passages
from rag_lightning.tasks.examples import Reading
from rag_lightning.tasks.results.record import FORMATS, get_format
from rag_lightning.tasks.spec import get_task
from tests import corpus_files, document_files, result_files
from tests.document_files import Written, stored
from tests.format_files import Parsed, holds, leaves
from tests.question_files import SAMPLES, Sample

QUESTION_TASKS = ("nq", "triviaqa", "webquestions")
ROLES = ("questions", "gold", "passages", "results")
QUESTION_STORES = ("lines", "list", "columns", "parquet", "arrow", "stream")
PASSAGE_STORES = ("lines", "list", "parquet", "arrow", "stream", "shards")


@dataclass
class Count:
    """Rows of one role: read, left out with a count, and found by the independent parse."""

    read: int = 0
    left: int = 0
    parsed: int = 0
    what: str = ""

    def __str__(self) -> str:
        left = f", {self.left} left out" if self.left else ""
        return f"{f'{self.what}, ' if self.what else ''}{self.read} of {self.parsed}{left}"


@dataclass(frozen=True)
class Entry:
    """A row of the matrix.

    Args:
        name: What it is.
        looks: The fields of a row, or what a file looks like.
        write: Writes its files into a folder, each with the rows of the independent parse.
        tasks: The tasks whose questions it may be; the first reads it.
        format: The format of results it may be, "" for none.
        gold: What it has of gold: passages, articles or nothing.
        evidence: Where in a row gold stands.
        layouts: Filled by `count`: the layouts that its files were recognised as.
    """

    name: str
    looks: str
    write: Callable[[Path], list[Written]]
    tasks: tuple[str, ...] = QUESTION_TASKS
    format: str = ""
    gold: str = ""
    evidence: str = ""
    layouts: set[str] = field(default_factory=set)

    def count(self, folder: Path) -> dict[str, Count]:
        """Role -> rows of all files.

        Raises:
            AssertionError: a file that has a role and another has not, or a row read that the parse has not.
        """
        written = self.write(folder)
        found = {role: Count() for role in ROLES}
        for path, rows, left in written:
            self._questions(path, rows, left, found)
            self._passages(path, rows, found["passages"])
            if self.format:
                found["results"].read += len(get_format(self.format).read(path))
                found["results"].parsed += len(rows)
        total = sum(len(rows) for _, rows, _ in written)
        for role in ("questions", "passages", "results"):
            count = found[role]
            assert not count.parsed or count.parsed == count.read + count.left == total, (self.name, role, count)
        return {role: count for role, count in found.items() if count.read}

    def _questions(self, path: Path, rows: Parsed, left: int, found: Mapping[str, Count]) -> None:
        try:
            reading = get_task(self.tasks[0]).reading(path)
        except DataError:
            return
        self.layouts.add(reading.layout)
        kept = rows[: len(rows) - left]
        for (example, _), row in zip(reading.pairs, kept, strict=True):
            _same_words(example.query, row)
        questions, gold = found["questions"], found["gold"]
        questions.what = "" if self.tasks == QUESTION_TASKS else ", ".join(f"`{task}`" for task in self.tasks)
        questions.read += len(kept)
        questions.left += left
        questions.parsed += len(rows)
        assert sum(times for what, times in reading.notes.items() if what.startswith("dropped")) == left
        gold.what = self.gold
        gold.read += sum(map(bool, _gold(reading)))
        gold.parsed += sum(holds(row, self.evidence) for row in kept) if self.evidence else 0
        assert gold.read == gold.parsed, (self.name, gold)

    def _passages(self, path: Path, rows: Parsed, found: Count) -> None:
        try:
            reading = read_passages(path)
            placed = list(reading.place(reading.left_out))
        except DataError:
            return
        self.layouts.add(reading.layout.split(", ")[0])
        numbers = {place: number for number, place in enumerate(dict.fromkeys((file, row) for file, row, _ in placed))}
        if all("words" not in row for row in rows):
            for file, row, passage in placed:
                _same_words(passage.text, rows[numbers[file, row]])
        found.read += len(numbers)
        found.parsed += len(rows)


def _gold(reading: Reading) -> list[Any]:
    def known(example: Example, paragraph: str) -> Any:
        return example.gold_passage_ids or example.gold_titles or paragraph

    return [known(example, paragraph) for example, paragraph in reading.pairs]


def _same_words(text: str, row: Mapping[str, Any]) -> None:
    words = set(" ".join(leaves(row)).replace('"', " ").split())
    assert set(text.replace('"', " ").split()) <= words, (text, row)


def _asked(sample: Sample) -> Entry:
    def write(folder: Path) -> list[Written]:
        more = [sample.without[0]] if sample.without else []
        return [one for s in QUESTION_STORES for one in stored([*sample.rows(s), *more], (s,), len(more))(folder)]

    gold = "passages" if sample.gold == "paragraph" else sample.gold
    return Entry(sample.name, sample.looks, write, gold=gold, evidence=sample.evidence)


def _corpus(name: str) -> Entry:
    rows, _ = corpus_files.ROWS[name]
    layout: CorpusLayout = CORPUS_LAYOUTS.get(name)
    fields = ", ".join(f"`{one}`" for one in (*layout.needs, *layout.others))
    what = corpus_files.BECOMES[name]
    stores = ("dump", "lines") if name == "wikipedia" else PASSAGE_STORES
    return Entry(layout.name, f"{fields}: {what}", stored(rows, stores))


def _articles(folder: Path) -> list[Written]:
    inside = folder / "guide"
    inside.mkdir()
    (inside / "ada.md").write_text("# Ada\n\nAda was a poet.\n")
    (inside / "bo.txt").write_text("Bo was none.\n")
    return [(inside, [{"name": one.name, "text": one.read_text()} for one in sorted(inside.iterdir())], 0)]


def _patterns(folder: Path) -> list[Written]:
    flash = [{"id": "1", "question": "how high?", "golden_answers": ["x+"]}]
    (folder / "flash").mkdir()
    both = [*stored(document_files.PATTERNS, ("lines", "list"))(folder), *stored(flash, ("lines",))(folder / "flash")]
    return [*both, *document_files.pattern_csv(folder)]


FEVER = ("fever3", "fever2")
MARCO_STORES = ("lines", "list", "columns", "parquet")
OTHERS = (
    Entry("BEIR judgements", "`qrels/SPLIT.tsv`: `query-id`, `corpus-id`, `score`, beside the queries",
          document_files.judged, gold="passages", evidence="gold"),
    Entry("DPR's csv", "`question<TAB>['answer', …]`, no header", document_files.dpr_csv),
    Entry("SQuAD v1.1 and v2.0", "the published JSON; impossible questions are left out", document_files.squad,
          gold="passages", evidence="context"),
    Entry("TriviaQA", "the published JSON, such as `wikipedia-dev.json`", document_files.trivia, ("triviaqa",)),
    Entry("patterns", "`question`, `answers`, FlashRAG's rows or DPR's csv; answers are patterns", _patterns,
          ("curatedtrec",)),
    Entry("CuratedTREC", "`qid<TAB>question<TAB>pattern`", document_files.trec_patterns,
          ("curatedtrec",)),
    Entry("MS MARCO", "`query`, `answers`, `wellFormedAnswers`; v1.1 and v2.1",
          stored(document_files.MARCO, MARCO_STORES, 2), ("msmarco",)),
    Entry("SearchQA", "`question` (the clue), `answer` (the entity), `category`; as released a file a clue, in a "
          "folder, zip or tar", document_files.clue_files, ("jeopardy",)),
    Entry("clues", "`clue`, `answer`, or `answer`, `question`: text with a header", document_files.clue_table,
          ("jeopardy",)),
    Entry("FEVER", "`claim`, `label`, `evidence`", stored(document_files.CLAIMS, ("lines",)), FEVER,
          gold="articles", evidence="evidence"),
    Entry("KILT claims", "`id`, `input`, `output`", stored(document_files.KILT_CLAIMS, ("lines",)), FEVER,
          gold="articles", evidence="output.provenance"),
    Entry("TREC topics", "`<top>`; without answers: refused, which is said", document_files.topics),
)  # fmt: skip


def entries() -> list[Entry]:
    """The rows of the matrix: corpora, questions, files of tasks, results."""
    texts = Entry("text and Markdown", "a folder of `.txt` and `.md`, each file an article", _articles)
    corpora = [*map(_corpus, CORPUS_LAYOUTS), texts]
    results = [
        Entry(f"results, `{name}`", result_files.LOOKS[name], result_files.RESULTS[name], format=name)
        for name in FORMATS
    ]
    return [*corpora, *map(_asked, SAMPLES), *OTHERS, *results]


def table(folder: Path) -> str:
    """The matrix in Markdown; files are written into the folder."""
    lines = [f"| format | fields of a row, or what it looks like | {' | '.join(ROLES)} |", "|---" * 6 + "|"]
    for number, entry in enumerate(entries()):
        inside = folder / str(number)
        inside.mkdir()
        found = entry.count(inside)
        cells = [str(found[role]) if role in found else "–" for role in ROLES]
        lines.append(f"| {entry.name} | {entry.looks} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
