"""What the tests of operators with state share: sequences of runs, and the tensors of LSTM cells.

check_steps(model, [[x], [x], ...])    program, reference and BUILTIN_REF agree at every step, and after a reset
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from engines import REFERENCE, same, shared
from writer import T, model

from int8rt import ops
from int8rt.format import reader
from int8rt.graph import Tensor
from int8rt.plan.infer import located
from int8rt.runtime.model import Model
from int8rt.tools import litert

Compare = Callable[[str, Sequence[np.ndarray], Sequence[np.ndarray]], None]
FUNCTION_TANH = 4


def check_steps(
    content: bytes, steps: Sequence[Sequence[np.ndarray]], compare: Compare = same, threads: int = 1
) -> list[list[np.ndarray]]:
    """Assert that program, reference and LiteRT agree in a sequence of runs; returns the outputs of each."""
    found = run_steps(content, steps, threads)
    expected = litert.run_steps(content, [list(inputs) for inputs in steps])
    for step, values in enumerate(run_references(content, steps)):
        same(f"reference at step {step}", values, found[step])
        compare(f"LiteRT at step {step}", expected[step], found[step])
    return found


def check_references(content: bytes, steps: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
    """The same without LiteRT, for what is undefined there."""
    found = run_steps(content, steps)
    for step, values in enumerate(run_references(content, steps)):
        same(f"reference at step {step}", values, found[step])
    return found


def run_steps(content: bytes, steps: Sequence[Sequence[np.ndarray]], threads: int = 1) -> list[list[np.ndarray]]:
    """The program's outputs in a sequence of runs, which must repeat after a reset."""
    loaded = Model(reader.read(content), REFERENCE, shared(threads))

    def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        outputs = loaded(*inputs)
        return list(outputs) if isinstance(outputs, tuple) else [outputs]

    found = [run(inputs) for inputs in steps]
    loaded.reset()
    same("the first run", found[0], run(steps[0]))
    return found


def run_references(content: bytes, steps: Sequence[Sequence[np.ndarray]]) -> Iterator[list[np.ndarray]]:
    """The outputs of the reference of a model with one node, in a sequence of runs."""
    graph = reader.read(content).main
    (node,) = graph.nodes
    module = ops.find(node.op)
    outputs = [replace(t, shape=s) for t, s in zip(node.outputs, module.shapes(node), strict=True)]
    node = replace(node, outputs=tuple(outputs))
    values = {t: t.data if t.data is not None else np.full(t.shape, initial(t), t.dtype) for t in graph.tensors}
    for inputs in steps:
        values.update(zip(graph.inputs, inputs, strict=True))
        arrays = [None if t is None else values[t] for t in node.inputs]
        results = located(node, module.reference, node, *arrays)
        results = results if isinstance(results, tuple) else (results,)
        by_index = {t.index: r.reshape(t.shape) for t, r in zip(node.outputs, results, strict=True)}
        yield [by_index[t.index] for t in graph.outputs]


def initial(t: Tensor) -> int:
    """What a variable tensor holds before the first run: LiteRT takes the zero point for zero in int8 alone."""
    return t.zero_point if t.dtype == np.int8 else 0


class Cell:
    """The inputs of a random LSTM with up to 24 of them, and its output."""

    def __init__(
        self, rng: np.random.Generator, batch: int = 1, inputs: int = 8, cells: int = 6, outputs: int | None = None,
        cifg: bool = False, peephole: bool = False, norm: bool = False, projection_bias: bool = True,
    ) -> None:  # fmt: skip
        self.rng, self.batch, self.inputs, self.cells = rng, batch, inputs, cells
        self.outputs = outputs or cells
        self.cifg, self.peephole, self.norm = cifg, peephole, norm
        self.has_projection, self.has_projection_bias = outputs is not None, projection_bias

    def gates(self, make: Callable[[], T], *, update: bool = True) -> list[T | None]:
        """A tensor per gate, in the file's order."""
        four = [None if self.cifg else make(), make(), make(), make()]
        return four if update else [four[0], four[1], four[3]]

    def int8(self, x: T, h: T, y: T, c_log2: int = -11, magnitude: float = 1.0) -> list[T | None]:
        """Inputs of the 8x8_16 form."""
        rng = self.rng

        def matrix(rows: int, columns: int) -> T:
            scale = magnitude * rng.uniform(0.2, 2) / 127 / np.sqrt(columns / 4)
            return T(np.int8, (rows, columns), scale, data=rng.integers(-127, 128, (rows, columns)))

        def vector(dtype: Any, scale: float, largest: int) -> T:
            return T(dtype, (self.cells,), scale, data=rng.integers(-largest, largest + 1, self.cells))

        none = [None] * 4
        return [
            x,
            *self.gates(lambda: matrix(self.cells, self.inputs)),
            *self.gates(lambda: matrix(self.cells, self.outputs)),
            *(self.gates(lambda: vector(np.int16, 1 / 32768, 32767), update=False) if self.peephole else none[:3]),
            *self.gates(lambda: vector(np.int32, 1e-5, 3000 if not self.norm else 30000)),
            matrix(self.outputs, self.cells) if self.has_projection else None,
            T(np.int32, (self.outputs,), 1e-5, data=rng.integers(-2000, 2000, self.outputs))
            if self.has_projection and self.has_projection_bias
            else None,
            h,
            T(np.int16, (self.batch, self.cells), 2.0**c_log2, is_variable=True),
            *(self.gates(lambda: vector(np.int16, rng.uniform(1, 2) / 32768, 32767)) if self.norm else none),
        ]


