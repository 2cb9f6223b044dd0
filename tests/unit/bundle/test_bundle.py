"""A bundle of the tiny sweep: the same bytes each time, every number computed again, nothing of the machine in it."""

from __future__ import annotations

import getpass
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.bundle import command
from rag_lightning.bundle.material import Project
from rag_lightning.bundle.opening import CHECKSUMS, opened, sums_text
from rag_lightning.bundle.public import publishable
from rag_lightning.bundle.verifying import check, read_contents
from rag_lightning.bundle.writing import select, write_bundle
from rag_lightning.cli import main
from rag_lightning.config.commands import SweepConfig
from rag_lightning.core.errors import UnknownNameError
from rag_lightning.core.files import write_sealed
from rag_lightning.core.shipped import find_shipped

Change = Callable[[Any], Any]


def alter(folder: Path, pattern: str, change: Change, sums: bool = True) -> Path:
    """Change a JSON file, or the first line of JSON lines, and make the checksums fit."""
    path = sorted(folder.glob(pattern))[0]
    first, end, rest = path.read_text().partition("\n") if path.suffix == ".jsonl" else (path.read_text(), "", "")
    value = json.loads(first)
    changed = change(value)
    value = value if changed is None else changed
    if path.suffix == ".json" and path.name != "bundle.json":
        write_sealed(path, value)
    else:
        path.write_text(json.dumps(value) + end + rest)
    if sums:
        seal(folder)
    return folder


def seal(folder: Path) -> None:
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file() and p.name != CHECKSUMS}
    (folder / CHECKSUMS).write_text(sums_text(files))


def test_the_bundle_of_the_project_is_whole_and_small() -> None:
    shipped = find_shipped(command.SHIPPED)
    assert shipped.stat().st_size < 5_000_000
    with opened(shipped) as bundle:
        assert not bundle.altered
        contents = read_contents(bundle.folder)
        assert (contents["group"], len(contents["runs"]), contents["left_out"]) == ("curatedtrec", 39, {})
        assert "CC BY-SA 4.0" in (bundle.folder / "ATTRIBUTION.md").read_text()


@pytest.mark.slow
def test_the_numbers_of_the_bundle_of_the_project_are_those_of_this_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(find_shipped(command.SHIPPED))]) == 0
    assert "39 runs, n = 450 to 900: no difference" in capsys.readouterr().err


def test_it_has_the_same_bytes_each_time_and_every_number_is_computed_again(
    tiny_sweep: SweepConfig, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(tiny_sweep.experiment.folder)
    write_bundle(Project(root), select(root, str(root / "runs" / "tiny")), tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == whole.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again.zip"], "nothing temporary is left"
    assert main(["verify", str(whole)]) == 0
    shown = capsys.readouterr().err
    for line in ("10 runs, n = 3 to 12: no difference", "4 comparisons of two systems", "4 trials against the best"):
        assert line in shown
    assert "17 retrievers alone: no difference" in shown and "not checked       seconds, memory" in shown


def test_the_numbers_are_checked_without_torch(small: Path) -> None:
    code = (
        "import sys; from rag_lightning.cli import main; assert main(sys.argv[1:]) == 0; print('torch' in sys.modules)"
    )
    words = [sys.executable, "-c", code, "verify", str(small)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


def test_nothing_of_the_machine_is_in_it(tiny_sweep: SweepConfig, tiny_data: Path, whole: Path, tmp_path: Path) -> None:
    hidden = [tiny_sweep.experiment.folder, str(tiny_data), tiny_sweep.experiment.encoder.model, str(Path.home())]
    stored = (Path(tiny_sweep.experiment.folder) / "runs" / "tiny" / "sweep.json").read_text()
    assert str(tiny_data) in stored, "what must be hidden is there"
    shutil.unpack_archive(whole, tmp_path / "whole")
    for path in sorted((tmp_path / "whole").rglob("*.*")):
        text = path.read_text() if path.is_file() else ""
        assert not [word for word in hidden if word in text], path
        assert f'"user": "{getpass.getuser()}"' not in text and socket.gethostname() not in text, path


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"user": "ann", "storage": "postgresql://db/x"}, {"user": None, "storage": ""}),
        ({"dev": "/home/ann/my data/dev.csv", "k": 5}, {"dev": "…/dev.csv", "k": 5}),
        ("sweep --name a/b --task.dev '/home/a b/d.csv'", "sweep --name a/b --task.dev '…/d.csv'"),
        ('--train \'["/home/ann/q.jsonl","r.jsonl"]\'', '--train \'["…/q.jsonl","r.jsonl"]\''),
        ("--experiment.tracking_uri http://intern:5000 --seed 1", "--experiment.tracking_uri … --seed 1"),
        ("/opt/x/reader.ckpt: is missing, see https://a.b/c", "…/reader.ckpt: is missing, see https://a.b/c"),
        (
            ["~/data/x.tsv", "facebook/rag-token-nq", "and/or", "1/2"],
            ["…/x.tsv", "facebook/rag-token-nq", "and/or", "1/2"],
        ),
    ],
)
def test_paths_servers_and_users_are_removed_and_names_stay(given: Any, wanted: Any) -> None:
    assert publishable(given) == wanted


def set_mean(summary: Any) -> None:
    summary["metrics"]["em"]["mean"] += 8.0


def set_interval(summary: Any) -> None:
    summary["metrics"]["em"]["low"] -= 1e-6


def drop_metric(summary: Any) -> None:
    del summary["metrics"]["f1"]


def set_answer(example: Any) -> None:
    example["answers"] = ["nothing"]


def set_text(record: Any) -> None:
    record["text"] = "nothing"


def set_score(score: Any) -> None:
    score["values"]["em"] = 1.0 - score["values"]["em"]


