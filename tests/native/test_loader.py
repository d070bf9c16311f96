"""elf and loader: objects of both machines become images that run; what is odd or damaged is refused and never runs."""

import ctypes
import functools
import platform
import struct
import subprocess
import sys

import llvmlite.binding as llvm
import numpy as np
import pytest
from aarch64 import EMULATOR

from int8rt import memory
from int8rt.native import cache, compiler, elf, entries, kernel, llvm_loader, loader
from int8rt.native.abi import pack, signature_of
from int8rt.native.kernel import Kernel
from int8rt.native.loader import ADDRESS, Fixup, Image, LoadError

CODE = """
@table = internal constant [6 x i64] [i64 3, i64 1, i64 4, i64 1, i64 5, i64 9], align 64
@functions = internal constant [2 x ptr] [ptr @twice, ptr @square], align 16
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare i64 @labs(i64)

define internal i64 @twice(i64 %x) noinline optnone {
  %y = add i64 %x, %x
  ret i64 %y
}
define internal i64 @square(i64 %x) noinline optnone {
  %y = mul i64 %x, %x
  ret i64 %y
}
define i64 @entry(i64 %x, ptr %buffer, i64 %bytes) {
  call void @llvm.memcpy.p0.p0.i64(ptr %buffer, ptr @table, i64 %bytes, i1 false)
  %last = load volatile i64, ptr getelementptr inbounds (i8, ptr @table, i64 40)
  %which = and i64 %x, 1
  %place = getelementptr [2 x ptr], ptr @functions, i64 0, i64 %which
  %function = load volatile ptr, ptr %place
  %y = call i64 %function(i64 %x)
  switch i64 %x, label %other [ i64 0, label %a
    i64 1, label %b
    i64 2, label %c
    i64 3, label %d
    i64 4, label %e ]
a:
  %va = call i64 @twice(i64 %y)
  br label %done
b:
  %vb = call i64 @square(i64 77)
  br label %done
c:
  %vc = sub i64 5, %y
  br label %done
d:
  br label %done
e:
  %ve = call i64 @labs(i64 -12)
  br label %done
other:
  %r = sitofp i64 %x to double
  %t = fmul double %r, 0x3FB99999A0000000
  %v = fmul double %t, 1000.0
  %w = fptosi double %v to i64
  br label %done
done:
  %s = phi i64 [%va, %a], [%vb, %b], [%vc, %c], [%y, %d], [%ve, %e], [%w, %other]
  %sum = add i64 %s, %last
  ret i64 %sum
}
"""
INPUTS = range(7)
OUTPUTS = [9, 77 * 77 + 9, 5 - 4 + 9, 9 + 9, 12 + 9, 509, 609]
TABLE = [3, 1, 4, 1, 5, 9]
FUNCTIONS = {"memcpy", "labs"}
X86, ARM = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"
MODELS = {X86: [("large", "static"), ("jitdefault", "static"), ("small", "pic")],
          ARM: [("large", "static"), ("jitdefault", "static"), ("small", "static"), ("small", "pic")]}  # fmt: skip
KINDS = [(triple, *kind) for triple in MODELS for kind in MODELS[triple]]
CAN_LOAD = sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64")
needs_linux = pytest.mark.skipif(not CAN_LOAD, reason="images are for Linux on x86-64 and AArch64")


@functools.cache
def compiled(triple, model="large", reloc="static", code=CODE):
    """An object file."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple(triple)
    machine = target.create_target_machine(opt=2, reloc=reloc, codemodel=model, jit=model == "jitdefault")
    module = llvm.parse_assembly(code)
    module.triple = triple
    return machine.emit_object(module)


def native():
    """An object of this machine."""
    return compiled(X86 if platform.machine() == "x86_64" else ARM)


# Objects that run


@needs_linux
@pytest.mark.parametrize(("triple", "model", "reloc"), KINDS)
def test_code_runs(triple, model, reloc):
    if not triple.startswith(platform.machine()):
        pytest.skip(f"this machine is {platform.machine()}")
    image = elf.flatten(compiled(triple, model, reloc), "entry", FUNCTIONS)
    entry = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)(loader.load(image))
    buffer = (ctypes.c_int64 * 6)()
    assert [entry(x, ctypes.addressof(buffer), 48) for x in INPUTS] == OUTPUTS
    assert list(buffer) == TABLE


HARNESS = """
declare i64 @entry(i64, ptr, i64)
declare i64 @write(i64, ptr, i64)
declare void @exit(i64)

