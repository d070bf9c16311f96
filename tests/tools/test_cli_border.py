"""What a terminal or a script may do to the command line: every end is one line on standard error and a status."""

import functools
import io
import os
import pickle
import signal
import struct
import subprocess
import sys
import time
import zipfile
import zlib

import numpy as np
import pytest
from commands import ended
from paths import MODELS
from writer import Op, T, network

import int8rt
from int8rt.errors import printable
from int8rt.tools import cli, report

DIGITS = str(MODELS / "digits_conv_int8.tflite")
EVIL = "\x1b[2J\x1b]0;owned\x07\r\n\u202eevil\x9b1m\x7f" + "n" * 250


@pytest.fixture
def command(capfd):
    """Runs a command: (exit status, standard output, standard error)."""
    return functools.partial(ended, capfd)


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def npy(header, data=b""):
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def zipped(entries, method=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def png(width, height):
    """The beginning of an image of any size, with next to no data."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(
        b"IDAT", b"no stream of zlib"
    ) + chunk(b"IEND", b"")  # fmt: skip


GOOD = zipped({"x.npy": npy("{'descr': '|i1', 'fortran_order': False, 'shape': (3,), }", b"123")})
HEADER = "{{'descr': {}, 'fortran_order': False, 'shape': {}, }}"
HOSTILE_FILES = {
    "empty.npy": b"", "empty.npz": b"", "empty.png": b"", "empty.bin": b"",
    "text.npy": b"not an array", "text.npz": b"not an archive", "text.png": b"not an image",
    "magic.npy": b"\x93NUMPY", "truncated.npy": npy(HEADER.format("'|i1'", "(1, 8, 8, 1)"), b"12"),
    "huge.npy": npy(HEADER.format("'<f8'", (1 << 40,))), "negative.npy": npy(HEADER.format("'<f8'", "(-5,)")),
    "overflow.npy": npy(HEADER.format("'<f8'", (1 << 62, 1 << 62))), "ragged.npy": npy("{" + "[" * 5000),
    "header.npy": b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 31) + b"{", "code.npy": npy("__import__('os').abort()"),
    "dtype.npy": npy(HEADER.format("'no such type'", "(3,)")),
    "strings.npy": npy(HEADER.format("'<U3'", "(1,)"), bytes(12)),
    "structured.npy": npy(HEADER.format("[('a', '<i4')]", "(1,)"), bytes(4)),
    "dates.npy": npy(HEADER.format("'<M8[s]'", "(1,)"), bytes(8)),
    "zip.npy": GOOD, "array.npz": npy(HEADER.format("'|i1'", "(1,)"), b"1"), "other.npz": zipped({"x.txt": b"text"}),
    "no.npz": zipped({}), "truncated.npz": GOOD[:-30], "flipped.npz": GOOD.replace(b"123", b"124"),
    "names.npz": zipped({"../../x.npy": b"", "/y.npy": b"1"}),
    "evil.npz": zipped({f"{EVIL[:20]}.npy": GOOD, "y.npy": GOOD}),
    "broken.png": png(8, 8), "bomb.png": png(60000, 60000), "warns.png": png(10000, 10000),
    "chunks.png": png(8, 8)[:40],
    "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(%pipe%id) (r) file\n",
    "short.bin": b"1", "long.bin": bytes(65),
}  # fmt: skip


def assert_refused(result):
    status, out, err = result
    lines = [line for line in err.splitlines() if not line.startswith("compiling")]
    assert (status, out, len(lines)) == (2, "", 1), (status, out, err)
    assert lines[0].startswith("error: ")
    assert lines[0].isprintable()
    assert "INT8RT_TRACEBACK" not in err


@pytest.mark.parametrize("name", HOSTILE_FILES)
def test_hostile_input_files(name, command, tmp_path):
    if name.endswith(".png"):
        pytest.importorskip("PIL")
    (tmp_path / name).write_bytes(HOSTILE_FILES[name])
    assert_refused(command("run", DIGITS, "--input", tmp_path / name))


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_nothing_is_ever_unpickled(suffix, command, tmp_path):
    mark, path = tmp_path / "unpickled", tmp_path / f"x{suffix}"
    bomb = np.empty((), object)
    bomb[()] = Bomb(mark)
    for write in (
        lambda f: pickle.dump(Bomb(mark), f),
        lambda f: np.savez(f, x=bomb) if suffix == ".npz" else np.save(f, bomb),
    ):
        with path.open("wb") as file:
            write(file)
        assert_refused(command("run", DIGITS, "--input", path))
    assert not mark.exists()


def test_what_is_compressed_may_not_take_all_memory(command, tmp_path, monkeypatch):
    path = tmp_path / "bomb.npz"
    path.write_bytes(zipped({f"{i}.npy": npy(HEADER.format("'|i1'", (1 << 20,)), bytes(1 << 20)) for i in range(8)}))
    monkeypatch.setattr("int8rt.limits.default_memory", lambda: 1 << 22)
    status, _, err = command("run", DIGITS, "--input", path, "--max-memory", "1G")
    assert status == 2
    assert "bytes when it is unpacked, expected at most 4,194,304" in err


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "{tmp}", "{tmp}/missing", "", "\x00", "\udcff", "x" * 5000])
@pytest.mark.parametrize(
    "arguments",
    [
        ("run", DIGITS, "--input"), ("run", DIGITS, "--labels"), ("run", DIGITS, "--output"), ("run",), ("info",),
        ("info", "--json"), ("compare",), ("bench",), ("warmup",),
    ],
)  # fmt: skip
def test_what_is_no_file(arguments, path, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if "--output" in arguments:
        if path in ("/dev/zero", "/dev/null", "\udcff"):
            pytest.skip("can be written")
        path += "/missing/y.npz" if path in ("{tmp}", "{tmp}/missing") else ""
    assert_refused(command(*arguments, path.format(tmp=tmp_path)))


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", DIGITS, "--range", "nan,1"), ("run", DIGITS, "--range", "1"),
        ("run", DIGITS, "--range", "-1e308,1e308"),
        ("bench", DIGITS, "--seconds", "nan"), ("bench", DIGITS, "--seconds", "inf"),
        ("run", DIGITS, "--timeout", "nan"),
        ("run", DIGITS, "--max-memory", "-1"), ("run", DIGITS, "--threads", "0"), ("run", DIGITS, "--threads", "x"),
        ("run", DIGITS, "--seed", "-1"), ("run", DIGITS, "--hybrid", EVIL), ("ops", EVIL), (EVIL,),
        ("run", f"--{EVIL}"),
        ("run", EVIL), ("compare", DIGITS, "--resolver", EVIL), ("compare", DIGITS, "--runs", "0"), ("run",), ("info",),
    ],
)  # fmt: skip
def test_hostile_options(arguments, command):
    if "--range" in arguments:
        arguments = (*arguments, "--input", DIGITS)
    assert_refused(command(*arguments))


# Names in files


def evil_model(path):
    """A model of which everything that has a name is called something that a terminal would obey."""
    x, y = (T(np.int8, (1, 3), 0.5, 0, name=f"{EVIL}{i}") for i in range(2))
    path.write_bytes(network([Op("ADD", [x, x], [y])], [x], [y], signatures={EVIL: ({EVIL: x}, {EVIL: y})}))
    return path


def evil_operator(path):
    x, y = (T(np.int8, (1, 3), 0.5, 0) for _ in range(2))
    path.write_bytes(network([Op("CUSTOM", [x], [y], custom_code=EVIL)], [x], [y]))
    return path


@pytest.mark.parametrize("more", [(), ("--json",)])
@pytest.mark.parametrize("name", ["info", "run", "bench"])
def test_names_in_files_reach_no_terminal(name, more, command, tmp_path):
    more = (
        (*more, "--memory") if name == "info" else (*more, "--seconds", "0", "--profile") if name == "bench" else more
    )
    status, out, err = command(name, evil_model(tmp_path / "m.tflite"), *more)
    assert status == 0, err
    assert all(line.isprintable() for line in (out + err).split("\n"))
    assert "evil" in out or name == "bench"


@pytest.mark.parametrize("name", ["info", "run", "bench", "compare", "warmup"])
def test_operators_in_files_reach_no_terminal(name, command, tmp_path):
    status, out, err = command(name, evil_operator(tmp_path / "m.tflite"))
    assert status == (0 if name == "info" else 2)
    assert all(line.isprintable() for line in (out + err).split("\n"))


def test_outputs_are_written_under_names_that_are_printable(command, tmp_path):
    status, _, err = command("run", evil_model(tmp_path / "m.tflite"), "--output", tmp_path / "y.npz")
    assert (status, err) == (0, "")
    assert list(np.load(tmp_path / "y.npz")) == [printable(f"{EVIL}1")]


def test_errors_are_printable(tmp_path):
    with pytest.raises(int8rt.UnsupportedError) as found:
        int8rt.load(evil_operator(tmp_path / "m.tflite"))
    assert all(line.isprintable() for line in str(found.value).split("\n"))
    assert len(str(found.value)) < 1000
    assert str(int8rt.InputError("a\x1b\nb")) == "a\\x1b\nb"


def test_long_names_leave_tables_as_wide_as_the_terminal():
    from rich.console import Console

    console = Console(width=80, force_terminal=True, color_system=None, file=io.StringIO())
    report.show(console, [report.table(["a ", "tensor"], [["1", EVIL], ["2", "short"]])])
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) == 3


# Streams and signals


def process(*args, **kwargs):
    environment = {**os.environ, **kwargs.pop("env", {})}
    return subprocess.Popen(
        [sys.executable, "-m", "int8rt", *args], stderr=subprocess.PIPE, text=True, env=environment, **kwargs
    )


def test_a_reader_that_has_seen_enough():
    read, write = os.pipe()
    os.close(read)
    with process("info", DIGITS, stdout=write) as child:
        os.close(write)
        assert (child.stderr.read(), child.wait(60)) == ("", 1)


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_closed_full_and_narrow_streams(more):
    with process("info", DIGITS, *more, preexec_fn=lambda: os.close(1)) as child:
        assert (child.stderr.read(), child.wait(60)) == ("", 0)
    if os.path.exists("/dev/full"):
        with open("/dev/full", "w") as full, process("info", DIGITS, *more, stdout=full) as child:
            err = child.stderr.read()
            assert (err.count("\n"), child.wait(60)) == (1, 2), err
            assert "no space left" in err.lower()
    with process("info", DIGITS, "--memory", *more, stdout=subprocess.PIPE, env={"PYTHONIOENCODING": "ascii"}) as child:
        assert child.communicate(timeout=60)[1] == ""
        assert child.returncode == 0


def test_control_c_ends_with_130():
    with process("bench", DIGITS, "--seconds", "60", stdout=subprocess.DEVNULL) as child:
        time.sleep(4)
        child.send_signal(signal.SIGINT)
        assert child.wait(20) == 130
        assert "Traceback" not in child.stderr.read()


def test_what_nobody_foresaw_is_one_line_too(command, monkeypatch):
    def fail(*args, **kwargs):
        raise ZeroDivisionError("a\nb")

    monkeypatch.setattr(cli, "_info", fail)
    status, out, err = command("info", DIGITS)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "ZeroDivisionError: a b" in err
