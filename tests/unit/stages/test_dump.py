"""The corpus of a dump: killed and run again it has the same bytes, and `doctor --data` names it."""

from __future__ import annotations

import bz2
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from rag_lightning.cli import FAILED, main
from rag_lightning.core.files import file_sha256
from tests.format_files import dump_of

WORDS = " ".join(f"{'words' * 100} [[Page {i}|of it]]{{{{efn|no}}}}" for i in range(150))
PROGRAM = [sys.executable, "-m", "rag_lightning"]


def written(path: Path, count: int) -> Path:
    """A dump of as many pages, of 80 kB each, and a redirect."""
    pages = [
        {"page_id": str(i), "title": f"T{i}", "namespace": "0", "wikitext": f"{i} {WORDS}"} for i in range(count)
    ]  # fmt: skip
    path.write_bytes(bz2.compress(dump_of([*pages, {**pages[0], "page_id": "x", "redirect": "T1"}])))
    return path


def corpus(root: Path, dump: Path, processes: int) -> list[str]:
    source = ["--corpus.source", str(dump), "--corpus.processes", str(processes)]
    return ["corpus", "--folder", str(root), *source]


def digests(root: Path) -> dict[str, str]:
    (folder,) = [one for one in (root / "artifacts" / "corpus").iterdir() if one.is_dir()]
    assert folder.suffix == "", "published"
    return {one.name: file_sha256(one) for one in folder.iterdir() if one.suffix != ".json"}


def alive(session: int) -> list[int]:
    """Processes of a session, without those that nobody waits for."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


def test_killed_and_run_again_it_has_the_same_bytes(tmp_path: Path) -> None:
    dump = written(tmp_path / "pages-articles.xml.bz2", 90)  # four blocks
    assert main(corpus(tmp_path / "whole", dump, 1)) == 0
    again = [*PROGRAM, *corpus(tmp_path / "killed", dump, 2)]
    killed = subprocess.Popen(again, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while not (kept := list((tmp_path / "killed").glob("artifacts/corpus/*.partial/blocks/0*.json"))):
        assert time.monotonic() < deadline and killed.poll() is None
        time.sleep(0.05)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    while alive(killed.pid):  # its processes end with it
        assert time.monotonic() < deadline
        time.sleep(0.05)
    done = subprocess.run(again, check=True, capture_output=True, text=True)
    assert "redirects left out: 1" in done.stderr and not kept[0].exists()
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")


def test_doctor_names_a_dump_and_its_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    dump = written(tmp_path / "pages-articles.xml.bz2", 20)
    assert main(["doctor", "--data", str(dump)]) == 0
    shown = capsys.readouterr().out
    assert "Wikipedia, Wikipedia dump" in shown and "the longest of 100 words; redirects left out: 1" in shown
    for name, share in (("head", 0.01), ("tail", 0.9)):
        (tmp_path / name).write_bytes(dump.read_bytes()[: int(share * dump.stat().st_size)])
        assert main(["doctor", "--data", str(tmp_path / name)]) == FAILED
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and f"{tmp_path / name}, row " in said and "cut or damaged bzip2 file" in said
