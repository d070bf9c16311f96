"""What callers pass, taken over at the border: as an array, a whole number, a flag, one of several names.

Whatever a caller's object does when it is looked at, these raise an int8rt error that says what was given and what is
expected. ``error`` is the class to raise, an InputError by default.
"""

from __future__ import annotations

import operator
import reprlib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from int8rt.errors import InputError

_REPR = reprlib.Repr()
_REPR.maxother = _REPR.maxstring = _REPR.maxlong = 80


def shown(value: Any) -> str:
    """The value as an error names it: on one line, short, whatever its ``__repr__`` does."""
    try:
        return " ".join(_REPR.repr(value).split())
    except Exception:
        return f"an object of type {type(value).__name__}"


def as_array(value: Any, what: str, error: type[InputError] = InputError) -> np.ndarray:
    """The value as an array, by NumPy's rules: the same memory where it is an array, even if of a subclass.

    Raises ``error`` where NumPy cannot make one of it, and for masked arrays, whose mask would be lost.
    """
    if type(value) is np.ndarray:
        return value
    try:
        array = np.asarray(value)
        is_masked = isinstance(value, np.ndarray) and bool(np.any(getattr(value, "mask", False)))
    except Exception as reason:
        raise error(f"{what} is {shown(value)}, expected an array: {type(reason).__name__}: {_line(reason)}") from None
    if is_masked:
        raise error(f"{what} is a masked array with values masked, expected an array with all of its values")
    return array


def as_numbers(value: Any, what: str, kinds: str = "biuf") -> np.ndarray:
    """The value as an array of numbers, whose types are of these kinds. Raises InputError.

    The types that ml_dtypes adds, such as bfloat16, count as floats.
    """
    array = as_array(value, what)
    kind = array.dtype.kind
    if kind == "V" and array.dtype.names is None and np.can_cast(array.dtype, np.float32):
        kind = "f"
    if kind not in kinds:
        raise InputError(
            f"{what} is of type {array.dtype}, expected numbers" + ("" if "f" in kinds else " that are whole")
        )
    return array


def as_count(value: Any, what: str, lo: int, hi: int | None, error: type[InputError] = InputError) -> int:
    """A whole number from lo to hi, or without an upper end; any type of integers but bool. Raises ``error``."""
    try:
        number = lo - 1 if isinstance(value, bool) else operator.index(value)
    except Exception:
        number = lo - 1
    if number < lo or (hi is not None and number > hi):
        raise error(
            f"{what} is {shown(value)}, expected a number "
            + (f"of at least {lo}" if hi is None else f"from {lo} to {hi}")
        )
    return number


def as_index(value: Any, what: str, error: type[InputError] = InputError) -> int:
    """An integer of any type. Raises ``error``."""
    try:
        return operator.index(value)
    except Exception:
        raise error(f"{what} is {shown(value)}, expected an integer") from None


def as_flag(value: Any, what: str, error: type[InputError] = InputError) -> bool:
    """Whether the value is true, as Python decides it. Raises ``error`` where it has no answer."""
    try:
        return bool(value)
    except Exception:
        raise error(f"{what} is {shown(value)}, expected True or False") from None


def as_choice(value: Any, what: str, known: Collection[str], error: type[InputError] = InputError) -> str:
    """One of the known names. Raises ``error``."""
    if not isinstance(value, str) or value not in known:
        raise error(f"{what} is {shown(value)}; known are {', '.join(known)}")
    return value


def as_tuple(values: Any, what: str, expected: str) -> tuple[Any, ...]:
    """What can be gone through, as a tuple. Raises InputError."""
    if type(values) is tuple:
        return values
    try:
        return tuple(values)
    except Exception:
        raise InputError(f"{what} is {shown(values)}, expected {expected}") from None


def as_mapping(value: Any, what: str) -> Mapping[Any, Any]:
    """A mapping of names to arrays. Raises InputError."""
    if not isinstance(value, Mapping):
        raise InputError(f"{what} is {shown(value)}, expected a mapping of names to arrays")
    return value


def listed(names: Collection[Any]) -> str:
    """Names that a caller gave, in alphabetical order where all are strings."""
    return f"[{', '.join(sorted(map(shown, names)))}]"


def _line(reason: Exception) -> str:
    try:
        return " ".join(str(reason).split())
    except Exception:
        return "no reason given"
