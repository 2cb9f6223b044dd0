"""The wheel stands alone: in an empty folder, without the checkout, it has what sweep, report and matrix read."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.builders.wheel import WheelBuilder

from rag_lightning.config.commands import SweepConfig

ROOT = Path(__file__).parents[2]
RUN = "sys.exit(main(sys.argv[1:]))"
AS_SVG = f"""
from rag_lightning.report import charts
charts.FORMATS = {{"svg": charts.FORMATS["svg"]}}
{RUN}"""
"""Without the PDF and the PNG of every chart, which take most of the time."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pip would put into site-packages."""
    folder = tmp_path_factory.mktemp("wheel")
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def rag(installed: Path, folder: Path, *words: str, code: str = RUN) -> str:
    """What `rag-lightning …` of the wheel, or other code, prints in a folder."""
    code = (
        "import sys, rag_lightning; from rag_lightning.cli import main\n"
        f"assert rag_lightning.__file__.startswith({str(installed)!r})\n{code}"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_it_holds_every_module_and_every_file_of_the_project_that_is_read(installed: Path) -> None:
    package = installed / "rag_lightning"
    modules = {path.relative_to(ROOT) for path in (ROOT / "rag_lightning").rglob("*.py")}
    assert modules == {path.relative_to(installed) for path in package.rglob("*.py")}
    for folder, pattern in (("experiments", "*.yaml"), ("sweeps", "*.yaml"), ("reports", "*.yaml")):
        ours = {path.name: path.read_bytes() for path in (ROOT / folder).glob(pattern)}
        assert ours == {
            path.name: path.read_bytes() for path in (package / "shipped" / folder).iterdir() if path.is_file()
        }
    for file in ("reports/templates/report.html.j2", "reports/demo/curatedtrec.zip"):
        assert (package / "shipped" / file).read_bytes() == (ROOT / file).read_bytes()
    assert {path.name.split("-")[0] for path in installed.iterdir()} == {"rag_lightning"}


def test_it_reports_a_stored_sweep_in_an_empty_folder(installed: Path, tiny_sweep: SweepConfig, tmp_path: Path) -> None:
    stored = Path(tiny_sweep.experiment.folder)
    shutil.copytree(stored / "runs", tmp_path / "runs")
    for kind in ("predictions", "scores"):
        shutil.copytree(stored / "artifacts" / kind, tmp_path / "artifacts" / kind)
    rag(installed, tmp_path, "report", "--name", "tiny", code=AS_SVG)
    for name in ("index.html", "table.csv", "systems.svg"):
        made = Path("reports", "out", "tiny", name)
        assert (tmp_path / made).read_bytes() == (stored / made).read_bytes()


def test_it_knows_the_sweeps_and_the_matrix_of_the_project(installed: Path, tmp_path: Path) -> None:
    code = """
assert main(["sweep", "--config", "sweeps/smoke.yaml", "--print_config"]) == 0
assert main(["report", "--table", "1", "--fragment"]) == 0
from rag_lightning.core.shipped import find_shipped
from rag_lightning.matrix.matrix import load_matrix
print(*[cell.source for cell in load_matrix(find_shipped("experiments/matrix.yaml")).cells("mini")])"""
    shipped = installed / "rag_lightning" / "shipped" / "experiments" / "nq_rag_sequence.yaml"
    shown = rag(installed, tmp_path, code=code)
    assert "name: smoke\n" in shown and "\\label{tab:table1}" in shown and str(shipped) in shown
