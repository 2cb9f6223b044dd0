"""`artifacts` lists and removes what no run uses, and never what a run needs, a process builds or a link leads to."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rag_lightning.artifacts import command
from rag_lightning.artifacts.command import holdings
from rag_lightning.cli import main
from rag_lightning.core import artifacts
from rag_lightning.core.artifacts import ArtifactStore, Recipe
from rag_lightning.core.errors import ArtifactError, ConfigError
from rag_lightning.core.files import write_sealed
from rag_lightning.runs.record import RunInfo, RunResult, finish_run, start_run


def build(root: Path, kind: str, content: str = "x" * 1000, **inputs: str) -> Path:
    """An artifact; its store is closed."""

    def make(folder: Path) -> dict[str, int]:
        (folder / "data.txt").write_text(content)
        return {}

    path = ArtifactStore(root / "artifacts").build(Recipe(kind, {"content": content}, inputs, 1), make).path
    return path


def record(root: Path, group: str, run_id: str, **digests: str) -> Path:
    """A finished run of these artifacts."""
    folder = root / "runs" / group / run_id
    start_run(folder, RunInfo(run_id, group, "trial", "dev", "label", "nq", "tiny", "mini", {}))
    finish_run(folder, RunResult(digests=digests))
    return folder


def left(root: Path) -> set[str]:
    """kind/name of everything below artifacts/ but lock files."""
    return {f"{p.parent.name}/{p.name}" for p in (root / "artifacts").glob("*/*") if p.suffix != ".lock"}


def gc_run(root: Path) -> int:
    return main(["artifacts", "gc", "--confirm", "yes", "--folder", str(root)])


@pytest.fixture
def project(tmp_path: Path) -> dict[str, Path]:
    """A run of sweep a with scores and their inputs, the same corpus in sweep b, and artifacts without a run."""
    made = {"corpus": build(tmp_path, "corpus")}
    made["model"] = build(tmp_path, "model", "m" * 3000, corpus=made["corpus"].name, generator="smollm2:0123")
    made["predictions"] = build(tmp_path, "predictions", model=made["model"].name)
    made["cost"] = build(tmp_path, "cost", predictions=made["predictions"].name, model=made["model"].name)
    made["unpacked"] = build(tmp_path, "unpacked", model="smollm2:0123")
    made["old"] = build(tmp_path, "model", "old")
    made["old_cost"] = build(tmp_path, "cost", "old", predictions="f" * 16, model=made["model"].name)
    stores = tmp_path / "artifacts" / "pairs"
    stores.mkdir()
    for name in ("model", "old"):
        made[f"{name}_pairs"] = stores / f"{made[name].name}-greedy-24-float32.sqlite"
        for end in ("", "-wal"):
            made[f"{name}_pairs"].with_name(made[f"{name}_pairs"].name + end).write_text("pairs")
    record(tmp_path, "a", "dev-1", predictions=made["predictions"].name)
    record(tmp_path, "b", "dev-2", corpus=made["corpus"].name)
    return made


def test_inputs_and_what_lies_beside_are_used_by_the_runs_of_an_artifact(
    project: dict[str, Path], tmp_path: Path
) -> None:
    held = holdings(tmp_path)
    used = {one.path: dict(held.groups(one)) for one in held.entries}
    assert used[project["corpus"]] == {"a": 1, "b": 1}
    assert all(used[project[name]] == {"a": 1} for name in ("model", "predictions", "cost", "unpacked", "model_pairs"))
    assert {one.path for one in held.garbage} == {project[name] for name in ("old", "old_cost", "old_pairs")}


def test_without_confirmation_nothing_goes(
    project: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = left(tmp_path)
    assert main(["artifacts", "gc", "--folder", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "would remove 3 artifacts" in shown and project["old"].name[:8] in shown and "--confirm yes" in shown
    assert left(tmp_path) == before


def test_confirmed_only_the_unused_goes(project: dict[str, Path], tmp_path: Path) -> None:
    assert gc_run(tmp_path) == 0
    pairs = project["model_pairs"]
    kept = [project[name] for name in ("corpus", "model", "predictions", "cost", "unpacked", "model_pairs")]
    kept.append(pairs.with_name(f"{pairs.name}-wal"))
    assert left(tmp_path) == {f"{path.parent.name}/{path.name}" for path in kept}
    assert gc_run(tmp_path) == 0 and len(left(tmp_path)) == len(kept)


def test_a_run_that_did_not_finish_keeps_what_it_has_built(project: dict[str, Path], tmp_path: Path) -> None:
    half = tmp_path / "artifacts" / "scores" / f"{'5' * 16}.partial"
    stale = half.with_name(f"{'6' * 16}.partial")
    for folder in (half, stale):
        folder.mkdir(parents=True)
    planned = {"model": project["old"].name, "scores": "5" * 16}
    info = RunInfo("dev-3", "experiments", "cell", "dev", "label", "nq", "tiny", "mini", {}, planned=planned)
    start_run(tmp_path / "runs" / "experiments" / "dev-3", info)
    assert gc_run(tmp_path) == 0
    assert project["old"].exists() and half.exists() and not stale.exists() and not project["old_cost"].exists()


def test_the_retrieval_table_of_a_sweep_uses_its_scores(project: dict[str, Path], tmp_path: Path) -> None:
    scores = build(tmp_path, "scores", model=project["old"].name)
    rows = {"finished": True, "retrieval": [{"scores": scores.name}]}
    write_sealed(tmp_path / "runs" / "a" / "sweep.json", rows)
    assert gc_run(tmp_path) == 0
    assert scores.exists() and project["old"].exists()


def test_nothing_goes_while_a_sweep_is_not_finished(
    project: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sealed(tmp_path / "runs" / "b" / "sweep.json", {"finished": False})
    assert gc_run(tmp_path) == 2
    assert "runs/b" in capsys.readouterr().err and project["old"].exists()
    assert main(["artifacts", "gc", "--folder", str(tmp_path)]) == 0
    assert "refuses" in capsys.readouterr().out


@pytest.mark.parametrize("confirm", [[], ["--confirm", "yes"]])
def test_nothing_goes_where_an_artifact_cannot_tell_what_it_was_made_from(
    project: dict[str, Path], tmp_path: Path, confirm: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = project["predictions"] / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:-9])
    before = left(tmp_path)
    assert main(["artifacts", "gc", *confirm, "--folder", str(tmp_path)]) == 1
    assert f"{project['predictions']}: the manifest is damaged" in " ".join(capsys.readouterr().err.split())
    assert left(tmp_path) == before


def test_nothing_goes_while_another_process_uses_the_artifacts(
    project: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ArtifactStore(tmp_path / "artifacts")
    assert store.find("corpus", project["corpus"].name)
    assert gc_run(tmp_path) == 1
    assert "another process uses these artifacts" in capsys.readouterr().err and project["old"].exists()
    del store
    assert gc_run(tmp_path) == 0 and not project["old"].exists()


def test_what_is_being_built_stays(
    project: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    building = tmp_path / "artifacts" / "model" / f"{'7' * 16}.partial"
    building.mkdir()
    with building.with_suffix(".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert gc_run(tmp_path) == 0
    shown = capsys.readouterr()
    assert building.exists() and not project["old"].exists() and "is being built" in shown.err


def test_links_damage_and_strangers_are_left_alone(
    project: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "manifest.json").write_text("{}")
    root = tmp_path / "artifacts"
    (root / "model" / ("8" * 16)).symlink_to(outside)
    (root / "linked").symlink_to(outside)
    (root / "model" / "notes").mkdir()
    (root / "model" / f"{'a' * 16}.node3.partial").mkdir()  # where locks may not reach
    (root / "mine").mkdir()
    (root / "mine" / "file.txt").write_text("mine")
    (project["old"] / "manifest.json").write_text("[" * 100_000)
    listed = build(tmp_path, "corpus", "listed")
    manifest = json.loads((listed / "manifest.json").read_text())
    write_sealed(listed / "manifest.json", manifest | {"inputs": {"files": ["a"]}})
    moved = project["old_cost"].rename(root / "cost" / ("9" * 16))  # its manifest has another digest
    (project["old_pairs"].with_name(f"{project['old_pairs'].name}.aside")).write_text("damaged")
    inside = build(tmp_path, "index")
    (inside / "link").symlink_to(outside)
    assert main(["artifacts", "ls", "--folder", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert shown.count("left alone") == 8
    assert gc_run(tmp_path) == 1 and inside.exists() and project["old_pairs"].exists()
    for damaged in (project["old"], listed, moved):
        shutil.rmtree(damaged)
    assert gc_run(tmp_path) == 0
    model = root / "model"
    alone = (
        outside / "manifest.json",
        model / ("8" * 16),
        root / "linked",
        model / "notes",
        model / f"{'a' * 16}.node3.partial",
    )
    assert all(path.exists() for path in (*alone, root / "mine" / "file.txt"))
    assert not inside.exists() and not list((root / "pairs").glob(f"{project['old'].name}*"))


def test_own_kinds_are_artifacts_like_any_other(project: dict[str, Path], tmp_path: Path) -> None:
    mine, lost = build(tmp_path, "toy_kind"), build(tmp_path, "toy_kind", "lost")
    record(tmp_path, "a", "dev-4", toy_kind=mine.name)
    assert gc_run(tmp_path) == 0
    assert mine.exists() and not lost.exists()


def test_a_killed_removal_leaves_no_half_artifact(tmp_path: Path) -> None:
    path = build(tmp_path, "model")
    for i in range(3000):
        (path / f"f{i}").touch()
    code = "import sys, pathlib; from rag_lightning.artifacts import inventory; "
    code += "inventory.remove(pathlib.Path(sys.argv[1]))"
    process = subprocess.Popen([sys.executable, "-c", code, str(path)])
    while path.exists():
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not path.exists()
    build(tmp_path, "model")  # the same one again
    assert gc_run(tmp_path) == 0 and left(tmp_path) == set()


def test_a_folder_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path, "model")

    def no_locks(handle: object, operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(artifacts.fcntl, "flock", no_locks)
    with pytest.raises(ArtifactError, match="cannot be locked"):
        command.collect(tmp_path, confirmed=True)


def test_sizes_are_summed_by_kind_and_by_sweep(
    project: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["artifacts", "du", "--folder", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    rows = {cells[0]: cells[1:] for line in shown.splitlines() if len(cells := line.strip("│ ").split("│")) > 2}
    rows = {name.strip(): [cell.strip() for cell in cells] for name, cells in rows.items()}
    assert rows["model"][0] == "2" and rows["a"][0] == "6" and rows["no run"][0] == "3"
    corpus = sum(file.stat().st_size for file in project["corpus"].iterdir())
    assert rows["b"] == ["1", command.size(corpus), "0 kB"]  # sweep a uses it too
    total = sum(p.stat().st_size for p in (tmp_path / "artifacts").rglob("*") if p.is_file())
    assert f"total {command.size(total)};" in shown


def test_a_sweep_lists_what_it_uses(
    project: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["artifacts", "ls", "--sweep", "b", "--folder", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert project["corpus"].name[:8] in shown and "a (1), b (1)" in shown and "1 artifacts," in shown
    assert main(["artifacts", "ls", "--sweep", "c", "--folder", str(tmp_path)]) == 2
    assert "unknown sweep with artifacts 'c'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gcc"], "unknown action of artifacts 'gcc': did you mean 'gc'"),
        (["gc", "--confirm", "y"], "only --confirm yes"),
        (["ls", "--confirm", "yes"], "only for artifacts gc"),
        (["gc", "--sweep", "a"], "--sweep is for artifacts ls"),
        ([], "required: action"),
    ],
)
def test_a_wrong_word_is_told(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["artifacts", *words, "--folder", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err


def test_an_empty_project_has_no_artifacts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gc_run(tmp_path) == 0 and main(["artifacts", "ls", "--folder", str(tmp_path)]) == 0
    assert "no artifacts" in capsys.readouterr().out
    with pytest.raises(ConfigError):
        command.run(None, "gc", confirm="no")  # type: ignore[arg-type]


def test_a_damaged_record_stops_it(project: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "runs" / "a" / "dev-1" / "run.json"
    for text in ("{", json.dumps(json.loads(path.read_text()) | {"digests": []})):
        path.write_text(text)
        assert gc_run(tmp_path) == 1 and project["old"].exists()
    os.unlink(tmp_path / "runs" / "a" / "dev-1" / "run.json")
    (tmp_path / "runs" / "b" / "sweep.json").write_text("[]")
    assert gc_run(tmp_path) == 1 and project["old"].exists()
