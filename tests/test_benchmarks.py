"""The benchmarks run and say what they measured; how long anything takes is not asserted."""

import json
import math

import numpy as np
import pytest
from writer import Op, T, network

import int8rt
from benchmarks import contest, kernels, machine, models, neighbours, networks, start, tables
from int8rt.format import reader
from int8rt.runtime.model import random_inputs
from int8rt.tools import litert

needs_litert = pytest.mark.needs("litert")


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(contest, "BURST", 0.002)
    monkeypatch.setattr(machine, "PEAK_SECONDS", 0.001)


@pytest.fixture
def small(tmp_path):
    """A convolution of 8 x 8 x 4 values, 1 x 1 to 8 channels: 2048 products."""
    builder = networks.Builder(1, 8, 8, 4)
    path = tmp_path / "small.tflite"
    path.write_bytes(builder.file(builder.conv(builder.image, 8)))
    return path


# Networks

MACS = {  # as published, rounded; of ResNet-50 v1.5 with its larger 3x3 convolutions
    "random_mobilenet_v1_1.0_224": 569e6,
    "random_mobilenet_v2_1.0_224": 300e6,
    "random_mobilenet_v3_small_224": 56e6,
    "random_efficientnet_lite0_224": 385e6,
    "random_resnet_50_224": 4.1e9,
}


@pytest.mark.parametrize("name", MACS)
def test_networks_have_the_size_of_their_originals(name):
    graph = reader.read(networks.path(name)).main
    assert contest.macs(graph) == pytest.approx(MACS[name], rel=0.04)
    assert contest.group(graph) == "int8 vision"


@pytest.mark.parametrize("name", ["random_mobilenet_v3_small_224", "random_ds_cnn_l_kws"])
def test_activations_of_networks_are_spread(name):
    model = int8rt.load(networks.path(name))
    trace = model.trace(*random_inputs(model.graph.main, seed=1))
    for key, value in trace.items():
        if value.size >= 4096:
            assert len(np.unique(value)) > 60, key
            assert (value == 127).mean() < 0.3, key


def test_networks_are_the_same_every_time():
    assert networks.ds_cnn_l() == networks.ds_cnn_l()


def test_every_kernel_has_a_model():
    for name, build in kernels.KERNELS.items():
        graph = reader.read(build()).main
        assert graph.nodes, name


# Counting


def test_macs_and_group():
    x, w = T(np.int8, (1, 6, 6, 2), 0.1), T(np.int8, (4, 3, 3, 2), np.full(4, 0.1), data=np.ones((4, 3, 3, 2)))
    y, z = T(np.int8, (1, 4, 4, 4), 0.1), T(np.int8, (1, 2, 2, 4), 0.1)
    d = T(np.int8, (1, 3, 3, 4), np.full(4, 0.1), data=np.ones((1, 3, 3, 4)), axis=3)
    flat, units = T(np.int8, (1, 16), 0.1), T(np.int8, (1, 5), 0.1)
    nodes = [
        Op("CONV_2D", [x, w, None], [y], padding=1, stride_h=1, stride_w=1),
        Op("DEPTHWISE_CONV_2D", [y, d, None], [z], padding=1, stride_h=1, stride_w=1, depth_multiplier=1),
        Op("RESHAPE", [z, T(np.int32, (2,), data=[1, 16])], [flat]),
        Op("FULLY_CONNECTED", [flat, T(np.int8, (5, 16), 0.1, data=np.ones((5, 16))), None], [units]),
    ]
    graph = reader.read(network(nodes, [x], [units])).main
    assert contest.macs(graph) == 16 * 4 * 18 + 4 * 4 * 9 + 5 * 16
    assert contest.group(graph) == "other"


def test_geometric_mean():
    assert contest.geometric_mean([1, 4]) == pytest.approx(2)
    assert math.isnan(contest.geometric_mean([]))


def test_means():
    def row(name, xnnpack, builtin):
        return {
            "name": name,
            "group": "int8 vision",
            "threads": 1,
            "ratio": {"xnnpack": {"run": xnnpack}, "builtin": {"run": builtin}},
        }

    rows = [row("a", 1.0, 9.0), row("vww_96_int8", 4.0, 9.0), row("refused", 16.0, 16.0), {"name": "b", "error": "no"}]
    found = tables.means(rows)
    assert set(found) == {"int8 vision, threads: 1 (3 models)", "MLPerf Tiny, threads: 1 (1 models)"}
    values = found["int8 vision, threads: 1 (3 models)"]
    assert values == pytest.approx({"mean": 4.0, "at work": 2.0, "median": 4.0, "least": 1.0})


def test_peak_and_machine():
    assert machine.peak() > 1e8
    described = machine.describe()
    assert described["cpu"]
    assert described["numba"]


# Contests


