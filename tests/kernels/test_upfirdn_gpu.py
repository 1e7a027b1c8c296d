"""Triton's kernel of upfirdn, compiled without a GPU; upfirdn_on_gpu.py has what it computes."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from unsup_fast.kernels.upfirdn import triton_  # noqa: E402

SIZES = ("pixels", "in_height", "in_width", "out_height", "out_width")
SIZES += ("skipped_y", "skipped_x", "first_y", "first_x", "width")


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("element", ["fp32", "bf16", "fp64"])
@pytest.mark.parametrize(("up", "down", "taps"), [(2, 1, (4, 4)), (1, 2, (4, 4)), (2, 1, (12, 1))])
def test_no_register_spills(compiled, capability, element, up, down, taps):
    wide = element == "fp64"
    types = dict.fromkeys(SIZES, "i32") | dict.fromkeys(("x_ptr", "out_ptr"), f"*{element}")
    types |= {"taps_ptr": "*fp64" if wide else "*fp32"}
    constants = {"UP_Y": up, "UP_X": up, "DOWN_Y": down, "DOWN_X": down, "FLIPPED": False}
    constants |= {"TAPS_Y": taps[0], "TAPS_X": taps[1], "WIDE": wide, "COLUMNS": 64}
    constants |= {"HEIGHT": triton_.BLOCK // 64 // (1 + wide)}
    kernel = compiled(
        capability, triton_.filter_pixels, types, constants, num_warps=4, enable_fp_fusion=True
    )
    assert kernel.stack == 0
    assert kernel.registers <= 255
    if element == "fp32":  # loads and stores of four numbers
        assert "ld.global.v4" in kernel.ptx
        assert "st.global.v4" in kernel.ptx
