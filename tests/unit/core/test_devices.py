"""The device of a name, what is refused, and work that does not fit; without any GPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from rag_lightning.cli import main
from rag_lightning.config.decoding import DecodingConfig
from rag_lightning.config.digesting import settings
from rag_lightning.config.experiment import ExperimentConfig
from rag_lightning.core import devices, hardware
from rag_lightning.core.devices import device_class, in_smaller_batches, named_memory, resolve_device
from rag_lightning.core.errors import ConfigError
from rag_lightning.stages.predict import open_pairs
from rag_lightning.stages.workspace import Workspace


class Machine:
    """What torch says of a machine with so many CUDA devices, built with CUDA or not."""

    def __init__(self, count: int, built: bool = True, lower: bool = True) -> None:
        self.__version__ = "2.13.0"
        self.version = SimpleNamespace(cuda="13.0" if built else None, hip=None)
        self.cuda = SimpleNamespace(
            device_count=lambda: count,
            is_bf16_supported=lambda including_emulation: lower,
            get_device_name=lambda i: f"GPU {i}",
        )


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Pretends to be a machine with a driver."""

    def pretend(machine: Machine) -> None:
        monkeypatch.setattr(devices, "DRIVERS", (str(tmp_path),))
        monkeypatch.setattr(devices, "_torch", lambda: machine)

    return pretend


@pytest.fixture
def without_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """No driver, so that torch is never asked."""

    def asked() -> Any:
        raise AssertionError("torch was asked")

    monkeypatch.setattr(devices, "DRIVERS", ())
    monkeypatch.setattr(devices, "_torch", asked)


@pytest.mark.usefixtures("without_driver")
def test_without_a_driver_everything_is_on_the_cpu_and_torch_is_not_asked() -> None:
    assert [resolve_device(name) for name in ("auto", "cpu")] == ["cpu", "cpu"]
    assert device_class("auto") == "cpu" and devices.gpu_names() == []
    assert hardware.resolve_dtype("auto", "cpu") in ("bfloat16", "float32")


@pytest.mark.usefixtures("without_driver")
@pytest.mark.parametrize("name", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^device={name}: torch finds no .* here; use auto or cpu$"):
        resolve_device(name)
    assert device_class(name) == name.partition(":")[0], "a digest is computed anywhere"


def test_devices_are_counted_from_0(on: Any) -> None:
    on(Machine(2))
    assert [resolve_device(name) for name in ("auto", "cuda", "cuda:1")] == ["cuda", "cuda", "cuda:1"]
    assert devices.gpu_names() == ["GPU 0", "GPU 1"]
    with pytest.raises(ConfigError, match=r"^device=cuda:2: is not there; use cuda:0, cuda:1, auto or cpu$"):
        resolve_device("cuda:2")


def test_a_driver_under_a_torch_without_cuda(on: Any) -> None:
    on(Machine(0, built=False))
    assert resolve_device("auto") == "cpu"
    with pytest.raises(ConfigError, match=r"because torch 2\.13\.0 is built without CUDA"):
        resolve_device("cuda")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "CUDA", ""])
def test_other_names_are_none(name: str) -> None:
    with pytest.raises(ConfigError, match="must be auto, cpu, cuda, cuda:N or mps"):
        ExperimentConfig(device=name)


def test_types_belong_to_devices(on: Any) -> None:
    on(Machine(1))
    assert hardware.resolve_dtype("auto", "cuda") == "bfloat16"
    assert hardware.resolve_dtype("float16", "cuda") == "float16"
    assert hardware.resolve_dtype("auto", "mps") == "float32"
    on(Machine(1, lower=False))
    assert hardware.resolve_dtype("auto", "cuda") == "float32"
    with pytest.raises(ConfigError, match=r"^dtype=bfloat16: this cuda device multiplies no bfloat16"):
        hardware.resolve_dtype("bfloat16", "cuda")
    with pytest.raises(ConfigError, match=r"^dtype=float16 is for GPUs, and the device is a CPU"):
        hardware.resolve_dtype("float16", "cpu")


