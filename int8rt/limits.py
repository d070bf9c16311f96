"""What loading and running a model may take: memory, trips of its loops, time.

A file of 1 KB can ask for any of them without end, so each is counted in one place. Linux gives out memory that it does
not have and kills whoever touches it, so that an allocation which succeeds says nothing; what counts here is what was
asked for, before it is allocated.

The ``Budget`` of a model holds the limits and what is in use. It is found by way of the thread (``using``), as what has
to be counted lies in planning, in operators and in sessions alike. Where no budget was set, nothing is limited but the
memory, by ``default_memory``.
"""

from __future__ import annotations

import contextlib
import math
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from int8rt import locks
from int8rt.arguments import shown
from int8rt.errors import InputError, LimitError

T = TypeVar("T")

SHARE = 0.5  # of the memory that is free when a model is loaded: what it may take by default
MAX_ITERATIONS = 1_000_000  # of all WHILE loops in one run, by default
MAX_SECONDS = 1e9
COUNTED = 1 << 16  # bytes: arrays below that are not followed
NO_LIMIT = 1 << 62
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class Budget:
    """The limits of one model, and how much memory it has at present. Threads may share it."""

    def __init__(
        self, max_memory: int | str | None = None, max_iterations: int | None = None, timeout: float | None = None
    ) -> None:
        """None stands for the default. Raises InputError where a limit is no positive number."""
        self.max_memory = default_memory() if max_memory is None else parse_bytes(max_memory)
        self.max_iterations = MAX_ITERATIONS if max_iterations is None else _positive(max_iterations, "max_iterations")
        self.timeout = None if timeout is None else _seconds(timeout)
        self.used = 0  # bytes
        self._held: set[int] = set()  # by id, as several programs may mention one array
        self._lock = locks.lock()  # a finalizer may run while it is held

    def run(self, is_timed: bool = True) -> tuple[int, float]:
        """The trips that a run may make, and when its time is over."""
        is_timed = is_timed and self.timeout is not None
        return self.max_iterations, time.monotonic() + (self.timeout or 0) if is_timed else math.inf

    def need(self, nbytes: int) -> None:
        """Raise LimitError unless so many bytes may be allocated in addition to what is in use."""
        if self.used + nbytes > self.max_memory:
            raise LimitError(
                f"{nbytes:,} bytes are needed in addition to {self.used:,}; max_memory is {self.max_memory:,}",
                what="max_memory", limit=self.max_memory, needed=self.used + nbytes,
            )  # fmt: skip

    def hold(self, array: np.ndarray) -> np.ndarray:
        """Count an array that owns its memory for as long as it lives."""
        if array.nbytes >= COUNTED and array.base is None:
            with self._lock:
                if id(array) not in self._held:
                    self._held.add(id(array))
                    self.used += array.nbytes
                    weakref.finalize(array, self._release, id(array), array.nbytes).atexit = False
        return array

    def _release(self, key: int, nbytes: int) -> None:
        with self._lock:
            self._held.remove(key)
            self.used -= nbytes


class _Current(threading.local):
    """Of a thread: the budget in force, and of the run that it is in the trips left and the end of its time."""

    budget: Budget | None = None
    trips: int = NO_LIMIT
    deadline: float = math.inf


_current = _Current()


def current() -> Budget:
    """The budget in force; where none is, one of its own with the default."""
    return _current.budget or Budget()


@contextlib.contextmanager
def using(budget: Budget, is_timed: bool = True) -> Iterator[None]:
    """Let a budget be in force, and its time and trips begin, unless it is in force already."""
    before = _current.budget, _current.trips, _current.deadline
    if before[0] is not budget:
        _current.budget = budget
        _current.trips, _current.deadline = budget.run(is_timed)
    try:
        yield
    finally:
        if before[0] is not budget:
            _current.budget, _current.trips, _current.deadline = before


def within(budget: Budget, function: Callable[..., T], *args: Any, is_timed: bool = True) -> T:
    """function(*args) under a budget; where memory runs out after all, that is a LimitError too."""
    with using(budget, is_timed):
        try:
            return function(*args)
        except MemoryError as error:
            raise LimitError(f"memory ran out: {error}", what="memory", limit=budget.max_memory) from error