define ptr @memcpy(ptr %to, ptr %from, i64 %count) {
  br label %loop
loop:
  %i = phi i64 [0, %0], [%next, %loop]
  %source = getelementptr i8, ptr %from, i64 %i
  %target = getelementptr i8, ptr %to, i64 %i
  %byte = load volatile i8, ptr %source
  store volatile i8 %byte, ptr %target
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %count
  br i1 %more, label %loop, label %done
done:
  ret ptr %to
}
define i64 @labs(i64 %x) {
  %y = sub i64 0, %x
  %negative = icmp slt i64 %x, 0
  %z = select i1 %negative, i64 %y, i64 %x
  ret i64 %z
}
define void @start() {
  %results = alloca [13 x i64]
  %buffer = getelementptr i64, ptr %results, i64 7
  br label %loop
loop:
  %i = phi i64 [0, %0], [%next, %loop]
  %y = call i64 @entry(i64 %i, ptr %buffer, i64 48)
  %place = getelementptr i64, ptr %results, i64 %i
  store i64 %y, ptr %place
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, 7
  br i1 %more, label %loop, label %done
done:
  call i64 @write(i64 1, ptr %results, i64 104)
  call void @exit(i64 0)
  unreachable
}
"""
BASE, HARNESS_BASE, SYSTEM_BASE = 0x234560000, 0x400000, 0x500000  # so far apart that no jump reaches
WRITE = struct.pack("<3I", 0xD2800808, 0xD4000001, 0xD65F03C0)  # mov x8, #64; svc #0; ret
EXIT = struct.pack("<3I", 0xD2800BA8, 0xD4000001, 0xD65F03C0)  # mov x8, #93; svc #0; ret


@pytest.mark.needs("emulator")
@pytest.mark.parametrize(("triple", "model", "reloc"), [kind for kind in KINDS if kind[0] == ARM])
def test_code_of_aarch64_runs_in_an_emulator(triple, model, reloc, tmp_path, monkeypatch):
    """A program of the image and what calls it, which writes what comes out."""
    needed = {"entry", "write", "exit"}
    harness = compiled(triple, code=HARNESS)
    image = elf.flatten(compiled(triple, model, reloc), "entry", FUNCTIONS)
    places = {name: HARNESS_BASE + elf.flatten(harness, name, needed).entry for name in FUNCTIONS}
    places |= {"entry": BASE + image.entry, "write": SYSTEM_BASE, "exit": SYSTEM_BASE + len(WRITE)}
    monkeypatch.setattr(loader, "_address_of", places.__getitem__)
    caller = elf.flatten(harness, "start", needed)
    images = [(BASE, image), (HARNESS_BASE, caller)]
    segments = [*((base, loader._fixed(image, base)) for base, image in images), (SYSTEM_BASE, WRITE + EXIT)]
    path = tmp_path / "program"
    path.write_bytes(executable(segments, HARNESS_BASE + caller.entry))
    path.chmod(0o755)
    written = subprocess.run([EMULATOR, path], capture_output=True, check=True, timeout=60).stdout
    assert list(struct.unpack("<13q", written)) == OUTPUTS + TABLE


def executable(segments, entry):
    """An ELF program for AArch64 of segments (address, code)."""
    offsets = [4096 * (1 + 16 * i) for i in range(len(segments))]
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    content = struct.pack("<16sHHIQQQIHHHHHH", ident, 2, 183, 1, entry, 64, 0, 0, 64, 56, len(segments), 64, 0, 0)
    for (base, code), offset in zip(segments, offsets, strict=True):
        content += struct.pack("<IIQQQQQQ", 1, 5, offset, base, base, len(code), len(code), 4096)
    for (_, code), offset in zip(segments, offsets, strict=True):
        content = content.ljust(offset, b"\0") + code
    return content


@needs_linux
def test_memory_of_code_cannot_be_written():
    address = loader.load(elf.flatten(native(), "entry", FUNCTIONS))
    with open("/proc/self/maps") as maps:
        spans = {line.split()[0]: line.split()[1] for line in maps}
    inside = []
    for span, mode in spans.items():
        start, end = (int(part, 16) for part in span.split("-"))
        inside += [mode] if start <= address < end else []
    assert inside == ["r-xp"]


# Objects that are refused


@pytest.mark.parametrize("triple", [X86, ARM])
def test_unknown_functions_are_refused(triple):
    with pytest.raises(LoadError, match="labs"):
        elf.flatten(compiled(triple), "entry", {"memcpy"})


@pytest.mark.parametrize("triple", [X86, ARM])
def test_symbols_that_are_not_defined(triple):
    for symbol in ("other", "labs", "", "memcpy"):
        with pytest.raises(LoadError, match="no symbol"):
            elf.flatten(compiled(triple), symbol, FUNCTIONS)


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("bss", "@x = global i64 0\ndefine ptr @entry() { ret ptr @x }"),
        ("data", "@x = global i64 7\ndefine ptr @entry() { ret ptr @x }"),
        ("tdata", "@x = thread_local global i64 7\ndefine ptr @entry() { ret ptr @x }"),
        ("aligned", "@x = constant i64 7, align 65536\ndefine ptr @entry() { ret ptr @x }"),
        ("section 0x", "@x = common global i64 0\ndefine ptr @entry() { ret ptr @x }"),
    ],
)
def test_what_images_have_not(what, code):
    with pytest.raises(LoadError, match=what):
        elf.flatten(compiled(X86, code=code), "entry", FUNCTIONS)


def test_absolute_addresses_of_32_bits_are_refused():
    with pytest.raises(LoadError, match=r"type 1[01]"):
        elf.flatten(compiled(X86, "small", "static"), "entry", FUNCTIONS)


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"MZ" * 500, b"\xcf\xfa\xed\xfe" * 99, bytes(1000)], ids=len)
def test_what_is_no_object(content):
    with pytest.raises(LoadError):
        elf.flatten(content, "entry", FUNCTIONS)


@pytest.mark.parametrize("triple", [X86, ARM])
def test_damaged_objects_are_refused_or_give_an_image(triple):
    """Whatever the bytes are, nothing is read or written beyond them, and no other error is raised."""
    code = compiled(triple)
    rng = np.random.default_rng(0)
    refused = 0
    for length in range(0, len(code), 7):
        with pytest.raises(LoadError):
            elf.flatten(code[:length], "entry", FUNCTIONS)
    for _ in range(3000):
        damaged = bytearray(code)
        for at in rng.integers(0, len(code), rng.integers(1, 4)):
            damaged[at] = rng.integers(256)
        try:
            image = elf.flatten(bytes(damaged), "entry", FUNCTIONS)
        except LoadError:
            refused += 1
        else:
            assert all(0 <= f.at <= len(image.code) - 4 for f in image.fixups)
    assert refused > 300


@pytest.mark.parametrize("triple", [X86, ARM])
def test_objects_are_checked_before_llvm_takes_them(triple):
    """LLVM's loader is killed by what is no object. No error but LoadError, whatever the bytes are."""
    code, machine = compiled(triple), triple.partition("-")[0]
    elf.check(code, "entry", machine)
    rng = np.random.default_rng(1)
    for content in [b"", b"garbage" * 20, *(code[:length] for length in range(0, len(code), 7))]:
        with pytest.raises(LoadError):
            elf.check(content, "entry", machine)
    for symbol, other in (("other", machine), ("twice", machine), ("entry", "riscv64")):
        with pytest.raises(LoadError):
            elf.check(code, symbol, other)
    refused = 0
    for _ in range(3000):
        damaged = bytearray(code)
        for at in rng.integers(0, len(code), rng.integers(1, 4)):
            damaged[at] = rng.integers(256)
        try:
            elf.check(bytes(damaged), "entry", machine)
        except LoadError:
            refused += 1
    assert refused > 300


