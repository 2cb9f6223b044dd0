"""Claims: declared before, judged by paired tests, tested once; tables escape what they print."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from rag_lightning.claims import table
from rag_lightning.claims.claims import Comparison, load_claims
from rag_lightning.claims.command import plan
from rag_lightning.claims.record import Entry, entry
from rag_lightning.claims.verdicts import judge
from rag_lightning.config.commands import ClaimsConfig
from rag_lightning.config.data import TESTS
from rag_lightning.core.errors import ConfigError, DataError, RagLightningError
from rag_lightning.core.files import write_sealed
from rag_lightning.matrix.cells import make_job
from rag_lightning.matrix.matrix import Matrix, load_matrix
from rag_lightning.report.page import write_page
from tests.claim_scores import LEFT, RIGHT, claim, scores

FOLDER = Path(__file__).parents[3] / "experiments"


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    return load_matrix(FOLDER / "matrix.yaml")


# --- the file of the project ----------------------------------------------------------------


def test_the_claims_rest_on_cells_that_can_run(matrix: Matrix) -> None:
    claims = load_claims(FOLDER / "claims.yaml", matrix)
    for one in claims:
        cells = {(cell.task, cell.system): cell for cell in matrix.cells(one.scale or "mini")}
        assert one.split in TESTS and one.comparisons
        assert one.seeds and set(one.seeds) <= set(matrix.seeds)
        for task, system, k in one.arms():
            assert not cells[task, system].skip
            config = make_job(cells[task, system], 0, ".", "", k).config
            assert config.decoding.k <= config.retriever.k_max
    assert {one.name for one in claims} >= {"rag_above_closed_book", "trained_above_frozen", "more_passages"}


def test_metrics_of_passages_are_asked_with_passages_enough(matrix: Matrix) -> None:
    for one in load_claims(FOLDER / "claims.yaml", matrix):
        for part in one.comparisons:
            if part.metric == "mrr" or "@" in part.metric:
                assert part.k == part.baseline_k >= int(part.metric.partition("@")[2] or 2)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metric": "emm"}, "unknown metric 'emm': did you mean 'em'"),
        ({"metric": "bleu1"}, "metric bleu1 of claim c .* no value per example"),
        ({"metric": "answer_recall"}, "needs a cut-off"),
        ({"task": "nqq"}, "unknown task of claim c .*did you mean 'nq'"),
        ({"systems": ["rag_tokn"]}, "unknown experiment of claim c .*did you mean 'rag_token'"),
        ({"baselines": []}, "compares a system with itself"),
        ({"direction": "hihger"}, r"unknown claims\[0\].comparisons\[0\].direction .*did you mean 'higher'"),
        ({"k": -1}, "no k below 0"),
        ({"k": "many"}, r"'claims\[0\].comparisons\[0\].k': must be int .*'many'"),
        ({"baseline": ["closed_book"]}, "unknown key of .* 'baseline': did you mean 'baselines'"),
    ],
)
def test_a_bad_comparison_is_named(changes: dict[str, Any], said: str, matrix: Matrix, tmp_path: Path) -> None:
    part = {"task": "nq", "metric": "em", "systems": ["rag_token"], "baselines": ["closed_book"]} | changes
    path = tmp_path / "claims.yaml"
    one = {"name": "c", "says": "x", "source": "y", "seeds": [0], "comparisons": [part]}
    path.write_text(yaml.safe_dump({"claims": [one]}))
    with pytest.raises(RagLightningError, match=said):
        load_claims(path, matrix)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"alpha": 2.0}, "must be between 0 and 1"),
        ({"seeds": []}, "tests nothing"),
        ({"split": "train"}, "unknown .*split"),
        ({"seeds": [0, 0]}, "repeats a seed"),
        ({"test": "t_over_seeds"}, "needs several seeds"),
        ({"name": "../c"}, "must be 1 to 80 letters"),
        ({"name": ""}, "must be 1 to 80 letters"),
    ],
)
def test_a_bad_claim_is_named(changes: dict[str, Any], said: str, matrix: Matrix, tmp_path: Path) -> None:
    part = {"task": "nq", "metric": "em", "systems": ["rag_token"], "baselines": ["closed_book"]}
    one = {"name": "c", "says": "x", "source": "y", "seeds": [0], "comparisons": [part]} | changes
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump({"claims": [one]}))
    with pytest.raises(RagLightningError, match=said):
        load_claims(path, matrix)
    good = {"name": "c", "says": "x", "source": "y", "seeds": [0], "comparisons": [part]}
    path.write_text(yaml.safe_dump({"claims": [good] * 2}))
    with pytest.raises(DataError, match="is a repeated name"):
        load_claims(path, matrix)


# --- test is met once ---------------------------------------------------------------------------


def test_test_is_met_once(tmp_path: Path) -> None:
    first = Entry(tmp_path / "c.json", {"experiments": {"a": {"train": {"steps": 1}}}})
    first.touch_test()
    assert first.outcome() is None
    outcome = {"verdict": "null", "why": "", "tested": [], "points": []}
    first.write(outcome)
    first.touch_test()
    assert first.outcome() == outcome
    second = Entry(first.path, {"experiments": {"a": {"train": {"steps": 2}}}})
    assert second.outcome() is None
    with pytest.raises(ConfigError, match=r"was tested on test at .*changed: experiments\.a\.train\.steps"):
        second.touch_test()
    first.path.write_text("{")
    with pytest.raises(DataError, match="cut short or damaged"):
        first.touch_test()
    write_sealed(first.path, {"digest": "x", "settings": {}, "outcome": {"verdict": "null"}})
    with pytest.raises(DataError, match="is not the record of a claim"):
        first.check()


def test_a_claim_that_is_refused_burns_no_other(matrix: Matrix, tmp_path: Path) -> None:
    first, second = (Entry(tmp_path / f"{name}.json", {"a": 1}) for name in "ab")
    Entry(second.path, {"a": 2}).touch_test()
    with pytest.raises(ConfigError, match="a claim is tested there once"):
        for one in (first, second):
            one.check()
    assert not first.path.exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metric": "label_accuracy"}, r"nq_rag_token has no label_accuracy with k=5; it has em,"),
        ({"metric": "answer_recall@10"}, r"nq_rag_token has no answer_recall@10 with k=5"),
        ({"metric": "answer_recall@1"}, r"nq_closed_book has no answer_recall@1 with k=0"),
        ({"k": 1000}, r"k=1000 of nq_rag_token exceeds retriever.k_max=20"),
    ],
)
def test_a_metric_that_an_arm_has_not_is_refused_before_it_runs(
    changes: dict[str, Any], said: str, matrix: Matrix
) -> None:
    part = Comparison(
        **{"task": "nq", "metric": "em", "systems": ("rag_token",), "baselines": ("closed_book",)} | changes
    )
    cells = {(cell.task, cell.system): cell for cell in matrix.cells("mini")}
    with pytest.raises(ConfigError, match=said):
        plan(claim(comparisons=(part,), seeds=(0,)), cells, ClaimsConfig())


def test_a_claim_meets_no_test_but_its_own(matrix: Matrix) -> None:
    part = Comparison("nq", "em", ("rag_token",), ("closed_book",))
    cells = {(cell.task, cell.system): cell for cell in matrix.cells("mini")}
    fresh = claim(comparisons=(part,), seeds=(0,), split="test2")
    assert plan(fresh, cells, ClaimsConfig(split="test")).obstacle == "decided on test2"
    assert not any(plan(fresh, cells, ClaimsConfig(split=split)).obstacle for split in ("dev", "test2"))


def test_settings_are_what_is_tested_not_how_it_is_said(matrix: Matrix, tmp_path: Path) -> None:
    cell = next(cell for cell in matrix.cells("mini") if cell.name == "nq_rag_token")
    made = entry(tmp_path, claim(), "mini", "test", [make_job(cell, 0, "here", "")])
    said = entry(tmp_path, claim(says="B is below A."), "mini", "test", [make_job(cell, 0, "there", "sqlite:///x")])
    assert made.digest == said.digest and made.path == tmp_path / "runs" / "claims" / "mini-test" / "above.json"
    for other in (
        entry(tmp_path, claim(alpha=0.01), "mini", "test", [make_job(cell, 0, "here", "")]),
        entry(tmp_path, claim(), "mini", "test", [make_job(cell, 1, "here", "")]),
        entry(tmp_path, claim(), "mini", "test", [make_job(cell, 0, "here", "", 1)]),
    ):
        assert other.digest != made.digest


# --- tables ----------------------------------------------------------------------------------------


def test_tables_hold_every_claim_and_are_escaped(tmp_path: Path) -> None:
    evil = claim(name="<script>", says="a | b <b>", source="=1+1")
    outcome = judge(replace(evil, seeds=(0,)), {LEFT: {0: scores([1] * 30)}, RIGHT: {0: scores([0] * 30)}})
    found = [
        (evil, outcome.as_dict()),
        (claim(name="later"), table.without("cannot run here", "no files")),
        (claim(name="open"), table.without("not tested yet", "")),
    ]
    page = write_page(tmp_path / "out", table.page("Claims <i>", "dev", found))
    assert {path.name for path in page.parent.iterdir()} == {"table.md", "table.tex", "table.csv", "index.html"}
    html = page.read_text()
    assert html.count("<script>") == 1, "the one of the page itself"
    assert "<b>" not in html and "<i>" not in html and "&lt;script&gt;" in html
    assert "Content-Security-Policy" in html
    assert "<h1>1 of 3 claims supported; 1 cannot run here; 1 not tested yet</h1>" in html
    text = (page.parent / "table.md").read_text()
    assert "supported" in text and "| cannot run here | no files |" in text and "not tested yet" in text
    assert "dev is for exploration; test decides" in text
    assert "=1" not in (page.parent / "table.csv").read_text().replace("'=1", "")


def test_a_page_shows_only_claims_of_its_split_and_their_levels(tmp_path: Path) -> None:
    found = [
        (claim(name="one"), table.without("cannot run here", "decided on test")),
        (claim(name="two", split="test2", alpha=0.01), table.without("not tested yet", "")),
    ]
    page = write_page(tmp_path / "out", table.page("Claims", "test2", found))
    text = (page.parent / "table.md").read_text()
    assert "0 of 1 claims supported; 1 not tested yet" in text and "one" not in text
    assert "Family-wise level 0.05, but two 0.01." in text and "comparisons" not in text


def test_the_user_is_told_numbers_and_verdict() -> None:
    outcome = judge(claim(seeds=(0,)), {LEFT: {0: scores([1] * 30)}, RIGHT: {0: scores([0] * 30)}})
    lines = table.lines(outcome)
    assert lines[0].startswith(
        "em: nq_rag_token 100.00 - nq_closed_book 0.00 = +100.00% [100.00, 100.00] "
        "(approximate: 15.0 effective clusters), n=30, seeds=1, sign flips, "
    )
    assert lines[0].endswith("adjusted p=0.0002: supported") or "adjusted p=0.0001: supported" in lines[0]
    assert lines[-1] == "verdict: supported (1 of 1 comparisons supported, 0 null, 0 against)"
