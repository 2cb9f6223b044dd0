"""What a person sees of a sweep whose models are trained: captured whole, and again when all is done."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from transformers.utils import logging as transformers_logging

from rag_lightning.cli import main
from rag_lightning.config.commands import SweepConfig
from rag_lightning.config.fields import to_dict
from rag_lightning.stages import workspace
from rag_lightning.tracking import track
from tests.run_folders import NoMirror

END = """
chosen                                                               test em  95 % interval    paper
RAG-Token · hnsw · k=1 · greedy                                         41.7   16.7 to 75.0
RAG-Sequence · sq8 · k=1 · thorough                                     41.7   16.7 to 75.0

pairs             168 generated, 12 reused (7 % saved)
runs              FOLDER/runs/tiny
MLflow            mlflow ui --backend-store-uri sqlite:///FOLDER/mlflow.db
"""
BEGIN = """\
sweep             tiny: 4 trials of 60 points, 2 baselines
examples          reused (40 train, 12 dev, 12 test)
corpus            reused (64 passages)
model             reused (rag_token, 4 steps)
model             reused (rag_sequence, 4 steps)
model             reused (closed_book, 4 steps)
"""
FIRST = f"""\
{BEGIN}
  trial  system                                             dev em   seconds      best     time left
    1/4  RAG-Token · ivf_flat · k=2 · beam                    41.7 TIME * 41.7 LEFT
    2/4  RAG-Sequence · sq8 · k=1 · thorough                  50.0 TIME * 50.0 LEFT
    3/4  RAG-Sequence · flat · k=5 · fast                     50.0 TIME 50.0 LEFT
    4/4  RAG-Token · hnsw · k=1 · greedy                      50.0 TIME 50.0

split    system                                                         role            em   seconds
dev      Closed book · greedy                                           baseline      41.7 TIME
dev      RAG-Token · bm25 · k=2 · greedy                                baseline      66.7 TIME
test     Closed book · greedy                                           baseline      50.0 TIME
test     RAG-Token · bm25 · k=2 · greedy                                baseline      58.3 TIME
test     RAG-Token · hnsw · k=1 · greedy                                final         41.7 TIME
test     RAG-Sequence · sq8 · k=1 · thorough                            final         41.7 TIME
{END}"""
SECOND = f"""{BEGIN}trials            all of 4 evaluated before, best dev em 50.0
{END}"""


@pytest.fixture(autouse=True)
def as_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries that are imported already do not read the variables that keep them silent."""
    monkeypatch.setattr(track, "Mirror", NoMirror)
    monkeypatch.setattr(transformers_logging, "_tqdm_active", False)


def shown(config: SweepConfig, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """The console of the sweep, no terminal; the project's folder is called FOLDER."""
    workspace._store.cache_clear()
    folder = Path(config.experiment.folder)
    file = folder / "sweep.yaml"
    file.write_text(json.dumps(to_dict(config)))
    assert main(["sweep", "--config", str(file), *more]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    return err.replace(str(folder), "FOLDER")


def masked(text: str) -> str:
    """The rows of the tables without their times."""
    row = r"^( +\d/\d .*\d\.\d) +\d+\.\d +((?:\* )?\d+\.\d)"
    text = re.sub(rf"{row}$", r"\1 TIME \2", text, flags=re.M)
    text = re.sub(rf"{row} +\d.*$", r"\1 TIME \2 LEFT", text, flags=re.M)
    return re.sub(r"^((?:dev|test) .*\d\.\d) +\d+\.\d$", r"\1 TIME", text, flags=re.M)


def test_the_console_of_a_sweep_and_of_one_that_is_done(
    tiny_copy: SweepConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    assert masked(shown(tiny_copy, capsys)) == FIRST
    assert shown(tiny_copy, capsys) == SECOND


def test_details_of_a_sweep(tiny_copy: SweepConfig, capsys: pytest.CaptureFixture[str]) -> None:
    once = replace(tiny_copy, trials=1, always=(), trivial=False)
    lines = [line.strip() for line in shown(once, capsys, "--verbose").splitlines()]
    for kind in ("predictions", "rankings", "scores"):
        assert any(re.fullmatch(rf"{kind} +started  [0-9a-f]+", line) for line in lines), kind
    assert any(re.fullmatch(r"reused \d+ of \d+ pair generations", line) for line in lines)
