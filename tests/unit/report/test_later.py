"""reports/later.yaml against its own rules, and the errors of its loader."""

from pathlib import Path

import pytest

from rag_lightning.core.errors import DataError, RagLightningError
from rag_lightning.report.later import Later, read_later
from rag_lightning.report.paper import Paper

LATER = Path(__file__).parents[3] / "reports" / "later.yaml"
SHARES = ("answer_recall", "em", "match", "label_accuracy")
CUT = {("GAR-T5", "answer_recall@5")}
"""Numbers whose source cuts digits instead of rounding; their notes say so."""


@pytest.fixture(scope="module")
def later() -> Later:
    return read_later(LATER)


def test_every_number_names_its_source_and_every_source_is_used(later: Later) -> None:
    rows = [row for block in later.blocks for row in block.rows]
    assert len(rows) >= 25 and {row.source for row in rows} == set(later.sources)
    assert all(row.place and row.values for row in rows)
    for block in later.blocks:
        assert set(block.metrics) >= {name for row in block.rows for name in row.values}, block.id


def test_shares_are_whole_counts_of_the_questions(later: Later) -> None:
    checked = 0
    for block in later.blocks:
        for row in block.rows:
            for name, value in row.values.items():
                if not block.n or name.partition("@")[0] not in SHARES or (row.system, name) in CUT:
                    continue
                digits = len(str(value).partition(".")[2])
                count = round(value * block.n / 100)
                assert round(100 * count / block.n, digits) == value, (block.id, row.system, name)
                checked += 1
    assert checked > 100


def test_recall_rises_with_the_cut_off(later: Later) -> None:
    for block in later.blocks:
        for row in block.rows:
            found = [row.values[name] for name in block.metrics if name in row.values and "@" in name]
            assert found == sorted(found), (block.id, row)


def test_numbers_of_leaderboards_stand_apart(later: Later) -> None:
    """A second-hand number without a known normalisation is never beside one whose evaluation was read."""
    for block in later.blocks:
        if "em_unstated" in block.metrics:
            assert block.metrics == ("em_unstated",) and block.caution
        else:
            kinds = {later.sources[row.source].kind for row in block.rows}
            assert "leaderboard" not in kinds or block.corpus == "kilt"


def test_sizes_are_those_of_the_paper_s_data_sets(later: Later, paper: Paper) -> None:
    full = [block for block in later.blocks if block.id.endswith(("test", "dev", "-answers", "-corpora", "-questions"))]
    assert len(full) >= 10
    for block in full:
        if block.dataset in paper.sizes:
            assert block.n == paper.sizes[block.dataset][block.split], block.id


def test_the_authors_predictions_are_the_paper_s_number(later: Later, paper: Paper) -> None:
    row = next(row for block in later.blocks for row in block.rows if block.id == "nq-test-answers")
    number = paper.find("RAG-Sequence", "nq", "test", "em")
    assert number and row.source == "qa-overlap" and round(row.values["em"], 1) == number.value
    slices = {block.id: (block.n, block.rows[0].values["em"]) for block in later.blocks if "overlap" in block.id}
    (n, with_answer), (others, without) = slices["nq-overlap-answer"], slices["nq-overlap-no-answer"]
    assert n + others == 3610
    assert (n * with_answer + others * without) / 3610 == pytest.approx(row.values["em"], abs=1e-3)


@pytest.mark.parametrize(
    ("dataset", "split", "found"),
    [
        ("nq", "test", {"nq-test": 3, "nq-test-dpr-questions": 4}),
        ("triviaqa", "test-open", {"triviaqa-test": 3}),
        ("nq", "dev", {}),
    ],
)
def test_rows_that_an_index_must_reach(later: Later, dataset: str, split: str, found: dict[str, int]) -> None:
    targets = [block.id for block, _ in later.targets(dataset, split)]
    assert {name: targets.count(name) for name in targets} == found


def test_a_run_may_fall_short_by_the_tolerance(later: Later) -> None:
    row = next(row for block, row in later.targets("nq", "test") if block.id == "nq-test" and row.system == "BM25")
    assert later.shortfall(row, {"answer_recall@20": 63.7, "answer_recall@100": 80.0, "em": 0.0}) == {}
    assert later.shortfall(row, {"answer_recall@20": 62.94}) == {"answer_recall@20": pytest.approx(1.05)}


SMALL = """
schema: 1
sources: {a: {title: A, url: "https://a.org", revision: "", kind: issue}}
metrics: {answer_recall: share, em: equal}
corpora: {dpr: passages}
tolerances: {answer_recall: 0.3}
blocks:
- {id: b1, title: B, task: retrieval, dataset: nq, split: test, corpus: dpr, metrics: [answer_recall@5, em], rows: [
    {system: BM25, values: {answer_recall@5: 44.82}, source: a, place: Table 1}]}
- {id: b2, title: B, task: answers, dataset: nq, split: test, metrics: [em], rows: []}
unread: []
"""


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("schema: 1", "schema: 2", "'schema'.*another version.*got 2"),
        ("https://a.org", "ftp://a.org", r"sources\.a\.url.*https.*ftp"),
        ("kind: issue", "kind: rumour", "rumour"),
        ("source: a", "source: b", r"source in blocks\.b1\.rows\[0\].*'b'"),
        ("place: Table 1", "place: ''", r"blocks\.b1\.rows\[0\]\.place.*empty.*section"),
        ("{answer_recall@5: 44.82}", "{answer_recall@5: 144.82}", r"values\.answer_recall@5.*percentage.*144\.82"),
        ("{answer_recall@5: 44.82}", "{answer_recall@5: .nan}", "percentage"),
        ("{answer_recall@5: 44.82}", "{answer_recall@5: many}", r"blocks\[0\]\.rows\[0\]\.values.*must be float.*many"),
        ("{answer_recall@5: 44.82}", "{answer_recall@6: 44.82}", "answer_recall@6.*did you mean 'answer_recall@5'"),
        ("{answer_recall@5: 44.82}", "{}", "has no number"),
        ("id: b2", "id: b1", r"blocks\.id.*given twice.*'b1'"),
        ("corpus: dpr", "corpus: drp", r"corpus in blocks\.b1.*did you mean 'dpr'"),
        ("[answer_recall@5, em]", "[recall@5, em]", r"metric in blocks\.b1\.metrics"),
        ("{answer_recall: 0.3}", "{recall: 0.3}", "metric in tolerances"),
        ("blocks:", "blocks: [", "not YAML"),
        ("unread:", "unseen:", "unseen"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, before: str, after: str, message: str) -> None:
    assert before in SMALL
    path = tmp_path / "later.yaml"
    path.write_text(SMALL, encoding="utf-8")
    assert read_later(path).blocks
    path.write_text(SMALL.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(RagLightningError, match=message) as error:
        read_later(path)
    assert str(path) in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"later\.yaml: does not exist"):
        read_later(tmp_path / "later.yaml")
