"""What archivers, cameras and attackers put among pictures does not stop the rest."""

import os
import zipfile

import numpy as np
import pytest

pytest.importorskip("PIL")

from unsup_fast import pictures
from unsup_fast._text import natural
from unsup_fast.blocks import DataError
from unsup_fast.pictures import _kinds


def zip_of(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def png(colours, encode):
    return encode(colours[0])


@pytest.mark.parametrize("kind", ["folder", "zip", "npz", "npz of text", "parquet"])
def test_numbers_sort_by_value_in_every_kind_of_data(tmp_path, colours, encode, kind):
    numbers = np.array([10, 2, 0, 9, 11, 100, 1])
    files = {f"{n}/x.png": encode(one) for n, one in zip(numbers, colours, strict=True)}
    if kind == "folder":
        data = tmp_path / "data"
        for name, content in files.items():
            (data / name).parent.mkdir(parents=True)
            (data / name).write_bytes(content)
    elif kind == "zip":
        data = zip_of(tmp_path / "x.zip", files)
    elif kind == "parquet":
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        data = tmp_path / "x.parquet"
        columns = {"image": list(files.values()), "label": [str(n) for n in numbers]}
        parquet.write_table(pa.table(columns), data)
    else:
        data = tmp_path / "x.npz"
        np.savez(data, x=colours, y=numbers.astype(str) if "text" in kind else numbers)
    loaded = pictures.load(data)
    assert loaded.classes == ("0", "1", "2", "9", "10", "11", "100")
    by_class = {loaded.classes[k]: x for k, x in zip(loaded.labels, loaded.pixels, strict=True)}
    for n, picture in zip(numbers, colours, strict=True):
        np.testing.assert_array_equal(by_class[str(n)], picture.transpose(2, 0, 1))


def test_the_order_of_names():
    ordered = ["-20", "-3", "", "2", "007", "7", "10", "9" * 5000, "1" + "0" * 5000]
    ordered += ["a", "a2", "a10", "a10b", "é"]
    shuffled = np.random.default_rng(0).permutation(len(ordered))
    assert sorted((ordered[i] for i in shuffled), key=natural) == ordered


@pytest.mark.parametrize("values", [[0.5, 1.0], [np.nan, 1.0], [np.inf, 1.0], [1e300, 1.0]])
def test_scores_are_no_labels(tmp_path, values):
    np.savez(tmp_path / "x.npz", images=np.zeros((2, 4, 4)), y=np.array(values))
    loaded = pictures.load(tmp_path / "x.npz")
    assert (loaded.labels, loaded.classes) == (None, ())
    assert loaded.notes == [
        "array 'y' was not taken for labels: it has not one integer or text for each picture."
    ]


def test_columns_that_are_no_labels(tmp_path, colours, encode):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    image = [{"bytes": encode(one), "path": "x"} for one in colours]
    for column in (
        pa.array([[0, 1], [2], [], [1], [], [], []]),
        pa.array([0.5] * 7),
        pa.array([{"a": 1}] * 7),
        pa.array([0, None, 1, 1, 0, 0, 0]),
        pa.array(["a", None, "b", "a", "a", "a", "a"]),
    ):
        parquet.write_table(pa.table({"image": image, "label": column}), tmp_path / "x.parquet")
        loaded = pictures.load(tmp_path / "x.parquet")
        assert (len(loaded.pixels), loaded.labels) == (7, None)
        assert loaded.notes[0].startswith("column 'label' was not taken for labels")
        with pytest.raises(DataError, match="label"):
            pictures.load(tmp_path / "x.parquet", label_key="label")


def test_labels_can_be_left_out(tmp_path, colours, png):
    np.savez(tmp_path / "x.npz", x=colours, y=np.arange(7))
    archive = zip_of(tmp_path / "x.zip", {"a/1.png": png, "b/1.png": png})
    for data in (tmp_path / "x.npz", archive):
        assert pictures.load(data).labels is not None
        loaded = pictures.load(data, labels=False)
        assert (loaded.labels, loaded.classes, loaded.notes) == (None, (), [])
    with pytest.raises(ValueError, match="label_key='y' needs labels=True"):
        pictures.load(tmp_path / "x.npz", labels=False, label_key="y")


def test_a_zip_of_windows_has_classes(tmp_path, png):
    names = ["data\\", "data\\cats\\", "data\\cats\\1.png", "data\\dogs\\1.JPG", "data\\Thumbs.db"]
    extra = {
        "__MACOSX/data/dogs/1.png": b"",
        "data\\desktop.ini": b"",
        "data\\dogs\\.DS_Store": b"",
    }
    members = {name: b"" if name.endswith("\\") else png for name in names} | extra
    loaded = pictures.load(zip_of(tmp_path / "x.zip", members))
    assert (loaded.classes, loaded.labels.tolist(), loaded.skipped) == (
        ("cats", "dogs"),
        [0, 1],
        [],
    )


def test_names_of_zips_without_the_flag_of_utf8(tmp_path, png):
    path = zip_of(tmp_path / "x.zip", {"käse/1.png": png, "brot/1.png": png})
    content = path.read_bytes()
    assert pictures.load(path).classes == ("brot", "käse")
    flagged = b"\x00\x08"
    for start in (b"PK\x03\x04", b"PK\x01\x02"):  # local headers and the directory
        at = 6 if start[2] == 3 else 8
        where = content.find(start)
        while where >= 0:
            if content[where + at : where + at + 2] == flagged:
                content = content[: where + at] + b"\0\0" + content[where + at + 2 :]
            where = content.find(start, where + 4)
    path.write_bytes(content)
    assert pictures.load(path).classes == ("brot", "käse")


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_formats_that_pillow_cannot_read_are_counted(tmp_path, png, kind, monkeypatch):
    monkeypatch.setattr("PIL.Image.OPEN", {k: v for k, v in _open().items() if k != "HEIF"})
    names = ["a.png", "1.heic", "2.HEIC", "3.heif", "4.svg", "notes.txt"]
    data = tmp_path / "data"
    data.mkdir()
    for name in names:
        (data / name).write_bytes(png)
    if kind == "zip":
        data = zip_of(tmp_path / "x.zip", dict.fromkeys(names, png))
    message = r"4 files were left out: 2 of .heic \(Pillow cannot read them here\); 1 of .heif \("
    for read in (pictures.load, pictures.images):
        with pytest.warns(UserWarning, match=message) as caught:
            source = read(data)
        assert caught[0].filename == __file__
        assert len(source.skipped) == 4
    assert source.n_images == 5
    with pytest.raises(DataError, match=r"holds no pictures .*; left out: 1 of .heic \(Pillow"):
        pictures.load(zip_of(tmp_path / "y.zip", {"1.heic": png}))


def _open():
    from PIL import Image

    Image.init()
    return Image.OPEN


@pytest.mark.parametrize(
    ("suffix", "kind"), [("jfif", "JPEG"), ("jp2", "JPEG2000"), ("avif", "AVIF")]
)
def test_formats_that_pillow_reads(tmp_path, encode, suffix, kind):
    from PIL import features

    if kind != "JPEG" and not features.check(_kinds.CODECS[kind]):
        pytest.skip(f"this Pillow reads no {kind}")
    picture = np.full((16, 24, 3), (200, 100, 50), np.uint8)
    (tmp_path / f"a.{suffix}").write_bytes(encode(picture, kind))
    loaded = pictures.load(tmp_path)
    assert np.abs(loaded.pixels[0].astype(int) - picture.transpose(2, 0, 1)).max() <= 4


def test_members_that_are_too_large_are_never_unpacked(tmp_path, png, monkeypatch):
    monkeypatch.setattr(_kinds, "MOST_BYTES", 1 << 16)
    monkeypatch.setattr(_kinds, "LARGE", 1 << 14)
    path = zip_of(
        tmp_path / "x.zip",
        {"a.png": png, "bomb.png": png + bytes(1 << 17), "zeros.jpg": bytes(1 << 15)},
    )
    unpacked = []
    read = zipfile.ZipExtFile.read
    monkeypatch.setattr(
        zipfile.ZipExtFile,
        "read",
        lambda self, n=-1: unpacked.append((self.name, n)) or read(self, n),
    )
    with pytest.warns(UserWarning, match="2 of 3 files could not be read") as caught:
        loaded = pictures.load(path)
    assert "bomb.png (has 131," in str(caught[0].message)
    assert "zeros.jpg (is no picture)" in str(caught[0].message)
    assert len(loaded.pixels) == 1
    assert not any(name == "bomb.png" for name, _ in unpacked)
    assert [n for name, n in unpacked if name == "zeros.jpg"] == [12]
    with open(tmp_path / "sparse.png", "wb") as file:
        file.truncate(1 << 40)  # takes no space on the disk
    (tmp_path / "a.png").write_bytes(png)
    with pytest.warns(UserWarning, match=r"sparse.png \(has 1,099,511,627,776 bytes"):
        assert len(pictures.load(tmp_path).pixels) == 1


def test_other_methods_of_compression_and_encryption(tmp_path, png):
    path = zip_of(tmp_path / "x.zip", {"a.png": png})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("b.png", png, zipfile.ZIP_BZIP2)
        archive.writestr("c.png", png, zipfile.ZIP_LZMA)
        archive.writestr("d.png", png)
    content = bytearray(path.read_bytes())
    content[content.rfind(b"PK\x01\x02") + 8] |= 1  # says that d.png is encrypted
    path.write_bytes(content)
    with pytest.warns(
        UserWarning, match=r"3 of 4 files .*b.png \(is compressed by.*d.png \(is enc"
    ):
        assert len(pictures.load(path).pixels) == 1


def test_headers_of_pictures_that_promise_too_much(tmp_path, png, encode):
    huge = bytearray(png)
    huge[16:24] = (60000).to_bytes(
        4, "big"
    ) * 2  # width and height; the checksum is Pillow's to miss
    import zlib

    huge[29:33] = zlib.crc32(bytes(huge[12:29])).to_bytes(4, "big")
    for name, content in (("a.png", png), ("huge.png", bytes(huge))):
        (tmp_path / name).write_bytes(content)
    with pytest.warns(
        UserWarning, match=r"1 of 2 files .*huge.png \(Image size .3600000000 pixels"
    ):
        assert len(pictures.load(tmp_path).pixels) == 1


@pytest.mark.parametrize("seed", range(3))
def test_flipped_bytes_never_stop_the_rest(tmp_path, colours, encode, seed, recwarn):
    random = np.random.default_rng(seed)
    members = {"good.png": encode(colours[0])}
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"):
        for i in range(12):
            content = bytearray(encode(np.tile(colours[1], (3, 3, 1)), kind))
            for at in random.integers(len(content), size=4):
                content[at] = random.integers(256)
            members[f"{kind}{i}.{kind.lower()}"] = bytes(content)
    loaded = pictures.load(zip_of(tmp_path / "x.zip", members), size=6)
    assert len(loaded.pixels) + len(loaded.skipped) == len(members)
    assert len(list(pictures.images(tmp_path / "x.zip", size=(6, 6)).batches(100))) == 1


def test_special_files_and_links_in_folders(tmp_path, png):
    data = tmp_path / "data"
    (data / "a").mkdir(parents=True)
    (data / "a" / "1.png").write_bytes(png)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "2.png").write_bytes(png)
    (data / "b").symlink_to(tmp_path / "elsewhere")  # as people arrange classes
    (data / "a" / "again").symlink_to(data)
    (data / "a" / "broken.png").symlink_to(tmp_path / "nowhere")
    (data / "a" / "zero.png").symlink_to("/dev/zero")
    os.mkfifo(data / "b" / "pipe.png")
    with pytest.warns(UserWarning, match="4 files were left out"):
        loaded = pictures.load(data)
    assert (loaded.classes, loaded.labels.tolist()) == (("a", "b"), [0, 1])
    assert loaded.skipped == [
        "a/again (is a link to a folder above it)",
        "a/broken.png (No such file or directory)",
        "a/zero.png (is a device)",
        "b/pipe.png (is a FIFO)",
    ]


def test_names_that_are_no_utf8(tmp_path, png):
    for name in (b"caf\xe9", b"tea"):
        folder = os.path.join(os.fsencode(tmp_path), name)
        os.mkdir(folder)
        with open(os.path.join(folder, b"\xff.png"), "wb") as file:
            file.write(png)
    with open(os.path.join(folder, b"\xfe.png"), "wb") as file:
        file.write(b"?")
    with pytest.warns(UserWarning, match=r"tea/\\xfe.png \(is no picture\)"):
        loaded = pictures.load(tmp_path)
    assert loaded.classes == ("caf\\xe9", "tea")
    "".join([*loaded.classes, *loaded.skipped]).encode()
