"""Mixed work on models for some time, with every answer known beforehand.

Threads take one task after another, each drawn by chance: they call models that all share and models of their own, on
one thread and on two, single items and batches; models that keep state; traces, ``Interpreter``, the command line; what
has to be refused. They load models and drop them, fork in the midst of what others do, and start processes anew. A
timer interrupts the main thread, whose handler runs models too. The evaluator says beforehand what stateless models
give; of a counter that all share, every number must come once.

    python -m tests.runtime.soak [SECONDS [SEED]]     60 seconds by default; figures; exit status 1 where a task failed
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "cases"), str(TESTS)]

from conformance_cases import cases  # noqa: E402
from engines import REFERENCE, shared  # noqa: E402
from paths import MODELS, ROOT  # noqa: E402
from sequences import counter  # noqa: E402
from writer import Graph, Op, T, network  # noqa: E402

import int8rt  # noqa: E402
from int8rt.errors import CallError, InputError, LimitError  # noqa: E402
from int8rt.format import reader  # noqa: E402
from int8rt.runtime.evaluator import reference  # noqa: E402
from int8rt.runtime.model import Model, random_inputs  # noqa: E402
from int8rt.runtime.state import State  # noqa: E402

NAMES = ("digits_conv_int8", "digits_conv_float32", "digits_residual_uint8", "digits_residual_int16x8")
RECURRENT = ("SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM", "RNN")
ITEMS = 6  # of each stateless model, with known outputs
WORKERS = 5  # threads beside the main one
CHILD_SECONDS = 30.0  # that a forked child may take
PERIOD = 0.015  # seconds between signals
DEPTH = 3  # of handlers that interrupt handlers, as on a busy machine they last longer than that


@dataclass(frozen=True)
class Known:
    """A model, and what it gives from its first run on."""

    name: str
    content: bytes
    steps: list[list[np.ndarray]]
    outputs: list[list[np.ndarray]]

    @classmethod
    def of(cls, name: str, content: bytes, steps: Any = None) -> Known:
        """By the evaluator, for random inputs if no others are given."""
        graph, state = reader.read(content).main, State()
        steps = [random_inputs(graph, seed) for seed in range(ITEMS)] if steps is None else [list(s) for s in steps]
        found = [reference(graph, *step, state=state) for step in steps]
        return cls(name, content, steps, [[values[t.index] for t in graph.outputs] for values in found])

    def check(self, item: int, found: Any) -> None:
        """Assert that these are the outputs for an item."""
        found = found if isinstance(found, tuple) else (found,)
        assert len(found) == len(self.outputs[item])
        for y, expected in zip(found, self.outputs[item], strict=True):
            assert y.dtype == expected.dtype
            assert np.array_equal(y, expected, equal_nan=y.dtype.kind == "f"), f"{self.name}, item {item}: wrong values"


def loop() -> bytes:
    """A model that adds 1 to its input, a number, until it is 20."""
    one, most = T(np.float32, (1,), data=np.ones(1, np.float32)), T(np.float32, (1,), data=np.full(1, 20, np.float32))
    tested, less, before, after, x, y = (T(d, (1,)) for d in (np.float32, np.bool_, *[np.float32] * 4))
    test = Graph([Op("LESS", [tested, most], [less])], [tested], [less])
    body = Graph([Op("ADD", [before, one], [after])], [before], [after])
    node = Op("WHILE", [x], [y], cond_subgraph_index=1, body_subgraph_index=2)
    return network([node], [x], [y], subgraphs=[test, body])


ONES = np.ones((1, 3000), np.float32)


def counted(found: np.ndarray) -> int:
    """Which number a counter gave. Asserts that all of its elements say the same."""
    number = round(float(np.sqrt(np.float64(found[0, 0]))))
    assert np.all(found == np.float32(number) * np.float32(number)), "a counter gave different numbers at once"
    return number


class Soak:
    """What the threads have in common: models, known outputs, what was done, and what went wrong."""

    def __init__(self, seed: int = 0, child_seconds: float = CHILD_SECONDS) -> None:
        self.seed, self.child_seconds = seed, child_seconds
        self.done: Counter[str] = Counter()
        self.failures: list[str] = []
        self.stateless = [Known.of(name, (MODELS / f"{name}.tflite").read_bytes()) for name in NAMES]
        self.stateless.append(Known.of("loop", loop(), [[np.full(1, n, np.float32)] for n in range(ITEMS)]))
        many = [next(case for case in cases([op]) if len(case.steps) > 1) for op in RECURRENT]
        self.recurrent = [Known.of(case.op, case.model, case.steps) for case in many]
        self.shared = [(known, model_of(known, threads)) for known in self.stateless for threads in (1, 2)]
        self.counter = int8rt.load(counter())
        self.numbers = [counted(self.counter(ONES))]  # that the counter gave
        self._depth, self._rng_of_handlers = 0, np.random.default_rng([seed, WORKERS + 1])
        self.folder = tempfile.TemporaryDirectory()
        self._process = threading.Semaphore(1)  # one new process at a time, which takes a CPU for half a second

    def run(self, seconds: float) -> None:
        """Work for so long, or until something fails."""
        self.end = time.monotonic() + seconds
        threads = [threading.Thread(target=self._work, args=(number,)) for number in range(1, WORKERS + 1)]
        for thread in threads:
            thread.start()
        before = signal.signal(signal.SIGALRM, self._handle)
        signal.setitimer(signal.ITIMER_REAL, PERIOD, PERIOD)
        try:
            self._work(0)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            for thread in threads:
                thread.join()
        if sorted(self.numbers) != list(range(1, len(self.numbers) + 1)):
            self.failures.append(f"the counter gave {len(self.numbers)} numbers, and not each once")

    def _work(self, number: int) -> None:
        rng = np.random.default_rng([self.seed, number])
        tasks, weights = zip(*TASKS, strict=True)
        shares = np.array(weights) / sum(weights)
        while time.monotonic() < self.end and not self.failures:
            self._try(tasks[rng.choice(len(tasks), p=shares)], rng)

    def _handle(self, *_: Any) -> None:
        """Run a model within what is interrupted, itself perhaps in a handler."""
        if self._depth < DEPTH:
            self._depth += 1
            self._try(in_a_handler, self._rng_of_handlers)
            self._depth -= 1

    def _try(self, task: Callable[..., None], rng: np.random.Generator) -> None:
        try:
            task(self, rng)
        except BaseException:
            self.failures.append(f"{task.__name__}: {traceback.format_exc()}")
        self.done[task.__name__] += 1  # a lost count does not matter

    # What tasks use

    def any_shared(self, rng: np.random.Generator) -> tuple[Known, Model]:
        """A model that all share."""
        return self.shared[rng.integers(len(self.shared))]

    def any_stateless(self, rng: np.random.Generator) -> Known:
        """What any such model gives."""
        return self.stateless[rng.integers(len(self.stateless))]

    def in_turn(self, work: Callable[[], None]) -> None:
        """Do what starts a process, unless another thread is at it."""
        if self._process.acquire(blocking=False):
            try:
                work()
            finally:
                self._process.release()


def model_of(known: Known, threads: int) -> Model:
    """The model, of which as much as possible is shared among so many threads."""
    return Model(reader.read(known.content), REFERENCE, shared(threads))


# Tasks


def calls_a_shared_model(soak: Soak, rng: np.random.Generator) -> None:
    """A run of one item is one native call, and other threads may be in the same model."""
    known, model = soak.any_shared(rng)
    for item in rng.integers(ITEMS, size=20):
        known.check(item, model(*known.steps[item]))


def calls_a_batch(soak: Soak, rng: np.random.Generator) -> None:
    """Of up to 20 items, in any order."""
    known, model = soak.any_shared(rng)
    if known.name == "loop":  # ends for a batch as a whole
        return
    items = rng.integers(ITEMS, size=rng.integers(2, 20))
    found = model(*(np.concatenate([known.steps[i][n] for i in items]) for n in range(len(model.inputs))))
    for place, item in enumerate(items):
        size = len(known.outputs[item][0])
        known.check(item, found[place * size : (place + 1) * size])


def counts_up(soak: Soak, _: np.random.Generator) -> None:
    """On the counter that all share."""
    for _ in range(5):
        soak.numbers.append(counted(soak.counter(ONES)))


def makes_a_model(soak: Soak, rng: np.random.Generator) -> None:
    """It runs a few times and is gone; workers of its pool go with it."""
    known = soak.any_stateless(rng)
    model = model_of(known, int(rng.integers(1, 3)))
    for item in rng.integers(ITEMS, size=3):
        known.check(item, model(*known.steps[item]))


def keeps_its_own_state(soak: Soak, rng: np.random.Generator) -> None:
    """A recurrent model from its first step on, twice, and a counter."""
    known = soak.recurrent[rng.integers(len(soak.recurrent))]
    model, mine = int8rt.load(known.content), int8rt.load(counter())
    for _ in range(2):
        for step, inputs in enumerate(known.steps):
            known.check(step, model(*inputs))
            assert counted(mine(ONES)) == step + 1
        model.reset()
        mine.reset()


def traces(soak: Soak, rng: np.random.Generator) -> None:
    """Every tensor of a model; the outputs are known."""
    known, model = soak.any_shared(rng)
    item = rng.integers(ITEMS)
    found = model.trace(*known.steps[item])
    if known.name != "loop":  # whose output no node of the main subgraph computes natively
        known.check(item, tuple(found[p.index] for p in model.outputs))


def interprets(soak: Soak, rng: np.random.Generator) -> None:
    """By LiteRT's interface."""
    known, item = soak.any_stateless(rng), rng.integers(ITEMS)
    net = int8rt.Interpreter(model_content=known.content, num_threads=int(rng.integers(1, 3)))
    net.allocate_tensors()
    for details, x in zip(net.get_input_details(), known.steps[item], strict=True):
        net.set_tensor(details["index"], x)
    net.invoke()
    known.check(item, tuple(net.get_tensor(details["index"]) for details in net.get_output_details()))


