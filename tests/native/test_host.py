"""What LLVM says of this CPU, kept in the cache: never what it said of another one."""

import io
import json
import sys

import pytest

from int8rt.native import cpu as host
from int8rt.native.cpu import _ask_llvm, _Host, _host, cpu_features, cpu_name
from int8rt.native.files import read, write

X86 = """\
processor	: {core}
vendor_id	: GenuineIntel
cpu family	: 6
model		: {model}
model name	: Something
stepping	: 7
cpu MHz		: {speed}
flags		: fpu sse2 {flags}
"""
ARM = """\
processor	: {core}
BogoMIPS	: {speed}
Features	: fp asimd {flags}
CPU implementer	: 0x41
CPU part	: {model}
"""


@pytest.fixture
def cpu(monkeypatch):
    """The identity of a machine whose cores the system describes so."""
    monkeypatch.setattr(sys, "platform", "linux")

    def identity(machine, *cores, text=None, release="6.1"):
        template = X86 if machine == "x86_64" else ARM
        usual = {"model": 85, "flags": "avx2", "speed": 2500}
        content = "\n".join(template.format(core=i, **{**usual, **core}) for i, core in enumerate(cores))
        monkeypatch.setattr(host.platform, "machine", lambda: machine)
        monkeypatch.setattr(host.platform, "release", lambda: release)
        monkeypatch.setattr(
            host, "open", lambda *_, **__: io.StringIO(content if text is None else text), raising=False
        )
        return host.identity("1.0")

    return identity


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_kinds_of_cpus_are_told_apart(cpu, machine):
    one = cpu(machine, {}, {})
    assert one == cpu(machine, {"speed": 900})
    others = [cpu(machine, {"model": 106}), cpu(machine, {"flags": "avx2 avx512f"}), cpu(machine, {}, release="6.2")]
    others.append(cpu("aarch64" if machine == "x86_64" else "x86_64", {}))
    assert len({one, *others}) == 5
    assert None not in others


def test_all_cores_count_where_kinds_are_mixed(cpu):
    assert cpu("aarch64", {}, {"model": "0xd08"}) != cpu("aarch64", {}, {"model": "0xd09"})


def test_versions_count():
    if host.identity() is not None:
        assert host.identity("1.0") != host.identity("1.1")


def test_cpus_that_cannot_be_told_apart(cpu, monkeypatch):
    assert cpu("x86_64", text="") is None
    assert cpu("x86_64", text="processor : 0\nflags : sse2\n") is None
    assert cpu("aarch64", text=X86) is None
    assert cpu("riscv64", {}) is None
    monkeypatch.setattr(host, "_CPUINFO", "/nonexistent/cpuinfo")
    monkeypatch.delattr(host, "open")
    monkeypatch.setattr(host.platform, "machine", lambda: "x86_64")
    assert host.identity() is None
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cpu("x86_64", {}) is None


# What is kept


@pytest.fixture
def found(monkeypatch, tmp_path):
    """What is found, and how often LLVM was asked."""
    asked = []
    ask = _ask_llvm
    monkeypatch.setenv("INT8RT_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(host, "identity", lambda *_: "identity")
    monkeypatch.setattr(host, "_ask_llvm", lambda: asked.append(1) or ask())
    return lambda: (_host.__wrapped__(), len(asked))


def test_llvm_is_asked_once(found, tmp_path):
    first = found()
    assert first[1] == 1
    assert found() == first
    assert first[0].features == "" or "+" in first[0].features
    assert len(list(tmp_path.glob("cpu-*"))) == len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "change", [{"cpu": "another"}, {"name": "no such\0name"}, {"name": ""}, {"features": "avx2"}, {"features": None},
               {"features": "+avx2,,"}],
    ids=str,
)  # fmt: skip
def test_odd_contents_are_not_believed(found, tmp_path, change):
    right, _ = found()
    (path,) = tmp_path.iterdir()
    header, _ = read(path)
    write(path, {**header, **right._asdict(), **change})
    assert found() == (right, 2)
    assert found() == (right, 2)


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty", "folder", "other json"])
def test_damaged_contents_are_not_believed(found, tmp_path, damage):
    right, _ = found()
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    path.unlink()
    if damage == "folder":
        (path / "inside").mkdir(parents=True)
    else:
        at = content.index(b"+")
        path.write_bytes({
            "flipped": content[:at] + b"-" + content[at + 1 :], "truncated": content[:-1], "empty": b"",
            "other json": content[:32] + json.dumps([1, 2]).encode(),
        }[damage])  # fmt: skip
    assert found() == (right, 2)
    assert found() == (right, 3 if damage == "folder" else 2)


def test_a_machine_without_identity_keeps_nothing(found, monkeypatch, tmp_path):
    monkeypatch.setattr(host, "identity", lambda *_: None)
    assert found()[1] == 1
    assert found()[1] == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ("kind", "+avx2,+sse2")),
        ({"NUMBA_CPU_NAME": "haswell"}, ("haswell", "+avx2,+sse2")),
        ({"NUMBA_CPU_NAME": "generic"}, ("generic", "")),
        ({"NUMBA_CPU_FEATURES": "+x"}, ("kind", "+x")),
        ({"NUMBA_ENABLE_AVX": "0"}, ("kind", "-avx2,+sse2")),
        ({"NUMBA_CPU_NAME": "sandybridge"}, ("sandybridge", "-avx2,+sse2")),
    ],
    ids=str,
)
def test_variables_come_after(monkeypatch, variables, expected):
    for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_ENABLE_AVX"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(host, "_host", lambda: _Host("kind", "+avx2,+sse2"))
    monkeypatch.setattr(host, "cpu_name", cpu_name.__wrapped__)
    assert (host.cpu_name(), cpu_features.__wrapped__()) == expected
