"""infer: what holds of every operator's nodes."""

import numpy as np
import pytest
from sequences import handle
from writer import Op, T, network

from int8rt.errors import InconsistentNode, ModelError
from int8rt.format import reader
from int8rt.plan.infer import infer
from int8rt.runtime.evaluator import reference


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
