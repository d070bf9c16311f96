"""LiteRT in another process: what it answers, and that nothing it does harms this process."""

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from paths import ROOT
from writer import Graph, Op, T, model, network

from int8rt.errors import Error, InputError
from int8rt.tools import litert

pytestmark = pytest.mark.needs("litert")


@pytest.fixture(scope="module")
def server():
    with litert.LiteRT() as server:
        yield server


def doubled_plus_one():
    """Return a network y = 2 x + 1 on int32 [3], whose tensor 1 is 2 x."""
    x, h, y = T(np.int32, (3,), name="x"), T(np.int32, (3,), name="h"), T(np.int32, (3,), name="y")
    nodes = [Op("ADD", [x, x], [h]), Op("ADD", [h, T(np.int32, (1,), data=[1])], [y])]
    return network(nodes, [x], [y], tensors=[x, h, y])


def delay():
    """Return a network y[t] = x[t] + x[t - 1], with the last x in a variable tensor."""
    x, y = T(np.float32, (1, 1)), T(np.float32, (1, 1))
    feature, time = T(np.float32, (1, 1), data=[1]), T(np.float32, (1, 2), data=[1, 1])
    state = T(np.float32, (1, 2), is_variable=True)
    return model("SVDF", [x, feature, time, None, state], [y], rank=1)


def aborting():
    """Return a SOFTMAX whose sum of exponentials does not fit BUILTIN_REF's 12 integer bits: it aborts."""
    return model("SOFTMAX", [T(np.int8, (1, 1000), 1e-4)], [T(np.int8, (1, 1000), 1 / 256, -128)], beta=1.0)


def endless():
    """Return a WHILE that adds 0 until its value reaches 1."""
    x, y, i, j, k = (T(np.int32, (1,)) for _ in range(5))
    less = T(bool, (1,))
    condition = Graph([Op("LESS", [i, T(np.int32, (1,), data=[1])], [less])], [i], [less])
    body = Graph([Op("ADD", [j, T(np.int32, (1,), data=[0])], [k])], [j], [k])
    loop = Op("WHILE", [x], [y], cond_subgraph_index=1, body_subgraph_index=2)
    return network([loop], [x], [y], subgraphs=[condition, body])


X = np.array([1, 2, 3], np.int32)


@pytest.mark.parametrize("resolver", litert.RESOLVERS)
def test_outputs(server, resolver):
    (y,) = server.run(doubled_plus_one(), [X], resolver=resolver)
    assert y.dtype == np.int32
    assert y.tolist() == [3, 5, 7]


@pytest.mark.parametrize("inputs", [X, (X,), {"x": X}, {0: X}], ids=["array", "tuple", "name", "index"])
def test_ways_to_give_inputs(server, inputs):
    assert server.run(doubled_plus_one(), inputs)[0].tolist() == [3, 5, 7]


