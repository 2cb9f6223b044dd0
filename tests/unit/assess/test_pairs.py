"""The items of a page, its key, and the command that writes both."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from rag_lightning.assess import command
from rag_lightning.assess.pairs import EVERY, KEY, PAGE, draw, read_key
from rag_lightning.assess.stored import read_shared
from rag_lightning.cli import main
from rag_lightning.config.commands import AssessConfig
from rag_lightning.core.errors import ArtifactError, ConfigError, DataError, UnknownNameError
from rag_lightning.core.files import write_sealed
from rag_lightning.report.side import finished_run
from tests.assessing import RUNS, assess, make_runs

BAD = "<script>alert(1)</script></script><!-- [bold] \u202e\x00 &amp; '\" \u2028" + "x" * 50_000


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    make_runs(root, 60)
    return root


def test_sides_are_balanced_and_every_stretch_has_a_control_item(project: Path) -> None:
    shared = read_shared(project, (finished_run(project, "bart"), finished_run(project, "experiments/rag")))
    drawn = draw(shared, 50, seed=0)
    items = [item for item, _ in drawn]
    assert len(items) == 55 and len({item.example_id for item in items}) == 55
    assert Counter(item.left for item in items if not item.control) == {"A": 25, "B": 25}
    assert {item.left for item in items if item.control} == {"gold", "other"}
    places = [place for place, item in enumerate(items) if item.control]
    assert [place // (EVERY + 1) for place in places] == [0, 1, 2, 3, 4]
    assert len({place % (EVERY + 1) for place in places}) > 1
    for item, texts in drawn:
        number = item.example_id.removeprefix("q")
        sides = dict(zip((item.left, item.right), (texts.left, texts.right), strict=True))
        if item.control:
            assert sides["gold"] == f"The writer of novel{number} from town{number}"
            assert not re.search(rf"\b{number}\b|novel{number}\b", sides["other"])
        else:
            assert sides == {"A": f"It is a common thing {number}", "B": f"This author {number} wrote novel{number}"}
    assert drawn == draw(shared, 50, seed=0) != draw(shared, 50, seed=1)


def test_the_page_does_not_tell_the_systems_apart(tmp_path: Path) -> None:
    make_runs(tmp_path)
    folder = assess(tmp_path, seed=4321)
    page = (folder / PAGE).read_text()
    for word in (
        "bart",
        "rag_token",
        "RAG-Token",
        "closed_book",
        "gold",
        "control",
        "4321",
        "example_id",
        "q1",
        "://",
    ):
        assert word not in page, word
    key = read_key(folder / KEY)
    assert (key.a.system, key.b.system, key.seed) == ("BART", "RAG-Token", 4321) and key.page in page


def test_hostile_outputs_are_harmless(tmp_path: Path) -> None:
    make_runs(tmp_path, texts={"bart": lambda i: BAD, "rag": lambda i: " "}, label=BAD)
    page = (assess(tmp_path) / PAGE).read_text()
    assert page.count("</script>") == page.count("<script") == 2 and "<!--" not in page
    assert "\x00" not in page and "\u202e" not in page and "\u2028" not in page and len(page) < 100_000
    (data,) = re.findall(r'id="items">(.*?)</script>', page, re.DOTALL)
    texts = {item[side] for item in json.loads(data) for side in ("left", "right")}
    assert "(empty output)" in texts and any(one.startswith("<script>alert(1)</script>") for one in texts)


def test_the_same_command_writes_the_same_bytes_and_another_assessment_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_runs(tmp_path)
    folder = assess(tmp_path)
    shown = " ".join(capsys.readouterr().err.split())
    assert "30 pairs of 40 shared questions, 4 control items, seed 0" in shown and "send only assess.html" in shown
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(before) == {PAGE, KEY}
    assess(tmp_path)
    with pytest.raises(ConfigError, match="holds another assessment"):
        assess(tmp_path, seed=1)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assess(tmp_path, name="")
    assert (tmp_path / "reports" / "assessments" / "mini-jeopardy-test-bart-rag" / PAGE).exists()


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_runs(tmp_path)
    where = ["--folder", str(tmp_path)]
    for words, code, text in (
        ([], 2, "needs two runs"),
        (["--runs", "bart"], 2, "--runs: expected 2 arguments"),
        (["--runs", "bart", "rga"], 2, "no run 'rga' among the 2 of"),
        (["--runs", "bart", "bart"], 2, "the two runs are the same"),
        (["--runs", "bart", "rag", "--name", "../x"], 2, "name='../x': must be"),
    ):
        assert main(["assess", *words, *where]) == code
        shown = capsys.readouterr().err
        assert text in shown and shown.count("\n") == 1
    assert not (tmp_path / "reports").exists()
    path = str(tmp_path / "runs" / "experiments" / "rag") + "/"
    assert main(["assess", "--runs", "experiments/bart", path, *where]) == 0


def test_runs_that_cannot_be_compared(tmp_path: Path) -> None:
    make_runs(tmp_path)
    file = tmp_path / "runs" / "experiments" / "rag" / "run.json"
    raw = json.loads(file.read_text())
    for changes, error, text in (
        ({"split": "dev"}, ConfigError, "answer different questions: mini-jeopardy test and mini-jeopardy dev"),
        ({"status": "failed"}, ConfigError, "run rag is marked failed: only a finished run"),
        ({"digests": {}}, ArtifactError, "the examples of run rag are no longer stored"),
    ):
        write_sealed(file, raw | changes)
        with pytest.raises(error, match=text):
            assess(tmp_path)
    write_sealed(file, raw)
    other = tmp_path / "runs" / "sweep" / "rag"
    other.mkdir(parents=True)
    write_sealed(other / "run.json", raw)
    with pytest.raises(UnknownNameError, match="one of 2: experiments/rag, sweep/rag"):
        assess(tmp_path)
    with pytest.raises(UnknownNameError, match="no run 'bart' among the 0"):
        command.run(AssessConfig(folder=str(tmp_path / "empty")), list(RUNS))


@pytest.mark.parametrize("change", ['"left": "A"', '"seed": 0', '"schema": 1'])
def test_an_altered_key_is_refused(tmp_path: Path, change: str) -> None:
    make_runs(tmp_path, 8)
    key = assess(tmp_path) / KEY
    text = key.read_text()
    assert change in text
    key.write_text(text.replace(change, change.replace("A", "B").replace("0", "7").replace("1", "2"), 1))
    with pytest.raises(DataError, match="was altered"):
        read_key(key)
