"""Names of any kind: bytes that are not UTF-8, markup, escape sequences; terminals of any kind."""

import io
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

from unsup_fast._text import printable, valid
from unsup_fast.cli import checkpoint, progress, run, terminal

# Names, and what is shown of them.
NAMES = {
    "latin-1": (os.fsdecode(b"caf\xe9"), r"caf\xe9"),
    "markup": ("a[bold]\\[red]\\", "a[bold]\\[red]\\"),
    "escape": ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
    "title": ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
    "c1": ("\x9b31m", r"\x9b31m"),
    "lines": ("a\nb\r\u2028c", r"a\nb\r\u2028c"),
    "backwards": ("\u202egnp", r"\u202egnp"),
    "emoji code": (":smile:", ":smile:"),
    "html": ("<b>&\"'", "<b>&\"'"),
    "letters": ("na\u00efve\u4e2d", "na\u00efve\u4e2d"),
}
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", np.random.default_rng(0).random((12, 4), dtype=np.float32))


@pytest.fixture(params=["utf-8", "ascii", "latin-1"])
def printed(request, monkeypatch):
    """Return a function that runs a command on a terminal of an encoding: status, out, err."""
    encoding = request.param

    def call(*words):
        streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", streams[0])
            patch.setattr(sys, "stderr", streams[1])
            status = run([str(word) for word in words])
        texts = []
        for stream in streams:
            stream.flush()
            assert stream.errors == "strict"
            texts.append(stream.buffer.getvalue().decode(encoding))
        return status, *texts

    call.encoding = encoding
    return call


def on(encoding, text):
    return text.encode(encoding, "backslashreplace").decode(encoding)


def check_pages(out):
    """Check that all text in a folder of results is UTF-8 without surrogates, and HTML is clean."""
    for path in out.rglob("*"):
        if path.suffix in (".json", ".html"):
            text = path.read_bytes().decode("utf-8")
            assert not re.search(r"\\ud[89a-f]", text.replace(r"\\", ""))
            if path.suffix == ".html":
                assert not CONTROL.search(text.replace("\t", ""))
                assert "<b>" not in text
            else:
                json.loads(text)


WITH_REPORT = ("latin-1", "escape", "html", "lines")


@pytest.mark.parametrize("kind", NAMES)
def test_files_titles_and_folders(printed, tmp_path, kind):
    name, shown = NAMES[kind]
    shutil.copy("rows.npy", f"{name}.npy")
    words = ["kmeans", f"{name}.npy", "-k", 2, "-o", f"{name}.run", "--title", name]
    if printed.encoding != "utf-8" or kind not in WITH_REPORT:
        words.append("--no-report")
    status, out, err = printed(*words)
    assert (status, err) == (0, "")
    assert not CONTROL.search(out)
    assert on(printed.encoding, f"{shown}.npy  12 rows x 4 columns") in out
    assert on(printed.encoding, f"{shown}.run/  labels.npy") in out
    check_pages(tmp_path / f"{name}.run")
    summary = json.loads((tmp_path / f"{name}.run" / "summary.json").read_bytes())
    assert summary["data"]["file"] == valid(f"{name}.npy")


@pytest.mark.parametrize("kind", NAMES)
def test_columns(printed, tmp_path, kind):
    import pyarrow as pa
    import pyarrow.parquet as pq

    name, shown = NAMES[kind]
    if kind == "latin-1":  # Parquet's names are UTF-8
        return
    columns = {f"{name}[/x]": np.arange(6.0), "b": np.arange(6.0)[::-1], f"t{name}": ["x"] * 6}
    pq.write_table(pa.table(columns), "d.parquet")
    words = ["pca", "d.parquet", "-n", 1, "-o", "out"]
    if printed.encoding != "utf-8" or kind not in WITH_REPORT:
        words.append("--no-report")
    status, out, err = printed(*words)
    assert (status, err) == (0, "")
    assert not CONTROL.search(out)
    assert on(printed.encoding, f"Skipped columns that are not numbers: t{shown}.") in out
    check_pages(tmp_path / "out")
    status, out, err = printed("predict", "out", f"{name}.npy", "-o", "o.npy")
    assert (status, out, err.count("\n")) == (2, "", 1)
    missing = printable(" ".join(f"{name}.npy".split()))
    status, out, err = printed("kmeans", f"{name}.npy", "-k", 2, "-o", "o")
    assert (status, out) == (2, "")
    why = "no such file"
    if "[" in name:
        why = "matches no file; check the folder and the pattern"
    assert err == on(printed.encoding, f"error: {missing}: {why}\n")


def test_scores_warn_of_names(printed, tmp_path):
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path / os.fsdecode(b"caf\xe9\x1b[31m")
    folder.mkdir()
    for i in range(3):
        image.fromarray(np.full((4, 4), 90 * i, np.uint8)).save(folder / f"{i}.png")
    (folder / "[x]\x1b[2J.png").write_bytes(b"no picture")
    status, out, err = printed("fid", folder.name, folder.name, "--features", "none", "--json")
    assert status == 0
    assert not CONTROL.search(out + err)
    assert (
        r"caf\xe9\x1b[31m: 1 of 4 files could not be read and were left out: [x]\x1b[2J.png" in err
    )
    assert json.loads(out)["samples"][0]["path"] == "caf\\xe9\x1b[31m"


@pytest.mark.skipif(shutil.which("bash") is None, reason="the command is read by bash")
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_printed_command_is_one_again(monkeypatch, encoding):
    words = [
        "kmeans",
        "it's",
        "a b",
        "$HOME",
        "",
        "caf\udce9 \u00e9'\\",
        *(n for n, _ in NAMES.values()),
    ]
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        line = checkpoint.command([*words, "--overwrite"], resume=True)
        terminal.emit(line)
    assert stream.buffer.getvalue().decode(encoding) == f"{line}\n"
    assert not CONTROL.search(line)
    script = f"unsup-fast() {{ printf '%s\\0' \"$@\"; }}; {line}"
    ran = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    assert list(map(os.fsdecode, ran.stdout.split(b"\0")[:-1])) == [*words, "--resume"]


def test_progress_on_a_terminal():
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    console = Console(file=screen, force_terminal=True, width=60, emoji=False)
    display = progress.Display(ascii_only=True)
    display.begin("Reading [/x]:smile:\x1b]0;owned\x07.zip")
    console.print(display.bar.get_renderable())
    display.part(1, 2, "read")
    console.print(display.bar.get_renderable())
    screen.flush()
    written = screen.buffer.getvalue()
    text = re.sub(r"\x1b\[[0-9;]*m", "", written.decode("ascii"))
    assert text.count(r"Reading [/x]:smile:\x1b]0;owned\x07.zip") == 2
    assert not CONTROL.search(text)


def test_help_on_a_terminal_of_ascii(printed):
    for words in (["--help"], ["kmeans", "--help"], ["diffusion", "train", "--help"]):
        status, out, err = printed(*words)
        assert (status, err) == (0, "")
        assert out


def test_text_that_is_harmless_stays():
    for text in ("", "a b", "na\u00efve \u4e2d \U0001f600", "\\x1b", "zero\u200dwidth"):
        assert printable(text) == text == valid(text)
    assert valid({"a\udce9": ["\ud800", 1, None, ("\x1b",)]}) == {
        "a\\xe9": ["\\ud800", 1, None, ["\x1b"]]
    }
