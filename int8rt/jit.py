"""The decorators for kernels of your own, by the names that ``docs/custom_operators.md`` gives."""

from __future__ import annotations

from int8rt.native.kernel import Kernel, family, inline, kernel

__all__ = ["Kernel", "family", "inline", "kernel"]
