"""The memory of a program's tensors: in an arena of its own, in the program's constants, in a state's variables."""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt.graph import Tensor
from int8rt.memory import SLACK, allocate
from int8rt.numerics.storage import from_storage, storage_dtype, storage_nbytes, to_storage
from int8rt.plan.program import Program
from int8rt.runtime.state import State
from int8rt.steps import Call, Flat, PythonCall


class Memory:
    """Tensors as arrays in storage form."""

    def __init__(self, program: Program, state: State) -> None:
        self.arena = allocate(program.plan.nbytes + SLACK)
        self._program, self._state = program, state
        self._arrays: dict[Tensor, np.ndarray] = {}

    def array(self, tensor: Tensor) -> np.ndarray:
        """The memory of a tensor, in storage form; a constant's is read-only."""
        if tensor not in self._arrays:
            self._arrays[tensor] = self._made(tensor)
        return self._arrays[tensor]

    def _made(self, tensor: Tensor) -> np.ndarray:
        base, offset = self._program.alias(tensor)
        if base is tensor and tensor in self._program.constants:
            return self._program.constants[tensor]
        raw = self._bytes(base)[offset : offset + storage_nbytes(tensor)]
        return raw.view(storage_dtype(tensor.dtype)).reshape(tensor.shape)

    def _bytes(self, base: Tensor) -> np.ndarray:
        """The memory of a tensor that lives in no other one."""
        program = self._program
        if base in program.constants:
            return program.constants[base].reshape(-1).view(np.uint8)
        if base.is_variable:
            return self._state.array(program.graph.index, base).reshape(-1).view(np.uint8)
        start = program.plan.offsets[base]
        return self.arena[start : start + storage_nbytes(base)]

    def arguments(self, step: Call | PythonCall) -> list[Any]:
        """What a call gets: arrays and numbers."""
        return [self._argument(arg) for arg in step.args]

    def _argument(self, arg: Any) -> Any:
        if isinstance(arg, Flat):
            return self.array(arg.tensor).reshape(-1).view(arg.dtype)
        return self.array(arg) if isinstance(arg, Tensor) else arg

    def read(self, tensor: Tensor) -> np.ndarray:
        """A copy of a tensor's value in its own type."""
        return from_storage(self.array(tensor), tensor.dtype)

    def write(self, tensor: Tensor, value: np.ndarray) -> None:
        """Set the value of an input or a variable."""
        self.array(tensor)[...] = to_storage(np.asarray(value, tensor.dtype)).reshape(tensor.shape)

    def holds(self, tensor: Tensor) -> bool:
        """Whether the tensor has memory here."""
        base, program = self._program.base(tensor), self._program
        return base in program.constants or base in program.plan.offsets or base in program.variables
