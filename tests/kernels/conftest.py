"""Every test of an operation runs at every instruction-set level of the machine, or on a GPU."""

import pytest

from unsup_fast.kernels import _native


def pytest_generate_tests(metafunc):
    if not metafunc.module.__name__.endswith("_gpu"):
        metafunc.parametrize("simd", _native.simd_levels(), indirect=True)


@pytest.fixture(autouse=True)
def simd(request):
    before = _native.simd()
    level = getattr(request, "param", before)
    _native.use_simd(level)
    yield level
    _native.use_simd(before)
