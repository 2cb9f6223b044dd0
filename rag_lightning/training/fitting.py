"""One training run with Lightning: resumable at any step, best checkpoint by dev score.

A resume point is checked when it is opened: it must belong to the same model.
"""

from __future__ import annotations

import logging
import pickle
import shutil
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]
from pytorch_lightning.utilities.exceptions import (  # type: ignore[attr-defined]
    MisconfigurationException,
    SIGTERMException,
)

from rag_lightning.config.trainer import accumulation, processes
from rag_lightning.config.training import TrainConfig
from rag_lightning.core.console import is_terminal
from rag_lightning.core.devices import device_class, named_memory, trainer_settings
from rag_lightning.core.errors import ArtifactError, ConfigError, Terminated
from rag_lightning.core.hardware import collect_memory, resolve_dtype
from rag_lightning.decoding.encodings import Loaded
from rag_lightning.training.batches import Lesson, TrainingData
from rag_lightning.training.callbacks import (
    RESUME,
    History,
    Metered,
    ProgressBar,
    ResumePoint,
    Terminable,
    Trimmed,
)
from rag_lightning.training.measures import FAILED_BATCH, NotFinite, keep_batch
from rag_lightning.training.module import TRAINED, OptimisedModule

SAVE_EVERY = 100
"""Steps between two resume points at most."""
SAVE_SOONEST, SAVE_LATEST = 5.0, 120.0
"""Seconds between two resume points, as soon as a step ends; more than the first where saving takes long."""
BEST = "best"
EXPECTED = (
    ".*does not have many workers.*",  # faiss does not survive a fork
    ".*It will use the implementation from `LightningModule`.*",  # batches are text for both
    ".*isinstance\\(treespec, LeafSpec\\).*",  # Lightning 2.6 with torch 2.13
    ".*`srun` command is available on your system but is not used.*",  # one process, or those that a command starts
)
"""Lightning's warnings that are expected here."""


