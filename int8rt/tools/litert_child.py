"""The other side of ``litert.py``: a process that imports LiteRT once and answers requests over its pipes.

It is started by its path and imports nothing of int8rt, so that it starts fast and holds no threads: every request runs
in a fork of it, which LiteRT may abort. Where there is no fork, or the other side wants none since an interpreter is to
be kept, requests run in this process itself, and its end is the crash that the other side sees.

A message is its length in 8 bytes and a pickle. Replies are ``("ok", value)``, ``("error", type name, text)`` or
``("crash", exit status, last words on stderr)``.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np


class InputError(Exception):
    """Inputs do not fit the model by number or name; the other side raises int8rt's own error of this name."""


def send(stream: BinaryIO, payload: bytes) -> None:
    """Write one message."""
    stream.write(struct.pack("<Q", len(payload)))
    stream.write(payload)
    stream.flush()


def receive(stream: BinaryIO) -> bytes | None:
    """Read one message; None where the other side is gone."""
    header = stream.read(8)
    if len(header) < 8:
        return None
    size = struct.unpack("<Q", header)[0]
    payload = stream.read(size)
    return payload if len(payload) == size else None


def main() -> None:
    """Answer requests until standard input ends."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        import ai_edge_litert.interpreter  # noqa: F401
    except ImportError as error:
        send(replies, pickle.dumps(("error", "ImportError", str(error))))
        return
    from importlib.metadata import version

    send(replies, pickle.dumps(("ok", version("ai-edge-litert"))))
    forks = hasattr(os, "fork") and sys.argv[3] == "1"
    if not forks:
        _leave_no_core_dump()
    while (request := receive(sys.stdin.buffer)) is not None:
        send(replies, _answer_in_fork(request) if forks else _answer(request))


def _answer_in_fork(request: bytes) -> bytes:
    """The answer of a fork, so that a crash ends only that: its status and what it said are the answer then."""
    read_end, write_end = os.pipe()
    with tempfile.TemporaryFile() as log:
        child = os.fork()
        if child == 0:
            os.close(read_end)
            os.dup2(log.fileno(), 2)
            _leave_no_core_dump()
            with os.fdopen(write_end, "wb") as pipe:
                pipe.write(_answer(request))
            os._exit(0)
        os.close(write_end)
        with os.fdopen(read_end, "rb") as pipe:
            payload = pipe.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 0:
            return payload
        log.seek(max(0, log.seek(0, os.SEEK_END) - 2000))
        return pickle.dumps(("crash", status, log.read().decode(errors="replace")))


def _leave_no_core_dump() -> None:
    if os.name == "nt":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _answer(request: bytes) -> bytes:
    try:
        action, arguments = pickle.loads(request)
        return pickle.dumps(("ok", _ACTIONS[action](**arguments)), protocol=5)
    except BaseException as error:
        return pickle.dumps(("error", type(error).__name__, str(error)))


def _interpreter(model: bytes | str, resolver: str, threads: int = 1, preserve: bool = False) -> Any:
    """LiteRT's interpreter with the kernels of that name."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolvers = {
        "reference": OpResolverType.BUILTIN_REF,
        "builtin": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        "xnnpack": OpResolverType.AUTO,
    }
    return Interpreter(
        **{"model_path" if isinstance(model, str) else "model_content": model},
        num_threads=threads,
        experimental_op_resolver_type=resolvers[resolver],
        experimental_preserve_all_tensors=preserve,
    )


def _by_index(interpreter: Any, values: Any) -> dict[int, Any]:
    """Map the values of a list (in the model's order) or a dict (keys are names or indices) to tensor indices."""
    details = interpreter.get_input_details()
    if isinstance(values, dict):
        indices = {name: detail["index"] for detail in details for name in (detail["name"], detail["index"])}
        if unknown := [key for key in values if key not in indices]:
            raise InputError(f"the model has no input {unknown[0]!r}; it has {[detail['name'] for detail in details]}")
        return {indices[key]: value for key, value in values.items()}
    if len(values) != len(details):
        raise InputError(f"{len(values)} inputs given, but the model has {len(details)}")
    return {detail["index"]: value for detail, value in zip(details, values)}


