"""infer: what holds of every operator's nodes."""

import re
from dataclasses import replace

import numpy as np
import pytest
from conformance_cases import cases
from sequences import handle
from writer import Op, T, network

from int8rt.errors import Error, InconsistentNode, ModelError
from int8rt.format import reader
from int8rt.numerics.rules import NUMERICS
from int8rt.plan import program
from int8rt.plan.infer import infer
from int8rt.runtime.evaluator import reference

UNARY = ["ABS", "COS", "EXP", "LEAKY_RELU", "LOGICAL_NOT", "LOGISTIC", "RELU", "SQRT"]


def test_nothing_is_computed_of_empty_outputs():
    """The evaluator found indices out of range for what no kernel has to look up."""
    x, i, y = T(np.float32, (4, 0)), T(np.int32, (2,)), T(np.float32, (2, 0))
    content = network([Op("GATHER", [x, i], [y], axis=0)], [x, i], [y])
    graph = reader.read(content).main
    found = reference(graph, np.zeros((4, 0), np.float32), np.array([99, -5], np.int32))
    assert found[graph.outputs[0].index].shape == (2, 0)


def test_what_a_reference_gives_that_is_no_array_of_the_output_is_an_error_of_ours():
    """RESHAPE of a handle, whose value is a name."""
    h, y = handle(), T(np.float32, (3,))
    nodes = [Op("VAR_HANDLE", [], [h], container="", shared_name="v"), Op("RESHAPE", [h], [y], new_shape=[3])]
    content = network(nodes, [], [y])
    graph = reader.read(content).main
    with pytest.raises((InconsistentNode, ModelError)):
        infer(graph.nodes, {})


@pytest.mark.parametrize("op", UNARY)
def test_what_is_refused_of_inputs_is_refused_of_constants(op):
    """References are not asked which types there are: EXP of quantized bytes was that of the stored numbers."""
    refused = 0
    for case in cases([op]):
        graph = reader.read(case.model).main
        values = [np.asarray(x, t.dtype).reshape(t.shape) for t, x in zip(graph.inputs, case.steps[0], strict=True)]
        known = {t: replace(t, data=x) for t, x in zip(graph.inputs, values, strict=True)}
        try:
            program.build(graph, NUMERICS["reference"])
        except Error as error:
            refused += 1
            with pytest.raises(type(error), match=re.escape(str(error)[-40:])):
                infer(graph.nodes, known)
        else:
            infer(graph.nodes, known)
    assert refused
