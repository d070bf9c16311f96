"""AArch64 code on any host: kernels compiled for it, looked at, and run under QEMU's emulation.

``target(features)`` makes of this process one that compiles for AArch64, by the same lowerings, passes and entry points
as on such a machine; nothing that it compiles can be loaded here. ``assembly`` is the code of an entry point.
``run_program`` runs a model under emulation, call by call.

What has become a process for AArch64 stays one, so tests do this in processes of their own.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

TRIPLE = "aarch64-unknown-linux-gnu"
LINKER = "aarch64-linux-gnu-gcc"
EMULATOR = "qemu-aarch64" if shutil.which("qemu-aarch64") else "qemu-aarch64-static"

# {lowering: the features that it needs}
FEATURES = {"neon": "+neon", "dotprod": "+neon,+dotprod", "i8mm": "+neon,+dotprod,+i8mm"}


# Compiling


def target(features: str, cpu: str = "generic") -> None:
    """Compile for an AArch64 with these features from now on; to be called before int8rt is imported."""
    from numba.core import registry

    context = registry.cpu_target.target_context  # made for this CPU, which Numba wants to know about
    os.environ.update(NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES=features)
    platform.machine = lambda: "aarch64"
    codegen = context._internal_codegen = _codegen(features, cpu)
    from int8rt.simd import features as on_target

    on_target.target_machine = lambda: codegen._tm


def _codegen(features: str, cpu: str) -> Any:
    """What Numba's context makes code by."""
    import llvmlite.binding as llvm
    from numba.core import codegen

    class Library(codegen.AOTCodeLibrary):
        def get_pointer_to_function(self, name: str) -> int:
            return 0  # Numba asks for the address of what it compiles for callers, and does not use it

    class Codegen(codegen.AOTCPUCodegen):
        _library_class = Library

        def _init(self, llvm_module: Any) -> None:
            llvm.initialize_all_targets()
            llvm.initialize_all_asmprinters()
            self._tm_features, self._loopvect, self._opt_level = features, False, 0
            self._tm = llvm.Target.from_triple(TRIPLE).create_target_machine(
                cpu=cpu, features=features, opt=3, reloc="static", codemodel="default"
            )
            self._target_data = self._tm.target_data
            self._data_layout = str(self._target_data)

        def _create_empty_module(self, name: str) -> Any:
            module = super()._create_empty_module(name)
            module.triple = TRIPLE
            return module

        def set_env(self, env_name: str, env: Any) -> None:
            pass

    return Codegen("aarch64")


def _without_others(module: Any) -> Any:
    """The module with its entry point as the only name that others see."""
    for f in module.functions:
        if not f.is_declaration and not f.name.startswith("int8rt_"):
            f.linkage = "internal"
    return module


def object_code(kernel: Any, signature: Any) -> Any:
    """The entry point as ``native`` compiles it, past its cache: a cache.Entry."""
    import llvmlite.binding as llvm

    from int8rt.native import compiler

    emit = llvm.TargetMachine.emit_object
    with mock.patch.object(llvm.TargetMachine, "emit_object", lambda tm, module: emit(tm, _without_others(module))):
        return compiler.compiled(kernel, signature)


def assembly(kernel: Any, signature: Any) -> str:
    """The code of an entry point as text."""
    import llvmlite.binding as llvm

    from int8rt.native import compiler

    emit = llvm.TargetMachine.emit_assembly
    listed = mock.patch.object(llvm.TargetMachine, "emit_object", lambda tm, module: emit(tm, _without_others(module)))
    with listed, mock.patch.object(compiler, "_image", return_value=None):  # which text has not
        return str(compiler.compiled(kernel, signature).code)


# Running

MEMORY = 1 << 36  # where the emulated process has what Python has written for it

MAIN = """
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>

typedef void (*Entry)(int64_t *, int64_t, int64_t);
%(declarations)s
static const Entry entries[] = {%(names)s};

int main(int argc, char **argv) {
    struct stat status;
    int file = open(argv[1], O_RDWR);
    if (file < 0 || fstat(file, &status)) return 2;
    int64_t *job = mmap((void *)%(memory)dL, status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0);
    if (job == MAP_FAILED) return 3;
    for (int64_t left = *job++; left > 0; left--, job += 3)
        for (int64_t thread = 0; thread < job[2]; thread++)
            entries[job[0]]((int64_t *)job[1], thread, job[2]);
    return 0;
}
"""


def missing() -> list[str]:
    """What emulation needs and this machine does not have."""
    return [name for name in (LINKER, EMULATOR) if shutil.which(name) is None]


class Job(NamedTuple):
    """A call of a kernel, on so many threads one after another."""

    kernel: Any
    signature: Any
    args: Sequence[Any]
    threads: int = 1


