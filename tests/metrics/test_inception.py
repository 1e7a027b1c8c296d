"""The Inception network against a second one, in NumPy and float64, with the same weights."""

import hashlib
import io
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from unsup_fast.metrics import Inception, _weights  # noqa: E402
from unsup_fast.metrics._network import LEAST_SIDE, N_CLASSES, N_FEATURES, Network  # noqa: E402
from unsup_fast.metrics._pictures import values  # noqa: E402
from unsup_fast.metrics.inception import load  # noqa: E402

# The graph of 2015-12-05: what is not listed has stride 1 and padding "SAME".
STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "halve", "Conv2d_3b_1x1")
STEM += ("Conv2d_4a_3x3", "halve")
STRIDE_2 = {"Conv2d_1a_3x3", "Mixed_6a.branch3x3", "Mixed_6a.branch3x3dbl_3"}
STRIDE_2 |= {"Mixed_7a.branch3x3_2", "Mixed_7a.branch7x7x3_4"}
VALID = STRIDE_2 | {"Conv2d_2a_3x3", "Conv2d_4a_3x3"}


def series(name, n):
    return tuple(f"{name}_{i}" for i in range(1, n + 1))


DOUBLE = series("branch3x3dbl", 3)
A = [("branch1x1",), series("branch5x5", 2), DOUBLE, ("mean", "branch_pool")]
B = [("branch3x3",), DOUBLE, ("halve",)]
C = [("branch1x1",), series("branch7x7", 3), series("branch7x7dbl", 5), ("mean", "branch_pool")]
D = [series("branch3x3", 2), series("branch7x7x3", 4), ("halve",)]


def spread(pool):
    single, double = ("branch3x3_1",), DOUBLE[:2]
    return [
        ("branch1x1",),
        *((*single, f"branch3x3_2{side}") for side in "ab"),
        *((*double, f"branch3x3dbl_3{side}") for side in "ab"),
        (pool, "branch_pool"),
    ]


BLOCKS = {"5b": A, "5c": A, "5d": A, "6a": B, "6b": C, "6c": C, "6d": C, "6e": C, "7a": D}
BLOCKS |= {"7b": spread("mean"), "7c": spread("largest")}


def windows(x, kernel, padding, stride=1, fill=0.0):
    padded = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)], constant_values=fill)
    views = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(2, 3))
    return views[:, :, ::stride, ::stride]  # [N, C, H, W, kh, kw]


