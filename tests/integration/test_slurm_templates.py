"""The SLURM templates: their commands exist with these options, and the one for several nodes runs as on two nodes.

A srun of a few lines stands in for SLURM's: it starts the command once for each node, with SLURM's variables.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rag_lightning import cli
from rag_lightning.config.fields import to_dict
from rag_lightning.training.processes import free_port
from tests.tiny_project import barely_trained, predicted_alone

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "experiments" / "slurm"
TEMPLATES = sorted(FOLDER.glob("*.s*"))
VALUES = {"NAME": "nq_rag_sequence", "SCALE": "mini", "SEED": "3", "SPLIT": "test", "DEVICES": "4", "NODES": "2"}
SRUN = """\
#!{python}
# Starts a command on each of two nodes, which are this machine; where one fails, the others end.
import os, subprocess, sys, time
words = [word for word in sys.argv[1:]]
while words[0].startswith("--"):
    words.pop(0)
nodes = int(os.environ["SLURM_JOB_NUM_NODES"])
step = {{"SLURM_STEP_NUM_TASKS": str(nodes), "SLURM_STEP_NUM_NODES": str(nodes), "SLURM_STEP_NODELIST": "localhost"}}
places = [{{"SLURM_PROCID": str(n), "SLURM_NODEID": str(n), "SLURM_LOCALID": "0"}} for n in range(nodes)]
running = [subprocess.Popen(words, env=os.environ | step | place) for place in places]
code = 0
while running:
    for one in list(running):
        if one.poll() is not None:
            running.remove(one)
            code = code or one.returncode
            if one.returncode:
                [other.kill() for other in running]
    time.sleep(0.1)
sys.exit(code)
"""
SCONTROL = "#!/bin/sh\necho localhost; echo localhost\n"


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_is_a_script_whose_commands_and_options_exist(template: Path) -> None:
    assert subprocess.run(["bash", "-n", str(template)], check=False).returncode == 0
    text = template.read_text().replace("\\\n", " ")
    written = [line for line in text.splitlines() if "rag-lightning " in line and not line.startswith("#")]
    assert written
    for line in written:
        command = line[line.index("rag-lightning ") :].strip().removesuffix(" &")
        bare = re.sub(r'"\$(CELL)"', str(ROOT / "experiments" / "nq_rag_sequence.yaml"), command)
        for name, value in VALUES.items():
            bare = re.sub(rf"\$\{{?{name}\}}?", value, bare)
        words = shlex.split(bare)[1:]
        assert cli.parse(words[0], words[1:]) is not None, words
    for line in text.splitlines():
        if line.startswith("#SBATCH"):
            assert re.fullmatch(r"#SBATCH --[a-z-]+(=\S+)?", line), line


def test_no_template_is_left_out() -> None:
    assert [path.name for path in TEMPLATES] == ["experiment.sbatch", "login.sh", "nodes.sbatch"]


@pytest.fixture
def cluster(tmp_path: Path) -> dict[str, str]:
    """The environment of a job of two nodes, in a project with a virtual environment of commands."""
    commands = tmp_path / ".venv" / "bin"
    commands.mkdir(parents=True)
    module = f'exec {shlex.quote(sys.executable)} -m rag_lightning "$@"\n'
    files = {
        "activate": f'PATH="{commands}:$PATH"\n',
        "srun": SRUN.format(python=sys.executable),
        "scontrol": SCONTROL,
        "rag-lightning": f"#!/bin/sh\n{module}",
    }
    for name, text in files.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    return environment | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_JOB_NODELIST": "localhost",
        "SLURM_JOB_ID": str(port - 15000 if 15000 <= port < 25000 else 9999),
        "SLURM_SUBMIT_DIR": str(tmp_path),
    }


@pytest.mark.slow  # up to eight processes and two commands import torch and Lightning anew
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("devices", [1, 2])
def test_two_nodes_make_the_model_and_the_predictions_together(
    cluster: dict[str, str], tmp_path: Path, bert_folder: Path, devices: int
) -> None:
    config = replace(barely_trained(tmp_path / "data", bert_folder), folder=str(tmp_path), split="test")
    config = replace(config, decoding=replace(config.decoding, pairs_per_batch=6))
    file = tmp_path / "cell.yaml"
    file.write_text(json.dumps(to_dict(config)))
    given = cluster | {"CELL": str(file), "DEVICES": str(devices), "SPLIT": "test"}
    done = subprocess.run(
        ["bash", str(FOLDER / "nodes.sbatch")], env=given, capture_output=True, text=True, timeout=1700, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    two = replace(config, train=replace(config.train, trainer={"devices": devices, "num_nodes": 2, "strategy": "ddp"}))
    made = {kind: list((tmp_path / "artifacts" / kind).glob("*/manifest.json")) for kind in ("model", "predictions")}
    assert [len(found) for found in made.values()] == [1, 1]
    alone = predicted_alone(two, tmp_path)
    (predictions,) = (tmp_path / "artifacts" / "predictions").glob("*/predictions.jsonl")
    assert predictions.read_bytes() == alone
