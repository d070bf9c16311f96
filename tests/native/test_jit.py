"""native: argument blocks, entry points, and a cache that may be stale, damaged, read-only, shared or missing."""

import ctypes
import os
import pathlib
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from selection import exhaustive

import int8rt
from int8rt.errors import InconsistentNode
from int8rt.memory import address
from int8rt.native import abi, fingerprint, kernel
from int8rt.native.abi import pack
from int8rt.native.cache import Entry, read_entry, write_entry
from int8rt.native.entries import entry_point, native
from int8rt.native.files import cache_base, digest, read, write
from int8rt.native.fingerprint import _hash_of_sources, _sources
from int8rt.native.helpers import compile_all
from int8rt.native.kernel import Kernel, inline
from int8rt.native.loader import Fixup, Image
from int8rt.runtime import calling
from int8rt.simd.memory import get, put

INT8RT = pathlib.Path(int8rt.__file__).parent


# Signatures and argument blocks


@pytest.mark.parametrize(
    ("arg", "expected"),
    [
        (np.zeros((2, 3), np.int8), "int8[2]"),
        (np.zeros((), np.float32), "float32[0]"),
        (np.zeros(1, np.uint8), "uint8[1]"),
        (7, "int"),
        (True, "int"),
        (np.int8(7), "int"),
        (np.bool_(True), "int"),
        (0.5, "float"),
        (np.float64(0.5), "float"),
        (np.float32(0.5), "float32"),
    ],
    ids=str,
)
def test_type_names(arg, expected):
    assert abi.signature_of([arg]) == (expected,)


def test_arguments_that_no_kernel_takes():
    with pytest.raises(TypeError, match="C-contiguous"):
        abi.signature_of([np.zeros((4, 4))[:, ::2]])
    with pytest.raises(TypeError, match="not str"):
        abi.signature_of(["x"])
    with pytest.raises(TypeError, match="not NoneType"):
        abi.signature_of([None])


def test_argument_block():
    x = np.zeros((2, 5), np.int16)
    words = pack([x, -3, 0.5, np.float32(0.25), np.array(1)]).tolist()
    half, quarter = (int(np.float64(v).view(np.int64)) for v in (0.5, 0.25))
    assert words[:6] == [x.ctypes.data, 2, 5, -3, half, quarter]
    assert len(words) == 7
    assert pack([]).size == 1  # its address must be that of something


def test_an_argument_block_is_what_its_entry_point_takes():
    """Else an entry point would take a size for an address, and read past the block."""
    x = np.zeros((2, 5), np.int16)
    assert abi.argument_block([x, 3, 0.5], ("int16[2]", "int", "float")).tolist() == pack([x, 3, 0.5]).tolist()
    for args in ([x.reshape(-1), 3, 0.5], [x.view(np.uint16), 3, 0.5], [x, 3], [x, 3, 0.5, 1], [x, 3.0, 0.5]):
        with pytest.raises(InconsistentNode, match="were expected"):
            abi.argument_block(args, ("int16[2]", "int", "float"))
    with pytest.raises(InconsistentNode, match="9223372036854775808"):
        abi.argument_block([x, 2**63, 0.5], ("int16[2]", "int", "float"))


# Entry points


def run(kernel, *args, thread=0, threads=1):
    """Call a kernel by its entry point, as a program does."""
    block = pack(args)
    native(kernel, abi.signature_of(args))(address(block), thread, threads)


@inline
def twice(x):
    return x + x


@kernel.kernel
def scale(x, factor, offset, small, y):
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            y[i, j] = twice(x[i, j]) * factor + offset + np.float64(small)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.int64, np.float32, np.float64])
def test_entry_point_and_dispatcher_agree(dtype):
    x = np.arange(-6 if np.dtype(dtype).kind != "u" else 0, 6).astype(dtype)[-6:].reshape(2, 3)
    by_entry, by_dispatcher = np.zeros((2, 3)), np.zeros((2, 3))
    run(scale, x, 3, 0.5, np.float32(0.25), by_entry)
    scale(x, 3, 0.5, np.float32(0.25), by_dispatcher)
    assert (by_entry == 6 * x.astype(float) + 0.75).all()
    assert (by_entry == by_dispatcher).all()


