"""What the machine says of itself, without torch."""

import os
import platform
import subprocess
import sys
import weakref

import pytest

from rag_lightning.cli import main
from rag_lightning.core import hardware


def test_hardware_is_described_by_plain_values() -> None:
    described = hardware.describe()
    assert set(described) - {"gpus"} == {"machine", "cores", "memory_gib", "bfloat16", "load"}
    assert described["cores"] >= 1 and described["memory_gib"] > 0


@pytest.mark.parametrize(("flags", "dtype"), [({"amx_bf16"}, "bfloat16"), ({"avx2"}, "float32"), (set(), "float32")])
def test_auto_takes_bfloat16_where_it_is_fast(monkeypatch: pytest.MonkeyPatch, flags: set[str], dtype: str) -> None:
    monkeypatch.setattr(hardware, "cpu_flags", lambda: frozenset(flags))
    assert hardware.resolve_dtype("auto", "cpu") == dtype
    assert hardware.resolve_dtype("float32", "cpu") == "float32"


def test_the_command_line_bounds_compiled_products_unless_the_user_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(hardware.COMPILED, raising=False)
    main(["--version"])
    assert os.environ[hardware.COMPILED] == str(hardware.COMPILED_PRODUCTS)
    monkeypatch.setenv(hardware.COMPILED, "7")
    main(["--version"])
    assert os.environ[hardware.COMPILED] == "7"


def test_what_is_not_referred_to_is_given_back() -> None:
    class Circle:
        pass

    circle = Circle()
    circle.self = circle  # type: ignore[attr-defined]
    gone = weakref.ref(circle)
    del circle
    hardware.collect_memory(0)
    assert gone() is None


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps memory in its own way")
@pytest.mark.parametrize("how", ["collect_memory", "return_free_memory"])
def test_freed_memory_behind_a_leftover_goes_back_to_the_system(how: str) -> None:
    code = """
import sys
from pathlib import Path
from rag_lightning.core import hardware
give_back = getattr(hardware, sys.argv[1])
def resident():
    return int(next(l.split()[1] for l in Path("/proc/self/status").read_text().splitlines() if l.startswith("VmRSS")))
blocks = [bytearray(10_000) for _ in range(20_000)]
full = resident()
del blocks[:-1]
give_back(1 << 40)
assert full - resident() < 50_000, "not asked to"
give_back(0)
assert full - resident() > 150_000, (full, resident())
"""
    subprocess.run([sys.executable, "-c", code, how], check=True)