# Images that are refused

RETURN = {"x86_64": b"\xc3", "aarch64": bytes.fromhex("c0035fd6")}.get(platform.machine(), b"")
GOOD = Image(platform.machine(), RETURN.ljust(16, b"\0"), 0, ())


@needs_linux
@pytest.mark.parametrize(
    "change",
    [
        {"machine": "riscv64"},
        {"code": b""},
        {"entry": -1},
        {"entry": 16},
        {"fixups": (Fixup(ADDRESS, 9, "", 0),)},
        {"fixups": (Fixup(ADDRESS, -8, "", 0),)},
        {"fixups": (Fixup(0, 13, "", 0),)},
        {"fixups": (Fixup(5, 0, "", 0),)},
        {"fixups": (Fixup(-1, 0, "", 0),)},
        {"fixups": (Fixup(ADDRESS, 0, "no_such_function", 0),)},
        {"fixups": (Fixup(ADDRESS, 0, "\ud800", 0),)},
        {"fixups": (Fixup(ADDRESS, 0, "_handle", 0),)},
    ],
    ids=str,
)
def test_odd_images(change):
    loader.load(GOOD)
    with pytest.raises(LoadError):
        loader.load(GOOD._replace(**change))


@needs_linux
@pytest.mark.parametrize("refused", ["mmap", "mprotect"])
def test_a_system_that_refuses(refused, monkeypatch):
    """Its memory is given back."""

    class System:
        def mmap(self, *args):
            return ctypes.c_void_p(-1).value if refused == "mmap" else system.mmap(*args)

        def mprotect(self, *args):
            return -1

        def munmap(self, *args):
            given_back.append(args)
            return system.munmap(*args)

    system, given_back = loader._system(), []
    monkeypatch.setattr(loader, "_system", System)
    with pytest.raises(LoadError):
        loader.load(GOOD)
    assert len(given_back) == (refused == "mprotect")


