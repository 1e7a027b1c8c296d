"""Loading of pictures: all kinds of data give the same bytes, and labels where there are any."""

import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

pytest.importorskip("PIL")

from unsup_fast import pictures
from unsup_fast.blocks import DataError

FOLDERS = ["b", "a", "b", "c", "a", "b", "c"]
SORTED = [1, 4, 0, 2, 5, 3, 6]  # indices of the pictures in the order of paths


@pytest.fixture
def folder(tmp_path, colours, encode):
    for i, (name, picture) in enumerate(zip(FOLDERS, colours, strict=True)):
        path = tmp_path / "data" / name / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(picture))
    (tmp_path / "data" / "notes.txt").write_text("none")
    return tmp_path / "data"


def zipped(folder, root=""):
    path = folder.parent / "data.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*.png"):
            archive.write(file, f"{root}{file.relative_to(folder)}")
    return path


def stored(path, **arrays):
    np.savez_compressed(path / "x.npz", **arrays)
    return path / "x.npz"


def same(actual, expected, labels=None, classes=()):
    assert actual.pixels.dtype == np.uint8
    assert actual.pixels.flags.c_contiguous
    np.testing.assert_array_equal(actual.pixels, expected)
    assert actual.classes == classes
    assert actual.skipped == []
    if labels is None:
        assert actual.labels is None
    else:
        assert actual.labels.dtype == np.int64
        np.testing.assert_array_equal(actual.labels, labels)


@pytest.mark.parametrize("kind", ["folder", "folder above", "zip", "zip of a folder"])
def test_folders_are_classes(folder, colours, kind):
    data = {
        "folder": lambda: folder,
        "folder above": lambda: folder.parent,
        "zip": lambda: str(zipped(folder)),
        "zip of a folder": lambda: zipped(folder, "archive/train/"),
    }[kind]()
    actual = pictures.load(data)
    same(actual, colours[SORTED].transpose(0, 3, 1, 2), [0, 0, 1, 1, 1, 2, 2], ("a", "b", "c"))
    assert actual.name == str(data)


def test_folders_that_are_no_classes(folder, colours):
    shutil.copy(folder / "a" / "1.png", folder / "1.png")
    same(pictures.load(folder), colours[[1, *SORTED]].transpose(0, 3, 1, 2))
    (folder / "1.png").unlink()
    same(pictures.load(folder / "a"), colours[[1, 4]].transpose(0, 3, 1, 2))


@pytest.mark.parametrize("kind", ["npy", "npz", "array", "memory map", "channels first", "tensor"])
def test_arrays(tmp_path, colours, kind):
    first = colours.transpose(0, 3, 1, 2)
    if kind == "npz":
        data = stored(tmp_path, anything=colours)
    elif kind in ("npy", "memory map"):
        data = tmp_path / "x.npy"
        np.save(data, colours)
        data = np.load(data, mmap_mode="r") if kind == "memory map" else data
    elif kind == "tensor":
        data = pytest.importorskip("torch").from_numpy(first.copy())
    else:
        data = colours if kind == "array" else first
    actual = pictures.load(data)
    same(actual, first)
    assert actual.pixels.flags.writeable
    assert not np.shares_memory(actual.pixels, colours)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float32", "float64"])
def test_types_of_numbers(dtype):
    bits = np.random.default_rng(1).integers(0, 2, (5, 3, 4)).astype(dtype)
    most = 1 if dtype in ("uint8", "int64") else 255
    same(pictures.load(bits), (bits[:, None] * most).astype(np.uint8))


@settings(max_examples=50)
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, max_side=20)))
def test_bytes_divided_by_255_come_back(x):
    same(pictures.load(x), x[:, None])
    for dtype in (np.float32, np.float64):
        same(pictures.load(x.astype(dtype) / dtype(255)), x[:, None])


def test_bfloat16_tensors(colours):
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(colours).permute(0, 3, 1, 2).bfloat16() / 256
    expected = (x.double() * 255).round().to(torch.uint8).numpy()
    same(pictures.load(x.requires_grad_()), expected)


def test_channels(tmp_path, colours, encode):
    from PIL import Image

    luma = np.stack([np.asarray(Image.fromarray(one).convert("L")) for one in colours])[:, None]
    (tmp_path / "a.png").write_bytes(encode(colours[0]))
    (tmp_path / "b.png").write_bytes(encode(luma[1, 0]))
    same(pictures.load(colours, channels=1), luma)
    same(pictures.load(luma, channels=3), np.repeat(luma, 3, axis=1))
    same(pictures.load(tmp_path, channels=1), luma[:2])
    assert pictures.load(tmp_path).pixels.shape == (2, 3, 6, 5)


