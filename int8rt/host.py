"""What tells this CPU from others, so that what was found out about it once can be kept.

Two machines may share a home folder, and instructions that a CPU lacks would abort the process. Hence everything counts
that Linux says about the kind of the CPU, and where it says nothing, there is no identity.
"""

from __future__ import annotations

import platform
import sys
from typing import IO

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
