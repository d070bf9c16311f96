"""How an intrinsic is declared: signature, meaning and how far it reads in one place; its body only emits LLVM IR.

    @intrinsic("int64(uint8[], int64, int64)", reads_past=63)
    def sum_of_bytes(builder: Builder, x: Array, at: Value, count: Value) -> Value:
        \"\"\"x[at] + ... + x[at + count - 1].\"\"\"

A signature is the type of the result, then those of the parameters:

    int64, float32, ...   a scalar of Numba's; what a kernel passes is cast to it
    uint8[], float32[]    an array of that dtype and any dimension, flattened: the body gets an ``Array``
    T[], T                an array of any dtype, a scalar: wherever T stands, the first argument decides what it is
    lanes, sums, ...      vectors in registers, one of ``REGISTERS`` or of the owner's: a list of LLVM's vectors
    none                  no result

The same decorator makes intrinsics of methods: ``tile.dot`` is the intrinsic of that tile, whose ``registers()`` tell
the types of vectors that depend on it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

from int8rt.native.kernel import Intrinsic
from int8rt.simd import emit, llvm

Builder: TypeAlias = Any  # llvmlite.ir.IRBuilder
Value: TypeAlias = Any  # llvmlite.ir.Value
Vectors: TypeAlias = list[Any]  # LLVM values of one type, such as the accumulators of a tile
Reach: TypeAlias = int | Callable[[Any], int]  # bytes, where the owner of a method decides by a function of it

# Vectors in registers by the names that signatures have for them; a tile adds its own.
REGISTERS: dict[str, Callable[[], Any]] = {
    "bytes": lambda: emit.vector_type("Bytes64", llvm.BYTES),
    "lanes": lambda: emit.array_type("Lanes64", llvm.INT32S, 4),
    "groups": lambda: emit.array_type("Groups64", llvm.BYTES, 4),
}


def intrinsic(
    signature: str, reads_past: Reach = 0, writes_past: Reach = 0
) -> Callable[[Callable[..., Any]], Declared]:
    """Declare an intrinsic; see the module's docstring.

    reads_past and writes_past: bytes that may be read and written past the last one that the arguments count, of every
    array and row that the meaning of the intrinsic does not demand whole.
    """
    return lambda body: Declared(body, signature, reads_past, writes_past)


class Declared(Intrinsic):
    """An intrinsic as its declaration states it; ``owner`` is the object whose method it is."""

    def __init__(
        self, body: Callable[..., Any], signature: str, reads_past: Reach, writes_past: Reach, owner: Any = None
    ) -> None:
        super().__init__(body)
        if owner is not None:
            self.emit = functools.partial(body, owner)
        self.body, self.signature, self.owner = body, signature, owner
        self._reads_past, self._writes_past = reads_past, writes_past

    def __get__(self, owner: Any, _: type | None = None) -> Declared:
        """The intrinsic of one tile, made once."""
        if owner is None:
            return self
        bound = Declared(self.body, self.signature, self._reads_past, self._writes_past, owner)
        owner.__dict__[self.body.__name__] = bound
        return bound

    @property
    def reads_past(self) -> int:
        """Bytes that may be read past the end."""
        return self._reads_past(self.owner) if callable(self._reads_past) else self._reads_past

    @property
    def writes_past(self) -> int:
        """Bytes that may be written past the end."""
        return self._writes_past(self.owner) if callable(self._writes_past) else self._writes_past

    def define(self, *given: Any) -> tuple[Any, Callable[..., Any]]:
        """Numba's signature for argument types, and what emits the code. Raises TypingError where they do not match."""
        result, *parameters = _parsed(self.signature)
        types = Types(self)
        arguments = [types.of(text, type_) for text, type_ in zip(parameters, given, strict=True)]

        def generate(context: Any, builder: Builder, sig: Any, args: list[Value]) -> Value:
            values = [_taken(context, builder, *argument) for argument in zip(sig.args, args, strict=True)]
            value = self.emit(builder, *values)
            if value is None:
                return context.get_dummy_value()
            return emit.gather(builder, value) if isinstance(value, list) else value

        return types.of(result)(*arguments), generate


class Types:
    """Numba's types for the names in one signature."""

    def __init__(self, declared: Declared) -> None:
        self.name = declared.__name__
        self.registers = REGISTERS | (declared.owner.registers() if declared.owner else {})
        self.variables: dict[str, Any] = {}

    def of(self, text: str, given: Any = None) -> Any:
        """The type that a name stands for, where an argument of the given type is expected or, by default, a result."""
        from numba.core import errors, types

        element = text.removesuffix("[]")
        known = self._named(element, given.dtype if isinstance(given, types.Array) else given)
        matches = True
        if element != text:
            matches, known = isinstance(given, types.Array) and given.dtype == known, given
        elif element in self.registers:
            matches = given in (None, known)
        if not matches:
            raise errors.TypingError(f"{self.name} takes {text}, not {given}")
        return known

    def _named(self, name: str, given: Any) -> Any:
        from numba.core import types

        if name in self.registers:
            return self.registers[name]()
        return self.variables.setdefault(name, given) if len(name) == 1 else getattr(types, name)


@functools.cache
def _parsed(signature: str) -> tuple[str, ...]:
    """The names of the result and of each parameter."""
    result, _, parameters = signature.rstrip(")").partition("(")
    return result, *(name for name in parameters.split(", ") if name)


def _taken(context: Any, builder: Builder, type_: Any, value: Value) -> Any:
    """An argument as the body gets it."""
    from numba.core import types

    if isinstance(type_, types.Array):
        position = context.data_model_manager[type_].get_field_position("data")
        return Array(context, builder, type_.dtype, builder.extract_value(value, position))
    return emit.spread_out(builder, value) if isinstance(value.type, llvm.ir.ArrayType) else value


class Array:
    """An array as a body sees it: its elements one after the other, whatever its dimensions."""

    def __init__(self, context: Any, builder: Builder, dtype: Any, data: Value) -> None:
        self._context, self._builder, self._dtype, self._data = context, builder, dtype, data

    def behind(self, at: Value) -> Array:
        """What begins with element ``at``."""
        return Array(self._context, self._builder, self._dtype, self.place(at))

    @property
    def element(self) -> Any:
        """The LLVM type of an element in memory."""
        return self._context.get_data_type(self._dtype)

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return int(self._context.get_abi_sizeof(self.element))

    def place(self, at: Value | int) -> Value:
        """The pointer to element ``at``, as LLVM's own type."""
        return self._builder.gep(self._data, [llvm.I64(at) if isinstance(at, int) else at])

    def at(self, at: Value | int) -> Value:
        """The pointer to the first byte of element ``at``."""
        return self._builder.bitcast(self.place(at), llvm.I8.as_pointer())

    def get(self, at: Value) -> Value:
        """Element ``at``."""
        return self._context.unpack_value(self._builder, self._dtype, self.place(at))

    def put(self, at: Value, value: Value) -> None:
        """Store a value as element ``at``."""
        self._context.pack_value(self._builder, self._dtype, value, self.place(at))
