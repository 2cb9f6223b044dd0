"""YAML with a key twice, or without end, is an error in every file that is read."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rag_lightning import cli
from rag_lightning.config.yaml_files import check_words, plain_values, read_yaml
from rag_lightning.core.errors import ConfigError, DataError
from rag_lightning.report.paper import read_paper


@pytest.mark.parametrize(
    ("text", "key", "lines"),
    [
        ("a: 1\nb: 2\na: 1\n", "a", (1, 3)),
        ("systems:\n  rag:\n    k: 5\n  frozen: {k: 1}\n  rag:\n    k: 10\n", "rag", (2, 5)),
        ("- {k: 5,\n   k: 10}\n", "k", (1, 2)),
        ("a: &a {x: 1}\nb:\n  <<: *a\n  y: 2\n  'y': 3\n", "y", (4, 5)),
    ],
)
def test_a_key_twice_is_told_with_both_lines(text: str, key: str, lines: tuple[int, int]) -> None:
    with pytest.raises(yaml.YAMLError) as caught:
        plain_values(text)
    message = " ".join(str(caught.value).split())
    assert f"key '{key}' is already in line {lines[0]}" in message
    assert f"line {lines[1]}," in message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: {x: 1}\nb: {x: 1}\n",
        "a: &a {x: 1}\nb: {<<: *a, x: 2}\nc: [*a, *a]\n",
        "1: x\n'1': y\n",
        "a: &a {x: 1}\nb: &b {y: 1}\nc:\n  <<: *a\n  <<: *b\n",
    ],
)
def test_everything_else_is_read_as_ever(text: str) -> None:
    found, wanted = plain_values(text), yaml.safe_load(text)
    assert found == wanted


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: &a [*a]\n", "an alias stands within what it names"),
        ("a: &a {x: {y: *a}}\n", "an alias stands within what it names"),
        (BOMB, "holds more than 100,000 values"),
        ("[" + "x, " * 300_000 + "x]", "holds more than 100,000 values"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_document_without_end_is_refused(text: str, says: str) -> None:
    with pytest.raises(yaml.YAMLError, match=says):
        plain_values(text)


@pytest.mark.parametrize("value", ["[" * 1000 + "]" * 1000, '{"a": ' * 1000 + "1" + "}" * 1000])
def test_a_value_of_a_command_line_is_refused(value: str) -> None:
    for words in (["ask", "--seed", value], [f"--seed={value}"]):
        with pytest.raises(ConfigError, match=r"^seed: is nested too deeply") as caught:
            check_words(words)
        assert len(str(caught.value)) < 200
    check_words([value])  # a question


@pytest.mark.parametrize("read", [read_yaml, read_paper])
def test_files_of_ours_are_refused(read: object, tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_text("tables: []\ncounts: {}\ntables: []\n")
    with pytest.raises(DataError, match=r"file\.yaml.*key 'tables' is already in line 1"):
        read(file)  # type: ignore[operator]


def test_a_configuration_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("retriever:\n  k: 5\n  k: 10\n")
    assert cli.main(["train", "--config", str(file)]) == cli.MISUSED
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert str(file) in told
    assert "key 'k' is already in line 2; keep one of them" in told


@pytest.mark.parametrize("text", ["name:\tx\n", "name: x\t# comment\n", '{\n\t"name": "x"\n}\n'])
def test_tabs_between_words_are_read(text: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    assert cli.parse("train", ["--config", str(file)])[0].name == "x"  # type: ignore[index,union-attr]


@pytest.mark.parametrize("place", ["", "artifacts", "artifacts/corpus"])
def test_a_file_where_a_folder_belongs_is_told_in_one_line(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine" / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    assert cli.main(["corpus", "--folder", str(tmp_path / "mine")]) == cli.FAILED
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert str(file) in told


def test_a_dangling_link_as_a_folder_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert cli.main(["corpus", "--folder", str(tmp_path / "link")]) == cli.FAILED
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert str(tmp_path / "link") in told


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("task: &a {x: *a}\n", "an alias stands within what it names"),
        ("index: {m: &a [*a]}\n", "an alias stands within what it names"),
        ("index: {3: 2}\n", "key 3 is not text"),
        ("index: {null: 2}\n", "key None is not text"),
        ("decoding: {k: [1, 2]}\n", "decoding.k: must be int, not a list"),
        ("decoding: {k: true}\n", "decoding.k: must be int, not True"),
        ("decoding: {k: 1.5}\n", "decoding.k: must be int, not 1.5"),
        ('folder: "a\\0b"\n', "must hold no NUL"),
        ("index: {kind: hsnw}\n", "did you mean 'hnsw'"),
        ("index: [flat]\n", "is a section"),
    ],
)
@pytest.mark.parametrize("words", [[], ["--print_config"]])
def test_what_no_configuration_can_be_is_told_in_one_line(
    text: str, says: str, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    assert cli.main(["corpus", "--config", str(file), *words]) == cli.MISUSED
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert str(file) in told and says in told