def float_inputs(cell: Cell, x: T, is_hybrid: bool) -> list[T | None]:
    """Inputs of the form with float32 activations; int8 weights where it is hybrid."""
    rng = cell.rng

    def weights(*shape: int) -> T:
        if not is_hybrid:
            return T(np.float32, shape, data=rng.normal(0, 1 / np.sqrt(shape[-1]), shape))
        return T(
            np.int8, shape, rng.uniform(0.2, 2) / 127 / np.sqrt(shape[-1] / 4), data=rng.integers(-127, 128, shape)
        )

    def vector(count: int = cell.cells) -> T:
        return T(np.float32, (count,), data=rng.normal(0, 0.5, count))

    none = [None] * 4
    return [
        x,
        *cell.gates(lambda: weights(cell.cells, cell.inputs)),
        *cell.gates(lambda: weights(cell.cells, cell.outputs)),
        *(cell.gates(lambda: weights(cell.cells), update=False) if cell.peephole else none[:3]),
        *cell.gates(vector),
        weights(cell.outputs, cell.cells) if cell.has_projection else None,
        vector(cell.outputs) if cell.has_projection and cell.has_projection_bias else None,
        T(np.float32, (cell.batch, cell.outputs), is_variable=True),
        T(np.float32, (cell.batch, cell.cells), is_variable=True),
        *(cell.gates(vector) if cell.norm else none),
    ]


def float_lstm(
    op: str, shape: tuple[int, ...], cell: Cell, is_hybrid: bool, activation: int = FUNCTION_TANH,
    cell_clip: float = 0.0, proj_clip: float = 0.0, **options: Any,
) -> bytes:  # fmt: skip
    """A file with one LSTM of float32 activations."""
    x, y = T(np.float32, shape), T(np.float32, (*shape[:-1], cell.outputs))
    return model(
        op, float_inputs(cell, x, is_hybrid), [y], fused_activation_function=activation, cell_clip=cell_clip,
        proj_clip=proj_clip, **options,
    )  # fmt: skip


def bidirectional_lstm(
    shape: tuple[int, ...], cells: Sequence[Cell], is_hybrid: bool, merge: bool = False, aux_inputs: int | None = None,
    links: bool = True, cell_clip: float = 0.0, proj_clip: float = 0.0, **options: Any,
) -> bytes:  # fmt: skip
    """A file with one BIDIRECTIONAL_SEQUENCE_LSTM. ``links``: an auxiliary input has weights of its own."""
    x = T(np.float32, shape)
    aux = None if aux_inputs is None else T(np.float32, (*shape[:-1], aux_inputs))
    forward, backward = (float_inputs(cell, x, is_hybrid) for cell in cells)
    aux_weights: list[T | None] = []
    for cell in cells:
        beside = Cell(cell.rng, cell.batch, aux_inputs or 1, cell.cells, cifg=cell.cifg)
        aux_weights += float_inputs(beside, x, is_hybrid)[1:5] if aux is not None and links else [None] * 4
    states = [*forward[18:20], *backward[18:20]]
    inputs = [*forward[:18], *backward[1:18], *states, aux, *aux_weights]
    columns = [sum(c.outputs for c in cells)] if merge else [c.outputs for c in cells]
    outputs = [T(np.float32, (*shape[:-1], n)) for n in columns]
    return model(
        "BIDIRECTIONAL_SEQUENCE_LSTM", inputs, outputs, fused_activation_function=FUNCTION_TANH, merge_outputs=merge,
        cell_clip=cell_clip, proj_clip=proj_clip, **options,
    )  # fmt: skip


