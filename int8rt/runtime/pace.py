"""Whether threads share a run: they do, except beside busy neighbours.

There the system puts each thread of a run aside from time to time, for milliseconds, and the others soon wait for what
it holds: one thread alone may be faster. Whether it is depends on the model, the system and the neighbours, and only a
trial tells. All times are those that runs take: what passes between runs does not count, so that trials are the same
small share of runs however rare these are.
"""

from __future__ import annotations

import math

SLOW = 1.3  # times the best time together, from which on it is worth a trial whether one thread does as well
CLEAR = 0.8  # times the time alone, below which threads are faster beyond doubt
SETTLING = 0.04  # seconds at the start of a trial: the system's shares of the CPUs still follow what was before
WINDOW = 0.04  # seconds of a trial after that: some time slices
SHORTEST, LONGEST = 0.1, 1.6  # seconds between trials; the time doubles with each that changes nothing


class Pace:
    """Chooses between a run together and a run alone, from how long the runs before took."""

    def __init__(self) -> None:
        self.is_alone = False
        self._best = math.inf  # seconds of an item, together
        self._rival = math.inf  # seconds of an item the other way, while this one is on trial
        self._is_trial = False
        self._pause = 0.0  # how long after the last trial another one may begin
        self._start()

    def _start(self) -> None:
        """Count from here on."""
        self._settling, self._seconds, self._items = 0.0, 0.0, 0

    def took(self, seconds: float, items: int) -> None:
        """Learn that a run of so many items took so long, and choose how the next one is made."""
        if self._is_trial and self._settling < SETTLING:
            self._settling += seconds
            return
        self._seconds, self._items = self._seconds + seconds, self._items + items
        if self._is_trial:
            if self._seconds >= WINDOW:
                self._decide(self._seconds / self._items)
            return
        if not self.is_alone:
            self._best = min(self._best, seconds / items)
        if self._seconds >= self._pause and (self.is_alone or seconds / items > SLOW * self._best):
            self._rival = self._seconds / self._items
            self._choose(not self.is_alone, is_trial=True)

    def _decide(self, mean: float) -> None:
        """End a trial: threads share runs where that is faster beyond doubt, or as fast as it ever was."""
        together, alone = (self._rival, mean) if self.is_alone else (mean, self._rival)
        is_alone = together > max(CLEAR * alone, SLOW * self._best)
        is_change = is_alone == self.is_alone
        self._pause = SHORTEST if is_change else min(max(SHORTEST, 2 * self._pause), LONGEST)
        self._choose(is_alone, is_trial=False)

    def _choose(self, is_alone: bool, is_trial: bool) -> None:
        self.is_alone, self._is_trial = is_alone, is_trial
        self._start()