def is_refused(soak: Soak, rng: np.random.Generator) -> None:
    """What models do not take, in the midst of what they do."""
    known, model = soak.any_shared(rng)
    for wrong in ((), (np.zeros((3, 3, 3, 3, 3), np.int8),)):
        try:
            model(*wrong)
        except InputError:
            continue
        raise AssertionError(f"{known.name} took {wrong}")
    limited = int8rt.load(soak.stateless[-1].content, max_iterations=5)
    try:
        limited(np.zeros(1, np.float32))
    except LimitError:
        return
    raise AssertionError("20 trips of a loop that may make 5")


def forks(soak: Soak, rng: np.random.Generator) -> None:
    """The child runs what its parent has, and models of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads, which is the point
        child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            # Its end, if it hangs. Not by faulthandler: the parent's own watch holds its lock, in the child for ever.
            signal.setitimer(signal.ITIMER_REAL, soak.child_seconds)
            for known, model in [soak.any_shared(rng) for _ in range(4)]:
                known.check(0, model(*known.steps[0]))
            soak.counter.reset()
            assert counted(soak.counter(ONES)) == 1
            makes_a_model(soak, rng)
            status = 0
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(status)
    status = os.waitpid(child, 0)[1]
    assert status == 0, f"a forked child fails or hangs: {os.waitstatus_to_exitcode(status)}"


def spawns(soak: Soak, rng: np.random.Generator) -> None:
    """A process that Python starts anew, and its models."""

    def work() -> None:
        known = soak.any_stateless(rng)
        started = multiprocessing.get_context("spawn").Process(target=in_a_new_process, args=(known,))
        started.start()
        started.join(60)
        assert started.exitcode == 0, f"a spawned process ends with {started.exitcode}"

    soak.in_turn(work)


def in_a_new_process(known: Known) -> None:
    """What a spawned process does."""
    for threads in (1, 2):
        model = model_of(known, threads)
        for item in range(ITEMS):
            known.check(item, model(*known.steps[item]))


def is_commanded(soak: Soak, rng: np.random.Generator) -> None:
    """int8rt run, from a file of inputs to one of outputs."""

    def work() -> None:
        known, item = soak.stateless[rng.integers(len(NAMES))], rng.integers(ITEMS)
        x, y = Path(soak.folder.name, "x.npy"), Path(soak.folder.name, "y.npz")
        np.save(x, known.steps[item][0])
        command = [sys.executable, "-m", "int8rt", "run", MODELS / f"{known.name}.tflite", "-i", x, "-o", y]
        subprocess.run([*map(str, command), "--threads", "2"], cwd=ROOT, check=True, timeout=60, capture_output=True)
        with np.load(y) as found:
            known.check(item, tuple(found.values()))

    soak.in_turn(work)


def in_a_handler(soak: Soak, rng: np.random.Generator) -> None:
    """What the handler of a signal does to the thread that it interrupts."""
    known, model = soak.any_shared(rng)
    item = rng.integers(ITEMS)
    known.check(item, model(*known.steps[item]))
    try:
        number = counted(soak.counter(ONES))
    except CallError:  # the very run that it interrupts
        return
    soak.numbers.append(number)


TASKS: tuple[tuple[Callable[[Soak, np.random.Generator], None], int], ...] = (
    (calls_a_shared_model, 40), (calls_a_batch, 20), (counts_up, 20), (makes_a_model, 8), (keeps_its_own_state, 4),
    (traces, 4), (interprets, 4), (is_refused, 4), (forks, 6), (spawns, 2), (is_commanded, 2),
)  # fmt: skip


def main(seconds: float = 60, seed: int = 0) -> int:
    """Run, and say what was done."""
    soak = Soak(seed)
    faulthandler.dump_traceback_later(seconds + 120, exit=True)  # where it hangs
    soak.run(seconds)
    print(", ".join(f"{name} {count:,}" for name, count in sorted(soak.done.items())))
    print("\n".join(soak.failures) or f"every answer was right; the counter came to {len(soak.numbers):,}")
    faulthandler.cancel_dump_traceback_later()
    return 1 if soak.failures else 0


if __name__ == "__main__":
    sys.exit(main(*(kind(given) for kind, given in zip((float, int), sys.argv[1:]))))
