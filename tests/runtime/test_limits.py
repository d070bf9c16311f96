"""Memory, trips, time and nesting: a small file cannot take more than it may, and Ctrl-C is answered."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paths import MODELS
from requirements import shared_model
from selection import exhaustive
from writer import Graph, Op, T, model, network

import int8rt
from int8rt import InputError, Interpreter, LimitError, ModelError, limits
from int8rt.format import reader
from int8rt.plan import subgraphs
from int8rt.runtime.evaluator import reference
from int8rt.simd.lowerings import PRODUCTS, lower

LOOP = {"cond_subgraph_index": 1, "body_subgraph_index": 2}
MB = 1 << 20


def f32(*shape: int, **fields: Any) -> T:
    return T(np.float32, shape, **fields)


def flag() -> T:
    return T(np.bool_, ())


def const(*values: int) -> T:
    return T(np.int32, (len(values),), data=np.array(values, np.int32))


def loop(body_of: Any, shape: tuple[int, ...] = (2,)) -> bytes:
    """Repeats a body as long as its input has no negative first element."""
    x, c, least = f32(*shape), flag(), f32()
    condition = Graph(
        [Op("REDUCE_MIN", [x, const(0)], [least]), Op("GREATER_EQUAL", [least, f32(data=np.float32(0))], [c])], [x], [c]
    )
    x, y = f32(*shape), f32(*shape)
    body = Graph(body_of(x, y), [x], [y])
    x, y = f32(*shape), f32(*shape)
    return network([Op("WHILE", [x], [y], **LOOP)], [x], [y], subgraphs=[condition, body])


ENDLESS = loop(lambda x, y: [Op("ABS", [x], [y])])
GROWING = loop(lambda x, y: [Op("CONCATENATION", [x, x], [y], axis=0)])
X = np.ones(2, np.float32)


def nested(depth: int, op: str = "STABLEHLO_COMPOSITE") -> tuple[bytes, list[np.ndarray]]:
    """Subgraphs that run one another, the last of which negates its input; and inputs."""

    def graph(number: int) -> Graph:
        c, x, y = flag(), f32(2), f32(2)
        following = number + 1
        if number == depth:
            node = Op("NEG", [x], [y])
        elif op == "IF":
            node = Op("IF", [c, c, x], [y], then_subgraph_index=following, else_subgraph_index=following)
        else:
            table = "StableHLOCompositeOptions"
            node = Op(op, [x], [y], options=table, name="a", decomposition_subgraph_index=following)
        return Graph([node], [c, x] if op == "IF" else [x], [y])

    main, *others = [graph(n) for n in range(depth + 1)]
    content = network(main.nodes, main.inputs, main.outputs, subgraphs=others)
    return content, [np.array(True), X] if op == "IF" else [X]


# Loops


def test_trips_are_limited():
    loaded = int8rt.load(ENDLESS, max_iterations=50)
    with pytest.raises(LimitError, match="max_iterations") as found:
        loaded(X)
    assert (found.value.what, found.value.limit) == ("max_iterations", 50)
    assert "WHILE" in str(found.value.node)
    assert np.array_equal(loaded(-X), -X)
    with limits.using(limits.Budget(max_iterations=50)), pytest.raises(LimitError, match="max_iterations"):
        reference(reader.read(ENDLESS).main, X)


def test_time_is_limited():
    loaded = int8rt.load(ENDLESS, timeout=0.2)
    start = time.monotonic()
    with pytest.raises(LimitError, match="timeout") as found:
        loaded(X)
    assert time.monotonic() - start < 5
    assert (found.value.what, found.value.limit) == ("timeout", 0.2)
    assert np.array_equal(loaded(-X), -X)


def test_interpreter_has_limits_too(monkeypatch):
    monkeypatch.setattr(limits, "MAX_ITERATIONS", 50)
    interpreter = Interpreter(model_content=ENDLESS)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], X)
    with pytest.raises(LimitError, match="max_iterations"):
        interpreter.invoke()


def test_growing_values():
    loaded = int8rt.load(GROWING, max_memory="32M")
    with pytest.raises(LimitError, match="max_memory") as found:
        loaded(X)
    assert found.value.what == "max_memory"
    assert found.value.limit == 32 * MB < found.value.needed
    assert np.array_equal(loaded(-X), -X)
    with limits.using(limits.Budget("32M")), pytest.raises(LimitError, match="max_memory"):
        reference(reader.read(GROWING).main, X)


# Memory


def test_large_tensors_are_refused_before_they_are_made():
    x, y = f32(1, 1), f32(1 << 15, 1 << 14)
    content = model("BROADCAST_TO", [x, const(1 << 15, 1 << 14)], [y])  # 2 GB
    with pytest.raises(LimitError, match="max_memory"):
        int8rt.load(content, max_memory="100M")


def test_places_of_an_image_without_channels_are_refused_before_they_are_made():
    x, y = T(np.float32, (1, 2, 2, 0)), T(np.float32, (1, 1, 2**25, 0))
    content = model("RESIZE_NEAREST_NEIGHBOR", [x, T(np.int32, (2,), data=[1, 2**25])], [y])
    tracemalloc.start()
    try:
        with pytest.raises(LimitError, match="bytes are needed"):
            int8rt.load(content, max_memory="64MB")
        assert tracemalloc.get_traced_memory()[1] < 16 * MB
    finally:
        tracemalloc.stop()


def test_empty_tensors_have_sizes_that_numpy_can_hold():
    dims = T(np.int32, (4,), data=[2**31 - 1, 100, 0, 2**31 - 1])
    with pytest.raises(ModelError, match="at most 2,147,483,647 elements"):
        int8rt.load(model("FILL", [dims, T(np.int16, (), 1.0, 0)], [T(np.int16, (1,), 1.0, 0)]))


def test_constants_are_folded_up_to_a_bound():
    filled, y = f32(1 << 13, 1 << 13), f32(1 << 13, 1 << 13)  # 256 MB
    nodes = [Op("FILL", [const(1 << 13, 1 << 13), f32(data=np.float32(1))], [filled]), Op("ABS", [filled], [y])]
    with pytest.raises(LimitError, match="max_memory"):
        int8rt.load(network(nodes, [], [y]), max_memory="100M")


def test_many_folded_constants(monkeypatch):
    """Each is small; together they would be 400 MB of work while loading."""
    from int8rt import ops

    total, fill = [0], ops.find("FILL")
    original = fill.reference
    monkeypatch.setattr(
        fill, "reference", lambda node, *a: (total.append(node.outputs[0].nbytes), original(node, *a))[1]
    )
    nodes, sums = [], []
    for _ in range(100):
        filled, least = f32(1 << 10, 1 << 10), f32(1 << 10)
        nodes.append(Op("FILL", [const(1 << 10, 1 << 10), f32(data=np.float32(1))], [filled]))
        nodes.append(Op("REDUCE_MIN", [filled, const(0)], [least]))
        sums.append(least)
    subgraph = reader.read(network(nodes, [], sums)).main
    from int8rt.plan.infer import infer

    infer(subgraph.nodes, {})
    assert 0 < sum(total) <= 32 * MB


def test_large_batch():
    loaded = int8rt.load(model("ABS", [f32(1, 1 << 18)], [f32(1, 1 << 18)]), max_memory="32M")
    with pytest.raises(LimitError, match="max_memory"):
        loaded(np.broadcast_to(np.float32(1), (64, 1 << 18)))
    with pytest.raises(LimitError, match="max_memory"):
        loaded(np.ones((64, 1 << 18), np.float32))
    assert loaded(np.ones((2, 1 << 18), np.float32)).shape == (2, 1 << 18)


def test_memory_is_given_back():
    loaded = int8rt.load(model("ABS", [f32(1, 1 << 18)], [f32(1, 1 << 18)]), max_memory="32M")
    loaded(np.ones((1, 1 << 18), np.float32))
    used = loaded.budget.used
    for _ in range(40):
        loaded(np.ones((4, 1 << 18), np.float32))
    assert loaded.budget.used == used > 0


def test_memory_errors_become_ours():
    def fail() -> None:
        raise MemoryError("Unable to allocate")

    with pytest.raises(LimitError, match="memory ran out"):
        limits.within(limits.Budget(), fail)


# Nesting


@pytest.mark.parametrize(("depth", "op"), [(200, "IF"), (1500, "STABLEHLO_COMPOSITE"), (49, "STABLEHLO_COMPOSITE")])
def test_deep_nesting_is_refused(depth, op):
    with pytest.raises(ModelError, match=f"{depth} deep"):
        int8rt.load(nested(depth, op)[0])


@pytest.mark.parametrize("op", ["IF", "STABLEHLO_COMPOSITE"])
def test_nesting_up_to_the_limit_runs(op):
    content, inputs = nested(subgraphs.MAX_NESTING, op)
    assert np.array_equal(int8rt.load(content)(*inputs), -X)
    graph = reader.read(content).main
    assert np.array_equal(reference(graph, *inputs)[graph.outputs[0].index], -X)


def test_call_once_nested():
    depth = 300
    others = [
        Graph([Op("CALL_ONCE", [], [], init_subgraph_index=n + 1)] if n < depth else [], [], [])
        for n in range(1, depth + 1)
    ]
    x, y = f32(2), f32(2)
    main = [Op("CALL_ONCE", [], [], init_subgraph_index=1), Op("NEG", [x], [y])]
    with pytest.raises(ModelError, match=f"{depth} deep"):
        int8rt.load(network(main, [x], [y], subgraphs=others))


def test_subgraph_that_runs_itself():
    c, x, y = flag(), f32(2), f32(2)
    inner = Graph([Op("IF", [c, x], [y], then_subgraph_index=1, else_subgraph_index=1)], [c, x], [y])
    c, x, y = flag(), f32(2), f32(2)
    content = network(
        [Op("IF", [c, x], [y], then_subgraph_index=1, else_subgraph_index=1)], [c, x], [y], subgraphs=[inner]
    )
    with pytest.raises(ModelError, match="in a circle"):
        int8rt.load(content)


# Ctrl-C


def interrupted(function: Any) -> float:
    """How many seconds after Ctrl-C it took until the function raised KeyboardInterrupt."""
    sent: list[float] = []

    def send() -> None:
        import signal

        sent.append(time.monotonic())
        signal.raise_signal(signal.SIGINT)

    timer = threading.Timer(0.5, send)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        function()
    timer.join()
    return time.monotonic() - sent[0]


def test_ctrl_c_ends_a_loop():
    loaded = int8rt.load(ENDLESS, timeout=20)
    assert interrupted(lambda: loaded(X)) < 1
    assert np.array_equal(loaded(-X), -X)


def heavy() -> tuple[int8rt.Model, np.ndarray]:
    """A model of some 30 million products, and one item for it."""
    w = f32(2048, 2048, data=np.ones((2048, 2048), np.float32))
    x, y, z = f32(8, 2048), f32(8, 2048), f32(8, 2048)
    nodes = [Op("FULLY_CONNECTED", [x, w], [y]), Op("FULLY_CONNECTED", [y, w], [z])]
    return int8rt.load(network(nodes, [x], [z]), timeout=60), np.ones((8, 2048), np.float32)


def test_ctrl_c_ends_a_batch():
    loaded, item = heavy()
    batch = np.tile(item, (4000, 1))
    want = loaded(item)
    assert interrupted(lambda: loaded(batch)) < 1
    assert np.array_equal(loaded(item), want)
    assert np.array_equal(loaded(batch[: 8 * 9]), np.tile(want, (9, 1)))


COMPILES = """
import os, signal, sys, threading, time
import int8rt
sent = []
def send():
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)
threading.Timer(float(sys.argv[2]), send).start()
try:
    int8rt.load(sys.argv[1])