def unit(weights, name, x):
    w, m, v, g, b = (
        weights[f"{name}.{part}"]
        for part in ("conv.weight", "bn.running_mean", "bn.running_var", "bn.weight", "bn.bias")
    )
    kernel = w.shape[2:]
    padding = (0, 0) if name in VALID else tuple(k // 2 for k in kernel)
    views = windows(x, kernel, padding, 2 if name in STRIDE_2 else 1)
    y = np.tensordot(views, w, ([1, 4, 5], [1, 2, 3]))  # [N, H, W, out]
    y = g * (y - m) / np.sqrt(v + 0.001) + b
    return np.maximum(y, 0).transpose(0, 3, 1, 2)


def step(weights, name, x):
    last = name.rsplit(".", 1)[-1]
    if last == "halve":
        return windows(x, (3, 3), (0, 0), 2).max((4, 5))
    if last == "largest":
        return windows(x, (3, 3), (1, 1), fill=-np.inf).max((4, 5))
    if last == "mean":
        inside = windows(np.ones_like(x), (3, 3), (1, 1)).sum((4, 5))
        return windows(x, (3, 3), (1, 1)).sum((4, 5)) / inside
    return unit(weights, name, x)


def in_numpy(weights, x):
    """Yield the name and the output of each layer, and of the whole network."""
    for name in STEM:
        x = step(weights, name, x)
        yield name, x
    for block, branches in BLOCKS.items():
        outputs = []
        for chain in branches:
            y = x
            for name in chain:
                y = step(weights, f"Mixed_{block}.{name}", y)
            outputs.append(y)
        x = np.concatenate(outputs, axis=1)
        yield f"Mixed_{block}", x
    yield "", x.mean((2, 3))


@pytest.fixture(scope="module")
def weights(inception_file):
    state = torch.load(inception_file, weights_only=True)
    return {name: value.double().numpy() for name, value in state.items()}


@pytest.fixture(scope="module")
def network(inception_file):
    return load(inception_file, None)[0]


def test_layers_are_those_of_a_second_network(weights, network):
    x = np.random.default_rng(0).uniform(-1, 1, (2, 3, 107, 107))
    outputs = {}
    for name, module in network.named_modules():
        module.register_forward_hook(lambda _, __, y, name=name: outputs.__setitem__(name, y))
    network(torch.from_numpy(x).float())
    n_compared = 0
    for name, expected in in_numpy(weights, x):
        if name == "halve":
            continue
        off = np.abs(outputs[name].numpy() - expected).max() / np.abs(expected).max()
        assert off < 1e-5, (name, off)
        n_compared += 1
    assert n_compared == 5 + 11 + 1
    assert expected.std() > 0.1


def test_gradients_are_those_of_a_second_network(weights, network):
    """Compare with a difference quotient of the second network, in a random direction."""
    random = np.random.default_rng(1)
    x, along = random.uniform(-1, 1, (2, 1, 3, LEAST_SIDE, LEAST_SIDE))
    images = torch.from_numpy(x).requires_grad_()
    network.double()(images).sum().backward()
    network.float()
    eps = 1e-6
    up, down = ([*in_numpy(weights, x + s * eps * along)][-1][1].sum() for s in (1, -1))
    expected = (up - down) / (2 * eps)
    assert float((images.grad.numpy() * along).sum()) == pytest.approx(expected, rel=1e-4)


def test_names_and_shapes_are_those_of_the_file():
    with torch.device("meta"):
        state = Network().state_dict()
    names = [name for name in state if not name.endswith("num_batches_tracked")]
    assert len(names) == 94 * 5 + 2
    assert state["fc.weight"].shape == (N_CLASSES, N_FEATURES) == (1008, 2048)
    assert state["Mixed_7c.branch3x3dbl_3b.conv.weight"].shape == (384, 384, 3, 1)
    assert state["Mixed_6b.branch7x7_2.conv.weight"].shape == (128, 128, 1, 7)
    sizes = [value.numel() for name, value in state.items() if name in names]
    assert sum(sizes) == 23_885_392


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(2).integers(0, 256, (5, 32, 24, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def extractor(inception_file):
    return Inception(inception_file, sha256=None, batch_size=3)


@pytest.fixture(scope="module")
def features(extractor, pictures):
    output = extractor(pictures)
    assert output.shape == (5, 2048)
    assert output.dtype == torch.float32
    assert not output.requires_grad
    return output


def test_pictures_of_every_form(extractor, pictures, features):
    whole = torch.from_numpy(pictures)
    first = whole.permute(0, 3, 1, 2)
    for images in (list(pictures), whole, first, [*first], np.ascontiguousarray(first)):
        torch.testing.assert_close(extractor(images), features, rtol=1e-6, atol=1e-6)
    for images in (first.float() / 255, whole.double().numpy() / 255):
        torch.testing.assert_close(extractor(images), features, rtol=1e-4, atol=1e-4)


def test_sizes_may_differ(extractor, pictures):
    mixed = [pictures[0], pictures[1][:20], pictures[2], pictures[3][:, :9], pictures[4]]
    expected = torch.cat([extractor(one[None]) for one in mixed])
    torch.testing.assert_close(extractor(mixed), expected, rtol=1e-5, atol=1e-5)


def test_grey_is_repeated_as_three_channels(extractor, pictures):
    grey = pictures[..., 0]
    expected = extractor(np.repeat(grey[..., None], 3, axis=3))
    for images in (grey, grey[..., None], grey[:, None], list(grey)):
        torch.testing.assert_close(extractor(images), expected, rtol=1e-5, atol=1e-5)


def test_no_pictures(extractor):
    assert extractor(np.empty((0, 8, 8, 3), np.uint8)).shape == (0, 2048)


def test_outputs(inception_file, weights, pictures, features):
    outputs = {
        output: Inception(inception_file, sha256=None, output=output)(pictures).double().numpy()
        for output in ("logits", "logits_unbiased", "probabilities")
    }
    plain = features.double().numpy() @ weights["fc.weight"].T
    np.testing.assert_allclose(outputs["logits_unbiased"], plain, atol=1e-4)
    np.testing.assert_allclose(outputs["logits"], plain + weights["fc.bias"], atol=1e-4)
    shares = np.exp(plain - plain.max(1, keepdims=True))
    np.testing.assert_allclose(
        outputs["probabilities"], shares / shares.sum(1, keepdims=True), atol=1e-5
    )


def test_bfloat16_is_near(inception_file, pictures, features):
    actual = Inception(inception_file, sha256=None, dtype=torch.bfloat16)(pictures)
    assert actual.dtype == torch.float32
    assert 1e-6 < (actual - features).abs().max() / features.abs().max() < 0.03


@pytest.mark.parametrize("resize", ["tensorflow", "clean", "pytorch-fid"])
def test_gradients_of_the_pictures(inception_file, resize):
    images = torch.rand(1, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    Inception(inception_file, sha256=None, resize=resize)(images).sum().backward()
    assert torch.isfinite(images.grad).all()
    assert images.grad.abs().max() > 0


BAD = {
    "channels": (np.zeros((2, 8, 8, 4), np.uint8), "without transparency"),
    "vector": (np.zeros((2, 8), np.uint8), r"shape \(2, 8\)"),
    "empty": (np.zeros((2, 0, 8, 3), np.uint8), "shape"),
    "whole": (np.zeros((2, 8, 8, 3), np.int64), "of type torch.int64; pass bytes"),
    "text": (np.full((2, 8, 8, 3), "a"), "of type <U1; pass bytes"),
    "minus one": (np.full((2, 8, 8, 3), -1.0), "from -1 to -1; pass bytes, or floats in"),
    "255": (np.full((2, 8, 8, 3), 255.0, np.float32), "from 255 to 255"),
    "nan": (np.full((2, 8, 8, 3), np.nan), "from nan to nan"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_pictures(extractor, name):
    images, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        extractor(images)


def test_shapes_that_read_both_ways():
    both = torch.arange(2 * 3 * 4 * 3).reshape(2, 3, 4, 3)
    assert values(both.byte()).shape == (2, 3, 3, 4)
    assert values(both / 100).shape == (2, 3, 4, 3)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("output", "pool", "pass one of features, logits"),
        ("resize", "lanczos", "pass one of tensorflow, clean, pytorch-fid"),
        ("batch_size", 0, "pass 1 or more"),
    ],
)
def test_bad_options(option, value, message):
    with pytest.raises(ValueError, match=message):
        Inception(**{option: value})


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    monkeypatch.delenv(_weights.VARIABLE, raising=False)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


def test_where_the_file_is_looked_for(nowhere, monkeypatch, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"put it into .*checkpoints, or name it by"):
        Inception()
    nowhere.mkdir(parents=True)
    for name in reversed(_weights.NAMES):
        (nowhere / name).write_bytes(b"")
        assert _weights.obtain() == nowhere / name
    (tmp_path / "one.pth").write_bytes(b"")
    monkeypatch.setenv(_weights.VARIABLE, str(tmp_path / "one.pth"))
    assert _weights.obtain() == tmp_path / "one.pth"
    assert _weights.obtain(nowhere / _weights.FILE) == nowhere / _weights.FILE
    with pytest.raises(FileNotFoundError, match=r"weights=.*missing.pth: no such file"):
        Inception(tmp_path / "missing.pth")
    monkeypatch.setenv(_weights.VARIABLE, str(tmp_path / "two.pth"))
    with pytest.raises(FileNotFoundError, match=r"UNSUP_FAST_INCEPTION=.*two.pth: no such file"):
        Inception()


def test_hash(inception_file, pictures, features):
    whole = digest(inception_file)
    extractor = Inception(inception_file, sha256=whole[:8])
    assert (extractor.path, extractor.sha256) == (inception_file, whole)
    torch.testing.assert_close(extractor(pictures), features, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match=f"has SHA-256 {whole}, not 6726825d"):
        Inception(inception_file)


def saved(path, value):
    torch.save(value, path)
    return path


class Evil:
    def __reduce__(self):
        return (pytest.fail, ("was unpickled",))


def test_files_without_weights(inception_file, tmp_path):
    state = torch.load(inception_file, weights_only=True)
    evil, text = tmp_path / "evil.pth", tmp_path / "text.pth"
    evil.write_bytes(pickle.dumps({"fc.bias": Evil()}))
    text.write_bytes(b"not a file of torch")
    for path in (evil, text, saved(tmp_path / "list.pth", [1, 2])):
        with pytest.raises(ValueError, match="is not a file of tensors by name"):
            Inception(path, sha256=None)
    state["extra"] = state.pop("fc.bias")
    with pytest.raises(
        ValueError, match=r"tensor extra has shape \(1008,\), the network needs None"
    ):
        Inception(saved(tmp_path / "names.pth", state), sha256=None)
    state["fc.bias"] = state.pop("extra")[:1000]
    with pytest.raises(
        ValueError, match=r"fc.bias has shape \(1000,\), the network needs \(1008,\)"
    ):
        Inception(saved(tmp_path / "shapes.pth", state), sha256=None)


class Answer(io.BytesIO):
    headers = {"Content-Length": "3000000"}  # noqa: RUF012


def test_download(nowhere, monkeypatch):
    content = bytes(3_000_000)
    asked, seen = [], []

    def answer(url, timeout):
        asked.append(url)
        return Answer(content)

    monkeypatch.setattr(_weights, "urlopen", answer)
    sha256 = hashlib.sha256(content).hexdigest()[:8]
    path = _weights.obtain(download=True, sha256=sha256, progress=lambda *n: seen.append(n))
    assert path == nowhere / _weights.FILE
    assert path.read_bytes() == content
    assert asked == [_weights.URL]
    assert seen[-1] == (3_000_000, 3_000_000)
    assert [file.name for file in nowhere.iterdir()] == [_weights.FILE]
    assert _weights.obtain(download=True, sha256=sha256) == path
    assert len(asked) == 1


def test_download_that_fails(nowhere, monkeypatch):
    def refuse(url, timeout):
        raise OSError("no route to host")

    monkeypatch.setattr(_weights, "urlopen", refuse)
    with pytest.raises(OSError, match=r"could not be fetched \(no route to host\); get https"):
        Inception(download=True)
    monkeypatch.setattr(_weights, "urlopen", lambda url, timeout: Answer(b"a page of a proxy"))
    with pytest.raises(ValueError, match="damaged or another file"):
        Inception(download=True)
    assert not list(nowhere.iterdir())
