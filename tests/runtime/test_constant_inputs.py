"""A graph input for which the file has values too: it is what the caller gives, everywhere."""

import threading

import numpy as np
import pytest
from engines import check, run_litert, run_program, run_reference
from writer import SAME, Graph, Op, T, network

import int8rt

rng = np.random.default_rng(0)


def convolution(is_input):
    x, y = T(np.int8, (1, 5, 5, 4), 0.1, 3), T(np.int8, (1, 5, 5, 8), 0.2, -5)
    w = T(np.int8, (8, 3, 3, 4), 0.05, 0, data=rng.integers(-100, 100, (8, 3, 3, 4)).astype(np.int8))
    node = Op("CONV_2D", [x, w, None], [y], padding=SAME, stride_h=1, stride_w=1)
    return network([node], [x, w] if is_input else [x], [y]), w.data


def test_weights_that_the_caller_gives_are_used():
    content, held = convolution(True)
    x = rng.integers(-128, 128, (1, 5, 5, 4)).astype(np.int8)
    w = rng.integers(-100, 100, held.shape).astype(np.int8)
    (ours,), (reference,) = run_program(content, x, w), run_reference(content, x, w)
    np.testing.assert_array_equal(ours, reference)
    (fixed,) = run_program(convolution(False)[0], x)
    assert (ours != fixed).any()


@pytest.mark.needs("litert")
def test_litert_uses_them_too():
    a, b, y = T(np.float32, (4,)), T(np.float32, (4,), data=np.ones(4, np.float32)), T(np.float32, (4,))
    content = network([Op("ADD", [a, b], [y])], [a, b], [y])
    values = [np.arange(4, dtype=np.float32), np.full(4, 7, np.float32)]
    (expected,) = run_litert(content, *values)
    np.testing.assert_array_equal(expected, values[0] + values[1])
    check(content, *values)


def test_threads_do_not_see_one_another():
    a, b, y = T(np.float32, (4096,)), T(np.float32, (4096,), data=np.ones(4096, np.float32)), T(np.float32, (4096,))
    model = int8rt.load(network([Op("ADD", [a, b], [y])], [a, b], [y]))
    wrong = []

    def run(value):
        given = np.full(4096, value, np.float32)
        for _ in range(300):
            wrong.extend(set(model(given, given).tolist()) - {2.0 * value})

    threads = [threading.Thread(target=run, args=(float(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_input_of_a_subgraph_is_what_it_is_called_with():
    c, x, y = T(np.bool_, (1,)), T(np.float32, (3,)), T(np.float32, (3,))
    p, q = T(np.float32, (3,), data=np.ones(3, np.float32)), T(np.float32, (3,))
    r, s = T(np.float32, (3,)), T(np.float32, (3,))
    branches = [Graph([Op("NEG", [p], [q])], [p], [q]), Graph([Op("ABS", [r], [s])], [r], [s])]
    node = Op("IF", [c, x], [y], then_subgraph_index=1, else_subgraph_index=2)
    content = network([node], [c, x], [y], subgraphs=branches)
    value = np.array([1, -2, 3], np.float32)
    for run in (run_program, run_reference):
        np.testing.assert_array_equal(run(content, np.array([True]), value)[0], -value)
