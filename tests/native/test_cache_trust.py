"""The cache is used where only the user or root can have written: anything else is neither read nor written."""

import json
import os
import stat
import sys

import pytest
from paths import MODELS

from int8rt.native import files
from int8rt.native.cache import read_entry

MODEL = MODELS / "digits_conv_int8.tflite"
STRANGER = 54321  # a user whom nobody is

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="owners and modes are POSIX")
needs_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")

# Loads and runs a model, counts what was compiled, and prints that, what it warned of, and a checksum of the output.
RUN = """
import json, sys, warnings
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    import numpy as np, int8rt
    from int8rt.native import compiler
    compiled, made = [], compiler.compiled
    compiler.compiled = lambda kernel, signature: compiled.append(kernel) or made(kernel, signature)
    model = int8rt.load(sys.argv[1])
    x = np.arange(model.inputs[0].shape[1] * 8).astype(np.int8).reshape(model.inputs[0].shape)
    y = model(x)
print(json.dumps([len(compiled), [str(w.message) for w in seen], int(np.asarray(y).astype(int).sum())]))
"""


@pytest.fixture(scope="module")
def plain(python, tmp_path_factory):
    """A folder in which a model's kernels are, and what the model gives."""
    folder = tmp_path_factory.mktemp("trusted") / "cache"
    count, warned, total = json.loads(python(RUN, MODEL, INT8RT_CACHE_DIR=folder))
    assert (count > 0, warned) == (True, [])
    return folder, total


@pytest.fixture
def folder(plain, tmp_path):
    """A copy of that folder."""
    import shutil

    shutil.copytree(plain[0], tmp_path / "cache")
    return tmp_path / "cache"


def run(python, folder, **environment):
    return json.loads(python(RUN, MODEL, INT8RT_CACHE_DIR=folder, **environment))


def kernels(folder):
    return sorted(folder.glob("*/*.o"))


def test_a_private_cache_is_used(python, folder, plain):
    assert run(python, folder) == [0, [], plain[1]]


def test_all_is_private_whatever_the_umask(python, plain, tmp_path):
    code = "import os; os.umask(0)" + RUN
    python(code, MODEL, INT8RT_CACHE_DIR=tmp_path / "a" / "b")
    found = [tmp_path / "a", *(tmp_path / "a").rglob("*")]
    assert len(found) > 5
    assert {stat.S_IMODE(p.stat().st_mode) for p in found if p.is_dir()} == {0o700}
    assert {stat.S_IMODE(p.stat().st_mode) for p in found if p.is_file()} == {0o600}


def open_to_others(folder):
    folder.chmod(0o777)


def sticky(folder):
    folder.chmod(0o1777)  # others could put files beside ours


def below_an_open_folder(folder):
    folder.parent.chmod(0o777)


def of_a_stranger(folder):
    os.chown(folder, STRANGER, STRANGER)


def below_a_stranger(folder):
    os.chown(folder.parent, STRANGER, STRANGER)


def of_a_group(folder):
    os.chown(folder, 0, STRANGER)
    folder.chmod(0o770)


