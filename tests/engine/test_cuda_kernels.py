"""The path of a GPU, without one: its numbers on a processor, its shapes and devices on imitated CUDA tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

from experiments.engine import kernels
from experiments.engine.kernels import Weights, cuda
from experiments.engine.kernels.arithmetic import OnCuda
from tests.engine.test_host_reads import DispatchedOperations

TOKENS, WIDTH, FEATURES = 40, 16, 256


def random_numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("width", [1, 5, 8, 13])
def test_inputs_and_encoder_are_rounded_and_nothing_else(width: int) -> None:
    inputs, encoder = random_numbers(TOKENS, width), random_numbers(FEATURES, width, seed=1)
    bias = 1_000 * random_numbers(FEATURES, seed=2)
    found = cuda.pre_activations(inputs, encoder, bias)
    exact = inputs.bfloat16().double() @ encoder.bfloat16().double().T + bias.double()
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=1e-5)


def test_a_bias_keeps_its_precision() -> None:
    bias = torch.cat([random_numbers(500) * 10.0**power for power in range(-20, 20)])
    found = cuda.pre_activations(torch.zeros(1, 4), torch.zeros(len(bias), 4), bias)
    torch.testing.assert_close(found[0], bias, rtol=2**-23, atol=0)


def test_it_is_written_where_it_is_asked_for() -> None:
    inputs, encoder, out = random_numbers(TOKENS, 8), random_numbers(FEATURES, 8), torch.empty(TOKENS, FEATURES)
    with DispatchedOperations(TOKENS * FEATURES) as seen:
        found = cuda.pre_activations(inputs, encoder, torch.zeros(FEATURES), out)
    assert found is out
    assert seen.dense == []  # nothing else of its size


class Indexing(TorchFunctionMode):
    """Indices of imitated tensors as operations: a torch without CUDA refuses the brackets alone."""

    def __torch_function__(self, func: Any, types: object, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.__getitem__:
            return _indexed(*args)
        if func is Tensor.__setitem__:
            tensor, index, value = args
            view = _indexed(tensor, index)
            return torch.ops.aten.copy_(view, value) if isinstance(value, Tensor) else view.fill_(value)
        return func(*args, **(kwargs or {}))


def _indexed(tensor: Tensor, index: Any) -> Tensor:
    dimension = 0
    for part in index if isinstance(index, tuple) else (index,):
        if part is None:
            tensor = tensor.unsqueeze(dimension)
        elif isinstance(part, slice):
            tensor = torch.ops.aten.slice(tensor, dimension, part.start, part.stop, part.step or 1)
        elif isinstance(part, int):
            tensor = tensor.select(dimension, part)
            dimension -= 1
        else:
            tensor = torch.ops.aten.index(tensor, [None] * dimension + [part])
        dimension += 1
    return tensor


def test_a_selection_of_imitated_cuda_tensors_fits_together_and_stays_on_the_gpu() -> None:
    with FakeTensorMode(), Indexing():
        shapes = [(FEATURES, WIDTH), (FEATURES,), (FEATURES, WIDTH), (WIDTH,)]
        weights = Weights(*(torch.empty(shape, device="cuda") for shape in shapes))
        inputs, out = torch.empty(TOKENS, WIDTH, device="cuda"), torch.empty(TOKENS, FEATURES, device="cuda")
        arithmetic = kernels.arithmetic_of(weights, "auto")
        pre = arithmetic.pre_activations(arithmetic.read(inputs), out)
        code = kernels.keep_largest_per_token(pre, 4)
        grouped = code._by_feature
    assert isinstance(arithmetic, OnCuda)
    assert type(kernels.arithmetic_of(weights, "float32")) is kernels.Float32
    assert pre is out
    assert {tensor.device.type for tensor in (code.features, code.activations, code.starts, *grouped)} == {"cuda"}
    assert (code.activations.dtype, tuple(code.activations.shape)) == (torch.float32, (4 * TOKENS,))