# Kernels


@kernel.kernel
def fill(x, value):
    for i in range(x.size):
        x[i] = value * i


def run_fill():
    kernel, x = Kernel(fill.function), np.zeros(5, np.int64)
    block = pack([x, 3])
    entries.native(kernel, signature_of([x, 3]))(memory.address(block), 0, 1)
    return x.tolist()


@pytest.mark.parametrize("by_llvm", [False, True])
def test_kernels_just_compiled_and_cached(by_llvm, monkeypatch, tmp_path):
    """Also where the loader refuses, and LLVM's takes over."""
    used = []
    load = loader.load

    def watched(image):
        used.append(image)
        if by_llvm:
            raise LoadError("refused")
        return load(image)

    monkeypatch.setattr(loader, "load", watched)
    monkeypatch.setattr(cache, "_folder", lambda: str(tmp_path))
    before = len(llvm_loader._engines)
    assert run_fill() == run_fill() == [0, 3, 6, 9, 12]
    assert len(list(tmp_path.iterdir())) == 1
    if CAN_LOAD:
        assert len(used) == 2
        assert used[0] == used[1]
    assert len(llvm_loader._engines) - before == (2 if by_llvm or not CAN_LOAD else 0)


def test_a_variable_turns_the_loader_off(monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "_folder", lambda: str(tmp_path))
    monkeypatch.setattr(loader, "load", lambda image: pytest.fail("it was used"))
    monkeypatch.setenv("INT8RT_LOADER", "llvm")
    before = len(llvm_loader._engines)
    assert run_fill() == [0, 3, 6, 9, 12]
    assert len(llvm_loader._engines) == before + 1


def test_objects_without_an_image(monkeypatch, tmp_path):
    """What calls Numba's own functions, say."""
    monkeypatch.setattr(compiler, "_image", lambda code, symbol: None)
    monkeypatch.setattr(cache, "_folder", lambda: str(tmp_path))
    before = len(llvm_loader._engines)
    assert run_fill() == run_fill() == [0, 3, 6, 9, 12]
    assert len(llvm_loader._engines) == before + 2
