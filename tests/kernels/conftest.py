"""Every test of an operation runs at every instruction-set level of the machine, or on a GPU.

Tests of operations that have a portable implementation run with that too, as one more level, but
for those marked as native. Those marked as "any_level" do the same at every level: they run at one,
and once more with a portable implementation.
"""

import os

import pytest

from unsup_fast.kernels import _native
from unsup_fast.kernels._dispatch import is_native

PORTABLE = (
    "affine",
    "assign",
    "bernoulli",
    "bias_act",
    "covariance",
    "denoise",
    "eigh",
    "em",
    "group_norm",
    "half_to_float",
    "kmeans_plusplus",
    "moments",
    "nearest",
    "noise",
    "randn",
    "randn_torch",
    "sqrtm",
    "style_act",
    "totals",
)


def pytest_generate_tests(metafunc):
    name = metafunc.module.__name__.rpartition("test_")[2]
    if name.endswith("_gpu"):
        return
    levels = _native.simd_levels() if is_native() else []
    if metafunc.definition.get_closest_marker("any_level"):
        levels = levels[-1:]
    if name in PORTABLE and not metafunc.definition.get_closest_marker("native"):
        levels = [*levels, "numba"]
    metafunc.parametrize("simd", levels, indirect=True)


@pytest.fixture(autouse=True)
def simd(request):
    before, backend = _native.simd(), os.environ.get("UNSUP_FAST_BACKEND")
    level = getattr(request, "param", before)
    if level == "numba":
        os.environ["UNSUP_FAST_BACKEND"] = level
    else:
        _native.use_simd(level)
    yield level
    _native.use_simd(before)
    if level == "numba":
        del os.environ["UNSUP_FAST_BACKEND"]
        if backend is not None:
            os.environ["UNSUP_FAST_BACKEND"] = backend
