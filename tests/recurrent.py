"""What the tests of operators with state share: sequences of runs, and the tensors of LSTM cells.

check_steps(model, [[x], [x], ...])    program, reference and BUILTIN_REF agree at every step, and after a reset
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from engines import REFERENCE, same
from writer import T, model

from int8rt import litert, program, reader

Compare = Callable[[str, Sequence[np.ndarray], Sequence[np.ndarray]], None]
FUNCTION_TANH = 4


def check_steps(
    content: bytes, steps: Sequence[Sequence[np.ndarray]], compare: Compare = same, threads: int = 1
) -> list[list[np.ndarray]]:
    """Assert that program, reference and LiteRT agree in a sequence of runs; returns the outputs of each."""
    found, expected = run_steps(content, steps, threads), litert.run_steps(content, [list(s) for s in steps])
    variables: dict[int, np.ndarray] = {}
    graph = reader.read(content).main
    for step, inputs in enumerate(steps):
        values = program.reference(graph, *inputs, variables=variables)
        compare(f"reference at step {step}", [values[t.index] for t in graph.outputs], found[step])
        compare(f"LiteRT at step {step}", expected[step], found[step])
    return found


def run_steps(content: bytes, steps: Sequence[Sequence[np.ndarray]], threads: int = 1) -> list[list[np.ndarray]]:
    """The program's outputs in a sequence of runs, which must repeat after a reset."""
    graph = reader.read(content).main
    shapes = {t.index: np.shape(x) for t, x in zip(graph.inputs, steps[0], strict=True)}
    instance = program.Instance(program.build(graph, REFERENCE, shapes, threads=threads))
    found = [instance.run([np.ascontiguousarray(x) for x in inputs]) for inputs in steps]
    instance.reset()
    same("the first run", found[0], instance.run([np.ascontiguousarray(x) for x in steps[0]]))
    return found


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