def test_what_is_transparent_lies_on_white(tmp_path, colours, encode):
    alpha = np.random.default_rng(2).integers(0, 256, (7, 6, 5, 1), dtype=np.uint8)
    clear = np.concatenate([colours, alpha], axis=3)
    share = alpha / 255
    exact = (colours * share + 255 * (1 - share)).transpose(0, 3, 1, 2)
    (tmp_path / "a.png").write_bytes(encode(clear[0]))
    actual = pictures.load(clear).pixels
    assert np.abs(actual - exact).max() <= 0.5
    assert np.abs(pictures.load(tmp_path).pixels - exact[:1]).max() <= 1
    assert pictures.load(clear, channels=1, size=3).pixels.shape == (7, 1, 3, 3)


@pytest.mark.parametrize("size", [3, (3, 3), [6, 4], (12, 10), (5, 1), (1, 9), np.int64(7)])
def test_sizes_of_arrays_are_those_of_files(folder, colours, size):
    files = pictures.load(folder, size=size)
    arrays = pictures.load(colours[SORTED], size=size)
    height, width = (size, size) if np.ndim(size) == 0 else size
    assert files.pixels.shape == (7, 3, height, width)
    np.testing.assert_array_equal(files.pixels, arrays.pixels)
    grey = pictures.load(colours[SORTED][:, :, :, 0], size=size)
    np.testing.assert_array_equal(grey.pixels[:, 0], arrays.pixels[:, 0])


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (4, 5), (5, 4)])
def test_the_middle_is_taken(shape):
    x = np.zeros((1, *shape), np.uint8)
    top, left = (shape[0] - 4) // 2, (shape[1] - 4) // 2
    x[:, top : top + 4, left : left + 4] = np.arange(1, 17).reshape(4, 4)
    np.testing.assert_array_equal(pictures.load(x, size=4).pixels.ravel(), np.arange(1, 17))


def test_large_pictures_are_averaged(tmp_path, encode):
    x, y = np.meshgrid(np.linspace(0, 255, 800), np.linspace(0, 255, 600))
    smooth = np.rint(np.dstack([x, y, (x + y) / 2])).astype(np.uint8)
    (tmp_path / "a.png").write_bytes(encode(smooth))
    (tmp_path / "b.jpg").write_bytes(encode(smooth, "JPEG", quality=95))
    checks = np.indices((600, 800)).sum(axis=0) % 2 * 255
    (tmp_path / "c.png").write_bytes(encode(checks.astype(np.uint8)))
    actual = pictures.load(tmp_path, size=15).pixels.astype(float)
    mean = smooth[:, 100:700].reshape(15, 40, 15, 40, 3).mean(axis=(1, 3)).transpose(2, 0, 1)
    assert np.abs(actual[0] - mean)[:, 1:-1, 1:-1].max() <= 1
    assert np.abs(actual[1] - mean)[:, 1:-1, 1:-1].max() <= 3
    assert np.abs(actual[2] - 127.5).max() <= 1.5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned(tmp_path, colours, encode, orientation):
    from PIL import Image, ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "a.png").write_bytes(encode(colours[0], exif=exif))
    with Image.open(tmp_path / "a.png") as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture))
    same(pictures.load(tmp_path), expected.transpose(2, 0, 1)[None])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_modes_of_pictures(tmp_path, encode, mode):
    from PIL import Image

    grey = np.arange(30, dtype=np.uint8).reshape(5, 6) * 5
    picture = Image.fromarray(grey)
    expected = grey
    if mode == "I;16":
        picture = Image.fromarray(grey.astype(np.uint16) * 257)
    elif mode == "1":
        picture = picture.convert("1")
        expected = np.asarray(picture) * 255
    else:
        picture = (picture if mode in ("LA", "P") else picture.convert("RGB")).convert(mode)
    (tmp_path / "a.tiff").write_bytes(encode(picture, "TIFF"))
    actual = pictures.load(tmp_path).pixels
    np.testing.assert_array_equal(actual, np.broadcast_to(expected, (1, 3, 5, 6)))


