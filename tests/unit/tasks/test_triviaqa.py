"""TriviaQA's release: aliases, evidence, hidden answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.metrics.answers import em
from rag_lightning.tasks.spec import get_task


def item(identifier: str = "tc_2", **change: Any) -> dict[str, Any]:
    answer = {
        "Aliases": ["(Harry) Sinclair Lewis", "Sinclair Lewis"],
        "MatchedWikiEntityName": "Sinclair Lewis",
        "NormalizedAliases": ["harry sinclair lewis", "sinclair lewis", "grace hegger"],
        "NormalizedValue": "sinclair lewis",
        "Type": "WikipediaEntity",
        "Value": "Sinclair Lewis",
    }
    return {"Answer": {**answer, **change}, "EntityPages": [], "Question": "Who won? ", "QuestionId": identifier}


def write(path: Path, *items: Any, indent: int | None = 4, domain: str = "Wikipedia") -> Path:
    document = {"Data": list(items), "Domain": domain, "Split": "dev", "VerifiedEval": False, "Version": 1.0}
    path.write_text(json.dumps(document, indent=indent), encoding="utf-8")
    return path


@pytest.mark.parametrize("indent", [None, 4])
def test_aliases_first_normalised_ones_where_they_are_new(tmp_path: Path, indent: int | None) -> None:
    reading = get_task("triviaqa").reading(write(tmp_path / "wikipedia-dev.json", item(), indent=indent))
    (example,) = reading.examples
    assert (reading.layout, example.example_id, example.query) == ("TriviaQA JSON", "tc_2", "Who won?")
    assert example.answers == ("Sinclair Lewis", "(Harry) Sinclair Lewis", "grace hegger")
    assert em("harry sinclair lewis", example.answers) == 1.0


def test_the_two_test_sets_are_told_apart(tmp_path: Path) -> None:
    wiki, web = (
        get_task("triviaqa").read(write(tmp_path / f"{d}.json", item(), domain=d)) for d in ("Wikipedia", "Web")
    )
    assert (wiki[0].tags, web[0].tags) == ({"evidence": "wikipedia"}, {"evidence": "web"})
    (tmp_path / "open.csv").write_text("Who won?\t['Sinclair Lewis']\n")
    assert get_task("triviaqa").read(tmp_path / "open.csv")[0].tags == {}


@pytest.mark.parametrize(
    ("items", "row", "field", "says"),
    [
        ([item(), {**item("b"), "Question": ""}], 2, "Question", "must be a string"),
        ([{"Question": "q", "QuestionId": "a"}], 1, "Answer", "must be an object.*hide their answers"),
        ([item(Value="", Aliases=[], NormalizedAliases=[])], 1, "Answer", "holds no answer"),
        ([item(Aliases=["x", 3])], 1, "Answer.Aliases", "not a string or empty"),
        ([item(), item()], 2, "QuestionId", "is the id of row 1 too"),
        ([3], 1, "Data", "must be a list of objects"),
        ([], None, None, "holds no questions"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, items: list[Any], row: int | None, field: str | None, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        get_task("triviaqa").read(write(tmp_path / "bad.json", *items))
    assert (caught.value.row, caught.value.field) == (row, field)
