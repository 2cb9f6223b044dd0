"""Models on a device that is not there: shapes, types and devices are followed, and no number is computed.

Under torch's FakeTensorMode an operation on tensors of two devices raises, and so does a read of a value. A torch that
is built without CUDA cannot index tensors on a fake `cuda`; any other device type does as well, and `lazy` is one that
such a torch can index.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from rag_lightning.decoding.encodings import Encodings

DEVICE = torch.device("cuda:0" if torch.cuda._is_compiled() else "lazy:0")


class _Valueless(FakeTensorMode):
    """Does not remember the value of a tensor made of one number, as torch does to trace code that reads it."""

    def may_turn_const(self, t: Tensor) -> bool:
        return False


class Elsewhere:
    """The device, and what is there.

    Args:
        open_shapes: Shapes may depend on values, as where a mask selects; a value that is read still raises.

    Attributes:
        mode: torch follows tensors of the device within it.
    """

    def __init__(self, open_shapes: bool = False) -> None:
        self.mode = _Valueless(shape_env=ShapeEnv(allow_dynamic_output_shape_ops=True) if open_shapes else None)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Everything within runs on the device."""
        with torch.inference_mode(), self.mode:
            yield

    def tensor(self, real: Tensor) -> Tensor:
        """A tensor of the same shape and type on the device."""
        return FakeTensor(self.mode, real.detach().to("meta"), DEVICE)

    def module(self, real: nn.Module) -> nn.Module:
        """A copy on the device."""
        made = copy.deepcopy(real)
        for part in made.modules():
            for name, value in part._parameters.items():
                if value is not None:
                    part._parameters[name] = nn.Parameter(self.tensor(value), requires_grad=False)
            for name, value in part._buffers.items():
                part._buffers[name] = None if value is None else self.tensor(value)
        return made

    def encodings(self, generator: Any, dtype: str) -> Encodings:
        """Encodings of a generator whose weights are on the device, made as they are of one that is there."""
        real, there = Encodings(generator, dtype), self.module(generator)
        made = copy.copy(real)
        made.generator, made.device = there, DEVICE  # type: ignore[assignment]
        made.emptied()
        made._states = type(real._states)()
        made.steps = copy.copy(real.steps)
        made.steps.vocabulary = copy.copy(real.steps.vocabulary)
        for name in ("weight", "lower", "bias"):
            value = getattr(real.steps.vocabulary, name)
            setattr(made.steps.vocabulary, name, None if value is None else self.tensor(value))
        steps: Any = made.steps
        steps.model = there.model
        if hasattr(steps, "decoder"):
            steps.decoder = self.module(steps.decoder)
        if isinstance(real.encoder, nn.Module):
            made.encoder = self.module(real.encoder)
        else:
            made.encoder = copy.copy(real.encoder)
            made.encoder.model = self.module(real.encoder.model)
        return made