def need(nbytes: int) -> None:
    """Raise LimitError unless so many bytes may be allocated."""
    if nbytes >= COUNTED:
        current().need(nbytes)


def hold(array: np.ndarray) -> np.ndarray:
    """Count an array, which was allowed before, while it lives; without a budget in force there is nothing to count."""
    return array if _current.budget is None else _current.budget.hold(array)


def check_held() -> None:
    """Raise LimitError where arrays that were counted after they were made are more than may be allocated."""
    if _current.budget is not None:
        _current.budget.need(0)


def nbytes(shape: Any, dtype: Any) -> int:
    """The bytes of an array, in Python's integers, which do not overflow."""
    return math.prod(map(int, shape)) * np.dtype(dtype).itemsize


def check_time() -> None:
    """Raise LimitError where the time of this run is over."""
    if time.monotonic() > _current.deadline:
        limit = _current.budget.timeout if _current.budget else None
        raise LimitError(f"the run takes longer than timeout={limit} s", what="timeout", limit=limit)


def trip() -> None:
    """Count a trip of a loop. Raises LimitError where there were too many in this run, or its time is over."""
    if _current.trips <= 0:
        limit = current().max_iterations
        raise LimitError(f"more than max_iterations={limit:,} trips in one run", what="max_iterations", limit=limit)
    _current.trips -= 1
    check_time()


# Arguments


def parse_bytes(value: int | str) -> int:
    """A number of bytes, or a text such as 512M or 2G (powers of 1024). Raises InputError."""
    if isinstance(value, str):
        found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([KMGT]?)(?:i?B)?", value.strip(), re.IGNORECASE)
        if not found:
            raise InputError(f"max_memory is {shown(value)}, expected a number of bytes, or one such as 512M or 2G")
        value = int(float(found[1]) * _UNITS[found[2].upper()])
    return _positive(value, "max_memory")


def _positive(value: Any, name: str) -> int:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name} is {shown(value)}, expected an integer of at least 1")
    return int(value)


def _seconds(value: Any) -> float:
    if not isinstance(value, (int, float, np.number)) or isinstance(value, bool) or not 0 < value <= MAX_SECONDS:
        raise InputError(f"timeout is {shown(value)}, expected a positive number of seconds")
    return float(value)


# What is free


def default_memory() -> int:
    """SHARE of the bytes that this process may still take: of the system, its control groups, its address space."""
    known = [n for n in (_available(), _groups_left(), _address_space_left()) if n is not None]
    return max(int(SHARE * min(known)), 1) if known else NO_LIMIT


def _available() -> int | None:
    return _field("/proc/meminfo", "MemAvailable")


def _field(path: str, name: str) -> int | None:
    """The bytes of a line such as ``VmSize: 123 kB``."""
    found = re.search(rf"^{name}:\s+(\d+) kB", _text(path), re.MULTILINE)
    return 1024 * int(found[1]) if found else None


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _address_space_left() -> int | None:
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    limit, size = resource.getrlimit(resource.RLIMIT_AS)[0], _field("/proc/self/status", "VmSize")
    return None if limit == resource.RLIM_INFINITY else max(limit - (size or 0), 0)


def _groups_left(root: str = "/sys/fs/cgroup", groups: str = "/proc/self/cgroup") -> int | None:
    """What the control groups of this process leave, of version 1 or 2: the least of the group and those above it."""
    left = []
    for line in _text(groups).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "" or "memory" in controllers.split(","):
            left += _left_upwards(Path(root, "memory" if controllers else ""), path, bool(controllers))
    return min(left, default=None)


def _left_upwards(top: Path, path: str, is_first_version: bool) -> list[int]:
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file") if is_first_version else (
        "memory.max", "memory.current", "inactive_file"
    )  # fmt: skip
    found, folder = [], top / path.lstrip("/")
    while True:
        limit, usage = _text(folder / names[0]).strip(), _text(folder / names[1]).strip()
        if limit.isdigit() and usage.isdigit() and int(limit) < NO_LIMIT:
            cached = re.search(rf"^{names[2]} (\d+)$", _text(folder / "memory.stat"), re.MULTILINE)
            found.append(max(int(limit) - int(usage) + (int(cached[1]) if cached else 0), 0))
        if folder == top or top not in folder.parents:
            return found
        folder = folder.parent
