"""What values tensors take: the least and the greatest of each over a data set, found while the float model runs.

No value is kept, so that memory does not grow with the data set.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from int8rt import limits
from int8rt.arguments import as_tuple, shown
from int8rt.data import files
from int8rt.errors import Error, InputError
from int8rt.quant.params import Range, is_float
from int8rt.runtime.model import Model


def samples(model: Model, data: Any, span: files.Span | None = None) -> Iterator[list[np.ndarray]]:
    """The inputs of one run after the other, in the model's order and types.

    data: an array where there is one input, arrays by name, or an iterable of any of these or of lists of arrays in the
    inputs' order; or a function that gives such an iterable, as TensorFlow's ``representative_dataset`` does; or a
    path: of an .npy or .npz, or of a folder of images, whose black and white are the ends of ``span``. Values are
    reals; any number of runs may lie along the first axis.

    Raises InputError for what does not fit the model, and OSError where a file cannot be read.
    """
    for batch in _batches(model, data, span):
        arrays = [port.quantize(x) for port, x in zip(model.inputs, _in_order(model, batch), strict=True)]
        arrays, count = model.checked(arrays)
        yield from [arrays] if count == 1 else (list(run) for run in zip(*(np.split(x, count) for x in arrays)))


def _batches(model: Model, data: Any, span: files.Span | None) -> Iterator[Any]:
    """Arrays that belong together, in whatever form they are given."""
    try:
        if isinstance(data, str | os.PathLike):
            yield from _from_files(model, Path(data), span)
        elif isinstance(data, np.ndarray | Mapping):
            yield data
        else:
            yield from iter(data() if callable(data) else data)
    except (Error, OSError):
        raise
    except Exception as error:  # of what is not iterable, or of the caller's own function
        raise InputError(
            f"data is {shown(data)}, expected arrays, a path, an iterable or a function that gives one; "
            f"{type(error).__name__}: {error}"
        ) from error


def _from_files(model: Model, path: Path, span: files.Span | None) -> Iterator[list[np.ndarray]]:
    """What a file holds, or all images of a folder and those in it."""
    if not path.is_dir():
        yield files.read_inputs([path], model.graph, span)
        return
    found = sorted(p for p in path.rglob("*") if p.suffix.lower() in files.IMAGES)
    if not found:
        raise InputError(f"{path} has no images, expected {', '.join(sorted(files.IMAGES))}")
    for image in found:
        yield files.read_inputs([image], model.graph, span)


def _in_order(model: Model, batch: Any) -> list[Any]:
    """One array per input."""
    if isinstance(batch, Mapping):
        names, _ = model.names(batch)
        return [batch[names[port.tensor]] for port in model.inputs]
    given = [batch] if isinstance(batch, np.ndarray) else as_tuple(batch, "a sample", "an array for each input")
    if len(given) != len(model.inputs):
        expected = ", ".join(repr(port.name) for port in model.inputs)
        raise InputError(f"a sample has {len(given)} arrays, expected an array for each input: {expected}")
    return list(given)


def observed(
    model: Model, runs: Iterable[list[np.ndarray]], progress: Callable[[int], None] | None = None
) -> dict[int, Range]:
    """The least and the greatest value of each float tensor, by number; those that are not finite do not count.

    ``progress`` is told after each run how many there were. Raises InputError where there is none.
    """
    graph = model.graph.main
    computed = [t for node in graph.nodes for t in node.outputs]
    tensors = [t for t in dict.fromkeys((*graph.inputs, *computed)) if is_float(t) and t.data is None]
    session = model.session(preserve=True)
    found: dict[int, Range] = {}
    count = 0
    for arrays in runs:
        limits.within(model.budget, session.run, arrays)
        count += 1
        for t in tensors:
            values = session.read_tensor(t.index)
            if values is not None and values.size:
                found[t.index] = _united(found.get(t.index), values)
        session.reset()
        if progress is not None:
            _tell(progress, count)
    if not count:
        raise InputError("the data set is empty, expected at least one sample")
    return found


def _tell(progress: Callable[[int], None], count: int) -> None:
    try:
        progress(count)
    except TypeError as error:
        raise InputError(f"progress is {shown(progress)}, expected a function of the number of runs") from error


def _united(known: Range | None, values: np.ndarray) -> Range:
    """A range that holds more values."""
    lo, hi = float(values.min()), float(values.max())
    if not np.isfinite([lo, hi]).all():
        finite = values[np.isfinite(values)]
        if not finite.size:
            return known or (0.0, 0.0)
        lo, hi = float(finite.min()), float(finite.max())
    return (lo, hi) if known is None else (min(known[0], lo), max(known[1], hi))
