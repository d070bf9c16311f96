"""Cases that do what no case may, by their seeds: for the tests of ``watched``."""

from __future__ import annotations

import os
import signal
import time

from int8rt.errors import InconsistentNode, ModelError

FINE, REFUSED, INCONSISTENT, FOREIGN, ABORTS, ENDS, HANGS, TAKES_MEMORY, IS_ONCE_SLOW = range(9)
kept: list[bytes] = []


def case(seed: int, once: str = "") -> tuple[str, str]:
    """What comes of a case of that kind; ``once`` is a file that says whether it was slow before."""
    if seed == REFUSED:
        raise ModelError("no model")
    if seed == INCONSISTENT:
        raise InconsistentNode("a node")
    if seed == FOREIGN:
        raise ZeroDivisionError("of somebody else")
    if seed == ABORTS:
        os.kill(os.getpid(), signal.SIGABRT)
    if seed == ENDS:
        os._exit(3)
    if seed == HANGS or (seed == IS_ONCE_SLOW and not os.path.exists(once)):
        open(once, "w").close()
        time.sleep(60)
    if seed == TAKES_MEMORY:
        kept.append(b"x" * (1100 << 20))
    return "ok", "fine"
