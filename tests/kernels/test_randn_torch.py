import numpy as np
import pytest

torch = pytest.importorskip("torch")

from unsup_fast.kernels import _memory  # noqa: E402
from unsup_fast.kernels.randn import randn, ref, torch_  # noqa: E402

every_type = pytest.mark.parametrize("dtype", torch_.TYPES, ids=str)


def equal(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


@every_type
@pytest.mark.parametrize("shape", [(3, 4, 5, 7), (2, 3, 67, 3), (2, 3, 4, 5, 6), (5,), (0, 3)])
def test_the_numbers_of_arrays_in_every_format(shape, dtype):
    truth = randn(shape, seed=2**63 + 1, stream=7, first=5, dtype=np.float32)
    if dtype == torch.float64:
        truth = randn(shape, seed=2**63 + 1, stream=7, first=5, dtype=np.float64)
    truth = torch.from_numpy(truth).to(dtype)
    formats = [torch.contiguous_format]
    if len(shape) > 3:
        formats.append(torch.channels_last if len(shape) == 4 else torch.channels_last_3d)
    options = {"seed": 2**63 + 1, "stream": 7, "first": 5}
    equal(randn(shape, dtype=dtype, **options), truth)
    for memory_format in formats:
        out = torch.full(shape, torch.nan, dtype=dtype).contiguous(memory_format=memory_format)
        before = out._version
        assert randn(shape, out=out, **options) is out
        assert out._version > before
        equal(out, truth)
        slow = randn(shape, out=torch.empty_like(out), backend="ref", **options)
        rtol = 1e-6 if dtype.itemsize > 2 else 8e-3
        torch.testing.assert_close(slow, truth, rtol=rtol, atol=0)
    out = torch.full(shape[::-1], torch.nan, dtype=dtype).permute(*reversed(range(len(shape))))
    equal(randn(shape, out=out, **options), truth)


@every_type
def test_seeds_of_samples(dtype):
    rows = [randn((3, 5), seed=seed, dtype=dtype, device="cpu") for seed in (4, 2**64 - 1)]
    for seed in ([4, 2**64 - 1], np.array([4, 2**64 - 1], np.uint64), torch.tensor([4, -1])):
        equal(randn((2, 3, 5), seed=seed, dtype=dtype, device="cpu"), torch.stack(rows))
    equal(randn((1, 3, 5), seed=torch.tensor([4]), dtype=dtype, device="cpu")[0], rows[0])


def test_what_makes_a_tensor():
    assert randn(3, seed=0, device="cpu").dtype == torch.float32
    assert randn(3, seed=0, dtype=torch.float16).dtype == torch.float16
    assert isinstance(randn(3, seed=torch.tensor([1, 2, 3])), np.ndarray)
    large = randn(_memory.LARGE // 4 + 5, seed=1, device="cpu")
    np.testing.assert_array_equal(large.numpy(), randn(len(large), seed=1))


def test_compiled():
    def step(x, seed, seeds):
        like = torch.empty_like(x)
        drawn = randn(x.shape, seed=seed, stream=2, dtype=x.dtype, device=x.device)
        return x * randn(x.shape, seed=seeds, out=like) + drawn

    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    for n, seed in ((2, 3), (2, 4), (3, 2**64 - 1)):
        x = torch.ones((n, 3, 4, 5)).contiguous(memory_format=torch.channels_last)
        seeds = torch.arange(n)
        equal(compiled(x, seed, seeds), step(x, seed, seeds))


def test_the_operator_keeps_its_word():
    out, seeds = torch.empty((2, 3, 4)), torch.tensor([1, 2])
    torch.library.opcheck(torch_.randn_.overload, (out, 5, None, 1, 2, 1, None))
    torch.library.opcheck(torch_.randn_.overload, (out, 0, seeds, 1, 2, None, "native"))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"dtype": torch.int32}, TypeError, "dtype=torch.int32 is not one of torch's float32"),
        ({"dtype": "f4", "device": "cpu"}, TypeError, "dtype=f4 is not one of torch's"),
        ({"seed": -1}, ValueError, "seed=-1 must be from 0"),
        ({"seed": True}, TypeError, "seed=True must be an integer"),
        ({"seed": torch.ones(2)}, TypeError, r"seed is a tensor of torch.float32; pass seed.to"),
        ({"seed": torch.arange(3)}, ValueError, "seed has shape .* one for each of 2 samples"),
        ({"shape": (), "seed": [1]}, ValueError, "pass an integer or no more"),
        ({"out": torch.empty(3)}, ValueError, r"out has shape \(3,\); it must be \(2, 3\)"),
        ({"out": torch.empty((2, 3)).int()}, TypeError, "out is torch.int32; it must be one of"),
        ({"out": torch.empty((2, 3)), "dtype": torch.float64}, TypeError, "but dtype=torch.float6"),
        ({"out": torch.empty((2, 3)), "device": "meta"}, ValueError, "out is on cpu but device="),
        ({"out": np.empty((2, 3)), "device": "cpu"}, TypeError, "out must be a tensor, got ndarr"),
        ({"out": torch.empty((2, 3), requires_grad=True)}, ValueError, "out takes no gradient"),
        ({"backend": "triton"}, ValueError, "'triton' is not available for 'randn'"),
        ({"n_threads": 0}, ValueError, "n_threads=0 must be at least 1"),
    ],
)
def test_wrong_arguments(change, error, message):
    with pytest.raises(error, match=message):
        randn(**({"shape": (2, 3), "seed": 0, "device": change.get("device", "cpu")} | change))


def test_bfloat16_is_float32_rounded():
    single = randn(30_000, seed=3)
    bits = torch.from_numpy(ref.rounded(single, "bfloat16").view(np.int16))
    equal(randn(30_000, seed=3, dtype=torch.bfloat16).view(torch.int16), bits)
