"""pool: phases of a table, runs in which threads come late, sleep, or have no CPU of their own."""

import gc
import os
import random
import threading
import time

import numpy as np
import pytest
from engines import shared
from programs import build, convolutions, random_inputs

from int8rt.memory import address
from int8rt.native import abi
from int8rt.runtime import pool
from int8rt.runtime.instance import Instance


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([], [(0, 0, 0, 0)]),
        ([0, 0], [(0, 0, 0, 2)]),
        ([3], [(0, 0, 0, 0), (1, 3, 0, 1), (4, 0, 1, 1)]),
        ([0, 2], [(0, 0, 0, 1), (1, 2, 1, 2), (3, 0, 2, 2)]),
        ([2, 0], [(0, 0, 0, 0), (1, 2, 0, 1), (3, 0, 1, 2)]),
        ([0, 0, 4, 4, 0, 2], [(0, 0, 0, 2), (1, 4, 2, 3), (5, 4, 3, 4), (9, 0, 4, 5), (10, 2, 5, 6), (12, 0, 6, 6)]),
    ],
)
def test_phases(parts, expected):
    assert pool.phases(parts).tolist() == [list(row) for row in expected]


def parameters(kernel):
    code = kernel.function.__code__
    return code.co_varnames[: code.co_argcount]


def test_arguments_are_run_table_s():
    """They are given by name, so that none takes another's place."""
    assert ("thread", "threads", *pool.Arguments._fields) == parameters(pool.run_table)


def test_words_of_argument_blocks_are_where_arguments_are_packed():
    arrays = [np.zeros((2, 4), np.int64) for _ in range(4)]
    given = pool.Arguments(*arrays[:2], 17, *arrays[2:], 23, np.zeros(5, np.int64))
    assert abi.signature_of(given) == pool.RUN_SIGNATURE
    words = abi.pack(given)
    assert [words[pool.RUN_WORDS[name]] for name in pool.Arguments._fields] == [
        address(a) if isinstance(a, np.ndarray) else a for a in given
    ]
    for kernel, signature in pool.kernels(2)[-3:]:
        assert len(parameters(kernel)) == len(signature)


def test_first_words():
    assert abi.first_words(["a", "b", "c"], ("int8[4]", "float", "int64[1]")) == {"a": 0, "b": 5, "c": 6}
    assert abi.first_words([], ()) == {}
    with pytest.raises(TypeError, match="2 parameters, a, b, and 1 types"):
        abi.first_words(["a", "b"], ("int",))


def steps(count, seed=0):
    """An instance on so many threads, some inputs, and what one thread makes of them."""
    content = convolutions()
    alone, instance = (Instance(build(content, sharing=shared(n))) for n in (1, count))
    assert instance.pool.threads == count
    inputs = [random_inputs(instance.program, seed + i) for i in range(8)]
    return instance, [(x, alone.run(x)[0]) for x in inputs]


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_runs_after_pauses_of_all_lengths(threads):
    """Others spin, fall asleep, or are just about to."""
    instance, known = steps(threads)
    generator = random.Random(threads)
    for i in range(600):
        x, expected = known[i % len(known)]
        assert (instance.run(x)[0] == expected).all(), i
        if i % 3 == 0:
            end = time.perf_counter() + generator.uniform(0, 1e-3)
            while time.perf_counter() < end:
                pass
        if i % 50 == 0:
            time.sleep(0.002)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads cannot be bound to a CPU")
def test_threads_without_cpus_of_their_own():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        instance, known = steps(4)
        for i in range(300):
            x, expected = known[i % len(known)]
            assert (instance.run(x)[0] == expected).all(), i
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize("count", [2, 5])
def test_batches(count):
    instance, known = steps(3)
    for _ in range(100):
        (x,) = (np.concatenate(parts) for parts in zip(*(x for x, _ in known[:count]), strict=True))
        assert (instance.run([x], count)[0] == np.concatenate([y for _, y in known[:count]])).all()


def test_pools_side_by_side():
    wrong = []

    def work(seed):
        instance, known = steps(2, seed)
        wrong.extend(i for i in range(200) if not (instance.run(known[i % 8][0])[0] == known[i % 8][1]).all())

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_numbers_of_runs_wrap():
    """They have 31 bits of a word."""
    instance, known = steps(2)
    instance.run(known[0][0])
    time.sleep(0.05)  # the other thread sleeps
    instance.pool.array[pool.ITEMS] = (pool.LAST_RUN - 2) * pool.ONE_RUN + pool.NONE_LEFT
    for i in range(50):
        x, expected = known[i % len(known)]
        assert (instance.run(x)[0] == expected).all(), i


def test_a_pool_ends_with_what_uses_it():
    before = set(threading.enumerate())
    instance, known = steps(3)
    instance.run(known[0][0])
    others = set(threading.enumerate()) - before
    assert len(others) == 2
    del instance
    gc.collect()
    for thread in others:
        thread.join(10)
        assert not thread.is_alive()


def test_a_pool_of_one_starts_no_thread():
    before = set(threading.enumerate())
    Instance(build(convolutions()))
    assert set(threading.enumerate()) <= before