def rnn_weights(rng: np.random.Generator, is_hybrid: bool, *shape: int) -> T:
    """Random weights of an RNN or SVDF."""
    if not is_hybrid:
        return T(np.float32, shape, data=rng.normal(0, 1 / np.sqrt(shape[-1]), shape))
    return T(np.int8, shape, rng.uniform(0.2, 2) / 127 / np.sqrt(shape[-1] / 4), data=rng.integers(-127, 128, shape))


def rnn(
    rng: np.random.Generator, op: str, shape: tuple[int, ...], batch: int, units: int, is_hybrid: bool,
    activation: int = FUNCTION_TANH, **options: Any,
) -> bytes:  # fmt: skip
    """A file with one RNN or UNIDIRECTIONAL_SEQUENCE_RNN."""
    x, y = T(np.float32, shape), T(np.float32, (*shape[:-1], units))
    w, r = rnn_weights(rng, is_hybrid, units, shape[-1]), rnn_weights(rng, is_hybrid, units, units)
    bias = T(np.float32, (units,), data=rng.normal(0, 0.5, units))
    h = T(np.float32, (batch, units), is_variable=True)
    return model(op, [x, w, r, bias, h], [y], fused_activation_function=activation, **options)


def bidirectional_rnn(
    rng: np.random.Generator, shape: tuple[int, ...], batch: int, units: tuple[int, int], is_hybrid: bool,
    merge: bool = False, aux_inputs: int | None = None, links: bool = True, **options: Any,
) -> bytes:  # fmt: skip
    """A file with one BIDIRECTIONAL_SEQUENCE_RNN. ``links``: an auxiliary input has weights of its own."""
    x = T(np.float32, shape)
    aux = None if aux_inputs is None else T(np.float32, (*shape[:-1], aux_inputs))
    inputs: list[T | None] = [x]
    for n in units:
        inputs += [rnn_weights(rng, is_hybrid, n, shape[-1]), rnn_weights(rng, is_hybrid, n, n)]
        inputs += [T(np.float32, (n,), data=rng.normal(0, 0.5, n)), T(np.float32, (batch, n), is_variable=True)]
    beside = [rnn_weights(rng, is_hybrid, n, aux_inputs or 1) if aux is not None and links else None for n in units]
    outputs = [T(np.float32, (*shape[:-1], n)) for n in ([sum(units)] if merge else units)]
    return model(
        "BIDIRECTIONAL_SEQUENCE_RNN", [*inputs, aux, *beside], outputs, fused_activation_function=FUNCTION_TANH,
        merge_outputs=merge, **options,
    )  # fmt: skip


def svdf(
    rng: np.random.Generator, batch: int, depth: int, units: int, rank: int, memory: int, is_hybrid: bool,
    has_bias: bool = True, activation: int = 0, **options: Any,
) -> bytes:  # fmt: skip
    """A file with one SVDF of float32 activations."""
    filters = units * rank
    bias = T(np.float32, (units,), data=rng.normal(0, 0.5, units)) if has_bias else None
    state = T(np.float32, (batch, filters * memory), is_variable=True)
    return model(
        "SVDF", [T(np.float32, (batch, depth)), rnn_weights(rng, is_hybrid, filters, depth),
                 rnn_weights(rng, is_hybrid, filters, memory), bias, state],
        [T(np.float32, (batch, units))], rank=rank, fused_activation_function=activation, **options,
    )  # fmt: skip


def int8_svdf(
    rng: np.random.Generator, batch: int, depth: int, units: int, rank: int, memory: int, has_bias: bool = True,
    x_zero: int = -5, y_zero: int = 7, state_scale: float = 1e-4, y_scale: float = 0.02, activation: int = 1,
) -> bytes:  # fmt: skip
    """A file with one SVDF of int8."""
    filters = units * rank
    time_scale = 2e-5
    feature = T(np.int8, (filters, depth), 0.01, data=rng.integers(-127, 128, (filters, depth)))
    time = T(np.int16, (filters, memory), time_scale, data=rng.integers(-32767, 32768, (filters, memory)))
    bias = T(np.int32, (units,), state_scale * time_scale, data=rng.integers(-(1 << 28), 1 << 28, units))
    state = T(np.int16, (batch, filters * memory), state_scale, is_variable=True)
    return model(
        "SVDF", [T(np.int8, (batch, depth), 0.03, x_zero), feature, time, bias if has_bias else None, state],
        [T(np.int8, (batch, units), y_scale, y_zero)], rank=rank, fused_activation_function=activation,
    )  # fmt: skip