def test_predictions_are_kept_by_class_of_device_and_nothing_else_is(on: Any) -> None:
    on(Machine(2))
    config = ExperimentConfig(decoding=DecodingConfig(dtype="float32"))
    of = {name: ExperimentConfig(device=name, decoding=config.decoding) for name in ("cpu", "cuda", "cuda:1", "auto")}
    found = {name: settings(one, "predictions") for name, one in of.items()}
    assert "device" not in found["cpu"], "results of a CPU are called what they were"
    assert found["cuda"] == found["cpu"] | {"device": "cuda"} == found["cuda:1"] == found["auto"]
    for stage in ("vectors", "model", "rankings", "scores"):
        assert all("device" not in settings(one, stage) for one in of.values())


@pytest.mark.usefixtures("without_driver")
def test_the_command_line_refuses_before_anything_is_built(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--folder", str(tmp_path), "--device", "cuda:7"]) == 2
    said = capsys.readouterr().err
    assert said == "rag-lightning: device=cuda:7: torch finds no CUDA device here; use auto or cpu\n"
    assert not list(tmp_path.rglob("*.jsonl"))


@pytest.mark.usefixtures("without_driver")
def test_float16_on_a_cpu_is_refused_before_anything_is_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "--folder", str(tmp_path), "--decoding.dtype", "float16"]) == 2
    assert "dtype=float16 is for GPUs, and the device is a CPU" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.jsonl"))


def test_stored_pairs_are_named_by_type_and_class_of_device(on: Any, tmp_path: Path) -> None:
    on(Machine(2))
    model: Any = SimpleNamespace(digest="d1")
    names = []
    for device, dtype in (("cpu", "float32"), ("cuda:1", "float32"), ("cuda", "auto")):
        decoding = DecodingConfig("greedy", {"max_length": 4}, dtype=dtype)  # type: ignore[arg-type]
        config = ExperimentConfig(folder=str(tmp_path), device=device, decoding=decoding)
        with open_pairs(Workspace(config), model) as pairs:
            assert pairs.path is not None
            names.append(pairs.path.name)
    assert names == [
        "d1-token1-4-float32.sqlite",
        "d1-token1-4-float32-cuda.sqlite",
        "d1-token1-4-bfloat16-cuda.sqlite",
    ]


FULL = "CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has a total capacity of 8 GiB."


def test_a_batch_that_does_not_fit_is_done_in_quarters_once() -> None:
    sizes: list[int] = []

    def work(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        if len(items) > 3:
            raise torch.OutOfMemoryError(FULL)
        return [item * 2 for item in items]

    assert in_smaller_batches(work, range(10), "batch=10") == list(range(0, 20, 2))
    assert sizes == [10, 2, 2, 2, 2, 2]


def test_what_does_not_fit_then_is_one_line_with_the_setting() -> None:
    sizes: list[int] = []

    def work(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        raise torch.OutOfMemoryError(FULL)

    with pytest.raises(ConfigError) as caught:
        in_smaller_batches(work, range(8), "decoding.pairs_per_batch=8")
    assert str(caught.value) == (
        "the memory of the device is full (CUDA out of memory): decoding.pairs_per_batch=8: even 2 at a time do not "
        "fit; lower it"
    )
    assert sizes == [8, 2]


def test_other_errors_are_themselves() -> None:
    def work(items: Sequence[int]) -> list[int]:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        in_smaller_batches(work, range(8), "")
    with pytest.raises(RuntimeError, match="shapes differ"), named_memory("lower it"):
        work([])


def test_a_trainer_is_told_the_device() -> None:
    assert devices.trainer_settings("cuda:1") == {"accelerator": "gpu", "devices": [1]}
    assert [devices.trainer_settings(name) for name in ("cuda", "cpu", "mps")] == [
        {"accelerator": name, "devices": 1} for name in ("gpu", "cpu", "mps")
    ]
