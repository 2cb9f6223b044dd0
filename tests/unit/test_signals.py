"""Ctrl-C and SIGTERM end a command at once, with one line and 130 or 143, whatever else its process does."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rag_lightning.core.artifacts import Recipe

ROOT = Path(__file__).parents[2]
PROGRAM = """
import signal, sys, threading, time, weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from rag_lightning import cli
from rag_lightning.core.artifacts import ArtifactStore, Recipe
from rag_lightning.core.errors import Terminated

def ready():
    print("ready", flush=True)

def calculating():
    ready()
    while True:
        sum(range(1000))

def sending():
    pool = ThreadPoolExecutor(1)
    for _ in range(9):
        pool.submit(time.sleep, 300)
    ready()
    pool.submit(int).result()

def waiting():
    ready()
    ArtifactStore(Path(sys.argv[2])).build(Recipe("corpus", {}, {}, 1), lambda folder: {})

def cleaning():
    try:
        calculating()
    finally:
        threading.Thread(target=time.sleep, args=(300,)).start()
        (Path(sys.argv[2]) / "cleaned").touch()

def swallowing():
    class Held:
        pass

    held = Held()
    reference = weakref.ref(held, lambda _: calculating())
    del held  # an exception of a callback is shown, and forgotten
    while True:
        sum(range(1000))

def ending():
    threading.Thread(target=time.sleep, args=(300,)).start()
    ready()

work, sys.argv[1:] = globals()[sys.argv[1]], ["plan", *sys.argv[2:]]
cli.parse = lambda name, words: (None, [])
cli.load = lambda target: lambda config: work()
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
sys.exit(cli.main())
"""


@pytest.mark.parametrize("work", ["calculating", "sending", "waiting", "cleaning", "swallowing"])
@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended by SIGTERM")]
)
def test_a_signal_ends_the_process_with_one_line(
    tmp_path: Path, work: str, number: signal.Signals, code: int, said: str
) -> None:
    assert ended(tmp_path, work, number) == (
        code,
        f"rag-lightning: {said}; run the same command again to continue\n",
    )
    assert (tmp_path / "cleaned").exists() == (work == "cleaning")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_when_all_is_done_ends_the_process_without_a_word(tmp_path: Path, number: signal.Signals) -> None:
    assert ended(tmp_path, "ending", number) == (-number, "")


def ended(tmp_path: Path, work: str, number: signal.Signals) -> tuple[int, str]:
    """The exit code of a process that gets a signal at its work, and what it prints to stderr."""
    (tmp_path / "corpus").mkdir()
    lock = (tmp_path / "corpus" / f"{Recipe('corpus', {}, {}, 1).digest}.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    command = [sys.executable, "-c", PROGRAM, work, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with lock, subprocess.Popen(command, env=environment, **pipes) as process:  # type: ignore[call-overload]
        try:
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.5)
            process.send_signal(number)
            _, shown = process.communicate(timeout=60)  # the threads would work for minutes
        finally:
            process.kill()
    return process.returncode, shown


PRESSED = """
import sys
from rag_lightning.__main__ import main

class Pressed:
    def find_spec(self, name, path=None, target=None):
        if name == pressed_at:
            raise KeyboardInterrupt

pressed_at = sys.argv.pop()
sys.meta_path.insert(0, Pressed())
sys.exit(main())
"""


@pytest.mark.parametrize("module", ["rag_lightning.cli", "rag_lightning.config.fields", "jsonargparse"])
def test_ctrl_c_while_modules_are_imported_is_one_line(module: str) -> None:
    command = [sys.executable, "-c", PRESSED, "plan", "--k", "1", module]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    (line,) = done.stderr.splitlines()
    assert done.returncode == 130 and line.startswith("rag-lightning: interrupted; ") and not done.stdout