def _allocate(interpreter: Any, resize: Any) -> None:
    if resize is not None:
        for index, shape in _by_index(interpreter, resize).items():
            interpreter.resize_tensor_input(index, shape)
    interpreter.allocate_tensors()


def _feed(interpreter: Any, inputs: Any) -> None:
    for index, value in _by_index(interpreter, inputs).items():
        interpreter.set_tensor(index, value)


def _run(model: bytes | str, steps: list[Any], resolver: str, everything: bool, threads: int, resize: Any) -> list[Any]:
    """The outputs, or all tensors, after each step."""
    interpreter = _interpreter(model, resolver, threads, preserve=everything)
    _allocate(interpreter, resize)
    results: list[Any] = []
    for inputs in steps:
        _feed(interpreter, inputs)
        interpreter.invoke()
        results.append(_readable(interpreter) if everything else _outputs(interpreter))
    return results


def _outputs(interpreter: Any) -> list[np.ndarray]:
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


def _readable(interpreter: Any) -> dict[int, np.ndarray]:
    """{index: value} of the tensors that can be read."""
    arrays = {}
    for detail in interpreter.get_tensor_details():
        if detail["dtype"] is np.object_:  # reading the handle of a resource ends the process
            continue
        try:
            arrays[detail["index"]] = interpreter.get_tensor(detail["index"])
        except (ValueError, RuntimeError):  # without memory, or of a type that NumPy does not have
            continue
    return arrays


def _details(model: bytes | str, resolver: str, allocate: bool, resize: Any) -> dict[str, Any]:
    """What LiteRT says of inputs, outputs, tensors and signatures."""
    interpreter = _interpreter(model, resolver)
    if allocate:
        _allocate(interpreter, resize)
    return {
        "inputs": interpreter.get_input_details(),
        "outputs": interpreter.get_output_details(),
        "tensors": interpreter.get_tensor_details(),
        "signatures": interpreter.get_signature_list(),
    }


def _time(model: bytes | str, inputs: Any, resolver: str, repeat: int, warmup: int, threads: int) -> list[float]:
    """Seconds of each of ``repeat`` invocations."""
    interpreter = _interpreter(model, resolver, threads)
    interpreter.allocate_tensors()
    seconds = []
    for _ in range(warmup + repeat):
        _feed(interpreter, inputs)
        start = time.perf_counter()
        interpreter.invoke()
        seconds.append(time.perf_counter() - start)
    return seconds[warmup:]


_kept: list[Callable[[], tuple[float, float]]] = []  # what one run of the open model is, if there is one


def _open(model: bytes | str, resolver: str, inputs: Any, threads: int) -> None:
    """Keep an interpreter whose runs are timed by ``_burst``."""
    _kept.clear()
    interpreter = _interpreter(model, resolver, threads)
    interpreter.allocate_tensors()
    values = list(_by_index(interpreter, inputs).items())
    results = [detail["index"] for detail in interpreter.get_output_details()]

    def run() -> tuple[float, float]:
        start = time.perf_counter()
        for index, value in values:
            interpreter.set_tensor(index, value)
        before = time.perf_counter()
        interpreter.invoke()
        after = time.perf_counter()
        for index in results:
            interpreter.get_tensor(index)
        return time.perf_counter() - start, after - before

    _kept.append(run)


def _burst(seconds: float) -> list[tuple[float, float]]:
    if not _kept:
        raise InputError("no model is open")
    end = time.perf_counter() + seconds
    times = [_kept[0]()]
    while time.perf_counter() < end:
        times.append(_kept[0]())
    return times


_ACTIONS: dict[str, Callable[..., Any]] = {
    "run": _run, "details": _details, "time": _time, "open": _open, "burst": _burst,
}  # fmt: skip

if __name__ == "__main__":
    main()
