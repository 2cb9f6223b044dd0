"""Passages: at most 100 words, no short tails, labels and titles travel."""

from rag_lightning.corpus.chunking import make_passages, pack_fields, split_text


def words(count: int, name: str = "w") -> str:
    return " ".join(f"{name}{number}" for number in range(count))


def sizes(parts: list[str]) -> list[int]:
    return [len(part.split()) for part in parts]


def test_text_is_cut_at_a_hundred_words_and_nothing_is_lost() -> None:
    parts = split_text(words(250))
    assert sizes(parts) == [100, 100, 50]
    assert " ".join(parts) == words(250)


def test_a_tail_under_twenty_words_never_stands_alone_nor_passes_the_limit() -> None:
    assert sizes(split_text(words(119))) == [60, 59]
    assert sizes(split_text(words(120))) == [100, 20]
    assert " ".join(split_text(words(219))) == words(219)
    assert all(20 <= size <= 100 for size in sizes(split_text(words(219))))


def test_a_tail_joins_the_passage_before_where_it_fits() -> None:
    parts = pack_fields([("A", words(98)), ("B", words(30)), ("C", words(5))])
    assert sizes(parts) == [99, 37]
    assert parts[1].startswith("B: w0") and "C: w0" in parts[1]


def test_short_and_empty_texts() -> None:
    assert split_text("one two") == ["one two"]
    assert split_text("  \n ") == []


def test_a_long_field_repeats_its_label_on_every_piece() -> None:
    parts = pack_fields([("Government - Flag", words(230))])
    assert len(parts) == 3
    assert all(part.startswith("Government - Flag: ") for part in parts)
    assert max(sizes(parts)) <= 100


def test_short_fields_share_a_part_and_no_part_is_too_long() -> None:
    parts = pack_fields([(f"F{number}", words(18)) for number in range(30)])
    assert max(sizes(parts)) <= 100
    assert sum(part.count(":") for part in parts) == 30


def test_a_part_too_short_to_stand_alone_takes_the_head_of_a_long_field() -> None:
    parts = pack_fields([("A", words(5)), ("B", words(130))])
    assert sizes(parts)[0] == 100
    assert parts[1].startswith("B: ")


def test_the_title_travels_with_every_passage_and_ids_are_numbered() -> None:
    passages = list(make_passages("wiki/Fermi_paradox", "Fermi paradox", split_text(words(250))))
    assert {passage.title for passage in passages} == {"Fermi paradox"}
    assert [passage.passage_id for passage in passages] == [f"wiki/Fermi_paradox#{n}" for n in range(3)]
