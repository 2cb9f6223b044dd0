"""What the machine says of itself, without torch."""

import os

import pytest

from rag_lightning.cli import main
from rag_lightning.core import hardware


def test_hardware_is_described_by_plain_values() -> None:
    described = hardware.describe()
    assert set(described) == {"machine", "cores", "memory_gib", "bfloat16", "load"}
    assert described["cores"] >= 1 and described["memory_gib"] > 0


@pytest.mark.parametrize(("flags", "dtype"), [({"amx_bf16"}, "bfloat16"), ({"avx2"}, "float32"), (set(), "float32")])
def test_auto_takes_bfloat16_where_it_is_fast(monkeypatch: pytest.MonkeyPatch, flags: set[str], dtype: str) -> None:
    monkeypatch.setattr(hardware, "cpu_flags", lambda: frozenset(flags))
    monkeypatch.setitem(hardware.sys.modules, "torch", None)
    assert hardware.resolve_dtype("auto") == dtype
    assert hardware.resolve_dtype("float32") == "float32"


def test_the_command_line_bounds_compiled_products_unless_the_user_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(hardware.COMPILED, raising=False)
    main(["--version"])
    assert os.environ[hardware.COMPILED] == str(hardware.COMPILED_PRODUCTS)
    monkeypatch.setenv(hardware.COMPILED, "7")
    main(["--version"])
    assert os.environ[hardware.COMPILED] == "7"
