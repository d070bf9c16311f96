"""Cases in child processes, each of which runs many: a case that dies, hangs or takes too much memory is one result.

A case is a number, its seed, and decides everything by it. What runs it is a function, ``module:name`` on the path that
the tests use, called as ``function(seed, **arguments)`` in the child; it returns (kind, detail). What it raises is a
kind too::

    for verdict in watch("mutants:case", range(1000), {"runs": True}):
        print(verdict.seed, verdict.kind, verdict.detail)

A child that has died or was killed is replaced by another. A case that took longer than the limit is run once more, in
a child of its own, where the kernels are cached that it may have had to compile: it hangs if it takes too long again.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
PATH = [ROOT, TESTS, TESTS / "cases", TESTS / "fuzz"]

LIMIT = 10.0  # seconds for a case
START = 120.0  # seconds for a child's start
MAX_MEMORY = 256 << 20  # bytes that cases give models as their limit
RESIDENT = 1 << 30  # bytes that a child may have in memory at any time: what models may take, and int8rt with LLVM
ADDRESS_SPACE = 6 << 30  # bytes; without it one case could take the memory of the machine

OK, REFUSED, INCONSISTENT, DIFFERS = "ok", "refused", "inconsistent", "differs"
FOREIGN, DEATH, HANG, MEMORY = "foreign", "death", "hang", "memory"
FINDINGS = (DIFFERS, FOREIGN, DEATH, HANG, MEMORY)


@dataclass(frozen=True)
class Verdict:
    """What came of a case: OK, REFUSED by an int8rt.Error, or one of FINDINGS."""

    seed: int
    kind: str
    detail: str
    seconds: float

    @property
    def is_finding(self) -> bool:
        """Whether somebody has to look at it."""
        return self.kind in FINDINGS


def watch(
    function: str,
    seeds: Iterable[int],
    arguments: Mapping[str, Any] | None = None,
    processes: int = 1,
    limit: float = LIMIT,
) -> Iterator[Verdict]:
    """The verdict on each seed: in the order of the seeds from one process, in any order from several."""
    waiting, lock = iter(seeds), threading.Lock()
    verdicts: SimpleQueue[Verdict | BaseException | None] = SimpleQueue()
    stopped = threading.Event()

    def take() -> int | None:
        with lock:
            return None if stopped.is_set() else next(waiting, None)

    def work() -> None:
        child = Child(function, arguments or {}, limit)
        try:
            while (seed := take()) is not None:
                verdicts.put(child.judge(seed))
        except BaseException as error:
            verdicts.put(error)
        finally:
            child.end()
            verdicts.put(None)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(processes)]
    for thread in threads:
        thread.start()
    left = processes
    try:
        while left:
            verdict = verdicts.get()
            if isinstance(verdict, BaseException):
                raise verdict
            if verdict is None:
                left -= 1
            else:
                yield verdict
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


class Child:
    """A process that runs cases, and the next one where it has ended."""

    def __init__(self, function: str, arguments: Mapping[str, Any], limit: float) -> None:
        self._command = [sys.executable, __file__, function, json.dumps(dict(arguments))]
        self._limit = limit
        self._process: subprocess.Popen[bytes] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by end())

    def judge(self, seed: int) -> Verdict:
        """Run a case."""
        verdict = self._once(seed)
        return self._once(seed) if verdict.kind == HANG else verdict

    def _once(self, seed: int) -> Verdict:
        process = self._started()
        start = time.monotonic()
        _write(process, f"{seed}\n")
        line = self._line(self._limit)
        seconds = time.monotonic() - start
        if line is None:
            where = self._killed()
            return Verdict(seed, HANG, where, seconds)
        if not line:
            status = process.wait()
            words = self._words()
            self._discard()
            return Verdict(seed, DEATH, f"{_cause(status)}: {words}", seconds)
        kind, detail = json.loads(line)
        if kind == MEMORY:  # the high-water mark stays, so that the next case needs another process
            self._discard()
        return Verdict(seed, kind, detail, seconds)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            variables = {"PYTHONPATH": os.pathsep.join(map(str, PATH)), "OPENBLAS_NUM_THREADS": "1"}
            self._log.truncate(0)
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
                env={**os.environ, **variables, "PYTHONDONTWRITEBYTECODE": "1"}, start_new_session=True,
            )  # fmt: skip
            if self._line(START) != b"ready\n":
                raise RuntimeError(f"a child did not start: {self._words()}")
        return self._process

    def _line(self, limit: float) -> bytes | None:
        """The child's next line; empty where the child has ended, None where it takes longer."""
        assert self._process is not None
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], limit)
        return self._process.stdout.readline() if ready else None

    def _killed(self) -> str:
        """End a child that hangs; where it was, from the innermost function."""
        assert self._process is not None
        self._log.truncate(0)
        self._process.send_signal(signal.SIGUSR1)
        time.sleep(0.3)
        where = self._words()
        self._discard()
        return where

    def _words(self) -> str:
        """What the child has written to standard error, in one line."""
        self._log.seek(0)
        lines = self._log.read(20_000).decode(errors="replace").splitlines()
        return " | ".join(line.strip() for line in lines if line.strip())[:3000]

    def _discard(self) -> None:
        if self._process is None:
            return
        os.killpg(self._process.pid, signal.SIGKILL) if self._process.poll() is None else None
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            try:
                stream.close()
            except OSError:  # a seed was still in the buffer
                continue
        self._process = None

    def end(self) -> None:
        """End the process for good."""
        self._discard()
        self._log.close()


def _write(process: subprocess.Popen[bytes], text: str) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(text.encode())
        process.stdin.flush()
    except BrokenPipeError:  # it has ended: its empty answer says so
        return


def _cause(status: int) -> str:
    return f"signal {-status} ({signal.strsignal(-status)})" if status < 0 else f"exit status {status}"


# In the child


def main(function: str, arguments: str) -> None:
    """Answer seeds from standard input until it ends."""
    import resource

    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what anything prints is no reply
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=False)
    module, _, name = function.partition(":")
    call, given = getattr(importlib.import_module(module), name), json.loads(arguments)
    print("ready", file=replies, flush=True)
    for line in sys.stdin:
        kind, detail = outcome(call, int(line), given)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        if peak > RESIDENT:
            kind, detail = MEMORY, f"{peak:,} bytes; {kind}: {detail}"
        print(json.dumps([kind, detail]), file=replies, flush=True)


def outcome(call: Any, seed: int, arguments: Mapping[str, Any]) -> tuple[str, str]:
    """What a case gives or raises, as (kind, detail)."""
    from int8rt.errors import Error, InconsistentNode

    try:
        kind, detail = call(seed, **arguments)
        return str(kind), str(detail)
    except InconsistentNode as error:
        return INCONSISTENT, described(error)
    except Error as error:
        return REFUSED, f"{type(error).__name__}: {error}"
    except MemoryError as error:
        return MEMORY, described(error)
    except Exception as error:
        return FOREIGN, described(error)


def described(error: BaseException) -> str:
    """An error and where in int8rt it began, innermost function first; of an InconsistentNode what it was made of."""
    cause = error.__cause__ or error
    frames = [f for f in traceback.extract_tb(cause.__traceback__) if "int8rt" in f.filename]
    places = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames[-3:])]
    return f"{' < '.join(places)}: {type(error).__name__}: {error}"[:1500]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
