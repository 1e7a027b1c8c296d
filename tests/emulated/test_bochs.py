"""The kernels at the x86 levels that this machine lacks, on processors that Bochs emulates.

This takes minutes, so it runs only where UNSUP_FAST_BOCHS is the path of the emulator. Debian's
Bochs is too old; build one of 3.0 or later, without its debugger, which would be ten times slower::

    ./configure --enable-x86-64 --enable-avx --enable-evex --enable-pci --with-nogui \\
        --enable-handlers-chaining --enable-repeat-speedups --enable-fast-function-calls
    make

The rest is ``apt install g++ isolinux syslinux-common xorriso linux-image-cloud-amd64``.
UNSUP_FAST_KERNEL_IMAGE is the path of a kernel of Linux that is not in /boot.
"""

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CSRC = HERE.parents[1] / "csrc"
# Those of setup.py, and no shared libraries.
FLAGS = "-std=c++17 -O3 -fno-math-errno -fno-trapping-math -ffp-contract=fast -pthread -static"
PROGRAMS = (
    "check_bernoulli",
    "check_bias_act",
    "check_models",
    "check_prune",
    "check_rows",
    "check_samples",
)
SYSLINUX = (
    Path("/usr/lib/ISOLINUX/isolinux.bin"),
    Path("/usr/lib/syslinux/modules/bios/ldlinux.c32"),
)
PROCESSORS = [  # with the level that is the highest there, and the bytes that it multiplies at once
    ("corei7_icelake_u", "v4, 4 products"),  # AVX-512 VNNI
    ("corei7_skylake_x", "v4, 2 products"),  # AVX-512 BW
    ("arrow_lake", "v3, 4 products"),  # AVX-VNNI
]
# Linux 6.1 cannot start where short moves are fast (FSRM, 580) and fast strings are switched off.
BOOT = """default check
prompt 0
label check
 kernel /vmlinuz
 append initrd=/initrd console=ttyS0 quiet nokaslr panic=-1 mitigations=off clearcpuid=580
"""
MACHINE = """cpu: model={processor}, ips=50000000, reset_on_triple_fault=0
memory: guest=256, host=256
display_library: nogui
ata0-master: type=cdrom, path=disk.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=serial.txt
panic: action=fatal
error: action=ignore
info: action=ignore
log: bochs.log
"""


def needed(path, package):
    if path is None or not Path(path).exists():
        pytest.skip(f"{path or package} is not installed; apt install {package}")
    return Path(path)


@pytest.fixture(scope="module")
def bochs():
    program = os.environ.get("UNSUP_FAST_BOCHS")
    if not program:
        pytest.skip("takes minutes; set UNSUP_FAST_BOCHS to the path of Bochs to run it")
    program = os.path.abspath(shutil.which(program) or program)
    listed = subprocess.run([program, "-help", "cpu"], capture_output=True, text=True)
    missing = {name for name, _ in PROCESSORS} - {*(listed.stdout + listed.stderr).split()}
    if missing:
        pytest.skip(f"UNSUP_FAST_BOCHS={program} has no {', '.join(missing)}; build 3.0 or later")
    return program


@pytest.fixture(scope="module")
def disk(bochs, tmp_path_factory):
    """Return a bootable image with Linux and the programs, compiled for all levels."""
    compiler = needed(shutil.which("g++"), "g++")
    xorriso = needed(shutil.which("xorriso"), "xorriso")
    loader = [needed(path, "isolinux syslinux-common") for path in SYSLINUX]
    installed = max(Path("/boot").glob("vmlinuz-*"), default=None)
    image = os.environ.get("UNSUP_FAST_KERNEL_IMAGE", installed)
    kernel = needed(image, "linux-image-cloud-amd64")
    folder = tmp_path_factory.mktemp("disk")
    sources = [path for path in sorted(CSRC.glob("*/*.cpp")) if path.parent.name != "bindings"]
    sources += [HERE / f"{name}.cpp" for name in (*PROGRAMS, "init")]
    objects = {source: folder / f"{source.stem}.o" for source in sources}

    def compile_one(source):
        command = [compiler, *FLAGS.split(), f"-I{CSRC}", "-c", source, "-o", objects[source]]
        subprocess.run(command, check=True)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_one, sources))
    operations = [path for source, path in objects.items() if source.parent != HERE]
    link = [compiler, *FLAGS.split(), "-s", "-o"]
    subprocess.run([*link, folder / "init", folder / "init.o"], check=True)
    for name in PROGRAMS:
        command = [*link, folder / name, folder / f"{name}.o", *operations]
        subprocess.run(command, check=True)
    tree = folder / "tree"
    (tree / "isolinux").mkdir(parents=True)
    for path in loader:
        shutil.copy(path, tree / "isolinux")
    (tree / "isolinux" / "isolinux.cfg").write_text(BOOT)
    shutil.copy(kernel, tree / "vmlinuz")
    (tree / "initrd").write_bytes(archive([folder / name for name in (*PROGRAMS, "init")]))
    iso = "-quiet -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4"
    command = [xorriso, "-as", "mkisofs", *iso.split(), "-boot-info-table", "-o", "disk.iso", tree]
    subprocess.run(command, check=True, cwd=folder, capture_output=True)
    return folder / "disk.iso"


def archive(programs):
    """Return programs as Linux unpacks them into its first file system: cpio's newc format."""

    def entry(number, name, mode, data):
        title = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(title), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + title
        return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)

    entries = [entry(1, "dev", 0o40755, b"")]
    for number, path in enumerate(programs, 2):
        entries.append(entry(number, path.name, 0o100755, path.read_bytes()))
    return b"".join([*entries, entry(0, "TRAILER!!!", 0, b"")])


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("processor", "level"), PROCESSORS)
def test_kernels_on_processors_that_this_is_not(bochs, disk, processor, level, tmp_path):
    (tmp_path / "disk.iso").symlink_to(disk)
    (tmp_path / "bochsrc").write_text(MACHINE.format(processor=processor))
    # The status says nothing: to Bochs it is an error that the machine switches itself off.
    command = [bochs, "-q", "-f", "bochsrc"]
    subprocess.run(command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True)
    serial = tmp_path / "serial.txt"
    assert serial.exists(), (tmp_path / "bochs.log").read_text()
    lines = serial.read_text().splitlines()
    for name in PROGRAMS:
        assert f"{name}: status 0" in lines, lines
    results = [re.sub(r"of \d+", "of N", line) for line in lines if line.endswith(" wrong")]
    assert results == [f"{level}: 0 of N wrong"] * len(PROGRAMS)
