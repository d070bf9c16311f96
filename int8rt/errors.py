"""Everything int8rt raises on purpose: one base, three kinds, and what LiteRT's users know as RuntimeErrors."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with escapes, such as \\x1b, for all that a terminal would not print but obey.

    Names in a file are whatever its author likes: sequences that move the cursor, line ends, letters that turn the
    direction of writing around.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


class Error(Exception):
    """Base of all errors that int8rt raises on purpose; as text it is printable, whatever names it mentions."""

    def __str__(self) -> str:
        return "\n".join(map(printable, super().__str__().split("\n")))


class ModelError(Error, ValueError):
    """The model file is malformed, or says something that contradicts itself."""


class InconsistentNode(ModelError):
    """An operator trips over a node: the node contradicts itself, or, in a sound file, the operator is wrong."""


class UnsupportedError(Error, NotImplementedError):
    """The model is well formed, but asks for something that int8rt does not do."""


class LimitError(Error, RuntimeError):
    """A model asks for more memory, time or trips of its loops than it may have.

    what: which limit, max_memory, max_iterations or timeout; memory where the system had none left. limit: its value.
    needed: what would be needed in all, where that is known. node: what asked for it.
    """

    def __init__(
        self,
        message: str,
        what: str = "",
        limit: float | None = None,
        needed: float | None = None,
        node: str | None = None,
    ) -> None:
        super().__init__(message)
        self.what, self.limit, self.needed, self.node = what, limit, needed, node

    def at(self, node: str) -> LimitError:
        """The same, of a node."""
        return self if self.node else LimitError(f"{node}: {self}", self.what, self.limit, self.needed, node)


class InputError(Error, ValueError):
    """What the caller passed does not fit the model: wrong shape, type, name or option."""


class CallError(InputError, RuntimeError):
    """A call that does not fit the model or the interpreter's state.

    An InputError, so a ValueError, and a RuntimeError too: LiteRT raises the one or the other.
    """


class CallTypeError(CallError, TypeError):
    """An argument of a type that a call has no use for; a TypeError too, as LiteRT raises."""


class PrepareError(ModelError, RuntimeError):
    """The model contradicts itself, for the input shapes asked for; a RuntimeError, as LiteRT raises."""
