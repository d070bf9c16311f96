"""Whose bits: a Numerics names, for each kind of operator, the rule that the runtime it stands for uses.

``reference`` is LiteRT 2.3.0 with ``OpResolverType.BUILTIN_REF``. A rule is the name of a function of fixedpoint, less
``requantize_``; operators look up theirs and hand it to their kernels as data, so another runtime's numerics is another
row here, not another kernel. ``RULES`` are those that kernels have.

``hybrid`` says how operators multiply float32 activations with integer weights: ``dynamic`` quantizes the activations
as TFLite does (``int8rt.hybrid``), ``weight_only`` computes in float32 (``int8rt.weight_only``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from int8rt.arguments import as_choice
from int8rt.errors import InputError

RULES = ("double_rounding", "double")
HYBRID = ("dynamic", "weight_only")


@dataclass(frozen=True)
class Numerics:
    """The rule for each operator whose rounding differs between runtimes. Raises InputError for one that none has."""

    name: str
    convolution: str  # CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV
    fully_connected: str
    hybrid: str = "dynamic"

    def __post_init__(self) -> None:
        for field, known in (("convolution", RULES), ("fully_connected", RULES), ("hybrid", HYBRID)):
            if getattr(self, field) not in known:
                raise InputError(f"{field} is {getattr(self, field)!r}; known are {', '.join(known)}")


NUMERICS = {
    "reference": Numerics("reference", convolution="double_rounding", fully_connected="double"),
}


def numerics(name: str | Numerics, hybrid: str | None = None) -> Numerics:
    """The Numerics of that name, with its own ``hybrid`` unless another is given. Raises InputError."""
    rules = name if isinstance(name, Numerics) else NUMERICS[as_choice(name, "numerics", NUMERICS)]
    return rules if hybrid is None else replace(rules, hybrid=as_choice(hybrid, "hybrid", HYBRID))
