"""EM and F1 by characters, with values computed by hand."""

from __future__ import annotations

import unicodedata

import pytest

from rag_lightning.metrics.characters import characters, em_char, f1_char


@pytest.mark.parametrize(
    ("prediction", "answers", "em", "f1"),
    [
        ("北京", ["北京"], 1.0, 1.0),
        ("《北京》。", ["北京"], 1.0, 1.0),
        ("北京市", ["北京", "上海"], 0.0, 4 / 5),  # 2 of 3 characters, 2 of 2
        ("上海", ["北京"], 0.0, 0.0),
        ("一九一九", ["一一九"], 0.0, 6 / 7),  # 一 twice and 九 once of 4, and of 3
        ("１９９０年", ["1990年"], 1.0, 1.0),
        ("ﾃﾞｰﾀ", ["データ"], 1.0, 1.0),
        ("葛\U000e0100城", ["葛城"], 1.0, 1.0),  # a variation selector
        (unicodedata.normalize("NFD", "Évreux"), ["évreux"], 1.0, 1.0),
        ("", ["北京"], 0.0, 0.0),
        ("？！", ["。"], 1.0, 1.0),
    ],
)
def test_values_by_hand(prediction: str, answers: list[str], em: float, f1: float) -> None:
    assert em_char(prediction, answers) == em
    assert f1_char(prediction, answers) == pytest.approx(f1)


def test_characters_keep_letters_digits_and_marks() -> None:
    assert characters("Ｃ＋＋ ２.０ (กำ)\n") == ("c", "2", "0", "ก", "\u0e4d", "า")
    assert characters(" …!") == ()


def test_no_answers_is_an_error() -> None:
    for measure in (em_char, f1_char):
        with pytest.raises(ValueError, match="at least one string"):
            measure("x", [])
