"""A sweep, its report, its bundle and its runs in MLflow in a folder whose name has every odd sign at once, and of a
user whom the system does not know."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from mlflow.tracking import MlflowClient

from rag_lightning.bundle.command import export, verify
from rag_lightning.config.commands import InspectConfig, SweepConfig
from rag_lightning.inspect.command import run as inspect
from rag_lightning.report.command import run as report
from rag_lightning.runs import folders
from rag_lightning.sweep.run import run
from rag_lightning.sweep.status import show_status
from rag_lightning.tracking import track
from rag_lightning.tracking.places import for_client
from rag_lightning.tracking.store import default_uri
from tests.odd_folders import ALL_AT_ONCE
from tests.run_folders import svg_only
from tests.sweeping import LIMIT, ROOT, command
from tests.tiny_project import moved

NOBODY = 12345
"""A user whom /etc/passwd does not name; it may read everything here, as the interpreter's folder may be root's own."""
AS_NOBODY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "env", "-u", "HOME"),
)


def may_become_nobody() -> bool:
    """Whether this process is root and has `setpriv`."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return False
    return subprocess.run([*AS_NOBODY, "true"], capture_output=True, check=False).returncode == 0


def test_a_sweep_in_a_folder_of_any_name(
    tiny_sweep: SweepConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    svg_only(monkeypatch)
    root = tmp_path / ALL_AT_ONCE
    shutil.copytree(Path(tiny_sweep.experiment.folder) / "artifacts", root / "artifacts")
    config = moved(tiny_sweep, root)
    run(config)
    report(config)
    show_status(config)
    track.run(config.experiment)
    shown = capsys.readouterr().err
    assert "cannot be used" not in shown and "not sent" not in shown
    client, group = MlflowClient(for_client(default_uri(root))), folders.run_group(root, "tiny")
    experiment = client.get_experiment_by_name("nq")
    assert experiment
    for one in client.search_runs([experiment.experiment_id], "tags.role != 'model'"):
        assert client.list_artifacts(one.info.run_id), one.info.run_name
    export(config.experiment, "tiny", str(root / "tiny.zip"))
    verify(config.experiment, str(root / "tiny.zip"))
    run_id = next(group.glob("test-*")).name
    inspect(InspectConfig(question="q52", html=str(root / "one.html"), folder=str(root)), run_id)
    place = folders.report(root, "tiny")
    for link in re.findall(r'(?:href|src)="([^"#][^"]*)"', (place / "index.html").read_text(encoding="utf-8")):
        assert link.startswith(("http", "data:")) or (place / unquote(link)).exists(), link
    assert [path.name for path in tmp_path.iterdir()] == [ALL_AT_ONCE]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, as those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="rag-nobody-", dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.skipif(not may_become_nobody(), reason="changes its user, which needs root, setpriv and its capabilities")
def test_a_user_without_a_home_or_an_entry_in_passwd(tiny_sweep: SweepConfig, open_folder: Path) -> None:
    root = open_folder / "project"
    shutil.copytree(Path(tiny_sweep.experiment.folder) / "artifacts", root / "artifacts")
    sweep = command(moved(tiny_sweep, root))
    for path in (root, *root.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for words in (sweep, [*sweep[:3], "track"], [*sweep[:3], "doctor"]):
        done = subprocess.run(
            [*AS_NOBODY, *words], cwd=root, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False
        )
        assert done.returncode == 0 and "Traceback" not in done.stderr, (words, done.stderr)
    assert (root / "runs" / "tiny" / "selection.json").is_file() and (root / "mlflow.db").stat().st_uid == NOBODY
