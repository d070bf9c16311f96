"""A thread of its own for what must not be left half done, as compiling.

Python runs signal handlers in its main thread, between any two instructions. One that raises, as that of Ctrl-C does,
would take the compiler out of whatever it is doing, and LLVM does not survive being used after that; one that needs a
kernel itself would enter it a second time. In another thread the compiler goes on to its end: who waits for it may be
interrupted, and a handler waits for its turn.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from int8rt import locks

T = TypeVar("T")

_turn = locks.lock()

WAKES = 0.1  # seconds after which a signal that another thread took is noticed
STACK = 16 << 20  # bytes; some systems give other threads than the main one half a megabyte, which LLVM exceeds


def undisturbed(function: Callable[..., T], *args: Any) -> T:
    """function(*args), run to its end even where the caller is interrupted, which then has no part in it any more."""
    if threading.current_thread() is not threading.main_thread():
        with _turn:
            return function(*args)
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with _turn:  # whoever asks next waits for what nobody waits for any more
                results.append(function(*args))
        except BaseException as error:
            errors.append(error)

    while not (results or errors):  # a fork in the meantime leaves the child without the thread
        thread = threading.Thread(target=work, name="int8rt-compiler")
        try:
            _start(thread)
        except RuntimeError:  # there are no more threads, or none at all
            work()
        while thread.is_alive():
            thread.join(WAKES)
    if errors:
        raise errors[0]
    return results[0]


def _start(thread: threading.Thread) -> None:
    before = threading.stack_size()
    with contextlib.suppress(ValueError):  # a system may have its own limits
        threading.stack_size(max(before, STACK))
    try:
        thread.start()
    finally:
        threading.stack_size(before)
