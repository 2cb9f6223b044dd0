"""The memory of a process that answers question after question stays what it was."""

from __future__ import annotations

import pytest

from rag_lightning.config.commands import SweepConfig
from tests.benchmarks.asking import MEASURED
from tests.benchmarks.processes import said_by

LARGEST_GROWTH = 0.05


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("formulation", "strategy"), [("rag_token", "beam"), ("rag_sequence", "thorough")])
def test_a_thousand_questions_take_no_more_memory(
    formulation: str, strategy: str, tiny_sweep: SweepConfig, tiny_data: object, bert_folder: object
) -> None:
    root = tiny_sweep.experiment.folder
    for way, memory in said_by("asking", root, tiny_data, bert_folder, formulation, strategy).items():
        grown = memory["after"] / memory["before"] - 1
        said = f"{way} of {MEASURED} questions: {memory['before'] >> 20} to {memory['after'] >> 20} MiB ({grown:+.1%})"
        print(said)
        assert grown < LARGEST_GROWTH, said
