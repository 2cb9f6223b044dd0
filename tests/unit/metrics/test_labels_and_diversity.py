"""Label accuracy, the confusion matrix, and distinct tri-grams."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_lightning.core.records import Example
from rag_lightning.metrics.diversity import DISTINCT_TRIGRAMS, distinct_share, trigrams
from rag_lightning.metrics.labels import LABEL_ACCURACY, OUTSIDE, confusion, label_accuracy, normalize_label
from rag_lightning.metrics.metric import Outcome, parse_metric

LABELS = ("supports", "refutes", "not enough info")


def claim(true: str, said: str | None, example_id: str = "1") -> Outcome:
    return Outcome(Example(example_id, "a claim", (true,)), said)


@pytest.mark.parametrize(
    ("said", "true", "value"),
    [
        ("supports", "supports", 1),
        ("SUPPORTS", "supports", 1),
        (" not  enough\ninfo", "not enough info", 1),
        ("refutes", "supports", 0),
        ("", "supports", 0),
        ("supports it", "supports", 0),
    ],
)
def test_label_accuracy(said: str, true: str, value: float) -> None:
    assert label_accuracy(said, [true]) == LABEL_ACCURACY.score(claim(true, said)) == value


def test_the_confusion_matrix_keeps_the_order_and_counts_what_is_outside_apart() -> None:
    listed = [("supports", "supports"), ("supports", "refutes"), ("refutes", "no idea"), ("not enough info", "REFUTES")]
    found = confusion([*(claim(true, said) for true, said in listed), claim("refutes", None)], LABELS)
    assert found.counts == {"supports": (1, 1, 0, 0), "refutes": (0, 0, 0, 1), "not enough info": (0, 1, 0, 0)}
    assert found.to_dict()["predicted"] == [*LABELS, OUTSIDE]
    assert list(found.to_dict()["true"]) == list(LABELS)


def test_a_label_outside_the_set_is_an_error() -> None:
    with pytest.raises(ValueError, match="example '7': label 'maybe' is none of supports, refutes"):
        confusion([claim("maybe", "supports", "7")], LABELS)
    with pytest.raises(ValueError, match="at least one"):
        label_accuracy("supports", [])


@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from([*LABELS, "other"])), max_size=20))
def test_the_diagonal_is_the_accuracy(pairs: list[tuple[str, str]]) -> None:
    counts = confusion([claim(*pair) for pair in pairs], LABELS).counts
    assert sum(map(sum, counts.values())) == len(pairs)
    right = sum(counts[label][place] for place, label in enumerate(LABELS))
    assert right == sum(label_accuracy(said, [true]) for true, said in pairs)


def test_kilt_accuracy_counts_only_with_the_page() -> None:
    example = Example("1", "a claim", ("refutes",), gold_titles=("Paris",))
    metric = parse_metric("kilt_accuracy")
    assert metric.score(Outcome(example, "refutes", titles=("Paris", "Rome"))) == 1  # type: ignore[union-attr]
    assert metric.score(Outcome(example, "refutes", titles=("Rome", "Paris"))) == 0  # type: ignore[union-attr]


@given(st.text(max_size=10))
def test_labels_are_normalised_once_and_for_all(text: str) -> None:
    assert normalize_label(normalize_label(text)) == normalize_label(text)


def test_trigrams_are_counted_over_all_predictions() -> None:
    assert trigrams("The cat sat; the cat sat.") == (
        "the cat sat",
        "cat sat ;",
        "sat ; the",
        "; the cat",
        "the cat sat",
        "cat sat .",
    )
    listed = [trigrams(text) for text in ("the cat sat down", "The cat sat up", "no", "")]
    assert distinct_share(listed) == 3 / 4
    assert distinct_share([]) == distinct_share([trigrams("two words")]) == 0


@given(st.lists(st.text("ab c", max_size=12), max_size=6))
def test_distinct_trigrams_equal_brute_force(texts: list[str]) -> None:
    words = [text.split() for text in texts]
    every = [tuple(w[i : i + 3]) for w in words for i in range(len(w) - 2)]
    value = distinct_share([trigrams(text) for text in texts])
    assert value == (len(set(every)) / len(every) if every else 0)
    assert value == distinct_share([trigrams(text) for text in texts[::-1]])


def test_the_note_gives_the_references_share() -> None:
    outcomes = [Outcome(Example("1", "q", ("a b c d", "other")), "x y z"), Outcome(Example("2", "q", ("a b c",)), "x")]
    (note,) = DISTINCT_TRIGRAMS.notes(outcomes)
    assert note.text.endswith("the references' own share is 66.7 %") and "SimpleTokenizer" in note.text
    assert DISTINCT_TRIGRAMS.statistics(Outcome(outcomes[0].example)) is None