ARCHIVES = {
    "by name": ({"x_train": 7, "y_train": 7, "x_test": 3, "y_test": 3}, {}, "y_train"),
    "by key": ({"x_train": 3, "y_train": 3, "x_test": 7, "y_test": 7}, {"key": "x_test"}, "y_test"),
    "capital": ({"X": 7, "y": 7}, {}, "y"),
    "images": ({"train_images": 7, "train_labels": 7}, {}, "train_labels"),
    "category": ({"pictures": 7, "category": 7, "captions": 7}, {}, "category"),
    "asked": ({"pictures": 7, "label": 7, "kind": 7}, {"label_key": "kind"}, "kind"),
}


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize("kind", ["text", "integers", "floats", "column", "bytes"])
def test_labels_of_archives(tmp_path, colours, name, kind):
    lengths, options, expected = ARCHIVES[name]
    numbers = {k: np.roll(np.arange(n), i) % 3 + 8 for i, (k, n) in enumerate(lengths.items())}
    convert = {
        "text": lambda y: np.array(["", "b", "a"])[y - 8],
        "integers": lambda y: y.astype(np.uint8),
        "floats": lambda y: y * 1.0,
        "column": lambda y: y[:, None],
        "bytes": lambda y: np.array([b"", b"b", b"a"])[y - 8],
    }[kind]
    arrays = {
        key: colours[: lengths[key]] if key[0] in "xX" or key.endswith(("images", "pictures"))
        else convert(y)
        for key, y in numbers.items()
    }  # fmt: skip
    actual = pictures.load(stored(tmp_path, **arrays), **options)
    classes = ("", "a", "b") if kind in ("text", "bytes") else ("8", "9", "10")
    order = np.array([0, 2, 1]) if kind in ("text", "bytes") else np.arange(3)
    same(actual, colours.transpose(0, 3, 1, 2), order[numbers[expected] - 8], classes)


def test_arrays_that_are_no_labels(tmp_path, colours):
    unfit = {
        "labels": np.arange(6), "y": np.ones((7, 2), int), "label": np.array([None] * 7),
        "target": np.ones(7, complex),
    }  # fmt: skip
    actual = pictures.load(stored(tmp_path, pictures=colours, **unfit))
    same(actual, colours.transpose(0, 3, 1, 2))


def test_bad_files_are_left_out(folder, colours, encode):
    (folder / "a" / "1.png").write_bytes(b"")
    (folder / "b" / "0.png").write_bytes(encode(colours[0])[:-40])
    (folder / "b" / "2.png").write_bytes(b"no picture")
    (folder / "c" / "3.png").write_bytes(b"no picture")
    for data in (folder, zipped(folder)):
        with pytest.warns(UserWarning, match=r"4 of 7 files .*: a/1.png \(is no p") as caught:
            actual = pictures.load(data)
        assert caught[0].filename == __file__
        assert str(caught[0].message).endswith("b/2.png (is no picture); ...")
        np.testing.assert_array_equal(actual.pixels, colours[[4, 5, 6]].transpose(0, 3, 1, 2))
        np.testing.assert_array_equal(actual.labels, [0, 1, 2])
        assert [line.split(" ")[0] for line in actual.skipped] == [
            "a/1.png", "b/0.png", "b/2.png", "c/3.png",
        ]  # fmt: skip


def test_classes_are_those_that_are_left(folder):
    for name in ("a/1.png", "a/4.png"):
        (folder / name).write_bytes(b"")
    with pytest.warns(UserWarning, match="2 of 7"):
        actual = pictures.load(folder)
    assert actual.classes == ("b", "c")
    np.testing.assert_array_equal(actual.labels, [0, 0, 0, 1, 1])


def test_many_files_stay_in_order(tmp_path, encode):
    x = np.random.default_rng(3).integers(0, 256, (300, 2, 3), dtype=np.uint8)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for i, picture in enumerate(x):
            archive.writestr(f"{i:03}.png", encode(picture))
    seen = []
    actual = pictures.load(tmp_path / "x.zip", channels=1, progress=lambda *at: seen.append(at))
    same(actual, x[:, None])
    assert seen[-1] == (300, 300)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


@pytest.mark.parametrize("kind", ["zip", "array"])
def test_ctrl_c_gets_through(folder, colours, kind):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pictures.load(zipped(folder) if kind == "zip" else colours, progress=interrupt)


def file(name, content):
    def make(path):
        (path / name).write_bytes(content)
        return path / name

    return make


def cut(make, share=0.6):
    def shorter(path):
        whole = make(path)
        content = whole.read_bytes()
        whole.write_bytes(content[: int(len(content) * share)])
        return whole

    return shorter


def several(path):
    return stored(path, a=np.zeros((2, 4, 4)), b=np.zeros((2, 4, 4)))


def npy(path):
    np.save(path / "x.npy", np.zeros((20, 4, 4)))
    return path / "x.npy"


