"""LiteRT, to compare with: always in another process, because it can abort and writes to stderr.

One process is kept that has imported ``ai_edge_litert``; it forks for every request, so that a request costs
milliseconds and a crash ends that request alone. Importing this module imports neither LiteRT nor Numba.

    outputs = litert.run("model.tflite", [x])
    tensors = litert.run("model.tflite", [x], tensors="all")   # {tensor index: array}

A Stopwatch keeps a process with one model loaded, to be timed in bursts that alternate with somebody else's.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import pickle
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, overload

import numpy as np

from int8rt.errors import Error, InputError
from int8rt.tools import litert_child as child

Resolver: TypeAlias = Literal["reference", "builtin", "xnnpack"]
Source: TypeAlias = "bytes | bytearray | memoryview | str | os.PathLike[str]"
Inputs: TypeAlias = "np.ndarray | Sequence[Any] | Mapping[str, Any] | Mapping[int, Any]"
Shapes: TypeAlias = "Sequence[Sequence[int]] | Mapping[str, Sequence[int]] | Mapping[int, Sequence[int]]"

RESOLVERS: tuple[Resolver, ...] = ("reference", "builtin", "xnnpack")


class LiteRTError(Error, RuntimeError):
    """LiteRT refused the model or failed to run it; the message is its own."""


class LiteRTCrash(LiteRTError):
    """LiteRT ended its process; the message names the signal and holds its last words."""


class LiteRTTimeout(LiteRTError, TimeoutError):
    """LiteRT did not answer in time and was killed."""


class LiteRTMissing(LiteRTError, ImportError):
    """LiteRT is not installed."""


class LiteRT:
    """A server process that runs models under LiteRT; started by the first request, again after its end.

    It can be shared between threads, whose requests then wait for one another.

    Common arguments of the methods:
        model: the file's content or its path.
        inputs: arrays in the model's order, or by tensor name or index; a single array for a single input.
        resolver: "reference" is BUILTIN_REF, "builtin" the optimized kernels without delegates, "xnnpack" the default.
        resize: other shapes of inputs, as a list in the model's order or by tensor name or index.

    All raise LiteRTMissing, LiteRTError, LiteRTCrash, LiteRTTimeout, or InputError where inputs do not fit by number or
    name.
    """

    forks = True  # whether a request runs in a process of its own

    def __init__(self, timeout: float = 120.0) -> None:
        self.timeout = timeout  # seconds for one request, the start of the process included
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0  # the process that started it: a fork of that one must not talk into its pipes
        self._version = ""
        self._stop: Callable[[], object] = lambda: None

    @overload
    def run(
        self,
        model: Source,
        inputs: Inputs,
        *,
        resolver: Resolver = "reference",
        tensors: Literal["outputs"] = "outputs",
        threads: int = 1,
        resize: Shapes | None = None,
    ) -> list[np.ndarray]: ...

    @overload
    def run(
        self,
        model: Source,
        inputs: Inputs,
        *,
        resolver: Resolver = "reference",
        tensors: Literal["all"],
        threads: int = 1,
        resize: Shapes | None = None,
    ) -> dict[int, np.ndarray]: ...

    def run(self, model: Source, inputs: Inputs, **options: Any) -> Any:
        """Return the outputs in the model's order; with tensors="all" every readable tensor by its index."""
        return self.run_steps(model, [inputs], **options)[0]

    def run_steps(
        self,
        model: Source,
        steps: Sequence[Inputs],
        *,
        resolver: Resolver = "reference",
        tensors: Literal["outputs", "all"] = "outputs",
        threads: int = 1,
        resize: Shapes | None = None,
    ) -> list[Any]:
        """Return what ``run`` does for each input set, run in sequence on one interpreter, which keeps its state."""
        if tensors not in ("outputs", "all"):
            raise InputError(f"tensors is {tensors!r}, expected 'outputs' or 'all'")
        result: list[Any] = self._ask(
            "run",
            model,
            resolver,
            steps=[_plain(inputs) for inputs in steps],
            everything=tensors == "all",
            threads=threads,
            resize=_plain(resize),
        )
        return result

    def details(
        self, model: Source, *, resolver: Resolver = "reference", allocate: bool = True, resize: Shapes | None = None
    ) -> dict[str, Any]:
        """Return LiteRT's own "inputs", "outputs", "tensors" (of the main subgraph) and "signatures"."""
        result: dict[str, Any] = self._ask("details", model, resolver, allocate=allocate, resize=_plain(resize))
        return result

    def time(
        self,
        model: Source,
        inputs: Inputs,
        *,
        resolver: Resolver = "reference",
        repeat: int = 10,
        warmup: int = 1,
        threads: int = 1,
    ) -> list[float]:
        """Return the seconds that each of ``repeat`` invocations took, after ``warmup`` others."""
        result: list[float] = self._ask(
            "time", model, resolver, inputs=_plain(inputs), repeat=repeat, warmup=warmup, threads=threads
        )
        return result

    @property
    def version(self) -> str:
        """The version of the ai-edge-litert package."""
        with self._lock:
            self._exchange(None)
        return self._version

    def close(self) -> None:
        """End the process; a later request starts another."""
        with self._lock:
            self._discard()

    def __enter__(self) -> LiteRT:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _ask(self, action: str, model: Source, resolver: Resolver, **arguments: Any) -> Any:
        if resolver not in RESOLVERS:
            raise InputError(f"resolver is {resolver!r}, expected one of {', '.join(RESOLVERS)}")
        content = os.path.abspath(model) if isinstance(model, str | os.PathLike) else bytes(model)
        return self._request(action, model=content, resolver=resolver, **arguments)

    def _request(self, action: str, **arguments: Any) -> Any:
        """What the child answers. Raises LiteRTCrash, LiteRTError and InputError."""
        request = pickle.dumps((action, arguments), protocol=5)
        with self._lock:
            reply = self._exchange(request)
        if reply[0] == "ok":
            return reply[1]
        if reply[0] == "crash":
            raise LiteRTCrash(_obituary(reply[1], reply[2]))
        _, kind, message = reply
        if kind == child.InputError.__name__:
            raise InputError(message)
        raise LiteRTError(f"{kind}: {message}")

    def _exchange(self, request: bytes | None) -> tuple[Any, ...]:
        """Start the process where there is none, send ``request`` if any, and return the reply."""
        expired = threading.Event()
        timer = threading.Timer(self.timeout, self._expire, [expired])
        timer.start()
        try:
            process = self._started()
            if request is None:
                return ()
            assert process.stdin is not None
            assert process.stdout is not None
            child.send(process.stdin, request)  # type: ignore[arg-type]
            payload = child.receive(process.stdout)  # type: ignore[arg-type]
            if payload is None:
                raise EOFError
            reply: tuple[Any, ...] = pickle.loads(payload)
            return reply
        except (EOFError, OSError):
            if expired.is_set():
                raise LiteRTTimeout(f"LiteRT did not answer within {self.timeout:g} s and was killed") from None
            status = 0 if self._process is None else self._process.wait()
            self._discard()
            raise LiteRTCrash(_obituary(status, "")) from None
        except BaseException:  # an exchange that is left halfway would hand its reply to the next one
            self._discard()
            raise
        finally:
            timer.cancel()
            timer.join()
            if expired.is_set():
                self._discard()

    def _expire(self, expired: threading.Event) -> None:
        expired.set()
        if self._process is not None:
            _kill(self._process)

    def _started(self) -> subprocess.Popen[bytes]:
        """The child, which is started where there is none. Raises LiteRTMissing."""
        if self._process is not None and self._owner == os.getpid() and self._process.poll() is None:
            return self._process
        self._discard()
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _BOOTSTRAP, child.__file__, repr(sys.path), str(int(self.forks))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,
        )
        self._process, self._owner = process, os.getpid()
        self._stop = weakref.finalize(self, _end, process, self._owner)
        assert process.stdout is not None
        hello = child.receive(process.stdout)  # type: ignore[arg-type]
        if hello is None:
            raise EOFError
        state, *words = pickle.loads(hello)
        if state != "ok":
            raise LiteRTMissing(f"LiteRT is not installed ({words[-1]}): pip install int8rt[compare]")
        self._version = words[0]
        return process

    def _discard(self) -> None:
        self._stop()
        self._process = None


