"""The CPU that kernels are compiled for, as LLVM names it, and what tells it from others.

What was found out about a CPU once can be kept. Two machines may share a home folder, and instructions that a CPU lacks
would abort the process. Hence everything counts that Linux says about the kind of the CPU, and where it says nothing,
there is no identity.
"""

from __future__ import annotations

import functools
import os
import platform
import sys
from importlib.util import find_spec
from typing import IO, Any, NamedTuple

from int8rt.native.files import cache_base, digest, read, write


def target_machine() -> Any:
    """What LLVM makes code for: this CPU."""
    import llvmlite.binding as llvm

    target = llvm.Target.from_default_triple()
    return target.create_target_machine(
        cpu=cpu_name(), features=cpu_features(), opt=3, reloc="default", codemodel="jitdefault", jit=True
    )


@functools.cache
def cpu_name() -> str:
    """The CPU that kernels are compiled for; ``NUMBA_CPU_NAME`` overrides the one found."""
    return os.environ.get("NUMBA_CPU_NAME") or _host().name


@functools.cache
def cpu_features() -> str:
    """The features that Numba gives to LLVM, ``+avx2,-avx512f,...``, found as it finds them but without importing it.

    ``NUMBA_CPU_FEATURES`` replaces those of this CPU, ``NUMBA_ENABLE_AVX=0`` takes away every kind of AVX.
    """
    given = os.environ.get("NUMBA_CPU_FEATURES")
    if given is not None:
        return given
    if os.environ.get("NUMBA_CPU_NAME", "").lower() == "generic":
        return ""
    features = _host().features
    if not int(os.environ.get("NUMBA_ENABLE_AVX") or cpu_name() not in _CPUS_WITHOUT_AVX):
        features = features.replace("+avx", "-avx")
    return features


class _Host(NamedTuple):
    """This CPU, as LLVM sees it."""

    name: str
    features: str  # +avx2,-avx512f,... in the order of the alphabet; empty where LLVM does not know the CPU

    @property
    def is_sound(self) -> bool:
        """Whether both look as LLVM writes them."""
        features = self.features.split(",") if self.features else []
        are_signed = all(f[:1] in ("+", "-") and _is_word(f[1:]) for f in features)
        return _is_word(self.name) and are_signed


def _is_word(text: str) -> bool:
    """Whether a text is what LLVM calls a CPU or a feature: compiling an expression for it would take a millisecond."""
    return bool(text) and text.translate(_MARKS).isalnum()


_MARKS = {ord(mark): "0" for mark in "_.+-"}


@functools.cache
def _host() -> _Host:
    """LLVM's view of this CPU, kept in the cache: importing llvmlite takes as long as a quarter of a warm start.

    It decides which instructions are used. So a file of another CPU or LLVM has another name and says another key, and
    what does not look as it should is asked for again.
    """
    kind = identity(version("llvmlite"))
    if kind is None:
        return _ask_llvm()
    key = digest(kind.encode()).hex()
    path = os.path.join(cache_base(), f"cpu-{key[:20]}")
    known, _ = read(path) or ({}, b"")
    found = _Host(str(known.get("name")), str(known.get("features")))
    if known.get("cpu") == key and found.is_sound:
        return found
    found = _ask_llvm()
    write(path, {"cpu": key, **found._asdict()})
    return found


def _ask_llvm() -> _Host:
    import llvmlite.binding as llvm

    try:
        features = str(llvm.get_host_cpu_features().flatten())
    except RuntimeError:  # LLVM does not know this CPU
        features = ""
    return _Host(str(llvm.get_host_cpu_name()), features)


# Where Numba does not trust AVX (numba.core.config.avx_default)
_CPUS_WITHOUT_AVX = ("corei7-avx", "core-avx-i", "sandybridge", "ivybridge", "nocona")
_CPUINFO = "/proc/cpuinfo"


# Lines that tell kinds of CPUs apart, on x86 and on ARM; others say which core this is, or how fast it runs now.
_TELLING = (
    "vendor_id", "cpu family", "model", "model name", "stepping", "microcode", "cpuid level", "flags", "bugs",
    "CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features",
)  # fmt: skip

_NEEDED = {"x86_64": {"vendor_id", "cpu family", "model", "flags"}, "aarch64": {"CPU implementer", "CPU part"}}


def identity(*versions: str) -> str | None:
    """A text that only CPUs of this kind have, and who looks at them by these versions; None where none can be had."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _NEEDED:
        return None
    try:
        with open(_CPUINFO, encoding="utf-8", errors="backslashreplace") as file:
            lines = _telling_lines(file, machine)
    except OSError:
        return None
    if not _NEEDED[machine] <= {name for name, _ in lines}:
        return None
    # A kernel lists the features that it knows, so what is not listed may differ where kernels do.
    return repr((versions, machine, platform.release(), sorted(lines)))


def _telling_lines(file: IO[str], machine: str) -> set[tuple[str, str]]:
    """What the system says of the kind of its CPUs: of all on ARM, which mixes kinds, and of the first on x86."""
    lines = set()
    for line in file:
        name, _, value = (part.strip() for part in line.partition(":"))
        if name in _TELLING:
            lines.add((name, value))
        elif not name and machine == "x86_64":  # reading on takes a while where there are many CPUs
            break
    return lines


def version(package: str) -> str:
    """What tells one version of Numba or llvmlite from another; importlib.metadata takes 15 ms to import.

    Raises ImportError where there is no such package.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ImportError(f"int8rt needs {package}")
    try:
        with open(os.path.join(os.path.dirname(spec.origin), "_version.py"), encoding="utf-8") as file:
            return file.read()
    except OSError:
        from importlib.metadata import version

        return version(package)
