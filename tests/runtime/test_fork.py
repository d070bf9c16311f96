"""Forks and signals at any moment: a child never waits for a thread that it does not have, nor a handler for itself."""

import os
import signal
import sys
import threading
import time
import traceback

import numpy as np
import pytest
from paths import MODELS
from sequences import counter

import int8rt
from int8rt import locks
from int8rt.errors import CallError
from int8rt.native import entries

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
needs_signals = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers")
MODEL = MODELS / "digits_conv_int8.tflite"
SECONDS = 20.0  # that a child may take


def in_child(work):
    """Whether work() gives True in a forked child, in time."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if work() else 2
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of threads, which is the point
@pytest.mark.parametrize("threads", [1, 2])
def test_a_child_runs_models_that_other_threads_were_running(threads):
    stateful, shared = int8rt.load(counter()), int8rt.load(MODEL, threads=threads)
    x, ones = np.zeros(shared.inputs[0].shape, np.int8), np.ones((1, 3000), np.float32)
    expected = shared(x).tolist()
    ends, counts = [], [0, 0]

    def run(number, model, value):
        while not ends:
            model(value)
            counts[number] += 1

    runners = [threading.Thread(target=run, args=args) for args in [(0, stateful, ones), (1, shared, x)]]
    for runner in runners:
        runner.start()
    try:
        for _ in range(15):
            time.sleep(0.003)
            assert in_child(lambda: stateful(ones).shape == (1, 3000) and shared(x).tolist() == expected)
    finally:
        ends.append(True)
        for runner in runners:
            runner.join()
    assert min(counts) > 15


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_compiles_while_its_parent_did():
    """The locks of int8rt, Numba and llvmlite are held by a thread that the child does not have."""
    from llvmlite.binding import ffi
    from numba.core.compiler_lock import global_compiler_lock

    held, go = threading.Event(), threading.Event()

    def hold():
        with entries._lock, global_compiler_lock, ffi.lib._lock:
            held.set()
            go.wait(SECONDS)

    def take():
        with entries._lock, global_compiler_lock, ffi.lib._lock:
            return True

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    try:
        assert in_child(take)
    finally:
        go.set()
        holder.join()


@needs_signals
def test_a_handler_runs_a_model_that_it_interrupts():
    model = int8rt.load(MODEL)
    x = np.zeros(model.inputs[0].shape, np.int8)
    expected, found = model(x).tolist(), []
    before = signal.signal(signal.SIGALRM, lambda *_: found.append(model(x).tolist()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.002)
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            assert model(x).tolist() == expected
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(found) > 20
    assert all(y == expected for y in found)


@needs_signals
def test_a_handler_cannot_run_what_keeps_state_within_its_own_run():
    model, ones, outcomes = int8rt.load(counter()), np.ones((1, 3000), np.float32), []

    def handle(*_):
        try:
            model(ones)
            outcomes.append("ran")
        except CallError:
            outcomes.append("refused")

    runs = 0
    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0007)
        end = time.monotonic() + 1
        while time.monotonic() < end:
            model(ones)
            runs += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(outcomes) > 20
    total = runs + outcomes.count("ran") + 1
    np.testing.assert_array_equal(model(ones), np.full((1, 3000), np.float32(total) * np.float32(total)))


def test_a_held_turn_is_refused():
    held = locks.lock()
    locks.check_turn(held, "it")
    with held, pytest.raises(CallError, match="it is running"):
        locks.check_turn(held, "it")


def test_every_lock_survives_a_fork():
    """Nobody makes a lock in another way, but for those that live within one call."""
    import pathlib

    package = pathlib.Path(sys.modules["int8rt"].__file__).parent
    others = {"locks.py", "helpers.py", "litert.py"}
    made = [p for p in package.rglob("*.py") if p.name not in others and "Lock()" in p.read_text(encoding="utf-8")]
    assert made == []
