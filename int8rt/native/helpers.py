"""Compiling many kernels: other processes help, where there are CPUs for them.

Each helper is given one kernel after another, as its recipe and the types of its arguments, and leaves its code in the
cache; what comes back is a word. Nothing depends on a helper: what one did not do, because it died, hung or is of
another version of the sources, is compiled by whoever asked. A helper is this interpreter with int8rt, never with the
caller's program.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType

from int8rt.native.abi import Signature
from int8rt.native.cache import cache_folder
from int8rt.native.entries import Progress, compile_entry, entry_point, is_cached
from int8rt.native.files import make_folder
from int8rt.native.kernel import Kernel, find_kernel, teach_numba

Job = tuple[Kernel, Signature]

MOST = 4  # helpers
JOBS_WORTH_A_HELPER = 5  # its start takes as long as two or three kernels
PATIENCE = 60.0  # seconds that the last kernel of a helper may take

_START = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from int8rt.native import helpers
helpers.help_others()
"""


def compile_all(wanted: Iterable[Job], progress: Progress | None = None, lenient: bool = False) -> int:
    """Make sure that every one of these entry points exists; progress hears of those that must be compiled.

    Gives the number of those. If lenient, what cannot be compiled is left out.
    """
    missing = {(k.name, s): (k, s) for k, s in wanted if not is_cached(k, s)}
    if not missing:
        return 0
    errors = (Exception,) if lenient else ()
    work = Work(missing.values())
    tell = progress or (lambda name, done, total: None)
    with Helpers(work) as helpers:
        while (job := work.take()) is not None:
            kernel, signature = job
            tell(kernel.function.__name__, work.done, work.total)
            with contextlib.suppress(*errors):
                entry_point(kernel, signature)
            work.finish()
        for name in helpers.unfinished():
            tell(name, work.done, work.total)
    for kernel, signature in missing.values():
        with contextlib.suppress(*errors):
            entry_point(kernel, signature)
    tell("", work.total, work.total)
    return work.total


class Work:
    """Jobs that several compilers take, and how many of them are done."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._left = deque(jobs)
        self._lock = threading.Lock()
        self._taken = 0
        self.total = len(self._left)

    def take(self, last: bool = False) -> Job | None:
        """The first job that is left, or the last one; None where there is none."""
        with self._lock:
            if not self._left:
                return None
            self._taken += 1
            return self._left.pop() if last else self._left.popleft()

    def finish(self) -> None:
        """A job that was taken is done, or given up."""
        with self._lock:
            self._taken -= 1

    @property
    def done(self) -> int:
        """How many jobs nobody has to do any more."""
        with self._lock:
            return self.total - len(self._left) - self._taken


class Helpers:
    """The helpers for some work, as a context: they end with it."""

    def __init__(self, work: Work) -> None:
        self._helpers: list[_Helper] = []
        try:
            for _ in range(_how_many(work.total)):
                self._helpers.append(_Helper(work))
                self._helpers[-1].thread.start()
        except (OSError, RuntimeError):  # no more processes or threads, or none at all
            return
        except BaseException:  # Ctrl-C
            self._end()
            raise

    def __enter__(self) -> Helpers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def _end(self) -> None:
        for helper in self._helpers:
            helper.end()

    def unfinished(self) -> Iterator[str]:
        """Wait, once all jobs are taken, for those that helpers have in hand; gives the names of their kernels."""
        for helper in self._helpers:
            if (job := helper.job) is not None:
                yield job[0].function.__name__
                helper.thread.join(PATIENCE)


class _Helper:
    """A process, and the thread that gives it jobs."""

    def __init__(self, work: Work) -> None:
        import subprocess

        self._work = work
        self.job: Job | None = None  # in hand
        flags = ["-I", "-B"] if sys.dont_write_bytecode else ["-I"]  # isolated: modules come from our path alone
        self._process = subprocess.Popen(
            [sys.executable, *flags, "-c", _START, json.dumps([os.path.abspath(p) for p in sys.path])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # an interrupt is for who asked
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self.thread = threading.Thread(target=self._serve, name="int8rt-helper", daemon=True)

    def _serve(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError):  # it died, or was ended
            if self._process.stdout.readline().decode().rstrip("\r\n") != _hello():
                return
            while (job := self._work.take(last=True)) is not None:
                self.job = job
                try:
                    self._process.stdin.write(json.dumps([job[0].recipe, job[1]]).encode() + b"\n")
                    self._process.stdin.flush()
                    if not self._process.stdout.readline():
                        return
                finally:
                    self.job = None
                    self._work.finish()

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        if self.thread.ident is not None:
            self.thread.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()


def _how_many(jobs: int) -> int:
    """How many helpers so many jobs are worth, here."""
    count = min(MOST, _cpus() - 1, jobs // JOBS_WORTH_A_HELPER)
    return count if count > 0 and _is_python(sys.executable) and not _is_daemon() and is_writable() else 0


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _is_python(executable: str | None) -> bool:
    """Whether it can be told to run code: a frozen program, or one that embeds Python, would run itself."""
    return not getattr(sys, "frozen", False) and bool(
        re.match(r"python|pypy", os.path.basename(executable or "").lower())
    )


def _is_daemon() -> bool:
    """Whether this is a worker of a pool, whose other workers keep the other CPUs busy."""
    process = sys.modules.get("multiprocessing.process")
    return process is not None and bool(process.current_process().daemon)


def is_writable() -> bool:
    """Whether a helper can leave code in the cache."""
    import tempfile

    try:
        folder = str(cache_folder())
        if not make_folder(folder):
            return False
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


# In the helper


def help_others() -> None:
    """Compile what standard input asks for, line by line, until it ends."""
    requests, replies = sys.stdin, os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what anything prints is no reply
    teach_numba()  # who has no compiler yet must not take jobs from who has
    print(_hello(), file=replies, flush=True)
    for line in requests:
        recipe, signature = json.loads(line)
        print(_made(recipe, tuple(signature)), file=replies, flush=True)


def _made(recipe: str, signature: Signature) -> bool:
    kernel = find_kernel(recipe)
    if kernel is None:
        return False
    try:
        compile_entry(kernel, signature)
    except Exception:  # who asked meets it too, and can tell the user
        return False
    return True


def _hello() -> str:
    """What a helper says first: where it leaves code, which tells the version of the sources and the CPU as well."""
    return json.dumps(str(cache_folder()))
