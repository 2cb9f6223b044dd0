"""The assessment page in headless Chromium: answered by keys, saved, loaded again, and read by the report."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.assess.answers import read_assessment
from rag_lightning.assess.majority import judge
from rag_lightning.assess.pairs import KEY, PAGE, QUESTIONS, Item, read_key
from tests.assessing import assess, attentive, make_runs
from tests.browsing import HOSTILE, MARKS, opened

pytestmark = MARKS
KEYS = {(q.name, option): str(q.first_key + place) for q in QUESTIONS for place, option in enumerate(q.options)}
"""Question and option -> the key that answers it."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    make_runs(root, texts={"bart": lambda i: f"{HOSTILE[i % 4]} {i}"})
    return assess(root, pairs=20)


@pytest.fixture
def page(browser: Any, folder: Path) -> Iterator[Any]:
    with opened(browser, folder / PAGE) as found:
        yield found


def begin(page: Any, name: str) -> None:
    page.get_by_label("Your name or initials").fill(name)
    page.keyboard.press("Enter")


def press_answers(page: Any, items: tuple[Item, ...]) -> None:
    for item in items:
        for question in QUESTIONS:
            page.keyboard.press(KEYS[question.name, attentive(item, question.name)])
        page.keyboard.press("n")


def save_file(page: Any, folder: Path) -> Path:
    with page.expect_download() as saved:
        page.keyboard.press("s")
    target = folder / saved.value.suggested_filename
    saved.value.save_as(target)
    return target


def test_keys_answer_and_the_report_reads_the_saved_file(page: Any, folder: Path, tmp_path: Path) -> None:
    items = read_key(folder / KEY).items
    begin(page, "Änn <b>")
    assert page.evaluate("document.activeElement.id") == "subject"
    press_answers(page, items[:10])
    assert page.inner_text("#count") == f"10 of {len(items)} answered"
    half = save_file(page, folder)
    assert half.name.startswith("assess-") and half.name.endswith("-Änn-b-.json")
    page.reload()
    assert page.inner_text("#status") == f"Found 10 of {len(items)} answers in this browser."
    page.get_by_role("button", name="Continue").click()
    assert page.inner_text("#place") == f"Pair 11 of {len(items)}"
    press_answers(page, items[10:])
    assert page.inner_text("#status").startswith("All answered. Save the file")
    whole = save_file(page, folder)
    assert whole == half  # a later file of the same name replaces the first
    found = read_assessment(folder)
    (one,) = found.annotators
    assert not one.excluded and one.right == one.controls == 8
    assert judge(found, "factuality").shares["B"].mean == judge(found, "specificity").shares["B"].mean == 100


def test_a_file_is_loaded_again_unless_it_is_altered(page: Any, folder: Path, tmp_path: Path) -> None:
    items = read_key(folder / KEY).items
    begin(page, "Bob")
    press_answers(page, items[:3])
    saved = save_file(page, tmp_path)
    text = saved.read_text()
    altered, foreign = tmp_path / "altered.json", tmp_path / "foreign.json"
    altered.write_text(text.replace('"left"', '"both"', 1).replace('"right"', '"both"', 1))
    foreign.write_text(json.dumps(json.loads(text) | {"page": "0" * 16}))
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    page.get_by_role("button", name="Start anew").click()
    assert page.inner_text("#count") == f"0 of {len(items)} answered"
    for path, why in ((altered, "is not a file as this page saved it"), (foreign, "it is of another page")):
        page.set_input_files("#file", path)
        page.get_by_text(why).wait_for()
        assert page.inner_text("#count") == f"0 of {len(items)} answered"
    page.set_input_files("#file", saved)
    page.get_by_text(f"3 of {len(items)} answered.").wait_for()
    assert page.input_value("#annotator") == "Bob"
    page.get_by_role("button", name="Continue").click()
    assert page.inner_text("#place") == f"Pair 4 of {len(items)}"
    page.keyboard.press("p")
    wanted = attentive(items[2], "factuality")
    assert page.get_attribute("input[name=factuality]:checked", "value") == wanted


def test_keys_can_be_turned_off_and_the_mouse_answers(page: Any) -> None:
    page.get_by_role("button", name="Start").click()
    assert page.inner_text("#status") == "Write your name or initials first."
    begin(page, "Cy")
    page.get_by_label("Keyboard:").uncheck()
    page.keyboard.press("1")
    assert page.locator("fieldset input:checked").count() == 0
    page.get_by_text("B is more true").click()
    page.get_by_text("Neither is specific").click()
    assert page.inner_text("#count").startswith("1 of ")
    page.get_by_role("button", name="Next").click()
    assert page.locator("fieldset input:checked").count() == 0
    page.get_by_role("button", name="Previous").click()
    assert page.locator("fieldset input:checked").count() == 2