NAN = np.full((2, 4, 4), np.nan)
BAD = {
    "missing": (lambda path: path / "nothing", {}, "nothing: no such file or directory"),
    "empty folder": (lambda path: path, {}, "holds no pictures"),
    "other file": (file("x.txt", b""), {}, "x.txt: is not a folder, .zip, .npz, .npy or .parquet"),
    "no zip": (file("x.zip", b"PK"), {}, "x.zip: is not a zip archive, or is truncated"),
    "no npz": (file("x.npz", b"PK"), {}, "x.npz: is not an .npz archive, or is truncated"),
    "no parquet": (file("x.parquet", b"PAR1"), {}, "x.parquet: is not a Parquet file, or is trunc"),
    "cut npz": (cut(several), {}, "x.npz: is not an .npz archive, or is truncated"),
    "cut npy": (cut(npy), {}, "x.npy: is truncated"),
    "no picture": (file("x.png", b"?"), {"parent": True}, r"no picture could be read \(x.png"),
    "several": (several, {}, "holds a 2 x 4 x 4, b 2 x 4 x 4; pass as key which"),
    "no key": (several, {"key": "c"}, "has no array 'c'; it holds a 2 x 4 x 4"),
    "no labels": (several, {"key": "a", "label_key": "c"}, "has no array 'c'"),
    "labels": (several, {"key": "a", "label_key": "b"}, "array 'b' is 2 x 4 x 4 of float64"),
    "key": (npy, {"key": "c"}, "key='c' is for .npz and Parquet; pass none with"),
    "label_key": (lambda _: NAN, {"label_key": "c"}, "label_key='c' is for .npz and Parquet"),
    "rows": (lambda _: np.zeros((4, 5)), {}, r"X: has shape \(4, 5\); pictures are"),
    "channels": (lambda _: np.zeros((4, 5, 5, 2)), {}, r"X: has shape \(4, 5, 5, 2\)"),
    "none": (lambda _: np.zeros((0, 5, 5)), {}, r"X: has shape \(0, 5, 5\)"),
    "NaN": (lambda _: NAN, {}, "X: holds float64 from nan to nan; pictures are bytes"),
    "signed": (lambda _: -np.ones((2, 4, 4)), {}, "X: holds float64 from -1 to -1"),
    "wide": (lambda _: np.full((2, 4, 4), 256), {}, "X: holds int64 from 256 to 256"),
    "text": (lambda _: np.full((2, 4, 4), "a"), {}, "X: holds <U1"),
    "objects": (lambda _: np.full((2, 4, 4), None), {}, "X: holds object"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_data(tmp_path, name):
    make, options, message = BAD[name]
    data = make(tmp_path)
    if options.pop("parent", False):
        data = data.parent
    if name == "no parquet":
        pytest.importorskip("pyarrow")
    with pytest.raises(DataError, match=message) as caught:
        pictures.load(data, **options)
    assert "\n" not in str(caught.value)


def test_labels_that_are_no_classes(tmp_path):
    data = stored(tmp_path, x=np.zeros((2, 4, 4)), y=np.array([0.5, 1]))
    with pytest.raises(DataError, match=r"array 'y': holds float64; labels are integers or text"):
        pictures.load(data, label_key="y")
    objects = stored(tmp_path, x=np.zeros((2, 4, 4)), y=np.array([None, 1]))
    with pytest.raises(DataError, match="array 'y' is 2 of object; labels are"):
        pictures.load(objects, label_key="y")


def test_sizes_differ(folder, colours, encode):
    (folder / "b" / "2.png").write_bytes(encode(colours[0][:3]))
    with pytest.raises(DataError, match=r"b/2.png has 3 x 5 pixels, those before it 6 x 5; pass"):
        pictures.load(folder)
    assert pictures.load(folder, size=4).pixels.shape == (7, 3, 4, 4)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"size": 0}, ValueError),
        ({"size": (4, -1)}, ValueError),
        ({"size": (4, 4, 3)}, TypeError),
        ({"size": "44"}, TypeError),
        ({"size": True}, TypeError),
        ({"size": 4.0}, TypeError),
        ({"channels": 2}, ValueError),
        ({"channels": True}, ValueError),
    ],
)
def test_bad_options(colours, options, error):
    with pytest.raises(error, match=f"{next(iter(options))}=.* pass"):
        pictures.load(colours, **options)


def test_importing_brings_nothing_heavy():
    code = "import sys, unsup_fast.pictures; print({'torch', 'PIL', 'sklearn'} & {*sys.modules})"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout == "set()\n"


def test_digits():
    from sklearn.datasets import load_digits

    actual = pictures.digits()
    same(actual, actual.pixels, load_digits().target, tuple("0123456789"))
    assert actual.pixels.shape == (1797, 1, 8, 8)
    assert (actual.pixels.min(), actual.pixels.max()) == (0, 255)
    assert np.abs(actual.pixels[:, 0] / 255 - load_digits().images / 16).max() < 0.002
