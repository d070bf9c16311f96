"""What a model keeps between runs: variable tensors, and resources, which all its subgraphs share by name.

All values are held in storage form. A resource takes the shape and type of what is assigned to it. Each form that it
ever had keeps its memory, so that a program which was made for one form finds it where it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from int8rt.errors import InputError
from int8rt.graph import Tensor
from int8rt.memory import SLACK, allocate
from int8rt.numerics.storage import from_storage, storage_dtype, stored_zero, to_storage
from int8rt.ops import Form, Name
from int8rt.plan.resources import Assumed, Resource


class Resources:
    """The resources of a model, and which subgraphs have run that run once."""

    def __init__(self) -> None:
        self.version = 0  # counts changes of what plans assume
        self._forms: dict[Name, Form] = {}
        self._done: set[int] = set()
        self._arrays: dict[tuple[Name, Form], np.ndarray] = {}

    def assumed(self) -> Assumed:
        """What a plan for the next run may take for granted."""
        return Assumed(frozenset(self._forms.items()), frozenset(self._done))

    def array(self, name: Name, form: Form) -> np.ndarray:
        """The memory of a resource while it has that form."""
        if (name, form) not in self._arrays:
            self._arrays[name, form] = zeros(form.shape, form.dtype)
        return self._arrays[name, form]

    def read(self, name: Name) -> np.ndarray:
        """A copy of the value of a resource. Raises InputError where it has none."""
        if name not in self._forms:
            raise InputError(f"variable {name.shared_name!r} is read before anything was assigned to it")
        form = self._forms[name]
        return from_storage(self.array(name, form), form.dtype)

    def assign(self, name: Name, value: np.ndarray) -> None:
        """Set the value, and with it the form, of a resource."""
        form = Form(value.shape, value.dtype)
        self.array(name, form)[...] = to_storage(value)
        self.adopt({name: form})

    def have(self, forms: Mapping[Name, Form]) -> bool:
        """Whether resources have these forms."""
        return all(self._forms.get(name) == form for name, form in forms.items())

    def adopt(self, forms: Mapping[Name, Form]) -> None:
        """Resources have these forms from now on; their values are in memory already."""
        if not self.have(forms):
            self._forms.update(forms)
            self.version += 1

    def is_done(self, subgraph: int) -> bool:
        """Whether a subgraph that runs once has run."""
        return subgraph in self._done

    def mark_done(self, subgraph: int) -> None:
        """A subgraph that runs once has run."""
        self._done.add(subgraph)
        self.version += 1

    def clear(self) -> None:
        """Forget all values."""
        self._forms.clear()
        self._done.clear()
        self.version += 1


class State:
    """The variables of a subgraph and of those it runs, and the resources of the model."""

    def __init__(self, resources: Resources | None = None) -> None:
        self.resources = resources or Resources()
        self._variables: dict[tuple[int, int, Form], tuple[Tensor, np.ndarray]] = {}

    def array(self, subgraph: int, t: Tensor) -> np.ndarray:
        """The memory of a variable, or of a resource."""
        if isinstance(t, Resource):
            return self.resources.array(t.resource, t.form)
        key = subgraph, t.index, Form(t.shape, t.dtype)
        if key not in self._variables:
            self._variables[key] = t, zeros(t.shape, t.dtype)
            self._variables[key][1][...] = _first_value(t)
        return self._variables[key][1]

    def reset_variables(self) -> None:
        """Set every variable tensor to zero."""
        for t, array in self._variables.values():
            array[...] = _first_value(t)


def _first_value(t: Tensor) -> int | bytes:
    """What a variable begins with, stored: zero bytes, of int8 the zero point, as in LiteRT (not so of uint8)."""
    if t.dtype.hasobject:  # strings
        return b""
    return stored_zero(t) if t.dtype == np.int8 else 0


def zeros(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Memory for a tensor's stored values, all bytes 0."""
    stored = storage_dtype(dtype)
    if stored.hasobject:
        return np.zeros(shape, stored)
    nbytes = math.prod(shape) * stored.itemsize
    return allocate(nbytes + SLACK)[:nbytes].view(stored).reshape(shape)
