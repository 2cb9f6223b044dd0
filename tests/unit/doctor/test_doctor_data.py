"""`doctor --data` names formats and faults in one line each, and ends with a code to go by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag_lightning.cli import FAILED, MISUSED, main
from tests.format_files import write_rows

CLAIM = {"id": 1, "label": "SUPPORTS", "claim": "c", "evidence": [[[1, 2, "A", 0]]]}
UNKNOWN = {"id": 2, "label": "NOT ENOUGH INFO", "claim": "c", "evidence": []}
QUESTION = {"question": "how many [bold]?", "answer": ["(5"]}


def write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str, str]:
    """Exit code, what is printed on a wide terminal, and what is complained of."""
    monkeypatch.setenv("COLUMNS", "250")
    code = main(["doctor", *words])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_a_good_file_is_described(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = ask(capsys, monkeypatch, "--data", str(write(tmp_path / "f.jsonl", CLAIM, UNKNOWN)))
    assert (code, err) == (0, "")
    assert "JSON lines with claim, evidence, id, label" in out and "FEVER" in out
    assert "1 supports, 0 refutes, 1 not enough info; 1 repeated queries" in out
    assert "1 rows dropped: NOT ENOUGH INFO" in out and "KILT" not in out


def test_a_file_that_one_task_reads_is_not_bad(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = str(write(tmp_path / "q.jsonl", QUESTION))
    code, out, err = ask(capsys, monkeypatch, "--data", file)
    assert (code, err) == (0, "") and "does not compile" in out
    code, out, err = ask(capsys, monkeypatch, "--data", file, "--as_task", "curatedtrec")
    assert code == FAILED and "row 1, field 'answers': does not compile" in err and "\n" not in err.strip()
    assert "questions of patterns" in out and "bad" in out


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ((CLAIM, {**UNKNOWN, "label": "MAYBE"}), "row 2, field 'label': is no label of FEVER (got 'MAYBE')"),
        ((CLAIM, CLAIM), "row 2, field 'id': is the id of row 1 too"),
        ((CLAIM, QUESTION), "row 2, field 'claim': is missing"),
        (({"query-id": "q", "corpus-id": "p", "score": 1},), "no queries lie beside them; put it into a folder qrels"),
        (({"x": 1},), "is JSON lines with x, which no task can read"),
        ((), "is empty"),
    ],
)
def test_a_bad_file_ends_with_an_error_in_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    rows: tuple[object, ...],
    says: str,
) -> None:
    code, _, err = ask(capsys, monkeypatch, "--data", str(write(tmp_path / "f.jsonl", *rows)))
    assert code == FAILED and says in err and err.count("\n") == 1


def test_brackets_are_shown_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "f[1].jsonl", {**CLAIM, "[/x]": 1}, {**CLAIM, "id": 2, "claim": None, "label": "[/b]"})
    code, out, err = ask(capsys, monkeypatch, "--data", str(file))
    assert code == FAILED and "f[1].jsonl: JSON lines with [/x], claim" in out
    assert "field 'claim': is missing" in out and "field 'claim': is missing" in err


def test_a_task_is_told_what_it_expects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "q.csv").write_text("who\t['a']\n")
    code, out, err = ask(capsys, monkeypatch, "--data", str(tmp_path / "q.csv"), "--as_task", "fever3")
    assert code == FAILED and "unknown" in out
    assert "is tab-separated text of 2 columns; expected FEVER (claim, label); KILT (input, output)" in err


def test_what_does_not_go_together(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(capsys, monkeypatch, "--as_task", "nq")[0] == MISUSED
    code, _, err = ask(capsys, monkeypatch, "--data", "x", "--as_task", "fevr3")
    assert code == MISUSED and "did you mean 'fever3'" in err


def test_a_corpus_is_described(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ({"_id": "[red]", "text": "a b"}, {"_id": "2", "text": "c " * 101, "title": "T"})
    code, out, err = ask(capsys, monkeypatch, "--data", str(write(tmp_path / "c.jsonl", *rows)))
    assert (code, err) == (0, "")
    assert "BEIR, JSON lines" in out and "corpus.source" in out
    assert "2 passages; 1 without a title; the longest of 101 words, 1 over 100" in out


def test_a_fault_of_a_corpus_ends_doctor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "c.jsonl", {"_id": "1", "text": "a"}, {"_id": "[b]", "text": ["[i]"]})
    code, out, err = ask(capsys, monkeypatch, "--data", str(file))
    assert code == FAILED and "row 2, field 'text': must be a string (got ['[i]'])" in err
    assert "bad" in out and "(got ['[i]'])" in out
    code, out, err = ask(capsys, monkeypatch, "--data", str(tmp_path / "nothing"))
    assert code == FAILED and "does not exist" in err
    (tmp_path / "folder").mkdir()
    code, out, err = ask(capsys, monkeypatch, "--data", str(tmp_path / "folder"))
    assert code == FAILED and "holds no corpus" in err and err.count("\n") == 1


def test_how_quotes_of_questions_are_read_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "q.csv").write_text("who\t['Ann']\n\"the long road, who\t['Bell']\nwhere\t['here']\n")
    code, out, _ = ask(capsys, monkeypatch, "--data", str(tmp_path / "q.csv"), "--as_task", "nq")
    assert code == 0 and "3 examples" in out and "read without csv quoting: a field of row 2" in out


def test_folders_and_queries_are_told_from_corpora(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(tmp_path / "saved", "saved", [{"question": "who?", "answers": ["a"], "gold_passage_id": "p1"}])
    code, out, _ = ask(capsys, monkeypatch, "--data", str(tmp_path / "saved"))
    assert code == 0 and "arrow with answers, gold_passage_id, question" in out and "1 with gold passages" in out
    code, _, err = ask(
        capsys, monkeypatch, "--data", str(write(tmp_path / "queries.jsonl", {"_id": "1", "text": "who?"}))
    )
    assert code == FAILED and "holds no questions: dropped: query without answers" in err
