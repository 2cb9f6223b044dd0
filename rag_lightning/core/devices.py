"""The device that models run on: one name for embedding, training, decoding, reranking and exact search.

`auto` is the first CUDA device, else Apple's mps, else the CPU. torch is asked only where a driver is, so that the
digest of a configuration is the same whether torch is imported or not, and costs nothing on a machine without a GPU.

Work that does not fit the memory of a device is done once more in smaller batches, and then refused in one line.
"""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rag_lightning.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")
R = TypeVar("R")
DEVICE = re.compile(r"(auto|cpu|mps|cuda(:\d{1,3})?)\Z")
"""Names of devices."""
DRIVERS = ("/proc/driver/nvidia", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""Files of a driver that torch may call CUDA: NVIDIA's, that of Windows' Linux, AMD's."""
PARTS = 4
"""Batches that one batch becomes when it does not fit."""


def resolve_device(name: str) -> str:
    """The device of a name: `cpu`, `mps`, `cuda`, or `cuda:1` where a number is given.

    Raises:
        ConfigError: it is not there.
    """
    kind, _, number = name.partition(":")
    if name == "cpu":
        return name
    cuda = _cuda_devices()
    if name == "auto":
        return "cuda" if cuda else "mps" if _has_mps() else "cpu"
    if kind == "mps" and not _has_mps():
        raise ConfigError("device=mps: torch finds no Apple GPU here; use auto or cpu")
    if kind == "cuda" and not cuda:
        raise ConfigError(f"device={name}: torch finds no CUDA device here{_why()}; use auto or cpu")
    if kind == "cuda" and int(number or 0) >= cuda:
        there = ", ".join(f"cuda:{i}" for i in range(cuda))
        raise ConfigError(f"device={name}: is not there; use {there}, auto or cpu")
    return name


def device_class(name: str) -> str:
    """cpu, cuda or mps: what results may differ by. Only `auto` looks at the machine."""
    return (resolve_device(name) if name == "auto" else name).partition(":")[0]


def has_bfloat16(kind: str) -> bool:
    """Whether a GPU class (cuda, mps) multiplies bfloat16 itself; a CUDA device that is elsewhere is taken to."""
    return kind == "cuda" and (not _cuda_devices() or _torch().cuda.is_bf16_supported(including_emulation=False))


def gpu_names() -> list[str]:
    """Names of the CUDA devices."""
    return [str(_torch().cuda.get_device_name(i)) for i in range(_cuda_devices())]


def trainer_settings(name: str) -> dict[str, Any]:
    """Arguments of Lightning's Trainer for a resolved device."""
    kind, _, number = name.partition(":")
    return {"accelerator": "gpu" if kind == "cuda" else kind, "devices": [int(number)] if number else 1}


def in_smaller_batches(work: Callable[[Sequence[T]], list[R]], items: Sequence[T], setting: str) -> list[R]:
    """`work(items)`, in batches of a quarter once more where the device has too little memory.

    Args:
        work: Gives one result for each item, in their order.
        items: A batch.
        setting: Field of the configuration to lower, with its value.

    Raises:
        ConfigError: the smaller batches do not fit either.
    """
    try:
        return work(items)
    except RuntimeError as error:
        if not _out_of_memory(error):
            raise
    _empty_cache()  # here nothing of the first attempt is held by its traceback
    size = max(1, len(items) // PARTS)
    with named_memory(f"{setting}: even {size} at a time do not fit; lower it"):
        return [result for start in range(0, len(items), size) for result in work(items[start : start + size])]


@contextmanager
def named_memory(advice: str) -> Iterator[None]:
    """Turn an error of a device whose memory is full into a ConfigError with the advice."""
    try:
        yield
    except RuntimeError as error:
        if not _out_of_memory(error):
            raise
        first = (str(error).strip().splitlines() or ["out of memory"])[0].partition(". ")[0]
        raise ConfigError(f"the memory of the device is full ({first}): {advice}") from error


def _out_of_memory(error: RuntimeError) -> bool:
    """Whether it is torch.OutOfMemoryError, which is known by its name without torch."""
    return type(error).__name__ == "OutOfMemoryError"


def _empty_cache() -> None:
    if "torch" in sys.modules and _cuda_devices():
        _torch().cuda.empty_cache()


def _torch() -> Any:
    return import_module("torch")


def _cuda_devices() -> int:
    """Number of CUDA devices that torch finds."""
    return int(_torch().cuda.device_count()) if any(Path(file).exists() for file in DRIVERS) else 0


def _has_mps() -> bool:
    return (platform.system(), platform.machine()) == ("Darwin", "arm64") and bool(_torch().backends.mps.is_available())


def _why() -> str:
    """Why there is none, where a driver is."""
    if not any(Path(file).exists() for file in DRIVERS) or _torch().version.cuda or _torch().version.hip:
        return ""
    return f", because torch {_torch().__version__} is built without CUDA (make install TORCH_INDEX=…)"
