"""Element types of the format: which NumPy type holds them, and how several of fewer than 8 bits share a byte."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from int8rt.format.schema import TYPES


class ElementType(NamedTuple):
    """An element type of the format."""

    dtype: np.dtype
    name: str = ""  # where NumPy has no such type
    bits: int = 8  # fewer where several elements share a byte
    is_opaque: bool = False  # the buffer's bytes are kept as they are

    @property
    def item_bits(self) -> int:
        """The bits of one element in a file."""
        return self.bits * self.dtype.itemsize


_INTEGERS = (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64)
_OTHERS = (np.bool_, np.float16, np.float32, np.float64, np.complex64, np.complex128)
_ELEMENT_TYPES = {np.dtype(t).name.upper(): ElementType(np.dtype(t)) for t in _INTEGERS + _OTHERS} | {
    "INT4": ElementType(np.dtype(np.int8), "INT4", bits=4),
    "INT2": ElementType(np.dtype(np.int8), "INT2", bits=2),
    "UINT4": ElementType(np.dtype(np.uint8), "UINT4", bits=4),
    "BFLOAT16": ElementType(np.dtype(np.uint16), "BFLOAT16"),
    "FLOAT8_E4M3FN": ElementType(np.dtype(np.uint8), "FLOAT8_E4M3FN"),
    "FLOAT8_E5M2": ElementType(np.dtype(np.uint8), "FLOAT8_E5M2"),
}
_NUMBERS = {name: number for number, name in TYPES.items()}
_LATER = "TYPE_"  # begins the name of a type that the schema does not have, before its number


def element_type(name: str) -> ElementType:
    """The type of that name in the format; strings, handles and types of later schemas are opaque."""
    return _ELEMENT_TYPES.get(name) or ElementType(np.dtype(object), name, is_opaque=True)


def type_name(number: int) -> str:
    """The name of a TensorType."""
    return TYPES.get(number, f"{_LATER}{number}")


def type_number(name: str) -> int:
    """The TensorType of that name."""
    return _NUMBERS[name] if name in _NUMBERS else int(name.removeprefix(_LATER))


def unpack(packed: np.ndarray, bits: int, count: int, dtype: np.dtype) -> np.ndarray:
    """Elements of 2 or 4 bits, the first in a byte's lowest bits: uint8 [ceil(count * bits / 8)] -> dtype [count]."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    high = (packed[:, None] << (8 - bits - shifts)).view(dtype)  # each element in the upper bits of its own byte
    low: np.ndarray = np.right_shift(high, dtype.type(8 - bits))  # keeps the sign of int8
    return low.reshape(-1)[:count]


def pack(values: np.ndarray, bits: int) -> np.ndarray:
    """The inverse of ``unpack``: bytes [count] -> uint8 [ceil(count * bits / 8)], with zeros after the last element."""
    per_byte = 8 // bits
    low = values.reshape(-1).view(np.uint8) & np.uint8((1 << bits) - 1)
    padded = np.zeros(-(-low.size // per_byte) * per_byte, np.uint8)
    padded[: low.size] = low
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    packed: np.ndarray = np.bitwise_or.reduce(padded.reshape(-1, per_byte) << shifts, axis=1)
    return packed
