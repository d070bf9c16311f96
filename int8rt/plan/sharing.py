"""Which calls of a program threads share, and in how many parts: the one place that decides it."""

from __future__ import annotations

from typing import NamedTuple

from int8rt.steps import Call, PythonCall


class Sharing(NamedTuple):
    """How many threads run a program, and which calls they share.

    A call is shared where its kernel takes ``thread, threads`` and its work is at least ``least_work``. Tests set
    ``least_work`` to 0: then every such call comes in several parts, however small its arrays are.
    """

    threads: int = 1
    least_work: int = 700_000  # operations of a call: for less it is not worth it that threads wait for one another
    work_of_part: int = 1_000_000  # operations, at least, where a call has more parts than there are threads
    most_parts: int = 4  # for each thread

    def parts_of(self, call: Call | PythonCall) -> int:
        """In how many parts threads share a call; 1 where they do not."""
        if self.threads == 1 or isinstance(call, PythonCall) or not call.kernel.is_parallel:
            return 1
        if call.work < self.least_work:
            return 1
        return min(self.most_parts * self.threads, max(self.threads, call.work // self.work_of_part))


ONE_THREAD = Sharing()
