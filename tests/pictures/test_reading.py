"""Reading of pictures from folders, archives and arrays, in order, and of other files."""

import io
import os
import zipfile

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")

from unsup_fast.blocks import DataError  # noqa: E402
from unsup_fast.pictures import images  # noqa: E402
from unsup_fast.pictures._reading import decoded  # noqa: E402

NAMES = ["b/10.png", "b/9.png", "a.PNG", "c/d/e.bmp", "f.ppm", "g.png", "h.png"]


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (len(NAMES), 6, 5, 3), dtype=np.uint8)


def png(picture, kind="PNG"):
    content = io.BytesIO()
    Image.fromarray(picture).save(content, kind)
    return content.getvalue()


@pytest.fixture
def folder(tmp_path, pictures):
    """Return a folder of pictures, where the order of `sorted(NAMES)` is that of `pictures`."""
    for name, picture in zip(sorted(NAMES), pictures, strict=True):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = {"ppm": "PPM", "bmp": "BMP"}.get(name[-3:], "PNG")
        path.write_bytes(png(picture, kind))
    (tmp_path / "pictures" / "notes.txt").write_text("none")
    (tmp_path / "pictures" / ".hidden.png").write_bytes(b"none")
    return tmp_path / "pictures"


def zipped(folder, suffixes="*"):
    path = folder.parent / "pictures.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob(suffixes):
            archive.write(file, file.relative_to(folder))
    return path


@pytest.fixture(params=["folder", "zip", "npy", "npz", "npz of several", "array", "memory map"])
def data(request, folder, pictures, tmp_path):
    if request.param == "folder":
        return folder
    if request.param == "zip":
        return zipped(folder)
    if request.param == "array":
        return pictures
    if request.param.startswith("npz"):
        more = {"labels": np.arange(7), "z": np.ones((7, 2))} if "several" in request.param else {}
        np.savez_compressed(tmp_path / "x.npz", pictures=pictures, **more)
        return tmp_path / "x.npz"
    np.save(tmp_path / "x.npy", pictures)
    if request.param == "npy":
        return str(tmp_path / "x.npy")
    return np.load(tmp_path / "x.npy", mmap_mode="r")


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_all_pictures_in_order(data, pictures, size):
    source = images(data)
    assert len(source) == source.n_images == 7
    for _ in range(2):
        batches = list(source.batches(size))
        assert [done for done, _ in batches] == [min(7, i + size) for i in range(0, 7, size)]
        assert all(batch.dtype == np.uint8 for _, batch in batches)
        np.testing.assert_array_equal(np.concatenate([batch for _, batch in batches]), pictures)
    assert source.skipped == []


def test_tensors_and_floats_are_not_converted(pictures):
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255
    batches = [batch for _, batch in images(tensor).batches(4)]
    assert [type(batch) for batch in batches] == [torch.Tensor] * 2
    assert torch.equal(torch.cat(batches), tensor)
    grey = pictures[..., 0] / 255.0
    np.testing.assert_array_equal(next(images(grey).batches(7))[1], grey)


