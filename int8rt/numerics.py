"""Whose bits: a Numerics names, for each kind of operator, the rule that the runtime it stands for uses.

``reference`` is LiteRT 2.3.0 with ``OpResolverType.BUILTIN_REF``. A rule is the name of a function of fixedpoint; operators look
up theirs and hand it to their kernels as data, so another runtime's numerics is another row here, not another kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

from int8rt.errors import InputError


@dataclass(frozen=True)
class Numerics:
    """The rule for each operator whose rounding differs between runtimes."""

    name: str
    convolution: str  # CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV
    fully_connected: str


NUMERICS = {
    "reference": Numerics("reference", convolution="double_rounding", fully_connected="double"),
}


def numerics(name: str | Numerics) -> Numerics:
    """The Numerics of that name. Raises InputError."""
    if isinstance(name, Numerics):
        return name
    if name not in NUMERICS:
        raise InputError(f"numerics is {name!r}; known are {', '.join(NUMERICS)}")
    return NUMERICS[name]
