"""Triton's kernel of bias_act, compiled without a GPU; bias_act_on_gpu.py has what it computes."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from unsup_fast.kernels.bias_act import triton_  # noqa: E402


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("element", ["fp32", "bf16", "fp64"])
@pytest.mark.parametrize("backward", [False, True])
def test_no_register_spills(compiled, capability, element, backward):
    wide = element == "fp64"
    kind = "*fp64" if wide else "*fp32"
    types = dict.fromkeys(("x_ptr", "sign_ptr", "out_ptr"), f"*{element}")
    types |= {"bias_ptr": kind, "sums_ptr": kind, "positive": "fp64", "negative": "fp64"}
    types |= {"rows": "i64", "width": "i32"}
    absent = () if backward else ("sign_ptr", "sums_ptr")
    constants = {"WIDE": wide, "HEIGHT": triton_.BLOCK // 64 // (1 + wide), "COLUMNS": 64}
    constants |= dict.fromkeys(absent)
    kernel = compiled(
        capability, triton_.activate, types, constants, num_warps=4, enable_fp_fusion=True
    )
    assert kernel.stack == 0
    assert kernel.registers <= 255
    if element == "fp32":  # loads and stores of four numbers
        assert "ld.global.v4" in kernel.ptx
        assert "st.global.v4" in kernel.ptx
