"""Classes of values that never change once they are built: dataclasses that cost little to define.

``dataclass(frozen=True)`` writes the source of every method and compiles it, a millisecond for each class. A warm start
defines twenty, so that a tenth of it would go there. The methods here are the same for all classes.
"""

from __future__ import annotations

from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Any:
        """For type checkers."""
        return lambda function: function


T = TypeVar("T")


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """A frozen dataclass, whose instances are equal to themselves alone.

    As with ``dataclass``, a class that has ``__init__`` or ``__repr__`` itself keeps it.
    """
    own = vars(cls)
    methods: dict[str, Any] = {"__setattr__": _refuse, "__delattr__": _refuse}
    made: Any = dataclass(init=False, repr=False, eq=False)(cls)
    if "__init__" not in own:
        methods["__init__"] = _initializer(made)
    if made.__repr__ is object.__repr__:
        methods["__repr__"] = _describe
    for name, method in methods.items():
        setattr(made, name, method)
    return made


def _initializer(cls: Any) -> Any:
    """``__init__`` of a class: its fields by position or by name, with their defaults."""
    names = [f.name for f in fields(cls)]
    defaults = {f.name: f.default for f in fields(cls) if f.default is not MISSING}
    factories = {f.name: f.default_factory for f in fields(cls) if f.default_factory is not MISSING}

    def __init__(self: Any, *args: Any, **given: Any) -> None:
        if len(args) > len(names) or not given.keys() <= set(names[len(args) :]):
            raise TypeError(f"{cls.__name__}() takes {', '.join(names)}")
        values = vars(self)
        values.update(defaults)
        values.update(zip(names, args), **given)
        for name, make in factories.items():
            if name not in values:
                values[name] = make()
        if len(values) != len(names):
            raise TypeError(f"{cls.__name__}() lacks {', '.join(n for n in names if n not in values)}")

    return __init__


def _refuse(self: Any, name: str, *_: Any) -> None:
    raise FrozenInstanceError(f"cannot change {name!r} of {type(self).__name__}")


def _describe(self: Any) -> str:
    return f"{type(self).__qualname__}({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in fields(self))})"