def test_ways_to_give_the_model(server, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(doubled_plus_one())
    for source in (path, str(path), memoryview(path.read_bytes()), bytearray(path.read_bytes())):
        assert server.run(source, X)[0].tolist() == [3, 5, 7]


def test_all_tensors(server):
    tensors = server.run(doubled_plus_one(), X, tensors="all")
    assert {index: array.tolist() for index, array in tensors.items()} == {
        0: [1, 2, 3],
        1: [2, 4, 6],
        2: [3, 5, 7],
        3: [1],
    }


def test_steps_keep_state(server):
    steps = [[np.array([[value]], np.float32)] for value in (1, 10, 100)]
    outputs = [y.item() for (y,) in server.run_steps(delay(), steps)]
    assert outputs == [1, 11, 110]


def test_runs_do_not_share_state(server):
    one = np.ones((1, 1), np.float32)
    assert [server.run(delay(), one)[0].item() for _ in range(2)] == [1, 1]


@pytest.mark.parametrize("resize", [[(2, 3)], {"x": (2, 3)}, {0: (2, 3)}], ids=["list", "name", "index"])
def test_resize(server, resize):
    (y,) = server.run(doubled_plus_one(), np.stack([X, X]), resize=resize)
    assert y.tolist() == [[3, 5, 7]] * 2


def test_details_are_litert_s_own(server):
    details = server.details(doubled_plus_one())
    assert [d["name"] for d in details["inputs"]] == ["x"]
    assert [d["name"] for d in details["outputs"]] == ["y"]
    assert [d["index"] for d in details["tensors"]] == [0, 1, 2, 3]
    detail = details["inputs"][0]
    assert list(detail) == [
        "name",
        "index",
        "shape",
        "shape_signature",
        "dtype",
        "quantization",
        "quantization_parameters",
        "sparsity_parameters",
    ]
    assert detail["shape"].tolist() == [3]
    assert detail["dtype"] is np.int32
    assert details["signatures"] == {}


def test_time(server):
    seconds = server.time(doubled_plus_one(), X, repeat=5)
    assert len(seconds) == 5
    assert all(0 < s < 1 for s in seconds)


def test_stopwatch():
    with litert.Stopwatch() as watch:
        with pytest.raises(InputError, match="no model is open"):
            watch.burst(0)
        for resolver in litert.RESOLVERS:
            watch.open(doubled_plus_one(), X, resolver=resolver, threads=2)
            times = watch.burst(0) + watch.burst(0.01)
            assert len(times) > 2
            assert all(0 < invoke < whole < 1 for whole, invoke in times)
        with pytest.raises(InputError, match="2 inputs given, but the model has 1"):
            watch.open(doubled_plus_one(), [X, X])
        with pytest.raises(InputError, match="no model is open"):
            watch.burst(0)


def test_stopwatch_after_a_crash():
    with litert.Stopwatch() as watch:
        watch.open(aborting(), np.zeros((1, 1000), np.int8))
        with pytest.raises(litert.LiteRTCrash, match=r"signal 6 \(Aborted\)"):
            watch.burst(0)
        watch.open(doubled_plus_one(), X)
        assert watch.burst(0)


def test_version(server):
    assert server.version.count(".") == 2


# What goes wrong.


def test_crash_is_an_error_of_one_request(server):
    x = np.zeros((1, 1000), np.int8)
    with pytest.raises(litert.LiteRTCrash, match=r"signal 6 \(Aborted\)"):
        server.run(aborting(), x)
    assert server.run(aborting(), x, resolver="builtin")[0].shape == (1, 1000)


def test_timeout_kills_the_request():
    with litert.LiteRT() as server:
        server.run(doubled_plus_one(), X)
        server.timeout = 0.5
        with pytest.raises(litert.LiteRTTimeout, match=r"within 0\.5 s"):
            server.run(endless(), np.zeros(1, np.int32))
        server.timeout = 60
        assert server.run(doubled_plus_one(), X)[0].tolist() == [3, 5, 7]


def test_litert_s_complaints_are_passed_on(server):
    with pytest.raises(litert.LiteRTError, match="Dimension mismatch"):
        server.run(doubled_plus_one(), X[:2])
    with pytest.raises(litert.LiteRTError, match="FLOAT32"):
        server.run(doubled_plus_one(), X.astype(np.float32))
    with pytest.raises(litert.LiteRTError, match="Mine"):
        server.run(model("CUSTOM", [T(np.int8, (1,))], [T(np.int8, (1,))], custom_code="Mine"), np.zeros(1, np.int8))
    with pytest.raises(litert.LiteRTError, match=r"absent\.tflite"):
        server.run("absent.tflite", X)
    with pytest.raises(litert.LiteRTError, match="ValueError"):
        server.run(b"no model", X)


def test_inputs_that_do_not_fit_are_the_caller_s_fault(server):
    with pytest.raises(InputError, match="2 inputs given, but the model has 1"):
        server.run(doubled_plus_one(), [X, X])
    with pytest.raises(InputError, match=r"no input 'q'; it has \['x'\]"):
        server.run(doubled_plus_one(), {"q": X})
    with pytest.raises(InputError, match="resolver is 'fast'"):
        server.run(doubled_plus_one(), X, resolver="fast")
    with pytest.raises(InputError, match="tensors is 'some'"):
        server.run(doubled_plus_one(), X, tensors="some")


def test_missing_package_is_said(tmp_path, monkeypatch):
    (tmp_path / "ai_edge_litert").mkdir()
    (tmp_path / "ai_edge_litert" / "__init__.py").write_text("raise ImportError('not here')")
    monkeypatch.syspath_prepend(tmp_path)
    with (
        litert.LiteRT() as server,
        pytest.raises(litert.LiteRTMissing, match=r"pip install int8rt\[compare\]") as raised,
    ):
        server.run(doubled_plus_one(), X)
    assert isinstance(raised.value, ImportError)
    assert isinstance(raised.value, Error)


@pytest.mark.skipif(os.name != "posix", reason="signals by number")
def test_server_that_was_killed_is_started_again(server):
    server.run(doubled_plus_one(), X)
    os.kill(server._process.pid, signal.SIGKILL)
    server._process.wait()
    assert server.run(doubled_plus_one(), X)[0].tolist() == [3, 5, 7]


def test_close_ends_the_process_and_a_later_request_starts_another():
    server = litert.LiteRT()
    server.run(doubled_plus_one(), X)
    process = server._process
    server.close()
    assert process.returncode is not None
    assert server.run(doubled_plus_one(), X)[0].tolist() == [3, 5, 7]
    server.close()


def test_threads_share_a_server(server):
    results = {}

    def work(value):
        for _ in range(5):
            results[value] = server.run(doubled_plus_one(), X * value)[0].tolist()

    threads = [threading.Thread(target=work, args=[value]) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {value: [2 * value + 1, 4 * value + 1, 6 * value + 1] for value in range(4)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_fork_of_this_process_starts_its_own_server(server):
    server.run(doubled_plus_one(), X)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            before = server._process.pid
            y = server.run(doubled_plus_one(), X)[0].tolist()
            status = 0 if y == [3, 5, 7] and server._process.pid != before else 2
            server.close()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert server.run(doubled_plus_one(), X)[0].tolist() == [3, 5, 7]


def test_module_functions_share_one_server():
    assert litert.run(doubled_plus_one(), X)[0].tolist() == [3, 5, 7]
    assert litert.run_steps(delay(), [np.ones((1, 1), np.float32)] * 2)[1][0].item() == 2
    assert litert.details(doubled_plus_one())["outputs"][0]["name"] == "y"
    assert len(litert.time(doubled_plus_one(), X, repeat=2)) == 2
    assert litert.version() == litert.shared().version


def test_import_is_light_and_exit_is_clean(tmp_path):
    """Importing loads neither LiteRT nor Numba here; a server that was never closed leaves no message at exit."""
    (tmp_path / "model.tflite").write_bytes(doubled_plus_one())
    code = (
        "import sys, numpy as np; from int8rt.tools import litert;"
        "print(sorted({'ai_edge_litert', 'numba'} & set(sys.modules)), flush=True);"
        "litert.run(sys.argv[1], np.zeros(3, np.int32))"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path / "model.tflite")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "[]\n", "")