@kernel.kernel
def share(thread, threads, y):
    for i in range(y.size * thread // threads, y.size * (thread + 1) // threads):
        put(y, i, get(y, i) + 10 * thread + threads)


def test_parallel_kernels_are_told_their_part():
    assert share.is_parallel
    assert not scale.is_parallel
    y = np.zeros(7, np.int64)
    for thread in range(3):
        run(share, y, thread=thread, threads=3)
    assert y.tolist() == [3, 3, 13, 13, 23, 23, 23]


@kernel.kernel
def no_arguments():
    pass


def test_kernel_without_arguments():
    run(no_arguments)


def test_entry_is_the_same_address_every_time():
    signature = ("int64[1]",)
    assert (
        entry_point(share, signature)
        == entry_point(share, signature)
        == ctypes.cast(native(share, signature), ctypes.c_void_p).value
    )


@kernel.kernel
def powers(x, y):
    for i in range(x.size):
        y[i] = np.exp(x[i]) + np.log(x[i]) * np.tanh(x[i]) + x[i] ** 2.5


def test_functions_of_the_c_library():
    x, y = np.linspace(0.5, 2, 20), np.zeros(20)
    run(powers, x, y)
    assert np.allclose(y, np.exp(x) + np.log(x) * np.tanh(x) + x**2.5)


def test_progress_hears_of_what_is_compiled():
    heard = []
    kernel = Kernel(lambda y: put(y, 0, 1), f"test:{os.getpid()}")
    compile_all([(kernel, ("uint8[1]",)), (kernel, ("uint8[1]",))], lambda *words: heard.append(words))
    assert heard == [("<lambda>", 0, 1), ("", 1, 1)]
    heard.clear()
    compile_all([(kernel, ("uint8[1]",))], lambda *words: heard.append(words))
    assert heard == []


# The cache

RUN = """
import sys
import numpy as np
from int8rt.format import reader
from int8rt.numerics.rules import numerics
from int8rt.plan import program
from int8rt.runtime.evaluator import reference
from int8rt.runtime.instance import Instance
with open({path!r}, "rb") as file:
    graph = reader.read(file.read()).main
x = np.arange(64, dtype=np.int8).reshape(4, 16)
instance = Instance(program.build(graph, numerics("reference")))
assert (instance.run([x])[0] == reference(graph, x)[graph.outputs[0].index]).all()
print("cold" if {{"numba", "llvmlite"}} & set(sys.modules) else "warm")
"""
COLD, WARM = "cold\n", "warm\n"
ENTRIES = 2 + calling.is_supported()  # dot, the run loop, and the function that Python calls


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """A program that runs a model with one FULLY_CONNECTED and says whether a compiler was needed."""
    from writer import T, model

    x, w = T(np.int8, (4, 16), 0.5), T(np.int8, (20, 16), 0.5, data=np.arange(320).reshape(20, 16) % 7)
    path = tmp_path_factory.mktemp("model") / "model.tflite"
    path.write_bytes(model("FULLY_CONNECTED", [x, w, None], [T(np.int8, (4, 20), 16.0, -10)]))
    return RUN.format(path=str(path))


def copy_of_the_package(folder: pathlib.Path) -> pathlib.Path:
    shutil.copytree(INT8RT, folder / "int8rt", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A copy of int8rt that nobody edits while the tests run."""
    return copy_of_the_package(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def python(python, package):
    """Run code in another process, on the copy."""
    return lambda code, cwd=package, **environment: python(code, cwd=cwd, **environment)


@pytest.fixture
def filled(compiled_once, tmp_path):
    """A folder with a cache in which the program finds all that it needs."""
    return shutil.copytree(compiled_once, tmp_path, dirs_exist_ok=True)


@pytest.fixture(scope="module")
def compiled_once(python, code, tmp_path_factory):
    """The cache after the first run of the program."""
    folder = tmp_path_factory.mktemp("cache")
    assert python(code, INT8RT_CACHE_DIR=folder) == COLD
    return folder


def entries(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(folder.rglob("*.o"))


def folders(cache: pathlib.Path) -> list[pathlib.Path]:
    return [p for p in cache.iterdir() if p.is_dir()]


def notes(cache: pathlib.Path) -> list[pathlib.Path]:
    """What is kept about this CPU and about the sources."""
    return [*cache.glob("cpu-*"), *cache.glob("sources-*")]


def test_warm_start_imports_neither_numba_nor_llvm(python, code, tmp_path):
    assert python(code, INT8RT_CACHE_DIR=tmp_path) == COLD
    before = {path: path.stat().st_mtime_ns for path in entries(tmp_path)}
    assert len(before) == ENTRIES
    assert python(code, INT8RT_CACHE_DIR=tmp_path) == WARM
    assert {path: path.stat().st_mtime_ns for path in entries(tmp_path)} == before
    kept = entries(tmp_path) + notes(tmp_path)
    assert sorted(kept) == sorted(p for p in tmp_path.rglob("*") if p.is_file())  # nothing temporary stays


@pytest.mark.parametrize("damage", ["truncated", "other entry", *exhaustive("empty", "flipped", "garbage", "a folder")])
def test_damaged_entries_are_compiled_again(python, code, filled, tmp_path, damage):
    first, second = entries(tmp_path)[:2]
    content = first.read_bytes()
    if damage == "a folder":
        first.unlink()
        (first / "inside").mkdir(parents=True)
    else:
        middle = len(content) // 2
        first.write_bytes({
            "empty": b"", "truncated": content[:middle], "garbage": b"\0" * 5000, "other entry": second.read_bytes(),
            "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        }[damage])  # fmt: skip
    assert python(code, INT8RT_CACHE_DIR=tmp_path) == COLD
    if damage != "a folder":
        assert first.read_bytes()[:32] != second.read_bytes()[:32]
        assert python(code, INT8RT_CACHE_DIR=tmp_path) == WARM
    assert len(entries(tmp_path)) == ENTRIES


@pytest.mark.parametrize(
    "body",
    [
        b"\x80\x81\ncode",
        b"[1]\ncode",
        b"code",
        b"{}\ncode",
        b'{"image": [1, 2]}\n',
        b'{"image": 7}\n',
        b'{"image": null}\n',
    ],
)
def test_entries_of_versions_that_write_them_otherwise(tmp_path, body):
    (tmp_path / "entry").write_bytes(digest(body) + body)
    assert read_entry(tmp_path / "entry") is None


@pytest.mark.parametrize("image", [None, Image("x86_64", b"image", 3, (Fixup(4, 0, "exp", -8), Fixup(4, 8, "", 1)))])
def test_an_entry_comes_back_as_it_was(tmp_path, image):
    entry = Entry("symbol", '["module", "name", [1]]', ("int8[2]", "int"), True, b"object\n", image)
    write_entry(tmp_path / "entry", entry)
    assert read_entry(tmp_path / "entry") == entry


def test_an_edit_anywhere_makes_the_cache_stale(python, code, tmp_path):
    root = copy_of_the_package(tmp_path / "package")
    cache = tmp_path / "cache"
    for edited in (None, "simd/tiles.py"):
        if edited is not None:
            with (root / "int8rt" / edited).open("a") as file:
                file.write("\n# edited\n")
        assert python(code, cwd=root, INT8RT_CACHE_DIR=cache) == COLD, edited
        assert python(code, cwd=root, INT8RT_CACHE_DIR=cache) == WARM, edited
    assert len(folders(cache)) == 2


def test_the_hash_of_sources_is_kept_while_nothing_changes(monkeypatch, tmp_path):
    package, cache = copy_of_the_package(tmp_path) / "int8rt", tmp_path / "cache"
    monkeypatch.setattr(fingerprint, "_PACKAGE", str(package))
    monkeypatch.setenv("INT8RT_CACHE_DIR", str(cache))
    assert _hash_of_sources() == _sources
    assert not cache.exists()  # the next edit might seem to be of the same time
    monkeypatch.setattr(fingerprint, "_MOMENT", -(10**12))
    assert _hash_of_sources() == _sources
    (kept,) = notes(cache)
    header, _ = read(kept)
    write(kept, {**header, "hash": "kept"})
    assert _hash_of_sources() == "kept"
    edited = package / "ops" / "add.py"
    content, times = edited.read_bytes(), edited.stat()
    edited.write_bytes(content[:-1] + b"#")
    os.utime(edited, ns=(times.st_atime_ns, times.st_mtime_ns))  # as if nothing had happened
    assert _hash_of_sources() not in ("kept", _sources)
    kept.write_bytes(b"damaged")
    edited.write_bytes(content)
    assert _hash_of_sources() == _sources


def test_files_of_one_name_that_change_places_are_noticed(monkeypatch, tmp_path):
    """In folders whose files no other name tells apart."""
    for folder, content in (("a", "x = 1"), ("b", "x = 2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.py").write_text(content)
    monkeypatch.setattr(fingerprint, "_PACKAGE", str(tmp_path))
    monkeypatch.setenv("INT8RT_CACHE_DIR", str(tmp_path / "cache"))
    before = _hash_of_sources()
    (tmp_path / "a").rename(tmp_path / "c")
    (tmp_path / "b").rename(tmp_path / "a")
    (tmp_path / "c").rename(tmp_path / "b")
    assert _hash_of_sources() != before


def test_edit_while_a_process_runs_is_not_filed_under_what_it_became(python, code, tmp_path):
    root = copy_of_the_package(tmp_path / "package")
    edited = root / "int8rt" / "kernels" / "dot.py"
    edit = f"import int8rt.runtime.instance; open({str(edited)!r}, 'a').write('# edited')\n"
    assert python(edit + code, cwd=root, INT8RT_CACHE_DIR=tmp_path / "cache") == COLD
    assert python(code, cwd=root, INT8RT_CACHE_DIR=tmp_path / "cache") == COLD


@pytest.mark.parametrize("variable", ["NUMBA_CPU_FEATURES", *exhaustive("NUMBA_CPU_NAME", "NUMBA_ENABLE_AVX")])
def test_another_target_has_entries_of_its_own(python, code, filled, tmp_path, variable):
    value = {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "", "NUMBA_ENABLE_AVX": "0"}[variable]
    assert python(code, INT8RT_CACHE_DIR=tmp_path, **{variable: value}) == COLD
    assert python(code, INT8RT_CACHE_DIR=tmp_path, **{variable: value}) == WARM
    assert len(folders(tmp_path)) == 2


def test_read_only_cache_is_read(python, code, filled, tmp_path):
    """One of the entries is missing, and cannot be added."""
    first, *others = entries(tmp_path)
    first.unlink()
    refuse = """
import os, tempfile
def refuse(*args, **kwargs):
    raise PermissionError("read-only")
os.replace = os.mkdir = os.makedirs = tempfile.mkstemp = tempfile.TemporaryFile = refuse
"""
    assert python(refuse + code, INT8RT_CACHE_DIR=tmp_path) == COLD
    assert entries(tmp_path) == others


def test_nothing_half_written_is_left(python, code, tmp_path):
    """The disk is full when the second half of an entry is to be written."""
    full = """
import os
def fdopen(handle, mode):
    os.write(handle, b"half")
    os.close(handle)
    raise OSError(28, "No space left on device")
os.fdopen = fdopen
"""
    assert python(full + code, INT8RT_CACHE_DIR=tmp_path) == COLD
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


@pytest.mark.parametrize(
    "environment",
    [
        {"INT8RT_CACHE_DIR": "/proc/int8rt", "TMPDIR": "/nonexistent"},
        *exhaustive(
            {"HOME": "/nonexistent", "XDG_CACHE_HOME": None},
            {"HOME": None, "XDG_CACHE_HOME": "/dev/null"},
            {"INT8RT_CACHE_DIR": "/dev/null/cache"},
            {"INT8RT_CACHE_DIR": "/proc/int8rt"},
        ),
    ],
    ids=str,
)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="places of Linux that cannot be written")
def test_no_cache_at_all(python, code, environment):
    """Compiled code then lives as long as the process; root cannot make folders there either."""
    environment = {"INT8RT_CACHE_DIR": None} | environment
    if environment.get("HOME") == "/nonexistent" and os.geteuid() == 0:
        environment["HOME"] = "/proc/nonexistent"
    assert python(code, **environment) == COLD


def test_places_of_the_cache(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("INT8RT_CACHE_DIR", str(tmp_path / "own"))
    assert cache_base() == str(tmp_path / "own")
    monkeypatch.delenv("INT8RT_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_base() == str(tmp_path / "xdg" / "int8rt")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_base() == str(tmp_path / ".cache" / "int8rt")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_base() == str(tmp_path / "Library" / "Caches" / "int8rt")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_base() == str(tmp_path / "local" / "int8rt")


@pytest.mark.exhaustive
def test_two_processes_at_once(python, code, tmp_path):
    """Both find the cache empty and compile the same entries; the second to finish replaces whole files."""
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(python, code, INT8RT_CACHE_DIR=tmp_path) for _ in range(2)]
        assert {future.result() for future in both} <= {COLD, WARM}
    assert len(entries(tmp_path)) == ENTRIES
    assert python(code, INT8RT_CACHE_DIR=tmp_path) == WARM


def test_two_threads_compile_the_same_kernel(python, tmp_path):
    code = """
import threading
from int8rt.native.entries import entry_point
from int8rt.runtime import pool
found = []
threads = [
    threading.Thread(target=lambda: found.append(entry_point(pool.run_table, pool.RUN_SIGNATURE))) for _ in range(4)
]
for t in threads:
    t.start()
for t in threads:
    t.join()
print(len(found), len(set(found)))
"""
    assert python(code, INT8RT_CACHE_DIR=tmp_path) == "4 1\n"
