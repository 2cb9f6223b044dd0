"""Two stored runs compared: the numbers, what they rest on, the page, and everything that cannot be compared."""

from __future__ import annotations

import csv
import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rag_lightning.cli import main
from rag_lightning.core.errors import ArtifactError, ConfigError, UnknownNameError
from rag_lightning.metrics.statistics import paired_permutation
from rag_lightning.report.compare import compare
from rag_lightning.report.compare_page import write_comparison
from rag_lightning.report.side import find_side
from tests.compared import BAD, Project

LEFT = (1, 1, 1, 1, 0, 0, 1, 0, 1, 1, 1, 1)
RIGHT = (1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.run("token", LEFT)
    made.run("sequence", RIGHT, k=3)
    return made


def test_the_difference_is_that_of_the_paired_test(project: Project) -> None:
    found = project.compare("token", "sequence")
    order = sorted(range(12), key=str)  # of the ids
    difference, p = paired_permutation([LEFT[i] for i in order], [RIGHT[i] for i in order], None, seed=0)
    assert found.metric.name == "em" and found.p == p
    assert found.difference.mean == pytest.approx(100 * difference) == pytest.approx(100 * 4 / 12)
    assert found.difference.low is not None and found.difference.low < found.difference.mean
    assert found.outcomes == (5, 6, 1) and len(found.values) == 12 and not found.marks
    turned = project.compare("sequence", "token")
    assert turned.outcomes == (1, 6, 5) and turned.difference.mean == pytest.approx(-found.difference.mean)
    assert set(found.disagreements(20)) == {"q2", "q3", "q7", "q8", "q9", "q11"}
    assert found.disagreements(2) == found.disagreements(20)[:2]


def test_larger_differences_come_first(project: Project) -> None:
    project.run("graded", (0.9, 1, 0.2, 0, 0, 0, 1, 0, 1, 0, 1, 1))
    assert project.compare("graded", "token").disagreements(3)[-1] == "q2"
    assert project.compare("graded", "token").disagreements(9)[-1] == "q0"


def test_only_shared_questions_count_and_the_page_says_so(project: Project) -> None:
    project.run("later", (1,) * 12, first=6)
    found = project.compare("token", "later")
    assert sorted(found.values) == sorted(f"q{i}" for i in range(6, 12))
    assert "only the 6 that both have are compared; 6 of A alone, 6 of B alone" in found.marks[0]
    page = write_comparison(found, project.root / "out").read_text()
    assert "only the 6 that both have are compared" in page


def test_the_same_id_with_another_text_is_another_question(project: Project) -> None:
    project.run("elsewhere", LEFT, ask="who")
    with pytest.raises(ConfigError, match="scored on different questions: none of 12 and 12"):
        project.compare("token", "elsewhere")


def test_what_cannot_be_compared_is_one_error(project: Project) -> None:
    project.run("far", LEFT, first=100)
    project.run("regex", LEFT, metric="em_regex")
    for left, right, metric, problem in (
        ("token", "far", "", "none of 12 and 12 is the same"),
        ("token", "regex", "", "metric 'em' is missing in regex, which has em_regex, f1"),
        ("regex", "token", "", "metric 'em_regex' is missing in token"),
        ("token", "sequence", "bleu1", "cannot be paired; both have em, f1"),
        ("token", "token", "", "are the same scores"),
    ):
        with pytest.raises(ConfigError, match=problem):
            project.compare(left, right, metric)
    with pytest.raises(UnknownNameError, match="emm"):
        project.compare("token", "sequence", "emm")
    assert project.compare("token", "regex", "f1").outcomes == (0, 12, 0)


def test_degraded_values_are_marked(project: Project) -> None:
    project.run("poor", RIGHT, notes=[{"metrics": ["em"], "text": "no tokeniser", "degraded": True}])
    assert project.compare("token", "poor").marks == ("em of B is degraded: its values are worth less than they look.",)


def test_a_run_is_found_by_name_part_path_and_scores(project: Project) -> None:
    digest = project.run("token-2", RIGHT, sweep="s2")
    assert find_side(project.root, "token").name == "token"  # the whole name goes before a part of it
    assert find_side(project.root, "s2/token-2").name == find_side(project.root, "n-2").name == "token-2"
    assert find_side(project.root, str(project.root / "runs" / "s1" / "sequence")).name == "sequence"
    for scores in (digest, str(project.root / "artifacts" / "scores" / digest)):
        side = find_side(project.root, scores)
        assert (side.name, side.run, side.data) == (digest, None, "dev")
    assert compare(find_side(project.root, "token"), find_side(project.root, digest)).outcomes == (5, 6, 1)


def test_a_wrong_name_is_told_the_nearest(project: Project) -> None:
    shutil.copytree(project.root / "runs" / "s1", project.root / "elsewhere")  # a run of another project
    for name, problem in (
        ("tokken", "no run 'tokken' among the 2 of .*; did you mean 'token'"),
        ("e", "run 'e' is one of 2: s1/sequence, s1/token; give more of the name"),
        ("", "no run ''"),
        ("a" * 50_000, r"no run 'a{119}… \(50,002 characters\) among the 2 of"),
        ("a\0b", r"no run 'a\\x00b'"),
        (str(project.root / "elsewhere" / "token"), "no run .*elsewhere/token' among the 2 of .*mean 'token'"),
    ):
        with pytest.raises(UnknownNameError, match=problem):
            find_side(project.root, name)
    project.run("cut", LEFT, status="failed")
    with pytest.raises(ConfigError, match="run cut is marked failed: only a finished run"):
        find_side(project.root, "cut")
    with pytest.raises(ConfigError, match="holds predictions, not scores"):
        find_side(project.root, str(next((project.root / "artifacts" / "predictions").iterdir())))


def test_scores_that_are_gone_or_altered(project: Project) -> None:
    digest = project.run("token-2", RIGHT)
    folder = project.root / "artifacts" / "scores" / digest
    (folder / "scores.jsonl").write_text("{}\n")
    with pytest.raises(ArtifactError, match=r"scores\.jsonl"):
        find_side(project.root, "token-2")
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(ArtifactError, match="the scores of run token-2 are no longer stored"):
        find_side(project.root, "token-2")


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)


