"""torchrun itself, started twice as on two machines: one model, and the predictions of one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from rag_lightning.config.fields import to_dict
from rag_lightning.training.processes import free_port
from tests.tiny_project import barely_trained, predicted_alone

ROOT = Path(__file__).parents[2]
MACHINES = 2


@pytest.mark.slow  # each command and each of its processes imports torch and Lightning anew
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("commands", "devices"), [(1, 1), (1, 2), (2, 2)])
def test_two_machines_make_the_model_and_the_predictions_together(
    tmp_path: Path, bert_folder: Path, commands: int, devices: int
) -> None:
    config = replace(barely_trained(tmp_path / "data", bert_folder), folder=str(tmp_path), split="test")
    trainer = {"devices": devices, "num_nodes": MACHINES, "strategy": "ddp"}
    config = replace(config, decoding=replace(config.decoding, pairs_per_batch=6), devices=devices, num_nodes=MACHINES)
    config = replace(config, train=replace(config.train, trainer=trainer))
    file = tmp_path / "cell.yaml"
    file.write_text(json.dumps(to_dict(config)))
    meeting = ["--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{free_port()}", "--rdzv-id=job"]
    command = [
        *(sys.executable, "-m", "torch.distributed.run"),
        *(f"--nnodes={MACHINES}", f"--nproc-per-node={commands}", *meeting, "--no-python"),
        *(sys.executable, "-m", "rag_lightning", "score", "--config", str(file)),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    logs = [tmp_path / f"machine{number}.log" for number in range(MACHINES)]
    with ExitStack() as files:
        machines = [
            subprocess.Popen(
                command,
                env=environment,
                stdout=files.enter_context(log.open("w")),
                stderr=subprocess.STDOUT,
                cwd=tmp_path,
            )
            for log in logs
        ]
        ended = [one.wait(timeout=1700) for one in machines]
    said = "\n".join(log.read_text() for log in logs)
    assert ended == [0] * MACHINES, said
    assert "Traceback" not in said
    for kind in ("model", "predictions"):
        assert len(list((tmp_path / "artifacts" / kind).glob("*/manifest.json"))) == 1
    (predictions,) = (tmp_path / "artifacts" / "predictions").glob("*/predictions.jsonl")
    assert predictions.read_bytes() == predicted_alone(replace(config, devices=1, num_nodes=1), tmp_path)