class Stopwatch:
    """A LiteRT process that keeps one model loaded and times it in bursts; between them it waits and uses no CPU.

    All methods raise what those of LiteRT do. After a crash the next ``open`` starts another process.
    """

    def __init__(self, timeout: float = 120.0) -> None:
        self._server = _Keeper(timeout)

    def open(self, model: Source, inputs: Inputs, *, resolver: Resolver = "reference", threads: int = 1) -> None:
        """Load a model in place of the one before, without running it."""
        self._server._ask("open", model, resolver, inputs=_plain(inputs), threads=threads)

    def burst(self, seconds: float) -> list[tuple[float, float]]:
        """Run the model until so many seconds have passed, at least once.

        Of every run: the seconds of set_tensor, invoke and get_tensor together, and those of invoke alone.
        """
        result: list[tuple[float, float]] = self._server._request("burst", seconds=seconds)
        return result

    def close(self) -> None:
        """End the process."""
        self._server.close()

    def __enter__(self) -> Stopwatch:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class _Keeper(LiteRT):
    """A server whose process answers by itself, so that it can keep what one request leaves for the next."""

    forks = False


# The child sees the modules that this process sees, and finds none of int8rt's own under bare names.
_BOOTSTRAP = (
    "import ast, runpy, sys; sys.path[:] = ast.literal_eval(sys.argv[2]); runpy.run_path(sys.argv[1], {}, '__main__')"
)


