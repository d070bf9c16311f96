"""Locks that a fork does not leave held, and that tell a thread when it would run what it is running.

A fork copies a lock as it is, but only the thread that forked: what another thread held would stay held for ever in the
child. So the child makes every lock that was made here anew, and those of Numba and llvmlite, which compile under them.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from typing import Any

from int8rt.errors import CallError

_known: weakref.WeakSet[Any] = weakref.WeakSet()


def lock() -> Any:
    """A lock that the thread which holds it may take again, as a signal handler does; free in a forked child."""
    made = threading.RLock()
    _known.add(made)
    return made


def check_turn(held: Any, what: str) -> None:
    """Raises CallError where this very thread holds the lock: what keeps state must not run within its own run."""
    if held._is_owned():
        raise CallError(
            f"{what} is running in this very thread, and keeps state: a signal handler, a finalizer or an operator in "
            "Python cannot run it until that run has ended"
        )


def _after_fork() -> None:
    for held in list(_known):
        held._at_fork_reinit()
    compiler_lock = sys.modules.get("numba.core.compiler_lock")
    llvm = sys.modules.get("llvmlite.binding.ffi")
    for owner in (getattr(compiler_lock, "global_compiler_lock", None), getattr(llvm, "lib", None)):
        _made_anew(owner)


def _made_anew(owner: Any) -> None:
    """Free the lock that Numba's or llvmlite's object has under ``_lock``, or one deeper."""
    for _ in range(2):
        owner = getattr(owner, "_lock", None)
        if hasattr(owner, "_at_fork_reinit"):
            owner._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
