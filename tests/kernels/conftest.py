"""Every test of an operation runs at every instruction-set level of the machine."""

import pytest

from unsup_fast.kernels import _native


@pytest.fixture(params=_native.simd_levels(), autouse=True)
def simd(request):
    before = _native.simd()
    _native.use_simd(request.param)
    yield request.param
    _native.use_simd(before)
