"""What a sweep notes at a trial of its study, beside Optuna's own fields."""

from __future__ import annotations

from optuna.trial import FrozenTrial, TrialState

DIGEST, SYSTEM, WORKER, REASON = "digest", "system", "worker", "reason"
"""User attributes of a trial: run digest and label of its system, the process that claimed it, why it has no value."""
INTERRUPTED, REPEATED = "interrupted", "repeats the point of another trial"
"""Reasons that are no failures: the point costs no budget and is free again, or is another trial's."""
NO_HEARTBEAT = "worker lost (no sign of life from its machine)"


def is_failure(trial: FrozenTrial) -> bool:
    """Whether a trial has claimed a point and failed; a repeated or interrupted one has not."""
    claimed = trial.state == TrialState.FAIL and DIGEST in trial.user_attrs
    return claimed and trial.user_attrs.get(REASON) not in (REPEATED, INTERRUPTED)


def reason_of(trial: FrozenTrial) -> str:
    """Why a trial failed."""
    return str(trial.user_attrs.get(REASON, NO_HEARTBEAT))


def duration_of(trial: FrozenTrial) -> float:
    """Seconds that a finished trial took."""
    if trial.datetime_start is None or trial.datetime_complete is None:
        return 0.0
    return (trial.datetime_complete - trial.datetime_start).total_seconds()
