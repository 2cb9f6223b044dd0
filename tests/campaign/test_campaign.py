"""A short campaign, and that it finds what it looks for."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from rag_lightning.config.commands import SweepConfig
from tests.campaign import damage, flips
from tests.campaign.children import CRASH, ROOT, Ended
from tests.campaign.kills import Standing, compare
from tests.campaign.project import content
from tests.campaign.tally import Tally, explain

LINE = "rag-lightning: runs/a/run.json: is not JSON; remove it\n"


@pytest.mark.parametrize(
    ("ended", "problem"),
    [
        (Ended(0, 0, "", "a line\n"), ""),
        (Ended(1, 0, "", f"a line\n{LINE}"), ""),
        (Ended(1, 0, "", "a line\n"), "exit code 1 and 0 lines"),
        (Ended(2, 0, "", LINE + LINE), "exit code 2 and 2 lines"),
        (Ended(1, 0, "", f"{LINE}and more\n"), "exit code 1 and 1 lines"),
        (Ended(CRASH, 0, "", "Traceback (most recent call last):\nKeyError: 'a'\n"), "traceback in : KeyError"),
        (Ended(None, 11, "", ""), "crashed with signal 11"),
        (Ended(None, 9, "", "", hung=True), "hangs"),
    ],
)
def test_what_is_right_and_what_is_wrong(ended: Ended, problem: str) -> None:
    assert explain(ended).startswith(problem) and bool(explain(ended)) == bool(problem)


@pytest.mark.parametrize("way", sorted({*damage.WAYS}, key=lambda way: way.__name__), ids=lambda way: way.__name__)
def test_damage_changes_a_file_and_is_the_same_again(way: damage.Way) -> None:
    raw = json.dumps({"a": [1, 2.5, "x"], "b": {"c": None}}).encode() + b"\n"
    made = [way(raw, random.Random(seed)) for seed in range(20)]
    assert made == [way(raw, random.Random(seed)) for seed in range(20)]
    assert any(one != raw for one in made)


def test_each_file_has_a_kind_and_failures_that_differ_in_numbers_are_one() -> None:
    assert flips.kind_of("artifacts/index/0123456789abcdef/manifest.json") == "manifest of an artifact"
    assert flips.kind_of("runs/tiny/dev-1/summary.json") == "summary.json"
    assert flips.kind_of("LICENSE") == "another file"
    tally = Tally()
    for number in range(3):
        tally.add("run.json", f"traceback: row {number} of 0123456789abcdef", f"--first {number}")
    tally.add("run.json", "", "")
    assert tally.tries["run.json"] == 4 and [one.count for one in tally.failures.values()] == [3]
    assert "run.json      4      1      3" in tally.table() and "--first 0" in tally.table()


def test_what_a_kill_has_lost_is_seen(tmp_path: Path) -> None:
    made, other = tmp_path / "a", tmp_path / "b"
    for root, value in ((made, 1), (other, 2)):
        for name, text in (
            ("artifacts/index/01/manifest.json", f'{{"seconds": {value}}}'),
            ("runs/tiny/r/run.json", f'{{"status": "finished", "ended": "{value}"}}'),
            ("runs/tiny/r/summary.json", f'{{"em": {value}}}'),
        ):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
    assert content(made / "runs/tiny/r/run.json", made) == content(other / "runs/tiny/r/run.json", other)
    assert compare(made, other, "tiny") == ["runs/tiny/r/summary.json differs"]
    before = Standing.of(made, "tiny")
    assert before.lost(Standing.of(made, "tiny")) == ""
    (made / "runs/tiny/r/run.json").write_text('{"status": "running"}')
    assert before.lost(Standing.of(made, "tiny")) == "r is lost"
    (made / "artifacts/index/01/manifest.json").unlink()
    assert "is lost or made again" in before.lost(Standing.of(made, "tiny"))


@pytest.mark.parametrize(
    ("attacks", "tries"),
    [
        ("--flips 3 --sealed 1 --texts 1 --names 2 --indexes 3", 12),
        pytest.param("--flips 8 --sealed 2 --texts 1 --names 4 --kills 1 --indexes 3", 20, marks=pytest.mark.slow),
    ],
)
def test_a_short_campaign(attacks: str, tries: int, tiny_sweep: SweepConfig, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tests.campaign", "--place", str(tmp_path), "--json", str(tmp_path / "table.json")]
    words += ["--project", tiny_sweep.experiment.folder, "--readers", "status,verify,inspect", *attacks.split()]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    made = json.loads((tmp_path / "table.json").read_text())
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(kind["tries"] for kind in made["kinds"].values()) >= tries, done.stdout
