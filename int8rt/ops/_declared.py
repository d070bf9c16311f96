"""What an operator's tensors are, declared in one line and checked in one place before shapes are asked for.

    operands = "x[4] w[4] bias? -> y"

says that CONV_2D has an image and a filter of four axes, perhaps a bias, and one output. Of each operand::

    x            it is there
    x?           it may be left out, by a shorter list or by -1
    x*           any number of them; x{3}: so many; x?*, x?{3}: of which each may be left out by -1
    x[4]         of four axes; x[1+]: of one or more; x[0-2]: of none to two
    x:int32|int64    of one of these types

What one operand says of another (sizes that fit, scales that agree, types that go together), and which types an
operator computes of those that the file format allows, is for its ``shapes`` and ``prepare``.
"""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor

_WORD = re.compile(r"(\w+)(\?)?(\*|\{\d+\})?(?:\[(\d+)(\+|-\d+)?\])?(?::([\w|]+))?")


class Operand(NamedTuple):
    """One input or output, or several in a row."""

    name: str
    is_optional: bool
    most: float  # how many of them there may be
    least_rank: int
    most_rank: float
    types: tuple[str, ...]  # none: any

    @property
    def ranks(self) -> str:
        """In words, as what was expected."""
        if self.most_rank == math.inf:
            return f"{_axes(self.least_rank)} or more were"
        if self.least_rank < self.most_rank:
            return f"at most {_axes(int(self.most_rank))} were"
        if self.least_rank == 0:
            return "a scalar was"
        return f"{_axes(self.least_rank)} {'was' if self.least_rank == 1 else 'were'}"


def _axes(number: int) -> str:
    return f"{number} axis" if number == 1 else f"{number} axes"


class Declaration(NamedTuple):
    """The operands of an operator, in order."""

    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]


@functools.cache
def declaration(text: str) -> Declaration:
    """What a line says. Raises ValueError where it is none."""
    inputs, arrow, outputs = text.partition("->")
    if not arrow:
        raise ValueError(f"operands {text!r}: -> was expected")
    return Declaration(tuple(map(_operand, inputs.split())), tuple(map(_operand, outputs.split())))


def _operand(word: str) -> Operand:
    found = _WORD.fullmatch(word)
    if found is None:
        raise ValueError(f"{word!r} declares no operand")
    name, optional, repeated, least, most, types = found.groups()
    lowest, highest = (0, math.inf) if least is None else (int(least), float(most[1:] or "inf") if most else int(least))
    number = math.inf if repeated == "*" else int(repeated[1:-1]) if repeated else 1
    return Operand(name, optional is not None, number, lowest, highest, tuple(types.split("|")) if types else ())


def as_called(function: Callable[..., Any], others: int) -> Declaration:
    """The declaration of who says no more than what it is called with, after so many other arguments."""
    found = list(inspect.signature(function).parameters.values())[others:]
    inputs = [
        Operand(p.name, True, math.inf if p.kind == p.VAR_POSITIONAL else 1, 0, math.inf, ())
        for p in found
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)
    ]
    return Declaration(tuple(inputs), (Operand("y", False, math.inf, 0, math.inf, ()),))


def check(node: Node, declared: Declaration) -> None:
    """Raise ModelError unless a node's tensors are as declared: the inputs have their true shapes, the outputs none."""
    _check(node, "input", node.inputs, declared.inputs, has_shapes=True)
    _check(node, "output", node.outputs, declared.outputs, has_shapes=False)


def _check(
    node: Node, kind: str, tensors: Sequence[Tensor | None], operands: Sequence[Operand], has_shapes: bool
) -> None:
    at = 0
    for operand in operands:
        for _ in range(len(tensors) - at if operand.most == math.inf else int(operand.most)):
            t = tensors[at] if at < len(tensors) else None
            if t is None and at >= len(tensors) and operand.most > 1:
                raise ModelError(f"{node.label} has {len(tensors)} {kind}s; more were expected ({operand.name})")
            if t is not None:
                _check_tensor(node, kind, at, t, operand, has_shapes)
            elif not operand.is_optional:
                raise ModelError(f"{node.label} has no {kind} {at} ({operand.name})")
            at += 1
    if len(tensors) > at:
        raise ModelError(f"{node.label} has {len(tensors)} {kind}s; at most {at} were expected")


def _check_tensor(node: Node, kind: str, at: int, t: Tensor, operand: Operand, has_shapes: bool) -> None:
    if operand.types and t.type not in operand.types:
        found, expected = f"type {t.type}", f"{' or '.join(operand.types)} was"
    elif has_shapes and not operand.least_rank <= len(t.shape) <= operand.most_rank:
        found, expected = f"shape {list(t.shape)}", operand.ranks
    else:
        return
    raise ModelError(f"{node.label}: {kind} {at} ({operand.name}, {t.name!r}) has {found}; {expected} expected")