def basic_lstm(
    rng: np.random.Generator, batch: int, depth: int, units: int, dtype: Any, w_zero: int = 120,
    bias_scale: float = 1e-4,
) -> bytes:  # fmt: skip
    """A file with one LSTM of the basic kernel, float32 or uint8, all four outputs of which are outputs."""
    total, rows = depth + units, 4 * units
    if dtype == np.float32:
        eight, sixteen = (T(np.float32, None) for _ in range(2))
        w = T(np.float32, (rows, total), data=rng.normal(0, 1 / np.sqrt(total), (rows, total)))
        bias = T(np.float32, (rows,), data=rng.normal(0, 0.5, rows))
    else:
        eight, sixteen = T(np.uint8, None, 1 / 128, 128), T(np.int16, None, 2.0**-11, 0)
        w = T(np.uint8, (rows, total), bias_scale * 128, w_zero, data=rng.integers(0, 256, (rows, total)))
        bias = T(np.int32, (rows,), bias_scale, data=rng.integers(-9000, 9000, rows))
    h = replace(eight, shape=(batch, units), is_variable=True)
    c = replace(sixteen, shape=(batch, units), is_variable=True)
    outputs = [replace(eight, shape=(batch, units)), replace(sixteen, shape=(batch, units)),
               replace(eight, shape=(batch, total)), replace(sixteen, shape=(batch, rows))]  # fmt: skip
    inputs = [replace(eight, shape=(batch, depth)), h, w, bias, c]
    return model("LSTM", inputs, outputs, kernel_type=1, fused_activation_function=FUNCTION_TANH)


def float_steps(rng: np.random.Generator, shape: tuple[int, ...], count: int = 3) -> list[list[np.ndarray]]:
    """Inputs of several runs; in the second some rows are zero, in the last all."""
    steps = [rng.normal(0, 2, shape).astype(np.float32) for _ in range(count)]
    steps[1][0] = 0
    return [*([x] for x in steps), [np.zeros(shape, np.float32)]]


def steps_beyond_numbers(rng: np.random.Generator, shape: tuple[int, ...]) -> list[list[np.ndarray]]:
    """Inputs of several runs; the first row of each but the last has an infinity or a NaN."""
    steps = [rng.normal(0, 2, shape).astype(np.float32) for _ in range(4)]
    for x, value in zip(steps, (np.nan, np.inf, -np.inf)):
        x.reshape(-1)[1] = value
    return [[x] for x in steps]


def int8_lstm(
    rng: np.random.Generator, op: str, shape: tuple[int, ...], cell: Cell, x_zero: int = -3, h_zero: int = 5,
    hidden_zero: int | None = None, c_log2: int = -11, cell_clip: float = 0.0, proj_clip: float = 0.0,
    x_scale: float = 0.02, h_scale: float = 0.008, hidden_scale: float = 0.008, magnitude: float = 1.0, **options: Any,
) -> bytes:  # fmt: skip
    """A file with one 8x8_16 LSTM."""
    x = T(np.int8, shape, x_scale, x_zero)
    h = T(np.int8, (cell.batch, cell.outputs), h_scale, h_zero, is_variable=True)
    y = T(np.int8, (*shape[:-1], cell.outputs), h_scale, h_zero)
    hidden = (
        (hidden_scale, h_zero if hidden_zero is None else hidden_zero) if cell.has_projection else (h_scale, h_zero)
    )
    gate = [T(np.int16, (0,), rng.uniform(0.5, 2) / 4096, 0) for _ in range(4)]
    return model(
        op, cell.int8(x, h, y, c_log2, magnitude), [y], fused_activation_function=FUNCTION_TANH, cell_clip=cell_clip,
        proj_clip=proj_clip, intermediates=[*gate, T(np.int8, (0,), *hidden)], **options,
    )  # fmt: skip


def int8_steps(rng: np.random.Generator, shape: tuple[int, ...], count: int = 3) -> list[list[np.ndarray]]:
    """Inputs of several runs, extreme ones among them."""
    steps = [[rng.integers(-128, 128, shape).astype(np.int8)] for _ in range(count - 1)]
    return [*steps, [rng.choice(np.array([-128, 127], np.int8), shape)]]