@needs_litert
def test_contest(small):
    with contest.Others() as others:
        row = contest.contest("small", small, 1, 0.01, others)
        two = contest.contest("small", small, 2, 0.01, others, profiled=False)
    assert row["macs"] == 2048
    assert {"int8rt", *litert.RESOLVERS} <= set(row["seconds"])
    for who, found in row["seconds"].items():
        for kind in ("run", "invoke"):
            assert found[kind]["runs"] > 0, who
            assert 0 < found[kind]["min"] <= found[kind]["p10"] <= found[kind]["median"], who
    assert row["ratio"]["xnnpack"]["run"] == pytest.approx(
        row["seconds"]["xnnpack"]["run"]["p10"] / row["seconds"]["int8rt"]["run"]["p10"]
    )
    assert row["operators"] == {"CONV_2D": 1.0}
    assert "reference" not in two["seconds"]
    text = "\n".join(tables.text([row, two]))
    assert "small" in text
    assert "CONV_2D 100%" in text
    markdown = tables.markdown([row, two])
    assert "× XNNPACK, 2 threads" in markdown
    assert "| small | 0.0 |" in markdown
    assert tables.means([row, two]) == {}


def test_a_model_that_cannot_run_is_a_row_with_the_reason(tmp_path):
    path = tmp_path / "unknown.tflite"
    path.write_bytes(
        network([Op("CUSTOM", [x := T(np.int8, (1,))], [y := T(np.int8, (1,))], custom_code="Mine")], [x], [y])
    )
    with contest.Others(resolvers=()) as others:
        row = contest.contest("unknown", path, 1, 0.01, others)
    assert "Mine" in row["error"]
    assert "unknown" in "\n".join(tables.text([row]))
    assert tables.brief(row).startswith("unknown: ")


def test_worker_has_variables_of_its_own(small):
    worker = contest.Worker(contest.Ours, {"INT8RT_CACHE_DIR": str(small.parent / "cache")})
    try:
        worker.open(small, 1)
        times = worker.burst(0.001)
    finally:
        worker.close()
    assert times.run
    assert times.invoke
    assert list((small.parent / "cache").rglob("*.o"))


def test_restricted_features_leave_avx2():
    features = contest.restricted("avx2")["NUMBA_CPU_FEATURES"]
    assert "+avx512" not in features
    assert "+avxvnni" not in features


# Command lines


@needs_litert
def test_models(small, tmp_path, monkeypatch, capsys):
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- benchmarks -->\nold\n<!-- /benchmarks -->\nafter\n")
    monkeypatch.setattr(models, "found", lambda: {"small": lambda: small})
    monkeypatch.setattr(models, "README", readme)
    out = tmp_path / "out.json"
    models.main(["mall", "--threads", "1", "--seconds", "0.01", "--json", str(out), "--memory", "--readme"])
    printed = capsys.readouterr().out
    assert "peak memory of small" in printed
    content = json.loads(out.read_text())
    assert content["machine"]["peak_gmacs"] > 0
    (row,) = content["rows"]
    assert row["memory"]["int8rt"] > 1e7
    assert row["memory"]["litert"] > 1e7
    text = readme.read_text()
    assert text.startswith("before\n<!-- benchmarks -->\nOn ")
    assert text.endswith("<!-- /benchmarks -->\nafter\n")
    assert "old" not in text
    with pytest.raises(SystemExit, match="no model is called nothing; there are: small"):
        models.main(["nothing"])


def test_readme_has_a_place_for_the_table():
    content = (networks.benchmarks.ROOT / "README.md").read_text()
    assert all(content.count(marker) == 1 for marker in tables.MARKERS)


@needs_litert
def test_kernels(capsys):
    kernels.main(["softmax 1000", "--seconds", "0.01"])
    assert "softmax 1000" in capsys.readouterr().out


@needs_litert
@pytest.mark.parametrize("first", [0, 1])
def test_start(small, tmp_path, capsys, first):
    out = tmp_path / "out.json"
    start.main([str(small), "--repeat", "1", "--first", str(first), "--json", str(out)])
    printed = capsys.readouterr().out
    assert ("first run" in printed) == bool(first)
    assert "peak memory" in printed
    starts = json.loads(out.read_text())["starts"]
    assert set(starts) == {*["int8rt, first run"][:first], "int8rt, warm start", "LiteRT (XNNPACK)"}
    for (found,) in starts.values():
        assert found["total"] == pytest.approx(sum(found[part] for part in start.PARTS[:-1]))


# Neighbours


@needs_litert
def test_models_beside_busy_processes(small, monkeypatch):
    monkeypatch.setattr(neighbours, "TURN", 0.01)
    row = neighbours.measure("small", small, 1, 0.02)
    assert set(row["mean"]) == {f"{who} {threads}" for who in ("int8rt", "xnnpack", "batch") for threads in (1, 2)}
    assert all(0 < row["mean"][who] < 10 for who in row["mean"])
    assert "small" in neighbours.text([row])[-1]


def test_busy_processes_end():
    with neighbours.busy(2) as processes:
        assert [p.poll() for p in processes] == [None, None]
    assert all(p.poll() is not None for p in processes)
