"""What an operator gives: the calls that run, and views, on tensors that have no memory yet.

A step says what is done, never how it is planned or run. Nothing changes one after it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from int8rt.frozen import frozen
from int8rt.graph import Tensor
from int8rt.memory import aligned

if TYPE_CHECKING:
    from int8rt.native.kernel import Kernel


class Flat(NamedTuple):
    """A tensor argument that reaches the kernel as a one-dimensional array of ``dtype``, whatever its shape and type.

    So one compiled kernel serves every rank. The tensor's stored bytes must be a multiple of the type's.
    """

    tensor: Tensor
    dtype: np.dtype


class PerThread(Tensor):
    """Scratch of which every thread needs its own: [threads, ...], with one thread until the program is built."""


@frozen
class Call:
    """A kernel and its arguments, in which a Tensor stands for the memory that it will get.

    A Tensor argument reaches the kernel as a C-contiguous array of the tensor's shape in storage form, an array as it
    is, a number as int64 or float64; Flat passes a tensor in one dimension. Tensors that are in ``writes`` are written,
    all others only read; tensors that no node mentions are scratch. ``in_place`` names an input whose memory the
    (first) written tensor may take over: by default also where threads share the call.
    """

    kernel: Kernel
    args: tuple[Any, ...]
    writes: tuple[Tensor, ...]
    in_place: Tensor | None
    in_place_shared: bool  # whether ``in_place`` holds where threads share the call
    work: int  # operations, roughly; by default the elements of the tensors among the arguments

    def __init__(
        self,
        kernel: Kernel,
        *args: Any,
        writes: Sequence[Tensor],
        in_place: Tensor | None = None,
        in_place_shared: bool = True,
        work: int = 0,
    ) -> None:
        vars(self).update(
            kernel=kernel,
            args=tuple(aligned(a) if isinstance(a, np.ndarray) else a for a in args),
            writes=tuple(writes),
            in_place=in_place,
            in_place_shared=in_place_shared,
            work=work or sum(t.size for t in _tensors_among(args)),
        )

    @property
    def name(self) -> str:
        """What people read of the kernel."""
        return self.kernel.label

    @property
    def _keeps_places(self) -> bool:
        """Whether elements are as large as those in whose place they come; else parts overwrite what others read."""
        return self.in_place is None or self.in_place.dtype.itemsize == self.writes[0].dtype.itemsize

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(map(_brief, self.args))})"

    def for_threads(self, threads: int) -> Call:
        """The call as so many threads share it: with PerThread scratch for each, in place only where that holds."""
        if threads == 1:
            return self
        own = [t for t in tensors(self) if isinstance(t, PerThread)]
        sized: dict[Tensor, Tensor] = {t: replace(t, shape=(threads, *t.shape[1:])) for t in own}
        return Call(
            self.kernel,
            *(_exchanged(arg, sized) for arg in self.args),
            writes=[sized.get(t, t) for t in self.writes],
            in_place=self.in_place if self.in_place_shared and self._keeps_places else None,
            in_place_shared=self.in_place_shared,
            work=self.work,
        )


def _exchanged(arg: Any, others: Mapping[Any, Tensor]) -> Any:
    """An argument with another tensor in it, where it has one that is exchanged."""
    if isinstance(arg, Flat):
        return arg._replace(tensor=others.get(arg.tensor, arg.tensor))
    return others.get(arg, arg) if isinstance(arg, Tensor) else arg


def _brief(arg: Any) -> str:
    if isinstance(arg, (Tensor, Flat)):
        return repr(arg.name if isinstance(arg, Tensor) else arg.tensor.name)
    return f"{arg.dtype}{list(arg.shape)}" if isinstance(arg, np.ndarray) else str(arg)


@frozen
class PythonCall:
    """A Python function that runs between native calls; its arguments are those of a Call."""

    function: Callable[..., None]
    args: tuple[Any, ...]
    writes: tuple[Tensor, ...]
    work: ClassVar[int] = 0  # nobody knows

    def __init__(self, function: Callable[..., None], *args: Any, writes: Sequence[Tensor]) -> None:
        vars(self).update(function=function, args=args, writes=tuple(writes))

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.__name__


class View(NamedTuple):
    """A run of y's bytes is a run of x's: all of y, or all of x. Nothing is run where they can share memory.

    By default y is x under another shape.
    """

    y: Tensor
    x: Tensor
    start: int = 0  # of the run in x, in bytes
    at: int = 0  # of the run in y


Step = Call | PythonCall | View


def tensors(step: Step) -> list[Tensor]:
    """Which tensors a step mentions."""
    return [step.x, step.y] if isinstance(step, View) else _tensors_among(step.args)


def _tensors_among(args: Sequence[Any]) -> list[Tensor]:
    return [a.tensor if isinstance(a, Flat) else a for a in args if isinstance(a, (Tensor, Flat))]


def scratch(name: str, shape: tuple[int, ...], dtype: Any) -> Tensor:
    """A tensor for a kernel's own use; int8 is not for scratch, since it would be stored as uint8."""
    return Tensor(name, shape, np.dtype(dtype))


def scratch_per_thread(name: str, size: int, dtype: Any) -> PerThread:
    """Scratch that a kernel gets as [threads, size] and of which it uses row number ``thread``."""
    return PerThread(name, (1, size), np.dtype(dtype))


@frozen
class Fault(Tensor):
    """Where a kernel says that a run-time value is out of range: [flag, value]; the run then raises InputError.

    ``message`` has ``{}`` in the value's place. A kernel reports with ``_index.report`` and goes on without the value.
    """

    message: str = ""


def fault(message: str) -> Fault:
    """A place for one kind of fault; it is passed to the kernel and named among what the Call writes."""
    return Fault("fault", (2,), np.dtype(np.int64), message=message)


def as_steps(prepared: Step | Sequence[Step]) -> list[Step]:
    """What prepare() gave, as a list."""
    return [prepared] if isinstance(prepared, (Call, PythonCall, View)) else list(prepared)