def reverse(ranking: Any) -> None:
    ranking["rows"][:2] = ranking["rows"][1::-1]


def set_k(manifest: Any) -> None:
    manifest["config"]["k"] = 1


@pytest.mark.parametrize(
    ("pattern", "change", "named"),
    [
        ("runs/*/*/summary.json", set_mean, "summary.json.metrics.em.mean: the bundle says"),
        ("runs/*/*/summary.json", set_interval, "summary.json.metrics.em.low"),
        ("runs/*/*/summary.json", drop_metric, "summary.json.metrics.f1: the bundle says nothing"),
        ("questions/*/test.jsonl", set_answer, "values.answer_recall@1"),
        ("artifacts/predictions/*/predictions.jsonl", set_text, "predictions.jsonl: the bundle says"),
        ("artifacts/scores/*/scores.jsonl", set_score, "values.em"),
        ("artifacts/rankings/*/rankings.jsonl", reverse, "rankings.jsonl: the bundle says"),
        ("artifacts/scores/*/manifest.json", set_k, "manifest.json: digest"),
        ("manifests/model/*.json", set_k, "digest"),
    ],
)
def test_an_altered_value_is_found_and_named(
    small: Path, pattern: str, change: Change, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    alter(small, pattern, change)
    assert main(["verify", str(small)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("different ") and named in line for line in lines), lines
    assert "values differ" in lines[-1] and not any(line.startswith("verified") for line in lines)


def test_a_text_that_cannot_be_hashed_is_named(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sorted(small.glob("manifests/model/*.json"))[0]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": "\ud800"}))
    seal(small)
    assert main(["verify", str(small)]) == 1
    assert ".json: is cut short or damaged" in capsys.readouterr().err


def test_an_altered_file_is_named_even_if_no_number_changes(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alter(small, "runs/*/*/run.json", lambda record: record | {"label": "another"}, sums=False)
    assert main(["verify", str(small)]) == 1
    assert "run.json: the bundle says 'another content', computed 'its checksum differs'" in capsys.readouterr().err


def set_p(contents: Any) -> None:
    contents["comparisons"][0]["p"] /= 2


def set_within(selection: Any) -> None:
    selection["candidates"][0]["within"] = not selection["candidates"][0]["within"]


def set_retrieval(sweep: Any) -> None:
    sweep["retrieval"][0]["metrics"]["mrr"]["mean"] += 0.1


def test_altered_comparisons_selections_and_retrieval_are_found(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "whole"
    shutil.unpack_archive(whole, folder)
    alter(folder, "bundle.json", set_p)
    alter(folder, "runs/tiny/selection.json", set_within)
    alter(folder, "runs/tiny/sweep.json", set_retrieval)
    assert main(["verify", str(folder)]) == 1
    shown = capsys.readouterr().err
    for named in ("comparisons[0].p", "within: the bundle says", "retrieval[0].metrics.mrr.mean", "3 values differ"):
        assert named in shown


def test_what_another_tool_computed_is_not_checked_but_named(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag_lightning.bundle.numbers.tools", lambda names: {"f1": "counter 2"})
    with opened(small) as bundle:
        checked = check(bundle)
    assert not checked.differences
    assert any("f1 of scores" in line and "here is 'counter 2'" in line for line in checked.unchecked)


def test_a_ledger_without_its_lines_is_named(
    tiny_sweep: SweepConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "project"
    shutil.copytree(tiny_sweep.experiment.folder, root)
    (root / "runs" / "ledger.jsonl").write_bytes(b"")
    assert main(["export", "tiny", "--to", str(tmp_path / "a.zip"), "--folder", str(root)]) == 0
    shown = "".join(capsys.readouterr().err.split())
    assert f"{root}/runs/ledger.jsonl:lacks" in shown and "restoreitfromacopy" in shown


def test_unfinished_runs_are_left_out_and_named(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run,) = (path.parent for path in small.glob("runs/tiny/*/run.json"))
    (tmp_path / "p").mkdir()
    (small / "runs").rename(tmp_path / "p" / "runs")
    killed = tmp_path / "p" / "runs" / "tiny" / "killed"
    killed.mkdir()
    record = json.loads((tmp_path / "p" / "runs" / "tiny" / run.name / "run.json").read_text())
    write_sealed(killed / "run.json", record | {"status": "running", "run_id": "killed"})
    assert select(tmp_path / "p", "tiny").left_out == {"killed": "the run is marked running"}
    assert main(["export", "tiny/killed", "--folder", str(tmp_path / "p")]) == 1
    assert "has no finished run; run it first" in capsys.readouterr().err
    assert main(["export", "tiny", "--folder", str(tmp_path / "p")]) == 1
    assert "manifest.json: is missing" in capsys.readouterr().err, "its scores are gone"
    assert not (tmp_path / "p" / "reports").exists() or not list((tmp_path / "p" / "reports").rglob("*.zip"))
    for name in ("../p/runs/tiny/..", str(tmp_path / "p"), "nine"):
        with pytest.raises(UnknownNameError, match=r"no run .* among the 2 of .*; whole folders of runs: tiny"):
            select(tmp_path / "p", name)
    assert select(tmp_path / "p", f"{tmp_path}/p/runs/tiny/{run.name}/") == select(tmp_path / "p", run.name[-8:])
    with pytest.raises(UnknownNameError, match="one of 2: tiny/"):
        select(tmp_path / "p", "in")


def test_an_altered_bundle_is_not_shown(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alter(small, "runs/*/*/summary.json", set_mean, sums=False)
    assert main(["demo", "--bundle", str(small), "--to", str(tmp_path / "demo")]) == 1
    assert "was altered: a checksum differs" in capsys.readouterr().err and not (tmp_path / "demo").exists()
