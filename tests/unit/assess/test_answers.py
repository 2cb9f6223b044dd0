"""What annotators saved, against the key: who counts, what they say together, and files that must not count."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.assess.answers import read_assessment, read_assessments
from rag_lightning.assess.majority import agreement, judge
from rag_lightning.assess.pairs import KEY, Item
from rag_lightning.assess.proxy import compute_proxy
from rag_lightning.core.errors import DataError
from rag_lightning.report.side import finished_run
from tests.assessing import assess, attentive, make_runs, save


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_runs(tmp_path)
    return assess(tmp_path)


def always(option: str) -> Any:
    """Attentive in control items, and the same option elsewhere; A and B are systems."""

    def answer(item: Item, question: str) -> str:
        if item.control:
            return attentive(item, question)
        return option if option not in ("A", "B") else "left" if item.left == option else "right"

    return answer


def test_the_majority_of_a_pair_is_more_than_half_of_its_annotators(folder: Path) -> None:
    for name, option in (("ann", "A"), ("bob", "A"), ("cy", "B"), ("dee", "both")):
        save(folder, name, always(option))
    found = judge(read_assessment(folder), "factuality")
    assert found.shares["no majority"].mean == 100 and found.n == 30  # two of four are no majority
    (folder / "assess-dee.json").unlink()
    found = judge(read_assessment(folder), "factuality")
    assert found.shares["A"].mean == 100 and found.shares["B"].mean == 0
    assert math.fsum(share.mean for share in found.shares.values()) == pytest.approx(100)


def test_inattentive_and_half_finished_annotators(folder: Path) -> None:
    save(folder, "ann", always("A"))
    save(folder, "left", lambda item, question: "left")  # half of the control items
    save(folder, "few", lambda item, question: "" if item.control else "both")
    half = [item.example_id for item in read_assessment(folder).key.items][:17]
    save(folder, "half", lambda item, question: always("A")(item, question) if item.example_id in half else "")
    found = read_assessment(folder)
    assert [one.excluded for one in found.annotators] == [
        "",
        "too few control items answered",
        "",
        "failed the control items",
    ]
    assert [(one.right, one.controls) for one in found.annotators] == [(8, 8), (0, 0), (4, 4), (4, 8)]
    judged = judge(found, "specificity")
    assert judged.n == 30 and judged.alone == 15 and judged.shares["A"].mean == 100
    assert judged.alpha is None  # all answers are the same: nothing to agree about


def test_alpha_is_krippendorff_s() -> None:
    # the example of https://en.wikipedia.org/wiki/Krippendorff%27s_alpha: nominal alpha 0.691
    letters = {"1": "A", "2": "B", "3": "both", "4": "neither", "*": ""}
    rows = ("*****34121133*3", "1*213343*******", "**21344*21133*4")
    assert agreement([[letters[sign] for sign in row] for row in rows]) == pytest.approx(0.691, abs=5e-4)
    assert agreement([["A", "B"], ["A", "B"]]) == pytest.approx(1)
    assert agreement([["A", "B"]]) is None  # one annotator
    assert agreement([["A", "A"], ["A", "A"]]) is None  # nothing to agree about
    assert agreement([["A", ""], ["", "B"]]) is None  # no pair in common


def test_later_files_of_one_annotator_replace_earlier_ones(folder: Path) -> None:
    save(folder, "ann", always("A"), file="first.json", saved="2026-01-01T00:00:00.000Z")
    save(folder, "ann", always("B"), file="second.json", saved="2026-01-02T00:00:00.000Z")
    (folder / "copy of second.json").write_bytes((folder / "second.json").read_bytes())
    found = read_assessment(folder)
    assert len(found.annotators) == 1 and found.earlier == 2
    assert judge(found, "factuality").shares["B"].mean == 100
    save(folder, "Ann ", always("A"), session="another browser")
    with pytest.raises(DataError, match=r"same annotator as .*from another browser"):
        read_assessment(folder)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"page": "0" * 16}, r"field 'page': is of another page than [0-9a-f]{16}"),
        ({"kind": "survey"}, "is not a file that an assessment page saved"),
        ({"schema": 2}, "is not a file that an assessment page saved"),
        ({"checksum": "00000000"}, "was altered after the page saved it"),
        ({"annotator": 3}, "field 'annotator': has the wrong type"),
        ({"answers": []}, "field 'answers': has the wrong type"),
        ({"answers": {"35": {}}}, "field 'answers': is no item of the page, which has 1 to 34"),
        ({"answers": {"01": {}}}, "is no item of the page"),
        ({"answers": {"1": {"beauty": "left"}}}, "field 'answers.1': must answer factuality and specificity"),
        ({"answers": {"1": {"factuality": ["left"]}}}, "is none of left, right, both, neither"),
        ({"answers": {"1": {"factuality": "A"}}}, "field 'answers.1.factuality': is none of left"),
    ],
)
def test_files_that_are_not_as_the_page_saved_them(folder: Path, changes: dict[str, Any], text: str) -> None:
    path = save(folder, "ann")
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(DataError, match=rf"assess-ann\.json.*{text}"):
        read_assessment(folder)


def test_an_answer_changed_in_an_editor_is_found(folder: Path) -> None:
    path = save(folder, "ann")
    path.write_text(path.read_text().replace('"left"', '"both"', 1))
    with pytest.raises(DataError, match="was altered"):
        read_assessment(folder)
    path.write_text(path.read_text()[:100])
    with pytest.raises(DataError, match="cut short"):
        read_assessment(folder)


def test_answers_without_their_key_name_the_missing_file(folder: Path) -> None:
    save(folder, "ann")
    (folder / KEY).unlink()
    with pytest.raises(DataError, match=re.escape(f"{KEY}: is missing")):
        read_assessments(folder.parents[2])


def test_the_proxy_counts_words(tmp_path: Path) -> None:
    make_runs(tmp_path)
    found = compute_proxy(tmp_path, (finished_run(tmp_path, "bart"), finished_run(tmp_path, "rag")))
    assert found.shares["factuality"]["B"].mean == 100 and found.shares["factuality"]["B"].n == 40
    assert {name: share.mean for name, share in found.shares["specificity"].items()} == {"A": 0, "B": 100, "equal": 0}
    assert not found.missing