def run(jobs: Sequence[Job]) -> None:
    """Run the calls one after another in one emulated process; arrays among their arguments then have its results."""
    needed = list(dict.fromkeys((job.kernel, job.signature) for job in jobs))
    memory = Memory([a for job in jobs for a in job.args if isinstance(a, np.ndarray)])
    words = [len(jobs)]
    for job in jobs:
        words += [needed.index((job.kernel, job.signature)), memory.record(job.args), job.threads]
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "memory"
        image.write_bytes(memory.image(words))
        program = _linked([object_code(*n) for n in needed], Path(folder))
        subprocess.run([EMULATOR, "-cpu", "max", program, image], check=True, timeout=300)
        memory.take(image.read_bytes())


def _linked(entries: Sequence[Any], folder: Path) -> Path:
    """A program of entry points."""
    symbols = [entry.symbol for entry in entries]
    declarations = "\n".join(f"void {symbol}(int64_t *, int64_t, int64_t);" for symbol in symbols)
    main, program = folder / "main.c", folder / "program"
    main.write_text(MAIN % {"declarations": declarations, "names": ", ".join(symbols), "memory": MEMORY})
    for entry in entries:
        (folder / f"{entry.symbol}.o").write_bytes(entry.code)
    objects = [folder / f"{symbol}.o" for symbol in symbols]
    subprocess.run([LINKER, "-static", "-O1", "-o", program, main, *objects, "-lm"], check=True)
    return program


class Memory:
    """Arrays of this process, some of which overlap, and where they are in another one."""

    GAP, HEAD = 4096, 1 << 20  # bytes between arrays, which kernels may read, and before them, for records

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:

        self.keep = arrays
        from int8rt.memory import address

        spans = sorted({(address(a), address(a) + a.nbytes) for a in arrays})
        self.spans: list[list[int]] = []  # first and last address here, and where they are there
        place = MEMORY + self.HEAD
        for first, last in spans:
            if self.spans and first <= self.spans[-1][1]:
                self.spans[-1][1] = max(self.spans[-1][1], last)
            else:
                self.spans.append([first, last, 0])
        for span in self.spans:
            span[2] = place + span[0] % 64
            place = -(-(span[2] + span[1] - span[0] + self.GAP) // 64) * 64
        self.end = place - MEMORY
        self.records: list[np.ndarray] = []

    def there(self, address: int) -> int:
        """An address in the other process."""
        first, _, place = next(span for span in self.spans if span[0] <= address <= span[1])
        return place + address - first

    def record(self, args: Sequence[Any]) -> int:
        """Where the other process has the record of a call."""
        from int8rt.native import abi

        place = MEMORY + self.HEAD // 2 + sum(record.nbytes for record in self.records)
        with mock.patch.object(abi, "address", lambda array, here=abi.address: self.there(here(array))):
            self.records.append(abi.pack(args))
        return place

    def image(self, words: Sequence[int]) -> bytes:
        """What the other process begins with: words, records, arrays."""
        import ctypes

        image = bytearray(self.end)
        records = b"".join(record.tobytes() for record in self.records)
        head = np.array(words, np.int64).tobytes()
        assert max(len(head), len(records)) <= self.HEAD // 2
        image[: len(head)] = head
        image[self.HEAD // 2 : self.HEAD // 2 + len(records)] = records
        for first, last, place in self.spans:
            image[place - MEMORY : place - MEMORY + last - first] = ctypes.string_at(first, last - first)
        return bytes(image)

    def take(self, image: bytes) -> None:
        """Bring everything here into the state that it has there."""
        for array in self.keep:
            if array.flags.writeable:
                from int8rt.memory import address

                start = self.there(address(array)) - MEMORY
                found = np.frombuffer(image, array.dtype, array.size, start)
                array[...] = found.reshape(array.shape)


def run_program(model: bytes, x: np.ndarray, threads: int = 2) -> list[np.ndarray]:
    """The outputs of a model of one stretch whose every call runs under emulation."""
    from int8rt.format import reader
    from int8rt.numerics.rules import numerics
    from int8rt.plan import program
    from int8rt.plan.sharing import Sharing
    from int8rt.runtime import instance as running
    from int8rt.runtime import native_run
    from int8rt.steps import PythonCall

    with (
        mock.patch.object(running, "compile_all"),
        mock.patch.object(native_run, "entry_point", return_value=0),
    ):
        plan = program.build(reader.read(model).main, numerics("reference"), sharing=Sharing(threads, least_work=0))
        instance = running.Instance(plan)
        parts = [plan.sharing.parts_of(call) for call in plan.calls]
    instance.memory.write(plan.graph.inputs[0], x)
    jobs: list[Job] = []
    for call, count in zip(plan.calls, parts, strict=True):
        args = instance.memory.arguments(call)
        assert not isinstance(call, PythonCall), f"{model!r} needs Python"
        jobs.append(Job(call.kernel, program.call_signature(call), args, count))
    run(jobs)
    return [instance.memory.read(t) for t in plan.graph.outputs]