def quiet_trainer(**settings: Any) -> pl.Trainer:
    """A Trainer without Lightning's own logging, checkpoints and tips; any setting may be given.

    It stays on the CPU unless told otherwise: batches are text, and a model that predicts is on its device already. The
    cluster is hidden from it: under SLURM it would catch signals that are the job's, and queue it again itself.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for message in EXPECTED:
        warnings.filterwarnings(
            "ignore", module="pytorch_lightning|lightning_fabric|lightning_utilities", message=message
        )
    defaults = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "plugins": [LightningEnvironment()],
    }
    callbacks = [*settings.pop("callbacks", []), Terminable()]
    settings["enable_progress_bar"] = settings.get("enable_progress_bar", True) and is_terminal()
    if settings["enable_progress_bar"]:
        callbacks.append(ProgressBar(refresh_rate=10))
    return pl.Trainer(callbacks=callbacks, **{**defaults, **settings})


@contextmanager
def interruptible() -> Iterator[None]:
    """Lightning turns Ctrl-C into the end of the process and then ignores it: give both back to the caller.

    SIGTERM it turns into an end without an error: that becomes one with the exit code of SIGTERM.
    """
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SIGTERMException as error:
        raise Terminated from error
    except SystemExit as error:
        if main:
            signal.signal(signal.SIGINT, before)
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise


def fit(
    module: OptimisedModule,
    lessons: Sequence[Lesson],
    config: TrainConfig,
    folder: Path,
    *,
    seed: int,
    device: str = "cpu",
    dev: Sequence[object] = (),
    progress: bool = True,
    announce: Callable[[str], None] = lambda message: None,
) -> dict[str, Any]:
    """Train `module` in place, from the folder's resume point if there is one; of several processes the first writes.

    Args:
        module: The model; holds the best (with dev) or the last weights afterwards.
        lessons: Training examples.
        config: Settings of the optimisation.
        folder: Folder of the resume point and history.jsonl.
        seed: Seed of the order and of dropout.
        device: Resolved device (core/devices.py), unless the configuration's `trainer` names another accelerator.
        dev: Batches for `validation_step`, which logs dev_score.
        progress: Whether to show a bar.
        announce: Called with a line about a resume point that cannot be used.

    Returns:
        steps trained, dev_score of the weights kept (None without dev), the meter's summary, and History's.

    Raises:
        TrainingError: a loss or gradient that is not finite; its batch is in the folder.
        ArtifactError, ConfigError: a resume point of something else; too few examples, a bad value of `trainer`, or a
            device without memory for a batch.
    """
    _make_room()
    history, saved = History(), ResumePoint(folder, SAVE_EVERY, SAVE_SOONEST, SAVE_LATEST)
    evaluated = bool(dev) and config.eval_every > 0
    best = ModelCheckpoint(folder / BEST, monitor="dev_score", mode="max", save_top_k=1, save_weights_only=True)
    start = open_resume(folder / RESUME, module, announce)
    callbacks = [history, Metered(module.meter), Trimmed(), saved, *(_of_evaluation(config, best) if evaluated else [])]
    trainer = _trainer(config, device, evaluated, callbacks, progress)
    module.train()
    data = TrainingData(lessons, seed, start, dev if evaluated else (), trainer.accumulate_grad_batches)
    _train(trainer, module, data, folder, start > 0)
    score = None
    if trainer.is_global_zero:
        history.write(folder)
        score = _take_best(module, best) if evaluated else None
        _clear(folder)
    return {"steps": trainer.global_step, "dev_score": score, "training": module.meter.summary(), **history.summary()}


def _train(trainer: pl.Trainer, module: OptimisedModule, data: TrainingData, folder: Path, resumes: bool) -> None:
    less = (
        f"lower batch_size={module.settings.batch_size} of this training (trainer.accumulate_grad_batches keeps the "
        "size of a step), or set its checkpoint_encoder=true; the resume point is kept"
    )
    try:
        with named_memory(less), interruptible():
            trainer.fit(module, datamodule=data, ckpt_path=folder / RESUME if resumes else None, weights_only=True)
    except NotFinite as failure:
        raise keep_batch(failure, folder, trainer.global_rank) from failure


def _make_room() -> None:
    """Free what the model before holds: one process trains those of a sweep one after the other."""
    Loaded.clear()
    collect_memory()


def _trainer(
    config: TrainConfig, device: str, evaluated: bool, callbacks: Sequence[pl.Callback], progress: bool
) -> pl.Trainer:
    """Raises ConfigError for values of `trainer` that Lightning refuses."""
    settings = _settings(config, device, evaluated)
    try:
        return quiet_trainer(**settings, callbacks=callbacks, enable_progress_bar=progress)
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise ConfigError(f"trainer={dict(config.trainer)}: {' '.join(str(error).split())}") from error


def _clear(folder: Path) -> None:
    """Remove what only an unfinished training needs."""
    for file in (folder / RESUME, *folder.glob(f"{FAILED_BATCH}*.json")):
        file.unlink(missing_ok=True)
    shutil.rmtree(folder / BEST, ignore_errors=True)


def _take_best(module: OptimisedModule, best: ModelCheckpoint) -> float | None:
    """Load the weights of the best evaluation; its score."""
    if not best.best_model_path:
        return None
    module.load_state_dict(torch.load(best.best_model_path, map_location="cpu", weights_only=True)["state_dict"])
    return float(best.best_model_score) if best.best_model_score is not None else None


def _of_evaluation(config: TrainConfig, best: ModelCheckpoint) -> list[pl.Callback]:
    """Keep the best weights; stop where they are long past, if that is wanted."""
    if not config.patience:
        return [best]
    stop = EarlyStopping("dev_score", mode="max", patience=config.patience, check_on_train_epoch_end=False)
    return [stop, best]


def _settings(config: TrainConfig, device: str, evaluated: bool) -> dict[str, Any]:
    """Lightning's Trainer arguments; what the configuration passes through wins.

    Lightning counts batches between evaluations, the configuration optimiser steps. Processes are started by a command
    (job.py), never by Lightning, and share out the data themselves.
    """
    dtype = resolve_dtype(config.dtype, device_class(device))
    settings = {
        **trainer_settings(device),
        "max_steps": config.steps,
        "gradient_clip_val": config.clip,
        "precision": "bf16-mixed" if dtype == "bfloat16" else "32-true",
        "enable_checkpointing": evaluated,
        "limit_val_batches": 1.0 if evaluated else 0,
        "num_sanity_val_steps": 0,
        "check_val_every_n_epoch": None,
        "val_check_interval": config.eval_every * accumulation("train", config) if evaluated else None,
        "use_distributed_sampler": False,
        **config.trainer,
    }
    if processes("train", config) > 1:
        if ":" in device and "accelerator" not in config.trainer:
            raise ConfigError(f"device={device} is one device, and trainer.devices asks for several; use device=cuda")
        strategy = config.trainer.get("strategy", "auto")
        settings |= {"strategy": "ddp" if strategy == "auto" else strategy}
    return settings


def open_resume(path: Path, module: OptimisedModule, announce: Callable[[str], None]) -> int:
    """The optimiser step a training continues from: 0 where there is no resume point.

    One that is cut short or damaged can serve nobody: it is announced and removed, and training begins anew.

    Raises:
        ArtifactError: it is of another formulation or architecture.
    """
    if not path.exists():
        return 0
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)  # it may have been saved on a GPU
        step, state = int(saved["global_step"]), saved["state_dict"]
    except (RuntimeError, EOFError, OSError, KeyError, ValueError, TypeError, pickle.UnpicklingError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        announce(f"{path}: the resume point is cut short or damaged ({reason}); it is removed, training begins anew")
        path.unlink()
        return 0
    _check_identity(path, saved.get(TRAINED), module)
    _check_weights(path, state, module)
    return step


def _check_identity(path: Path, found: Mapping[str, str] | None, module: OptimisedModule) -> None:
    if found is not None and dict(found) != module.identity:
        raise ArtifactError(
            f"{path}: is a resume point of {_joined(found)}, but this trains {_joined(module.identity)}; "
            f"remove {path} to begin anew"
        )


def _joined(identity: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in identity.items())


def _check_weights(path: Path, found: Mapping[str, Any], module: OptimisedModule) -> None:
    """Same names, same shapes."""
    wanted = module.state_dict()
    problem = ""
    if strange := sorted(found.keys() ^ wanted.keys()):
        where = "the resume point" if strange[0] in found else "this model"
        problem = f"only {where} has {strange[0]} ({len(strange)} such weights)"
    else:
        other = [name for name in wanted if found[name].shape != wanted[name].shape]
        if other:
            shapes = tuple(found[other[0]].shape), tuple(wanted[other[0]].shape)
            problem = f"{other[0]} is {shapes[0]} there and {shapes[1]} here ({len(other)} such weights)"
    if problem:
        raise ArtifactError(f"{path}: is a resume point of another architecture: {problem}; remove it to begin anew")
