"""Pictures with doubled and halved sides, by torch's operations and by the filter of a GPU."""

import pytest

torch = pytest.importorskip("torch")

from unsup_fast.models.networks.resample import (  # noqa: E402
    double,
    filtered_double,
    filtered_halve,
    halve,
)

SHAPES = [(1, 1, 2, 2), (2, 3, 4, 10), (2, 5, 8, 6)]


def tensor(shape, number, dtype=torch.float64):
    generator = torch.Generator().manual_seed(number)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def by_hand(x, direction):
    """Return one axis of the filter after the other: pixel by pixel, at the last axis."""
    for _ in range(2):
        n = x.shape[-1]
        if direction == "double":
            near = [x[..., i].clone() for i in range(n)]
            ends = [near[0], *near, near[-1]]  # edges are replicated
            pixels = [
                (3 * ends[i] + ends[i + shift]) / 4 for i in range(1, n + 1) for shift in (-1, 1)
            ]
        else:
            zero = torch.zeros_like(x[..., 0])
            ends = [zero, *(x[..., i] for i in range(n)), zero]
            pixels = [
                (ends[i] + 3 * ends[i + 1] + 3 * ends[i + 2] + ends[i + 3]) / 8
                for i in range(0, n, 2)
            ]
        x = torch.stack(pixels, -1).mT
    return x


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("direction", "functions"),
    [("double", (double, filtered_double)), ("halve", (halve, filtered_halve))],
)
def test_both_functions_are_the_filter_with_its_edges(shape, direction, functions):
    x = tensor(shape, 1).requires_grad_()
    truth = by_hand(x, direction)
    of_out = tensor(truth.shape, 2)
    of_x = torch.autograd.grad(truth, x, of_out)[0]
    for function in functions:
        out = function(x)
        torch.testing.assert_close(out, truth)
        torch.testing.assert_close(torch.autograd.grad(out, x, of_out)[0], of_x)
        single = function(x.detach().float())
        assert single.dtype == torch.float32
        torch.testing.assert_close(single, truth.float())


@pytest.mark.parametrize("function", [double, halve, filtered_double, filtered_halve])
def test_second_gradients(function):
    x = tensor((1, 2, 2, 4), 3).requires_grad_()
    assert torch.autograd.gradcheck(function, [x])
    assert torch.autograd.gradgradcheck(function, [x])
