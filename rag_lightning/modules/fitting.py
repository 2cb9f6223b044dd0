"""One training run with Lightning: resumable at any step, best checkpoint by dev score."""

from __future__ import annotations

import logging
import shutil
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint, TQDMProgressBar

from rag_lightning.core.hardware import resolve_dtype
from rag_lightning.core.trainer_config import TrainerConfig
from rag_lightning.modules.batches import Lesson, TrainingData
from rag_lightning.modules.callbacks import RESUME, History, ResumePoint
from rag_lightning.modules.training import OptimisedModule

SAVE_EVERY = 100
BEST = "best"
EXPECTED = (
    ".*does not have many workers.*",  # faiss does not survive a fork
    ".*It will use the implementation from `LightningModule`.*",  # batches are text for both
    ".*isinstance\\(treespec, LeafSpec\\).*",  # Lightning 2.6 with torch 2.13
)
"""Lightning's warnings that tell a user nothing."""


def quiet_trainer(**settings: Any) -> pl.Trainer:
    """A Trainer without Lightning's own logging, checkpoints and tips; any setting may be given."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for message in EXPECTED:
        warnings.filterwarnings("ignore", module="pytorch_lightning", message=message)
    defaults = {
        "accelerator": "cpu" if not torch.cuda.is_available() else "auto",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
    }
    callbacks = [*settings.pop("callbacks", []), TQDMProgressBar(refresh_rate=10, leave=True)]
    if settings.get("enable_progress_bar") is False:
        callbacks.pop()
    return pl.Trainer(callbacks=callbacks, **{**defaults, **settings})


@contextmanager
def interruptible() -> Iterator[None]:
    """Lightning turns Ctrl-C into the end of the process and then ignores it: give both back to the caller."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if main:
            signal.signal(signal.SIGINT, before)
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise


def fit(
    module: OptimisedModule,
    lessons: Sequence[Lesson],
    config: TrainerConfig,
    folder: Path,
    *,
    seed: int,
    dev: Sequence[object] = (),
    progress: bool = True,
) -> dict[str, Any]:
    """Train `module` in place; continue from the folder's resume point if there is one.

    Args:
        module: What is trained; holds the best (with dev) or the last weights afterwards.
        lessons: Training examples.
        config: Optimisation.
        folder: For the resume point and history.jsonl; checkpoints are removed at the end.
        seed: Of order and dropout.
        dev: Batches for `validation_step`, which logs dev_score.
        progress: Show a bar.

    Returns:
        steps, and dev_score of the weights kept (None without dev).
    """
    history = History()
    callbacks: list[pl.Callback] = [history, ResumePoint(folder, SAVE_EVERY)]
    best = ModelCheckpoint(folder / BEST, monitor="dev_score", mode="max", save_top_k=1, save_weights_only=True)
    evaluated = bool(dev) and config.eval_every > 0
    resume = folder / RESUME
    start = _step_of(resume)
    callbacks = [*callbacks, best] if evaluated else callbacks
    settings = _settings(config, evaluated) | {"callbacks": callbacks, "enable_progress_bar": progress}
    module.train()
    data = TrainingData(lessons, seed, start, dev if evaluated else ())
    with interruptible():
        quiet_trainer(**settings).fit(module, datamodule=data, ckpt_path=resume if start else None, weights_only=True)
    history.write(folder)
    score = None
    if evaluated and best.best_model_path:
        module.load_state_dict(torch.load(best.best_model_path, weights_only=True)["state_dict"])
        score = float(best.best_model_score) if best.best_model_score is not None else None
    resume.unlink(missing_ok=True)
    shutil.rmtree(folder / BEST, ignore_errors=True)
    return {"steps": config.steps, "dev_score": score}


def _settings(config: TrainerConfig, evaluated: bool) -> dict[str, Any]:
    """Lightning's Trainer arguments; what the configuration passes through wins."""
    return {
        "max_steps": config.steps,
        "gradient_clip_val": config.clip,
        "precision": "bf16-mixed" if resolve_dtype(config.dtype) == "bfloat16" else "32-true",
        "enable_checkpointing": evaluated,
        "limit_val_batches": 1.0 if evaluated else 0,
        "num_sanity_val_steps": 0,
        "check_val_every_n_epoch": None,
        "val_check_interval": config.eval_every if evaluated else None,
        **config.trainer,
    }


def _step_of(resume: Path) -> int:
    return int(torch.load(resume, weights_only=True)["global_step"]) if resume.exists() else 0
