"""The hardware of this machine: instruction sets, cores, memory. Does not import torch."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import resource
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from rag_lightning.core import devices
from rag_lightning.core.errors import ConfigError

COMPILED = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
"""Number of compiled matrix products that oneDNN (torch's bfloat16 on CPU) keeps; its default is 1,024."""
COMPILED_PRODUCTS = 64
"""More than one batch needs; the next batch has other shapes."""

WORTH_COLLECTING = 2 << 30


def limit_compiled_products() -> None:
    """Limit oneDNN's cache of compiled products; call it before torch multiplies. A value set by the user is kept.

    Batches of text rarely repeat a shape, and every shape is compiled and kept: without a limit the memory of a
    training in bfloat16 grows with every batch.
    """
    os.environ.setdefault(COMPILED, str(COMPILED_PRODUCTS))


def collect_memory(held: int = WORTH_COLLECTING) -> None:
    """Collect garbage and return all free memory to the system.

    Args:
        held: Peak memory in bytes below which nothing is done, because a collection takes a third of a second.
    """
    if peak_memory() < held:
        return
    gc.collect()
    return_free_memory(held)


def return_free_memory(held: int = WORTH_COLLECTING) -> None:
    """Return free memory to the system: glibc keeps free blocks behind small ones that are still in use.

    Args:
        held: Peak memory in bytes below which nothing is done.
    """
    if peak_memory() >= held and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def peak_memory() -> int:
    """Peak memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@lru_cache(maxsize=1)
def cpu_flags() -> frozenset[str]:
    """Instruction sets that the kernel reports; empty if it reports none."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return frozenset()
    lines = [line for line in info.read_text().splitlines() if line.startswith(("flags", "Features"))]
    return frozenset(lines[0].split(":", 1)[1].split()) if lines else frozenset()


def has_bfloat16(kind: str = "cpu") -> bool:
    """Whether bfloat16 matrix products are fast on a class of devices; on CPU with AVX-512 BF16, AMX or ARM BF16."""
    return bool(cpu_flags() & {"avx512_bf16", "amx_bf16", "bf16"}) if kind == "cpu" else devices.has_bfloat16(kind)


def resolve_dtype(name: str, kind: str) -> str:
    """The type of a name on a class of devices (cpu, cuda, mps): for `auto` bfloat16 where it is fast, else float32.

    Raises:
        ConfigError: float16 on a CPU, or bfloat16 on a GPU without it.
    """
    if name == "auto":
        return "bfloat16" if has_bfloat16(kind) else "float32"
    if name == "float16" and kind == "cpu":
        raise ConfigError("dtype=float16 is for GPUs, and the device is a CPU; use auto, bfloat16 or float32")
    if name == "bfloat16" and kind != "cpu" and not has_bfloat16(kind):
        raise ConfigError(f"dtype=bfloat16: this {kind} device multiplies no bfloat16; use auto, float16 or float32")
    return name


def cpu_count() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe() -> dict[str, Any]:
    """The hardware, as in run.json."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    load = os.getloadavg()[0]
    gpus = devices.gpu_names()
    return {
        "machine": platform.machine(),
        "cores": cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "bfloat16": has_bfloat16(),
        "load": round(load, 2),
        **({"gpus": gpus} if gpus else {}),
    }
