"""A sweep, its report, its bundle and its runs in MLflow, in a folder whose name has every odd sign at once."""

from __future__ import annotations

import re
import shutil
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
from tests.tiny_project import moved


def test_a_sweep_in_a_folder_of_any_name(
    tiny_sweep: SweepConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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