def test_the_command_writes_a_page_of_hostile_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = Project(tmp_path, BAD)
    made.run("token", LEFT * 5)
    made.run("sequence", RIGHT * 5, k=3)
    assert main(["report", "--compare", "token", "sequence", "--experiment.folder", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert "A is better on 25 questions, B on 5; 30 are ties." in said and "[bold]x[/bold]" in said
    assert not {"\x1b", "\x00", "\u202e"} & set(said) and len(said) < 6000
    out = tmp_path / "reports" / "out" / "compare-token-sequence"
    page = (out / "index.html").read_text()
    tags = Tags()
    tags.feed(page)
    assert tags.found.count("script") == 1 and not {"\x1b", "\x00", "\u202e"} & set(page) and len(page) < 1_000_000
    assert tags.found.count("details") == 21  # 20 questions and the contents
    assert "the same as passage 2 of A" in page and "text 2 &lt;script&gt;" in page
    assert "\\input{" not in (out / "table.tex").read_text() and "<script>" not in (out / "table.md").read_text()
    kept = json.loads((out / "compare.json").read_text())
    assert (kept["wins"], kept["ties"], kept["losses"], kept["n"]) == (25, 30, 5, 60)
    assert len(kept["disagreements"]) == 20 and kept["disagreements"][0]["B"]["passages"] == ["p0", "p1", "p2"]
    csv.field_size_limit(10**6)
    rows = list(csv.DictReader((out / "questions.csv").read_text().splitlines()))
    assert len(rows) == 60 and {row["A − B"] for row in rows} == {"100", "0", "-100"}


def test_options_that_contradict_each_other(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--experiment.folder", str(project.root)]
    for words, problem in (
        (["--metric", "em"], "--metric needs --compare A B"),
        (["--compare", "token", "sequence", "--table", "1"], "leave --table and --fragment out"),
        (["--compare", "token"], "expected 2 arguments"),
    ):
        assert main(["report", *words, *place]) == 2
        assert problem in capsys.readouterr().err
    assert not (project.root / "reports").exists()
