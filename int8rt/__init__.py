"""int8rt runs quantized ``.tflite`` models with the exact bits of the TFLite reference.

model = int8rt.load("model.tflite")
y = model(x)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from int8rt.errors import Error, InputError, ModelError, UnsupportedError
from int8rt.model import Model, Port, Trace, load

if TYPE_CHECKING:
    from int8rt.interpreter import Interpreter, OpResolverType

__version__ = "0.1.0"

__all__ = [
    "Error",
    "InputError",
    "Interpreter",
    "Model",
    "ModelError",
    "OpResolverType",
    "Port",
    "Trace",
    "UnsupportedError",
    "__version__",
    "load",
]


def __getattr__(name: str) -> Any:
    """Interpreter is imported when it is first asked for: most programs need it or Model, not both."""
    if name in ("Interpreter", "OpResolverType"):
        from int8rt import interpreter

        return getattr(interpreter, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
