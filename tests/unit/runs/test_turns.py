"""Two that want the same experiment of the matrix run it once: the second waits."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rag_lightning.runs import evaluate, folders
from rag_lightning.runs.record import is_finished
from rag_lightning.runs.system import make_system
from tests.tiny_project import experiment


def test_two_that_want_one_experiment_take_turns(
    tiny_data: Path, bert_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = make_system(experiment(tmp_path, tiny_data, bert_folder), {"decoding": "trivial/most_common"})
    run, runs = evaluate._run, []

    def slow(*given: Any) -> None:
        runs.append(given)
        time.sleep(0.3)  # the other one comes meanwhile
        run(*given)

    monkeypatch.setattr(evaluate, "_run", slow)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: evaluate.run(system, folders.EXPERIMENTS, "dev", "cell"), range(2)))
    assert found[0] == found[1] and is_finished(found[0]) and len(runs) == 1