def _plain(inputs: Any) -> Any:
    """Return inputs or shapes as a dict or a list that pickles without int8rt's or the caller's own types."""
    if isinstance(inputs, Mapping):
        return dict(inputs)
    return [inputs] if isinstance(inputs, np.ndarray) else None if inputs is None else list(inputs)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the process with what it forked."""
    if process.poll() is None:
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _end(process: subprocess.Popen[bytes], owner: int) -> None:
    """End the child, unless this process is a fork of its owner."""
    if os.getpid() != owner:
        return
    _kill(process)
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            try:
                stream.close()
            except OSError:  # a request was still in the buffer
                continue


def _obituary(status: int, last_words: str) -> str:
    cause = f"exit status {status}"
    if status < 0:
        cause = f"signal {-status} ({signal.strsignal(-status)})"
    words = " | ".join(line for line in last_words.splitlines()[-3:] if line.strip())
    return f"LiteRT ended its process: {cause}" + (f"; it said: {words}" if words else "")


def available() -> bool:
    """Whether the ai_edge_litert package is installed."""
    return importlib.util.find_spec("ai_edge_litert") is not None


@functools.cache
def shared() -> LiteRT:
    """Return the one server that the functions below share; it ends with this process."""
    return LiteRT()


def run(model: Source, inputs: Inputs, **options: Any) -> Any:
    """``LiteRT.run`` on the shared server."""
    return shared().run(model, inputs, **options)


def run_steps(model: Source, steps: Sequence[Inputs], **options: Any) -> list[Any]:
    """``LiteRT.run_steps`` on the shared server."""
    return shared().run_steps(model, steps, **options)


def details(model: Source, **options: Any) -> dict[str, Any]:
    """``LiteRT.details`` on the shared server."""
    return shared().details(model, **options)


def time(model: Source, inputs: Inputs, **options: Any) -> list[float]:
    """``LiteRT.time`` on the shared server."""
    return shared().time(model, inputs, **options)


def version() -> str:
    """``LiteRT.version`` of the shared server."""
    return shared().version
