"""Pictures shrunk and enlarged by whole factors, against torch's pooling and repeated pixels."""

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from unsup_fast.models.networks.pooling import enlarge, shrink  # noqa: E402


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_averaged_over_squares_and_repeated(channels):
    x = torch.randn(2, channels, 12, 20, dtype=torch.float64)
    torch.testing.assert_close(shrink(x, (3, 5)), F.avg_pool2d(x, 4))
    torch.testing.assert_close(shrink(shrink(x, (6, 10)), (3, 5)), shrink(x, (3, 5)))
    assert torch.equal(enlarge(x, (36, 60)), x.repeat_interleave(3, 2).repeat_interleave(3, 3))
    assert shrink(x, (12, 20)) is x
    assert enlarge(x, (12, 20)) is x
    small = x[:, :, :4, :2].clone().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: shrink(x, (2, 1)).square(), (small,))
    assert torch.autograd.gradgradcheck(lambda x: enlarge(x, (8, 4)).square(), (small,))


@pytest.mark.parametrize("sides", [(5, 5), (3, 10), (24, 40)])
def test_pictures_shrink_by_whole_factors_only(sides):
    with pytest.raises(ValueError, match=f"12 x 20 do not become {sides[0]} x {sides[1]}"):
        shrink(torch.zeros(1, 1, 12, 20), sides)


@pytest.mark.parametrize("sides", [(18, 30), (24, 60), (6, 10)])
def test_pictures_grow_by_whole_factors_only(sides):
    with pytest.raises(ValueError, match=f"12 x 20 do not become {sides[0]} x {sides[1]}"):
        enlarge(torch.zeros(1, 1, 12, 20), sides)
