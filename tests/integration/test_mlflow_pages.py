"""The pages of a real MLflow server, as headless Chromium shows them."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from rag_lightning.core.files import write_sealed
from rag_lightning.tracking.mirror import Mirror
from rag_lightning.tracking.store import default_uri
from tests.run_folders import make_run

ROOT = Path(__file__).parents[2]
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs the Debian package chromium"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two systems in MLflow."""
    root = tmp_path_factory.mktemp("project")
    spec = {"space": {"k": [1, 5]}, "trials": 2, "sampler": "tpe", "seed": 0}
    described = {"name": "s1", "dataset": "mini-nq", "scale": "mini", "objective": "em", "spec": spec, "finished": True}
    folders = [make_run(root, "r1"), make_run(root, "r2", role="final", split="test", label="RAG | <b>bold</b>")]
    write_sealed(root / "runs" / "s1" / "sweep.json", described)
    mirror = Mirror("", "nq", root, pytest.fail)
    assert all(mirror.child(folder) for folder in folders) and mirror.parent("s1")
    return root


@pytest.fixture(scope="module")
def server(project: Path) -> Iterator[str]:
    """The address of a server of its own, started as the script of the pictures does."""
    spec = spec_from_file_location("mlflow_screenshots", ROOT / ".ci" / "mlflow_screenshots.py")
    assert spec is not None and spec.loader is not None
    script = module_from_spec(spec)
    sys.modules[spec.name] = script  # its dataclasses look themselves up
    spec.loader.exec_module(script)
    with script.server(default_uri(project)) as address:
        yield address


@pytest.fixture
def text_of(server: str, tmp_path: Path) -> Callable[[str], str]:
    """The text of a page."""

    def read(route: str) -> str:
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--window-size=1700,1400",
            f"--user-data-dir={tmp_path}",
        ]
        command = [str(BROWSER), *options, "--virtual-time-budget=30000", "--dump-dom", f"{server}/{route}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
        return " ".join(re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", done.stdout, flags=re.DOTALL).split())

    return read


def runs(project: Path, role: str) -> str:
    client = MlflowClient(default_uri(project))
    [found] = client.search_runs(["1"], f"tags.role = '{role}'")
    return str(found.info.run_id)


def test_the_table_of_runs_has_the_columns_of_its_view(project: Path, text_of: Callable[[str], str]) -> None:
    text = text_of("#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=trials")
    assert "RAG-Token · flat" in text and "retriever" in text and "seconds_per_query" in text and "66.7" in text


def test_the_page_of_a_sweep_says_what_was_chosen_and_how_good_it_is(
    project: Path, text_of: Callable[[str], str]
) -> None:
    text = text_of(f"#/experiments/1/runs/{runs(project, 'sweep')}")
    assert "1 trials of k for the best em on mini-nq dev" in text
    assert "Chosen: RAG | &lt;b&gt;bold&lt;/b&gt; on mini-nq test: em 66.7 (95 % interval 20.0 to 100.0)" in text


def test_the_page_of_a_run_begins_with_its_score_beside_the_papers(
    project: Path, text_of: Callable[[str], str]
) -> None:
    text = text_of(f"#/experiments/1/runs/{runs(project, 'final')}")
    assert "em 66.7 (95 % interval 20.0 to 100.0); the paper's RAG-Token: 44.1, not comparable" in text
