"""In float32 on a CPU no prediction depends on which questions are decoded with it, but for ties."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag_lightning.core.records import Hypothesis, Prediction
from tests.batch_invariance import CASES, SIZES, TIE, Changed, compared, measure, questions
from tests.tiny_project import experiment


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_predictions_do_not_depend_on_the_batch(
    tiny_data: Path, bert_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = list(measure(experiment(tmp_path, tiny_data, bert_folder), "float32", questions(1000)))
    with capsys.disabled():
        print("", *found, sep="\n")
    assert len(found) == len(CASES) * (len(SIZES) - 1)
    for one in found:
        assert one.questions == 1000 and all(gap <= TIE for gap in one.gaps)
        assert one.moved < 1e-4


def prediction(*hypotheses: tuple[tuple[int, ...], float]) -> Prediction:
    made = tuple(Hypothesis("", log_prob, ids) for ids, log_prob in hypotheses)
    return Prediction("q", "", "", made[0].log_prob, made)


def test_a_prediction_that_changes_is_counted_with_its_distance_from_a_tie() -> None:
    first = [prediction(((4,), -1.0), ((5,), -1.5)), prediction(((4,), -1.0)), prediction(((4,), -2.0))]
    other = [prediction(((5,), -1.25), ((4,), -1.5)), prediction(((6,), -1.0)), prediction(((4,), -2.0))]
    found = compared("case", 7, first, other)
    assert found == Changed("case", 7, 3, (0.5, float("inf")), 0.25)
    assert str(found).startswith("case, batches of 7: 2 of 3 predictions change [9.43 %, 99.16 %], 0 of them ties")
