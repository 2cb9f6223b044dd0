"""Every evaluation on test is one whole line of the ledger, whoever made it and whatever was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from rag_lightning.core.errors import DataError
from rag_lightning.runs.ledger import KEYS, Evaluation, append, read

DONE = Evaluation("nq", "test-a-1", "RAG-Token · flat · k=5 · “best”", "final", "test", "mini-nq", "0123456789abcdef")


def test_an_evaluation_is_a_line_with_its_time(tmp_path: Path) -> None:
    assert read(tmp_path) == []
    append(tmp_path, DONE)
    (line,) = read(tmp_path)
    assert tuple(line) == KEYS and {**line, **asdict(DONE)} == line and line["time"].endswith("+00:00")
    assert (tmp_path / "runs" / "ledger.jsonl").read_bytes().endswith(b"\n")


def test_the_same_evaluation_is_recorded_once_and_another_sweep_s_again(tmp_path: Path) -> None:
    for done in (DONE, DONE, replace(DONE, sweep="other"), replace(DONE, digest="f" * 16), DONE):
        append(tmp_path, done)
    assert [line["sweep"] for line in read(tmp_path)] == ["nq", "other", "nq"]


def test_test2_is_a_test_too(tmp_path: Path) -> None:
    append(tmp_path, replace(DONE, split="test2"))
    assert [line["split"] for line in read(tmp_path)] == ["test2"]


def test_dev_is_not_in_the_ledger(tmp_path: Path) -> None:
    append(tmp_path, replace(DONE, split="dev"))
    assert read(tmp_path) == [] and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"time": ', r"ledger\.jsonl, row 2: is not JSON.*; restore the ledger from a copy, or remove this line"),
        ("[]", "row 2: is not a JSON object"),
        ('{"time": "now"}', "row 2, field 'sweep': is missing"),
        (json.dumps({"time": 3} | asdict(DONE)), "row 2, field 'time': is not a text"),
    ],
)
def test_a_damaged_line_is_told_by_its_row(text: str, said: str, tmp_path: Path) -> None:
    append(tmp_path, DONE)
    with (tmp_path / "runs" / "ledger.jsonl").open("a") as handle:
        handle.write(text)
    for act in (lambda: read(tmp_path), lambda: append(tmp_path, replace(DONE, digest="1" * 16))):
        with pytest.raises(DataError, match=said):
            act()


def test_an_altered_line_is_told_by_its_row(tmp_path: Path) -> None:
    append(tmp_path, DONE)
    append(tmp_path, replace(DONE, digest="1" * 16))
    path = tmp_path / "runs" / "ledger.jsonl"
    path.write_text(path.read_text().replace('"1111', '"2222'))
    with pytest.raises(DataError, match=r"ledger\.jsonl, row 2: was altered: .*; restore the ledger from a copy"):
        read(tmp_path)


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(tmp_path, DONE)
    before = (tmp_path / "runs" / "ledger.jsonl").read_bytes()
    cut = replace(DONE, label="x" * 200)
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, limits[1]))
    try:
        with pytest.raises(OSError, match="No space left"):
            append(tmp_path, cut)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / "runs" / "ledger.jsonl").read_bytes() == before


def test_killed_writers_leave_whole_lines(tmp_path: Path) -> None:
    code = (
        "import sys; from rag_lightning.runs.ledger import Evaluation, append\n"
        "for i in range(10**6): append(sys.argv[1], Evaluation('s', str(i), sys.argv[2], 'r', 'test', 'd', 'x'))"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in ("a" * 500, "b" * 500)]
    path, give_up = tmp_path / "runs" / "ledger.jsonl", time.monotonic() + 30
    while time.monotonic() < give_up and not (path.exists() and len({line["label"] for line in read(tmp_path)}) == 2):
        time.sleep(0.01)
    for writer in writers:
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
    append(tmp_path, DONE)
    found = read(tmp_path)
    assert found[-1]["label"] == DONE.label and {len(line["label"]) for line in found[:-1]} == {500}
