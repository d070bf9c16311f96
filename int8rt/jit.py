"""The decorators for kernels of your own, by the names that ``docs/custom_operators.md`` gives."""

from __future__ import annotations

from int8rt.native.kernel import Kernel, inline, kernel, kernel_factory

__all__ = ["Kernel", "inline", "kernel", "kernel_factory"]
