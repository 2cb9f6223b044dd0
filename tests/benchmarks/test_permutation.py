"""The paired permutation test at the size of the NQ test set."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from scipy.stats import permutation_test

from rag_lightning.metrics.statistics import paired_permutation

QUESTIONS, PERMUTATIONS, LIMIT = 3610, 9_999, 1.0
SCIPY_PERMUTATIONS = 999
"""scipy takes a tenth of the flips, and its time is counted tenfold."""


@pytest.mark.benchmark
def test_3610_questions_and_9999_sign_flips(benchmark: Any, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    left, right = rng.random(QUESTIONS), rng.random(QUESTIONS)
    started = time.process_time()
    _, p = benchmark.pedantic(lambda: paired_permutation(left, right, seed=0, permutations=PERMUTATIONS), rounds=1)
    seconds = time.process_time() - started
    started = time.process_time()
    reference = permutation_test(
        (left, right),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=SCIPY_PERMUTATIONS,
        rng=rng,
    )
    ratio = (time.process_time() - started) * (PERMUTATIONS / SCIPY_PERMUTATIONS) / seconds
    benchmark.extra_info["times_faster_than_scipy"] = round(ratio, 1)
    with capsys.disabled():
        print(f"\n{QUESTIONS} x {PERMUTATIONS}: {seconds:.2f} s, {ratio:.0f} times faster than scipy")
    assert p == pytest.approx(reference.pvalue, abs=0.06)
    assert seconds < LIMIT
