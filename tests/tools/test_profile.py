"""The profile names every call in order and gives times that make sense."""

import numpy as np
from writer import Op, T, network

import int8rt
from int8rt.tools.profile import profile


def two_sizes():
    """The same convolution on a small and on a large image."""
    w = T(np.int8, (8, 1, 1, 8), np.full(8, 0.01), data=np.ones((8, 1, 1, 8)))
    small, large, y, z = (T(np.int8, (1, n, n, 8), 0.1, 0) for n in (2, 64, 2, 64))
    nodes = [Op("CONV_2D", [s, w, None], [t], stride_h=1, stride_w=1) for s, t in ((small, y), (large, z))]
    return network(nodes, [small, large], [y, z])


def test_profile():
    net = int8rt.load(two_sizes())
    inputs = [np.ones(p.shape, np.int8) for p in net.inputs]
    expected = net(*inputs)
    rows = profile(net, inputs, repeat=3)
    assert {(row.op, row.node) for row in rows} == {("CONV_2D", 0), ("CONV_2D", 1)}
    assert [row.node for row in rows] == sorted(row.node for row in rows)
    assert all(0 < row.seconds < 1 and row.work > 0 and row.kernel for row in rows)
    by_node = [sum(row.seconds for row in rows if row.node == node) for node in (0, 1)]
    assert by_node[1] > 5 * by_node[0]
    for a, b in zip(net(*inputs), expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_kernels_have_whole_names():
    """Also those that a kernel factory makes of a function."""
    x, y, z, out = (T(np.float32, (1, 64)) for _ in range(4))
    nodes = [Op("GELU", [x], [y], approximate=True), Op("EXP", [y], [z]), Op("ADD", [z, x], [out])]
    net = int8rt.load(network(nodes, [x], [out]))
    kernels = [row.kernel for row in profile(net, [np.ones((1, 64), np.float32)], repeat=1)]
    assert kernels == ["map_values[gelu_approximate]", "map_values[exp]", "elementwise[plain_sum]"]
