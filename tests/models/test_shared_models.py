"""Models made by others, and those of models/: every byte as LiteRT's BUILTIN_REF has it.

Outputs on 20 seeded inputs in one sequence, so that state counts, and every intermediate tensor on 3; by default on 3
and 1, since LiteRT's reference kernels take long. The folder of others' models is beside the repository,
../shared/models, or where INT8RT_SHARED_MODELS says.
"""

import numpy as np
import pytest
from engines import REFERENCE, same, shared
from paths import MODELS, SHARED_MODELS

import int8rt
from int8rt.format import reader
from int8rt.runtime.model import Model, random_inputs
from int8rt.tools import litert
from int8rt.tools.compare import compare

pytestmark = pytest.mark.needs("litert")

FILES = {
    str(path.relative_to(folder)): path
    for folder in (MODELS, SHARED_MODELS)
    for path in sorted(folder.rglob("*.tflite"))
}
FORMS = ("float32", "dynamic_range", "int8", "uint8", "int16x8")


def inputs_of(path, runs):
    """Random inputs; where one is the output shape of a TRANSPOSE_CONV, what the file declares for that output."""
    graph = reader.read(path).main
    shapes = {n.inputs[0]: np.array(n.outputs[0].shape, np.int32) for n in graph.nodes if n.op == "TRANSPOSE_CONV"}
    return [
        [shapes.get(t, x) for t, x in zip(graph.inputs, random_inputs(graph, seed), strict=True)]
        for seed in range(runs)
    ]


@pytest.mark.needs("models")
def test_the_folder_of_shared_models_is_there():
    assert {f"digits_{net}_{form}.tflite" for net in ("conv", "residual") for form in FORMS} <= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_outputs_are_litert_s(name, pytestconfig):
    path = FILES[name]
    net = int8rt.load(path)
    steps = inputs_of(path, 20 if pytestconfig.option.exhaustive else 3)
    for step, expected in zip(steps, litert.run_steps(path, steps), strict=True):
        found = net(*step)
        same("LiteRT", expected, found if isinstance(found, tuple) else [found])


@pytest.mark.parametrize("name", FILES)
def test_every_tensor_is_litert_s(name, pytestconfig):
    path = FILES[name]
    net = int8rt.load(path)
    result = compare(path, inputs_of(path, 3 if pytestconfig.option.exhaustive else 1))
    assert result.equal, "\n".join(map(str, result.origins))
    outputs = {t.index for node in net.graph.main.nodes for t in node.outputs if t.dtype != object}  # no handles
    assert result.tensors == len(outputs)
    assert result.not_compared == []


@pytest.mark.parametrize("name", FILES)
def test_a_batch_and_two_threads_change_nothing(name):
    path = FILES[name]
    one, two = int8rt.load(path), Model(reader.read(path), REFERENCE, shared(2))
    steps = inputs_of(path, 3)
    if not all(port.shape for port in one.inputs):
        pytest.skip("an input has no axis for a batch")
    batch = [np.concatenate(arrays) for arrays in zip(*steps, strict=True)]
    expected = [one(*step) for step in steps]
    for net in (one, two):
        net.reset()
        found = net(*batch)
        for i, y in enumerate(found if isinstance(found, tuple) else [found]):
            singles = [e[i] if isinstance(e, tuple) else e for e in expected]
            np.testing.assert_array_equal(y, np.stack(singles) if not singles[0].ndim else np.concatenate(singles))