except KeyboardInterrupt:
    print(time.monotonic() - sent[0])
else:
    print("compiled before the signal came", file=sys.stderr, flush=True)
    os._exit(1)
children = open(f"/proc/self/task/{os.getpid()}/children").read().split()
int8rt.load(sys.argv[1])(__import__("numpy").zeros(int8rt.load(sys.argv[1]).inputs[0].shape, "int8"))
print(len(children), len(os.listdir(os.environ["INT8RT_CACHE_DIR"])) > 0)
"""


@pytest.mark.parametrize("delay", [2.0, *exhaustive(0.5, 1.2, 2.6, 3.1)])
def test_ctrl_c_ends_compiling(delay, tmp_path):
    """Helpers end as well, and the compiler is in order: it used to be left amid something, and to crash afterwards."""
    for attempt in range(5):
        cache = tmp_path / str(attempt)
        done = subprocess.run(
            [sys.executable, "-c", COMPILES, str(MODELS / "digits_residual_int8.tflite"), str(delay)],
            env={**os.environ, "INT8RT_CACHE_DIR": str(cache)}, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        if "compiled before" not in done.stderr:
            break
        delay *= 0.7  # of a fast machine: the signal has to come before the end
    assert done.returncode == 0, done.stderr
    seconds, rest = done.stdout.split("\n", 1)
    assert float(seconds) < 1
    assert not done.stderr
    assert rest.split() == ["0", "True"]


def test_a_batch_has_a_timeout():
    loaded, item = heavy()
    loaded.budget.timeout = 0.3
    with pytest.raises(LimitError, match="timeout"):
        loaded(np.tile(item, (4000, 1)))


# Arguments, and what is free


@pytest.mark.parametrize(
    ("text", "value"), [("512", 512), ("2K", 2048), ("1.5M", 3 << 19), ("2G", 2 << 30), ("1 GiB", 1 << 30)]
)
def test_bytes(text, value):
    assert limits.parse_bytes(text) == value


@pytest.mark.parametrize(
    "wrong",
    [{"max_memory": "much"}, {"max_memory": 0}, {"max_memory": 1.5}, {"max_iterations": 0}, {"timeout": 0},
     {"timeout": float("nan")}, {"timeout": "1"}, {"max_iterations": True}],
)  # fmt: skip
def test_wrong_limits(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        int8rt.load(ENDLESS, **wrong)


@pytest.mark.parametrize("version", [1, 2])
def test_control_groups(version, tmp_path):
    top = tmp_path / "memory" if version == 1 else tmp_path
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if version == 1 else ("memory.max", "memory.current")
    for folder, limit, usage in ((top / "a", "1000000", "200000"), (top / "a/b", "900000", "150000")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / names[0]).write_text(limit)
        (folder / names[1]).write_text(usage)
    groups = tmp_path / "groups"
    groups.write_text("4:cpu,memory:/a/b\n" if version == 1 else "0::/a/b\n")
    assert limits._groups_left(str(tmp_path), str(groups)) == 750_000
    (top / "a/b" / names[0]).write_text("max" if version == 2 else "9223372036854771712")
    assert limits._groups_left(str(tmp_path), str(groups)) == 800_000


def in_child(code: str, address_space: int = 2 << 30) -> str:
    """What a process prints that may map so much."""
    limit = (
        f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({address_space},) * 2)\n" if address_space else ""
    )
    done = subprocess.run([sys.executable, "-c", limit + code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_default_heeds_the_address_space():
    code = "from int8rt import limits; print(limits.default_memory())"
    assert 0 < int(in_child(code)) < limits.SHARE * (2 << 30)


def test_a_small_file_in_a_small_process(tmp_path):
    """With nothing but the default a growing loop ends in our error, well inside what the process has."""
    Path(tmp_path, "m.tflite").write_bytes(GROWING)
    code = f"""
