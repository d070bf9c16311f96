"""Graphs of any size, each of one kind that planning could take too long over, and control flow of any depth.

``SHAPES`` maps a name to a function of how many nodes there are, roughly; it gives the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from writer import NONE, Graph, Op, T, network

WIDTH = 4  # elements of a tensor, where nothing else is said


def _row(size: int = WIDTH) -> T:
    return T(np.int8, (1, size), 0.5, -3)


def _relu(x: T) -> tuple[T, Op]:
    y = T(x.dtype, x.shape, x.scale, x.zero_point)
    return y, Op("RELU", [x], [y])


def _add(a: T, b: T) -> tuple[T, Op]:
    y = T(a.dtype, a.shape, a.scale, a.zero_point)
    return y, Op("ADD", [a, b], [y], fused_activation_function=NONE)


def _concatenation(parts: list[T]) -> tuple[T, Op]:
    y = _row(sum(t.shape[1] for t in parts))
    return y, Op("CONCATENATION", parts, [y], axis=1)


def _all(nodes: list[Op], x: T, outputs: list[T]) -> bytes:
    return network(nodes, [x], outputs)


def chain(n: int) -> bytes:
    """Each node reads what the one before it wrote."""
    x = t = _row()
    nodes = []
    for i in range(n):
        t, node = _add(t, x) if i % 2 else _relu(t)
        nodes.append(node)
    return _all(nodes, x, [t])


def in_place(n: int) -> bytes:
    """Each result may take over the memory of the one before it."""
    x = t = _row()
    nodes = []
    for _ in range(n):
        t, node = _relu(t)
        nodes.append(node)
    return _all(nodes, x, [t])


def outputs(n: int) -> bytes:
    """Every result lives to the end."""
    x = _row()
    made = [_relu(x) for _ in range(n)]
    return _all([node for _, node in made], x, [t for t, _ in made])


def living(n: int) -> bytes:
    """Results of many sizes that all live until a sum of each with its mirror image."""
    x = _row()
    made = [_add(x, x) for _ in range(n // 2)]
    nodes = [node for _, node in made]
    total = made[0][0]
    for t, _ in reversed(made):
        total, node = _add(total, t)
        nodes.append(node)
    return _all(nodes, x, [total])


def concatenation(n: int) -> bytes:
    """All results side by side."""
    x = _row()
    made = [_relu(x) for _ in range(n)]
    y, node = _concatenation([t for t, _ in made])
    return _all([*(node for _, node in made), node], x, [y])


def concatenation_tree(n: int) -> bytes:
    """Results side by side by pairs, pairs of pairs and so on."""
    x = _row()
    made = [_relu(x) for _ in range(max(n // 2, 2))]
    nodes, level = [node for _, node in made], [t for t, _ in made]
    while len(level) > 1:
        pairs = [_concatenation(level[i : i + 2]) for i in range(0, len(level), 2)]
        nodes += [node for _, node in pairs]
        level = [t for t, _ in pairs]
    return _all(nodes, x, level)


def split(n: int) -> bytes:
    """A tensor in parts, each by itself, and together again."""
    x = _row(WIDTH * n)
    parts = [_row() for _ in range(n)]
    axis = T(np.int32, (), data=np.int32(1))
    made = [_relu(t) for t in parts]
    y, last = _concatenation([t for t, _ in made])
    return _all([Op("SPLIT", [axis, x], parts, num_splits=n), *(node for _, node in made), last], x, [y])


def unpack_and_pack(n: int) -> bytes:
    """Rows of a tensor, each by itself, and together again."""
    x, y = T(np.int8, (n, WIDTH), 0.5, -3), T(np.int8, (n, WIDTH), 0.5, -3)
    rows = [T(np.int8, (WIDTH,), 0.5, -3) for _ in range(n)]
    made = [_relu(t) for t in rows]
    pack = Op("PACK", [t for t, _ in made], [y], values_count=n, axis=0)
    return _all([Op("UNPACK", [x], rows, num=n, axis=0), *(node for _, node in made), pack], x, [y])


def views(n: int) -> bytes:
    """RESHAPE of RESHAPE, from beginning to end."""
    x = t = _row()
    shapes = [T(np.int32, (len(s),), data=np.array(s, np.int32)) for s in ((2, WIDTH // 2), (1, WIDTH))]
    nodes = []
    for i in range(n):
        y = T(np.int8, tuple(shapes[i % 2].data), 0.5, -3)
        nodes.append(Op("RESHAPE", [t, shapes[i % 2]], [y]))
        t = y
    y, node = _relu(t)
    return _all([*nodes, node], x, [y])


def readers(n: int) -> bytes:
    """One tensor that all nodes read, two by two."""
    x = total = _row()
    nodes = []
    for _ in range(n // 2):
        t, first = _relu(x)
        total, second = _add(total, t)
        nodes += [first, second]
    return _all(nodes, x, [total])


def constants(n: int) -> bytes:
    """Each node has a constant of its own."""
    x = t = _row()
    nodes = []
    for i in range(n):
        c = T(np.int8, (1, WIDTH), 0.5, -3, data=np.full((1, WIDTH), i % 5, np.int8))
        t, node = _add(t, c)
        nodes.append(node)
    return _all(nodes, x, [t])


def sum_of_many(n: int) -> bytes:
    """One node of many inputs."""
    x, y = T(np.float32, (1, WIDTH)), T(np.float32, (1, WIDTH))
    made = [_relu(x) for _ in range(n)]
    return _all([*(node for _, node in made), Op("ADD_N", [t for t, _ in made], [y])], x, [y])


def inputs(n: int) -> bytes:
    """As many inputs as nodes."""
    xs = [_row() for _ in range(n)]
    total, nodes = xs[0], []
    for x in xs[1:]:
        total, node = _add(total, x)
        nodes.append(node)
    return network(nodes, xs, [total])


def products(n: int) -> bytes:
    """Small FULLY_CONNECTED in a row, of the same weights."""
    x = t = _row()
    w = T(np.int8, (WIDTH, WIDTH), 0.1, 0, data=np.eye(WIDTH, dtype=np.int8) * 10)
    nodes = []
    for _ in range(n):
        y = _row()
        nodes.append(Op("FULLY_CONNECTED", [t, w, None], [y]))
        t = y
    return _all(nodes, x, [t])


def mixture(n: int) -> bytes:
    """Blocks of the above: parts of a tensor, sums that reach far back, and together again."""
    x = t = _row(WIDTH * 10)
    axis = T(np.int32, (), data=np.int32(1))
    nodes, old = [], []
    for _ in range(n // 32):
        parts = [_row() for _ in range(10)]
        made = [_relu(p) for p in parts]
        more = [_add(a, b) for a, (b, _) in zip(parts, made, strict=True)]
        y, last = _concatenation([p for p, _ in more])
        t2, add = _add(y, old[-7] if len(old) > 7 else x)
        nodes += [Op("SPLIT", [axis, t], parts, num_splits=10), *(o for _, o in made), *(o for _, o in more), last, add]
        t = t2
        old.append(t)
    return _all(nodes, x, [t])


def subgraphs(n: int) -> bytes:
    """As many subgraphs as nodes, one run once after the other; each is empty of nodes."""
    x = _row()
    y, node = _relu(x)
    calls = [Op("CALL_ONCE", [], [], init_subgraph_index=i + 1) for i in range(n)]
    return network([*calls, node], [x], [y], subgraphs=[Graph([], [], [], name=f"s{i}") for i in range(n)])


SHAPES: Mapping[str, Callable[[int], bytes]] = {
    f.__name__: f
    for f in (
        chain, in_place, outputs, living, concatenation, concatenation_tree, split, unpack_and_pack, views, readers,
        constants, sum_of_many, inputs, products, mixture, subgraphs,
    )
}  # fmt: skip