def test_sizes_differ(folder, pictures):
    (folder / "g.png").write_bytes(png(pictures[0][:3]))
    ((_, batch),) = images(folder).batches()
    assert isinstance(batch, list)
    assert [picture.shape for picture in batch].count((3, 5, 3)) == 1
    ((_, batch),) = images(folder, size=(6, 5)).batches()
    assert batch.shape == (7, 6, 5, 3)
    expected = Image.fromarray(pictures[0][:3]).resize((5, 6), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(batch[sorted(NAMES).index("g.png")], np.asarray(expected))
    np.testing.assert_array_equal(batch[0], pictures[0])


def test_bad_files_are_named_and_left_out(folder, pictures):
    (folder / "b" / "10.png").write_bytes(b"")
    (folder / "b" / "9.png").write_bytes(b"something else")
    (folder / "g.png").write_bytes(png(pictures[5])[:-40])
    (folder / "h.png").write_bytes(png(pictures[6])[:30])
    for source in (images(folder), images(zipped(folder))):
        with pytest.warns(
            UserWarning, match=r"4 of 7 files .* b/10.png \(is no picture\); .*\.\.\."
        ):
            batches = [batch for _, batch in source.batches(2)]
        left = [sorted(NAMES).index(name) for name in ("a.PNG", "c/d/e.bmp", "f.ppm")]
        np.testing.assert_array_equal(np.concatenate(batches), pictures[left])
        assert [line.split(" ")[0] for line in source.skipped] == [
            "b/10.png",
            "b/9.png",
            "g.png",
            "h.png",
        ]


def test_no_picture_is_whole(folder):
    for name in NAMES:
        (folder / name).write_bytes(b"?")
    with pytest.raises(DataError, match=r"pictures: no picture could be read \(a.PNG \(is no pic"):
        list(images(folder).batches())


def test_a_reader_that_is_left_early(folder):
    batches = images(folder).batches(2)
    next(batches)
    batches.close()


def test_kinds_of_pictures():
    grey = np.arange(30, dtype=np.uint8).reshape(5, 6)
    three = np.repeat(grey[..., None], 3, axis=2)
    np.testing.assert_array_equal(decoded(png(grey)), three)
    clear = np.dstack([three, np.full((5, 6), 9, np.uint8)])
    np.testing.assert_array_equal(decoded(png(clear)), three)
    deep = (grey.astype(np.uint16) * 257) + 100
    np.testing.assert_array_equal(decoded(png(deep)), three)
    content = io.BytesIO()
    Image.fromarray(grey.astype(np.float32)).save(content, "TIFF")
    with pytest.raises(ValueError, match="mode F are not read"):
        decoded(content.getvalue())


def test_too_many_pixels_for_a_picture(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ValueError, match="could be decompression bomb"):
        decoded(png(np.zeros((5, 6), np.uint8)))


def empty_zip(path):
    zipfile.ZipFile(path / "e.zip", "w").close()
    return path / "e.zip"


def written(name, content):
    def make(path):
        (path / name).write_bytes(content)
        return path / name

    return make


def npy(array):
    def make(path):
        np.save(path / "a.npy", array)
        return path / "a.npy"

    return make


BAD = {
    "missing": (lambda path: path / "nothing", "nothing: no such file or directory"),
    "empty folder": (lambda path: path, r"holds no pictures \(.bmp, .gif"),
    "empty zip": (empty_zip, "e.zip: holds no pictures"),
    "no zip": (written("z.zip", b"PK"), "z.zip: is not a zip archive"),
    "other": (written("t.txt", b""), "t.txt: is not a folder, .zip, .npz or .npy"),
    "rows": (npy(np.ones((4, 5))), r"has shape \(4, 5\); pictures are"),
    "none": (npy(np.ones((0, 4, 4, 3))), r"has shape \(0, 4, 4, 3\)"),
    "array": (lambda path: np.ones(3), r"X: has shape \(3,\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_no_pictures(tmp_path, name):
    make, message = BAD[name]
    with pytest.raises(DataError, match=message):
        images(make(tmp_path))


def test_arrays_of_an_archive_are_named(tmp_path, pictures):
    np.savez(tmp_path / "x.npz", a=pictures, b=pictures[:2])
    with pytest.raises(DataError, match="holds a 7 x 6 x 5 x 3, b 2 x 6 x 5 x 3"):
        images(tmp_path / "x.npz")
    assert len(images(tmp_path / "x.npz", key="b")) == 2


def test_what_is_no_file_and_what_is_hidden(tmp_path):
    (tmp_path / ".thumbnails").mkdir()
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("a.png", ".thumbnails/a.png"):
        Image.new("RGB", (2, 2)).save(tmp_path / name)
    with pytest.warns(
        UserWarning, match=r"1 files were left out: pipe.png \(is a FIFO\)"
    ) as caught:
        source = images(tmp_path)
    assert caught[0].filename == __file__
    assert [(done, len(batch)) for done, batch in source.batches()] == [(2, 1)]
    assert (source.n_images, source.skipped) == (2, ["pipe.png (is a FIFO)"])


def test_transparency_is_left_out_in_silence(tmp_path):
    picture = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(2, 2, 3)).convert("P")
    picture.save(tmp_path / "a.png", transparency=bytes(range(256)))
    [(_, batch)] = images(tmp_path).batches()
    np.testing.assert_array_equal(batch[0], np.asarray(picture.convert("RGB")))


def test_formats_that_need_other_programs_are_not_read(tmp_path):
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n"
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match="is no picture"):
        list(images(tmp_path).batches())


def test_damaged_and_encrypted_members_are_left_out(tmp_path):
    content = io.BytesIO()
    Image.new("RGB", (20, 20), (1, 2, 3)).save(content, "BMP")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.bmp", "b.bmp"):
            archive.writestr(name, content.getvalue())
    whole = bytearray((tmp_path / "a.zip").read_bytes())
    last = whole.rfind(b"PK\x01\x02")
    for position, bits in ((6, 1), (last + 8, 1)):  # of the first entry's header, and of the last's
        whole[position] |= bits
    (tmp_path / "a.zip").write_bytes(whole)
    with pytest.warns(UserWarning, match="1 of 2 files could not be read"):
        assert sum(len(batch) for _, batch in images(tmp_path / "a.zip").batches()) == 1