import int8rt, numpy as np
try:
    int8rt.load({str(tmp_path / "m.tflite")!r})(np.ones(2, np.float32))
except int8rt.LimitError as error:
    print(error.what)
"""
    assert in_child(code).strip() == "max_memory"


LARGE = ["mobilenet_v2_1.0_224_int8", "ssd_mobilenet_v2_fpnlite_int8", "movenet_lightning_int8"]


@pytest.mark.parametrize("name", LARGE)
def test_loading_stays_within_three_times_file_and_arena(name):
    """In a process that has loaded a model before, so that NumPy's own pages are there.

    A CPU that does not multiply bytes needs weights of 16 bits, twice their size, in place of those of 8.
    """
    path = shared_model(f"{name}.tflite")
    most = 3.5 if lower(PRODUCTS) == "widened" else 3
    code = f"""
import int8rt
from int8rt import limits
def peak(): return limits._field("/proc/self/status", "VmHWM")  # ru_maxrss begins with what the parent has
import importlib, pkgutil, int8rt.ops
for m in pkgutil.iter_modules(int8rt.ops.__path__): importlib.import_module("int8rt.ops." + m.name)
first = int8rt.load({str(MODELS / "digits_conv_int8.tflite")!r})
before = peak()
model = int8rt.load({str(path)!r})
print(peak() - before, model.program.plan.nbytes)
"""
    in_child(f"import int8rt; int8rt.load({str(path)!r})", 0)  # compiles what is missing
    taken, arena = map(int, in_child(code, 0).split())
    assert taken <= most * (Path(path).stat().st_size + arena), (taken, Path(path).stat().st_size, arena)