DAMAGES = [
    open_to_others, sticky, below_an_open_folder,
    *(pytest.param(damage, marks=needs_root) for damage in (of_a_stranger, below_a_stranger, of_a_group)),
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_folder_of_others_is_neither_read_nor_written(python, folder, plain, damage):
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    damage(folder)
    count, warned, total = run(python, folder)
    assert count > 0
    assert total == plain[1]
    assert len(warned) == 1
    assert "int8rt does not use its cache" in warned[0]
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before
    folder.parent.chmod(0o700)


@needs_root
def test_a_link_into_a_folder_of_others_is_refused(python, folder, plain, tmp_path):
    os.chown(folder, STRANGER, STRANGER)
    (tmp_path / "link").symlink_to(folder)
    count, warned, _ = run(python, tmp_path / "link")
    assert (count > 0, len(warned)) == (True, 1)


@needs_root
def test_a_link_that_others_made_is_refused(python, folder, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(folder)
    os.chown(link, STRANGER, STRANGER, follow_symlinks=False)
    count, warned, _ = run(python, link)
    assert (count > 0, len(warned)) == (True, 1)


def test_a_link_of_ours_is_followed(python, folder, plain, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    assert run(python, tmp_path / "link") == [0, [], plain[1]]


@needs_root
def test_a_file_of_others_is_not_run(python, folder, plain):
    for kept in kernels(folder):
        os.chown(kept, STRANGER, STRANGER)
    count, warned, total = run(python, folder)
    assert (count >= len(kernels(folder)), len(warned), total) == (True, 1, plain[1])


def test_a_file_that_others_may_write_is_not_run(python, folder, plain):
    for kept in kernels(folder):
        kept.chmod(0o666)
    count, warned, total = run(python, folder)
    assert (count > 0, len(warned), total) == (True, 1, plain[1])


def test_a_link_in_place_of_a_kernel_is_not_followed(python, folder, plain, tmp_path):
    for kept in kernels(folder):
        kept.rename(tmp_path / kept.name)
        kept.symlink_to(tmp_path / kept.name)
    count, _, total = run(python, folder)
    assert (count > 0, total) == (True, plain[1])


def test_a_fifo_in_place_of_a_kernel_does_not_hang(python, folder, plain):
    for kept in kernels(folder):
        kept.unlink()
        os.mkfifo(kept, 0o600)
    assert run(python, folder)[2] == plain[1]


@pytest.mark.parametrize("header", [{}, {"stamp": 1}, [], "x", {"image": None}])
def test_an_entry_that_says_nothing_is_compiled_again(python, folder, plain, header):
    for kept in [*folder.glob("*-*"), *kernels(folder)]:
        body = json.dumps(header).encode() + b"\n"
        kept.write_bytes(files.digest(body) + body)
    count, warned, total = run(python, folder)
    assert (count > 0, warned, total) == (True, [], plain[1])


@pytest.mark.parametrize("held", [b"", b"garbage" * 20])
@pytest.mark.skipif(sys.platform != "linux", reason="the format of objects elsewhere is not known")
def test_an_entry_without_code_is_compiled_again(python, folder, plain, held):
    for kept in kernels(folder):
        header, _ = files.read(kept)
        files.write(kept, header | {"image": None}, held)
    count, warned, total = run(python, folder)
    assert (count, warned, total) == (len(kernels(folder)), [], plain[1])


def image(**changes):
    entry = {"machine": "x86_64", "code": 4, "entry": 0, "fixups": [[4, 0, "memcpy", 0]]}
    return list((entry | changes).values())


@pytest.mark.parametrize(
    "changes",
    [
        {"symbol": 3}, {"signature": [1]}, {"signature": 5}, {"recipe": None}, {"image": {}}, {"image": [1]},
        {"image": image(code=-1)}, {"image": image(code=10**6)}, {"image": image(code="4")},
        {"image": image(entry="0")}, {"image": image(machine=5)}, {"image": image(fixups=7)},
        {"image": image(fixups=[[4, "0", "", 0]])}, {"image": image(fixups=[[4, 0, 1, 0]])},
        {"image": image(fixups=[[4, 0, ""]])}, {"image": image(fixups=[[4, 0.5, "", 0]])},
    ],
)  # fmt: skip
def test_a_header_of_wrong_types_is_no_entry(tmp_path, changes):
    good = {"symbol": "s", "recipe": "r", "signature": ["int"], "needs_numba": False, "image": image()}
    (tmp_path / "cache").mkdir(mode=0o700)
    kept = tmp_path / "cache" / "x.o"
    files.write(kept, good, b"codeobject")
    assert read_entry(kept).code == b"object"
    files.write(kept, good | changes, b"codeobject")
    assert read_entry(kept) is None


def test_off_keeps_nothing(python, plain, tmp_path):
    count, warned, total = run(python, tmp_path / "none", INT8RT_CACHE="off")
    assert (count > 0, warned, total) == (True, [], plain[1])
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("variable", "value"), [("INT8RT_CACHE", "of"), ("INT8RT_LOADER", "lvm")])
def test_a_misspelt_value_is_an_error(python, folder, variable, value):
    code = """
import sys
try:
    import int8rt
    int8rt.load(sys.argv[1])
except ValueError as error:
    print(error)
"""
    said = python(code, MODEL, INT8RT_CACHE_DIR=folder, **{variable: value})
    assert said.startswith(f"{variable} is ")
    assert repr(value) in said


def test_a_relative_xdg_cache_home_is_ignored(monkeypatch, tmp_path):
    monkeypatch.delenv("INT8RT_CACHE_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "some/where")
    assert files.cache_base() == str(tmp_path / ".cache" / "int8rt")
    monkeypatch.setenv("XDG_CACHE_HOME", "/some/where")
    assert files.cache_base() == "/some/where/int8rt"
    monkeypatch.setenv("INT8RT_CACHE_DIR", "~/x")
    assert files.cache_base() == str(tmp_path / "x")


def test_a_full_disk_leaves_nothing_behind(monkeypatch, tmp_path):
    (tmp_path / "cache").mkdir(mode=0o700)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    files.write(tmp_path / "cache" / "x", {"a": 1})
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_command_shows_and_clears(python, folder):
    code = "import sys; from int8rt.tools.cli import main; sys.exit(main())"
    show = json.loads(python(code, "cache", "--json", INT8RT_CACHE_DIR=folder))
    assert show["of_this_version"]["kernels"] == len(kernels(folder)) > 0
    assert (show["distrusted"], show["on"], show["folder"]) == (None, True, str(folder))
    assert "of this version and CPU" in python(code, "cache", INT8RT_CACHE_DIR=folder)
    cleared = json.loads(python(code, "cache", "--clear", "--json", INT8RT_CACHE_DIR=folder))
    assert cleared["removed"] > 0
    assert kernels(folder) == []
    folder.chmod(0o777)
    assert files.why_not(str(folder)) == "can be written by others"


def test_one_warning_names_the_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "_warned", [])
    monkeypatch.setattr(files, "_judged", {})
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.warns(RuntimeWarning, match="can be written by others"):
        assert files.read(tmp_path / "open" / "x") is None
    assert files.read(tmp_path / "open" / "x") is None  # no second warning, which would be an error
