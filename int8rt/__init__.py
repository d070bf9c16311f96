"""int8rt runs quantized ``.tflite`` models with the exact bits of the TFLite reference.

model = int8rt.load("model.tflite")
y = model(x)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from int8rt.errors import Error, InputError, LimitError, ModelError, UnsupportedError
from int8rt.runtime.model import Model, Port, Trace, load

if TYPE_CHECKING:
    from int8rt.numerics.simulate import fake_quant, quantize_and_dequantize
    from int8rt.quant.quantize import Quantized, quantize
    from int8rt.runtime.interpreter import Interpreter, OpResolverType

__version__ = "0.1.0"

__all__ = [
    "Error",
    "InputError",
    "Interpreter",
    "LimitError",
    "Model",
    "ModelError",
    "OpResolverType",
    "Port",
    "Quantized",
    "Trace",
    "UnsupportedError",
    "__version__",
    "fake_quant",
    "load",
    "quantize",
    "quantize_and_dequantize",
]


def __getattr__(name: str) -> Any:
    """What most programs do not need is imported when it is first asked for."""
    if name in ("Interpreter", "OpResolverType"):
        from int8rt.runtime import interpreter

        return getattr(interpreter, name)
    if name in ("Quantized", "quantize"):
        from int8rt.quant import quantize as quantizing

        return getattr(quantizing, name)
    if name in ("fake_quant", "quantize_and_dequantize"):
        from int8rt.numerics import simulate

        return getattr(simulate, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
