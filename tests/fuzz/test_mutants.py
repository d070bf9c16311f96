"""Changed model files: refused with an error of ours, or run with the right answer; what was ever found stays so.

python -m tests.fuzz.mutants 10000 1000000 --log FILE     mutants of other seeds, and figures
"""

from __future__ import annotations

import random
from pathlib import Path

import misbehaving
import mutants
import mutate
import pytest
import watched
from selection import share

from int8rt.errors import Error
from int8rt.format import reader

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.tflite"))
CHUNKS, PER_CHUNK = 20, 500


@pytest.mark.parametrize("chunk", share(range(CHUNKS), 0, 10))
def test_mutants(chunk):
    """Most files are changed so little that they come past the reader, and many run."""
    tally = mutants.Tally()
    tally.count(watched.watch("mutants:case", range(chunk * PER_CHUNK, (chunk + 1) * PER_CHUNK)))
    assert not tally.findings
    assert tally.counts.total() == PER_CHUNK
    assert tally.counts["ok (ran)"] > PER_CHUNK // 5


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_what_was_found_before(path):
    """Each ended in an exception of somebody else, or the evaluator differed."""
    for seed in range(3):
        kind, detail = watched.outcome(lambda seed: mutants.judged(path.read_bytes(), seed), seed, {})
        assert kind not in watched.FINDINGS, detail


@pytest.mark.parametrize("change", mutate.CHANGES, ids=lambda change: change.__name__)
def test_every_change_makes_other_files(change):
    """Some of them are sound enough to be read."""
    made, read = set(), 0
    for seed in range(60):
        model, other = (mutate.tree(mutants.source(n)) for n in (seed, seed + 1))
        before = mutate.write(model)
        try:
            change(random.Random(seed), model, other)
        except IndexError:  # nothing of the kind
            continue
        content = mutate.write(model)
        made |= {content} if content != before else set()
        try:
            read += len(reader.read(content).subgraphs) > 0
        except Error:
            continue
    assert len(made) >= 5
    assert read >= 5


def test_a_seed_gives_one_mutant():
    assert [mutants.made(seed) for seed in range(40)] == [mutants.made(seed) for seed in range(40)]


# Watching


def kinds(seeds, tmp_path, **options):
    arguments = {"once": str(tmp_path / "once")}
    return [(v.seed, v.kind) for v in watched.watch("misbehaving:case", seeds, arguments, **options)]


def test_what_ends_a_child_is_told_apart(tmp_path):
    """And does not keep the next case from running."""
    m = misbehaving
    seeds = [
        m.FINE,
        m.REFUSED,
        m.FINE,
        m.INCONSISTENT,
        m.FOREIGN,
        m.ABORTS,
        m.FINE,
        m.ENDS,
        m.FINE,
        m.TAKES_MEMORY,
        m.FINE,
    ]
    expected = ["ok", "refused", "ok", "inconsistent", "foreign", "death", "ok", "death", "ok", "memory", "ok"]
    assert kinds(seeds, tmp_path, limit=60.0) == list(zip(seeds, expected, strict=True))


def test_what_hangs_is_ended(tmp_path):
    seeds = [misbehaving.HANGS, misbehaving.FINE]
    assert [kind for _, kind in kinds(seeds, tmp_path, limit=3.0)] == ["hang", "ok"]


def test_what_is_slow_once_had_to_compile(tmp_path):
    assert kinds([misbehaving.IS_ONCE_SLOW], tmp_path, limit=3.0) == [(misbehaving.IS_ONCE_SLOW, "ok")]


def test_several_processes(tmp_path):
    seeds = [misbehaving.FINE] * 20 + [misbehaving.ABORTS] * 2 + [misbehaving.FINE] * 20
    found = kinds(seeds, tmp_path, processes=2)
    assert sorted(kind for _, kind in found) == ["death"] * 2 + ["ok"] * 40


def test_a_tally_goes_on(tmp_path):
    log = tmp_path / "log.json"
    first = mutants.Tally(log)
    first.count(watched.watch("misbehaving:case", [0, 1, 3], {}))
    again = mutants.Tally(log)
    assert again.next == 4
    assert again.counts == first.counts
    assert again.findings == first.findings
    assert "ZeroDivisionError" in again.findings[0]
