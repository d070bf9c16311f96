"""Everything int8rt raises on purpose: one base, three kinds, and what LiteRT's users know as RuntimeErrors."""


class Error(Exception):
    """Base of all errors that int8rt raises on purpose."""


class ModelError(Error, ValueError):
    """The model file is malformed, or says something that contradicts itself."""


class InconsistentNode(ModelError):
    """An operator trips over a node: the node contradicts itself, or, in a sound file, the operator is wrong."""


class UnsupportedError(Error, NotImplementedError):
    """The model is well formed, but asks for something that int8rt does not do."""


class InputError(Error, ValueError):
    """What the caller passed does not fit the model: wrong shape, type, name or option."""


class CallError(InputError, RuntimeError):
    """A call that does not fit the model or the interpreter's state.

    An InputError, so a ValueError, and a RuntimeError too: LiteRT raises the one or the other.
    """


class PrepareError(ModelError, RuntimeError):
    """The model contradicts itself, for the input shapes asked for; a RuntimeError, as LiteRT raises."""
