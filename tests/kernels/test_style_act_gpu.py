"""Triton's kernels of style_act, compiled without a GPU; style_act_on_gpu.py runs them."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from unsup_fast.kernels.style_act import triton_  # noqa: E402

WHOLE = ("x_ptr", "out_ptr", "of_out_ptr", "of_x_ptr")
NUMBERS = {"positive": "fp64", "negative": "fp64", "pixels": "i64", "all_pixels": "i64"}
NUMBERS |= {"blocks": "i32", "width": "i32"}


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("element", ["fp32", "bf16", "fp64"])
@pytest.mark.parametrize("name", ["modulate", "pull_back"])
def test_no_register_spills(compiled, capability, element, name):
    kernel, wide = getattr(triton_, name), element == "fp64"
    own = "*fp64" if wide else "*fp32"
    types = {one: f"*{element}" if one in WHOLE else own for one in kernel.arg_names} | NUMBERS
    block = triton_.BLOCK // (2 if name == "pull_back" else 1) // (1 + wide)
    constants = {"WIDE": wide, "HEIGHT": block // 64, "COLUMNS": 64}
    result = compiled(capability, kernel, types, constants, num_warps=4, enable_fp_fusion=True)
    assert result.stack == 0
    assert result.registers <= 255
    if element == "fp32":  # loads and stores of four numbers
        assert "ld.global.v4" in result.ptx
        assert "st.global.v4" in result.ptx
