"""The types of LLVM that vectors are made of, imported when the first intrinsic is compiled and not before.

A vector has 16 lanes of 32 bits on every CPU, so that packed weights have one layout; LLVM splits it where registers
are narrower. Use it as ``llvm.INT32S``: the names of this module exist once one of them is asked for, since planning
and a warm start do without llvmlite.
"""

from __future__ import annotations

from typing import Any

LANES = 16  # of 32 bits
VECTOR_NBYTES = 64

ir: Any  # llvmlite.ir
I8: Any
I16: Any
I32: Any
I64: Any
BYTES: Any  # <64 x i8>
WORDS: Any  # <32 x i16>
INT32S: Any  # <16 x i32>
FLOATS: Any  # <16 x float>
DOUBLES: Any  # <8 x double>, half of a vector's lanes


def __getattr__(name: str) -> Any:
    if name not in __annotations__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from llvmlite import ir

    i8, i16, i32, i64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
    globals().update(
        ir=ir, I8=i8, I16=i16, I32=i32, I64=i64,
        BYTES=ir.VectorType(i8, 4 * LANES), WORDS=ir.VectorType(i16, 2 * LANES), INT32S=ir.VectorType(i32, LANES),
        FLOATS=ir.VectorType(ir.FloatType(), LANES), DOUBLES=ir.VectorType(ir.DoubleType(), LANES // 2),
    )  # fmt: skip
    return globals()[name]
