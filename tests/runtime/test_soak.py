"""Mixed work for some seconds gives right answers only, and would not if a lock were missing.

python -m tests.runtime.soak 600     for longer
"""

import os

import pytest
from selection import exhaustive

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")

RUN = """
import faulthandler, sys
import soak
faulthandler.dump_traceback_later(200, exit=True)
found = soak.Soak(seed=int(sys.argv[1]), child_seconds=float(sys.argv[2]))
{change}
found.run(float(sys.argv[3]))
print(*found.failures, sep="\\n")
assert not found.failures
assert {{task.__name__ for task, _ in soak.TASKS}} - {{"spawns", "is_commanded"}} <= found.done.keys(), found.done
"""

# What the project must not lack: code that takes it away, and how the soak says that it is missing.
CHANGES = {
    "turns of a model that keeps state": (
        "import contextlib\n"
        "from int8rt.runtime.model import _Sessions\n"
        "_Sessions._own_turn = lambda self: contextlib.nullcontext()",
        "counter",
    ),
    "memory for each caller": (
        "from int8rt.runtime.model import _Sessions\n"
        "from int8rt.runtime.pool import ThreadPool\n"
        "made = ThreadPool.__init__\n"
        "def started(self, threads):\n"  # else two callers who share it may start it at once, which is told first
        "    made(self, threads)\n"
        "    if threads > 1:\n"
        "        self._start()\n"
        "ThreadPool.__init__ = started\n"
        "_Sessions.direct = lambda self, inputs: self._first.direct(*inputs)\n"
        "_Sessions.run = lambda self, inputs, count: self._first.run(inputs, count)",
        "wrong values",
    ),
    "locks that survive a fork": (
        "import threading\n"
        "from int8rt.runtime.model import _Sessions\n"
        "lock = threading.RLock()\n"
        "_Sessions._own_turn = lambda self: lock",
        "a forked child",
    ),
}


def test_every_answer_is_right(python):
    python(RUN.format(change=""), 0, 30, 5)


@pytest.mark.parametrize("lacking", ["memory for each caller", *exhaustive(*CHANGES)])
def test_it_finds_what_is_missing(python, lacking):
    change, said = CHANGES[lacking]
    found = python(RUN.format(change=change), 0, 2, 60, check=False)
    assert said in found
