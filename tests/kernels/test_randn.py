import itertools
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from unsup_fast.kernels import _native
from unsup_fast.kernels.randn import HOST, randn, ref

UNIT = {np.float32: 2.0**-24, np.float64: 2.0**-53}
SIZES = [1, 2, 3, 4, 5, 15, 17, 33, 97, 127, 128, 129, 2049, 20001]
KNOWN = [  # kat_vectors of Random123: counter, key, words
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


def poisoned(shape, dtype=np.float32):
    return np.full(shape, np.nan, dtype)


def truth(seed, stream, first, count, dtype):
    return ref.normals(seed, stream, first, count, dtype == np.float64)


def close(actual, expected, dtype):
    # The reference's own angles err, which counts where a cosine is near zero.
    bound = 10 * UNIT[dtype] * np.abs(expected) + 64 * np.finfo(np.longdouble).eps
    assert (np.abs(actual.astype(np.longdouble) - expected) <= bound).all()


def two(low, high):
    return high << 32 | low


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers(counter, key, words):
    actual = ref.philox(np.array(counter, np.uint64)[:, None], key).ravel()
    np.testing.assert_array_equal(actual, words)
    assert counter_of(words, key) == counter


def counter_of(words, key):
    """Run the rounds of Philox backwards: the counter that has these words."""
    a, b, c, d = words
    for i in reversed(range(10)):
        k0, k1 = ((key[j] + i * ref.WEYL[j]) % 2**32 for j in range(2))
        c0, c2 = (
            word * pow(factor, -1, 2**32) % 2**32
            for word, factor in zip((d, b), ref.MULTIPLIERS, strict=True)
        )
        c1, c3 = a ^ c2 * ref.MULTIPLIERS[1] >> 32 ^ k0, c ^ c0 * ref.MULTIPLIERS[0] >> 32 ^ k1
        a, b, c, d = c0, c1, c2, c3
    return [a, b, c, d]


@pytest.mark.parametrize("dtype", UNIT)
@pytest.mark.parametrize("first", [0, 1, 130, (1 << 34) - 77, (1 << 63) - 1])
@pytest.mark.parametrize("size", SIZES)
def test_every_number_is_the_reference_to_its_bound(size, first, dtype):
    seed, stream = (3 << 40) + size, (7 << 32) + 1
    guarded = poisoned(size + 2, dtype)
    guarded[[0, -1]] = 7
    randn(size, seed=seed, stream=stream, first=first, out=guarded[1:-1])
    assert guarded[0] == guarded[-1] == 7
    close(guarded[1:-1], truth(seed, stream, first, size, dtype), dtype)


@pytest.mark.parametrize("dtype", UNIT)
def test_extreme_words(dtype):
    ends, turns = [0, 1, 2**31 - 1, 2**31, 2**32 - 1], [0, 2**29 - 1, 2**29, 2**30, 2**32 - 1]
    rng, key, most = np.random.default_rng(0), (3, 5), 0.0
    for end in ends:
        for turn in turns:
            counter = [0, 2**32, 0, 0]
            while counter[1] >= 2**29:  # the others lie beyond any index
                free = int(rng.integers(2**32))
                low = end if end in (0, 2**32 - 1) else free
                words = [end, turn, free, 7] if dtype == np.float32 else [low, end, free, turn]
                counter = counter_of(words, key)
            options = {"seed": two(*key), "stream": two(*counter[2:])}
            first = two(*counter[:2]) * (4 if dtype == np.float32 else 2)
            actual = randn(2, first=first, dtype=dtype, **options)
            w = np.array(words, np.uint64)
            if dtype == np.float32:
                expected = ref.box_muller(w[0], w[1], 32)
            else:
                expected = ref.box_muller(*(w[1::2] << np.uint64(32) | w[::2]), 64)
            close(actual, expected, dtype)
            most = max(most, np.abs(actual).max())
    assert most == pytest.approx(6.7637 if dtype == np.float32 else 9.493, abs=1e-3)


def test_moments_and_distribution():
    n = 1 << 20
    for dtype in UNIT:
        z = randn(n, seed=2024, dtype=dtype).astype(np.float64)
        moments = [np.mean(z**k) for k in range(1, 9)]
        for k, moment in enumerate(moments, 1):
            expected = 0 if k % 2 else np.prod(np.arange(k - 1, 0, -2))
            spread = np.prod(np.arange(2 * k - 1, 0, -2.0)) - expected**2
            assert abs(moment - expected) < 4.5 * np.sqrt(spread / n), k
        assert scipy.stats.kstest(z, "norm").pvalue > 1e-3
        beyond = np.count_nonzero(np.abs(z) > 4)
        assert abs(beyond - n * 6.334e-5) < 4.5 * np.sqrt(n * 6.334e-5)
        assert abs(np.mean(z[1:] * z[:-1])) < 4.5 / np.sqrt(n)
        assert abs(np.mean(z[::2] ** 2 * z[1::2] ** 2) - 1) < 4.5 * np.sqrt(8 / (n / 2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_threads_and_chunks_change_no_bit(dtype):
    n = 70_001
    whole = randn(n, seed=9, stream=1, dtype=dtype, n_threads=1)
    np.testing.assert_array_equal(randn(n, seed=9, stream=1, dtype=dtype, n_threads=2), whole)
    cuts = [0, 1, 6, 300, 8191, 8193, 50_000, n]
    for begin, end in itertools.pairwise(cuts):
        part = randn(end - begin, seed=9, stream=1, first=begin, dtype=dtype)
        np.testing.assert_array_equal(part, whole[begin:end])


@given(
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**63 - 1),
    st.integers(1, 300),
)
def test_any_seed_stream_and_index(seed, stream, first, size):
    actual = randn(size, seed=seed, stream=stream, first=first)
    close(actual, truth(seed, stream, first, size, np.float32), np.float32)


def test_seeds_and_streams_give_other_numbers():
    draws = [
        randn(1000, seed=seed, stream=stream)
        for seed in (0, 1, 1 << 32, 2**64 - 1)
        for stream in (0, 1, 1 << 32)
    ]
    products = np.corrcoef(draws)
    assert np.abs(products - np.eye(len(draws))).max() < 0.15


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("shape", [(3,), (3, 5), (3, 2, 67, 3), (3, 40, 1, 2), (3, 1, 9, 5)])
def test_seeds_of_samples_in_every_format(shape, dtype):
    seeds = [5, 2**63 + 9, 5]
    options = {"stream": 3, "first": 6}
    rows = [randn(shape[1:], seed=seed, dtype=dtype, **options) for seed in seeds]
    one = randn(shape, seed=8, dtype=dtype, **options)
    for order in (None, "channels last", "F"):
        out = poisoned(shape, dtype)
        if order == "F":
            out = np.asfortranarray(out)
        elif order is not None and len(shape) > 2:
            out = np.moveaxis(poisoned((shape[0], *shape[2:], shape[1]), dtype), -1, 1)
        for seed_list in (seeds, np.array(seeds, np.uint64)):
            out[...] = np.nan
            assert randn(shape, seed=seed_list, out=out, **options) is out
            np.testing.assert_array_equal(out, np.stack(rows))
        out[...] = np.nan
        np.testing.assert_array_equal(randn(shape, seed=8, out=out, **options), one)


def test_half_types_are_float32_rounded(simd):
    single = randn(50_000, seed=3)
    np.testing.assert_array_equal(
        randn(50_000, seed=3, dtype=np.float16), single.astype(np.float16)
    )
    bits = np.full(50_000, 0x7FC0, np.uint16)
    fill = HOST["numba" if simd == "numba" else "native"]
    fill(bits, "bfloat16", np.array([3], np.uint64), 0, 0, 1)
    np.testing.assert_array_equal(bits, ref.rounded(single, "bfloat16"))


def test_the_reference_backend():
    for dtype in (np.float32, np.float64, np.float16):
        actual = randn((2, 3, 5), seed=[1, 2], first=3, dtype=dtype, backend="ref")
        np.testing.assert_allclose(
            actual, randn((2, 3, 5), seed=[1, 2], first=3, dtype=dtype), 2e-3
        )


def test_shapes_and_empty_arrays():
    assert randn(5, seed=0).dtype == np.float32
    assert randn((), seed=0).shape == ()
    assert randn((0, 3), seed=0).shape == (0, 3)
    assert randn((0, 3), seed=[]).shape == (0, 3)
    assert randn([2, 3], seed=np.int64(4)).tolist() == randn((2, 3), seed=4).tolist()
    np.testing.assert_array_equal(randn((), seed=4), randn(1, seed=4)[0])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"seed": -1}, ValueError, r"seed=-1 must be from 0 to 2\*\*64 - 1"),
        ({"seed": 1 << 64}, ValueError, r"must be from 0 to 2\*\*64 - 1"),
        ({"seed": None}, TypeError, "seed must be an integer or one for each sample"),
        ({"seed": 1.5}, TypeError, "seed must be an integer or one for each sample, got float"),
        ({"seed": "ab"}, TypeError, "seed must be an integer or one for each sample, got str"),
        ({"seed": True}, TypeError, "seed=True must be an integer"),
        ({"seed": [1, 2.0]}, TypeError, "seed=2.0 must be an integer"),
        ({"seed": [1, 2, 3]}, ValueError, r"seed has shape \(3,\); .* one for each of 2 samples"),
        ({"stream": -1}, ValueError, r"stream=-1 must be from 0 to 2\*\*64 - 1"),
        ({"stream": 0.5}, TypeError, r"stream=0.5 must be an integer from 0 to"),
        ({"first": 1 << 63}, ValueError, r"first=.* must be from 0 to 2\*\*63 - 1"),
        ({"shape": (2, -3)}, ValueError, r"shape=\(2, -3\) must be integers of at least 0"),
        ({"shape": 2.5}, ValueError, "must be integers of at least 0"),
        ({"dtype": np.int32}, TypeError, "dtype=int32 is not one of float32, float64 and float16"),
        ({"out": [1.0]}, TypeError, "out must be an ndarray or a tensor, got list"),
        ({"out": np.empty((3, 2), "f4")}, ValueError, r"out has shape \(3, 2\)"),
        ({"out": np.empty((2, 3), "i4")}, TypeError, "dtype=int32 is not one of"),
        ({"out": np.empty((2, 3)), "dtype": "f4"}, TypeError, "out is float64 but dtype=float32"),
        ({"n_threads": 0}, ValueError, "n_threads=0 must be at least 1"),
        ({"backend": "triton"}, ValueError, "'triton' is not available for 'randn'"),
    ],
)
def test_wrong_arguments(change, error, message):
    with pytest.raises(error, match=message):
        randn(**({"shape": (2, 3), "seed": 0} | change))


def test_read_only_out():
    out = np.zeros(3, np.float32)
    out.setflags(write=False)
    with pytest.raises(ValueError, match="out is read-only"):
        randn(3, seed=0, out=out)


@pytest.mark.native
def test_the_binding_guards_its_memory():
    seed = np.zeros(1, np.uint64)
    sizes = {"stream": 0, "first": 0, "samples": 1, "channels": 1, "positions": 4, "n_threads": 1}
    for out, seeds in (
        (poisoned(3), seed),
        (poisoned((4, 2))[:, 0], seed),
        (poisoned(4), seed[:0]),
    ):
        with pytest.raises(ValueError, match=r"out: wrong|seeds: wrong"):
            _native.randn(seeds=seeds, dtype="float32", out=out, **sizes)
    with pytest.raises(ValueError, match="dtype"):
        _native.randn(seeds=seed, dtype="float8", out=poisoned(4), **sizes)


@pytest.mark.any_level  # the program that it starts takes the best
@pytest.mark.native
def test_arrays_need_no_torch():
    code = "import sys; from unsup_fast.kernels.randn import randn; randn(3, seed=1, stream=2)"
    code += "; assert 'torch' not in sys.modules and 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")
