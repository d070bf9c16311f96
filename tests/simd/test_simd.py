"""simd: every lowering that this CPU can run gives the same bits, and no setting makes LLVM abort the process."""

import pickle

import aarch64
import numpy as np
import pytest
from engines import run_reference
from selection import exhaustive, share
from targets import CASES, PRODUCTS, TARGETS, bytewise, compiling_for

from int8rt.memory import address
from int8rt.native.kernel import kernel
from int8rt.simd import features
from int8rt.simd.features import has
from int8rt.simd.lowerings import DOT
from int8rt.simd.memory import copy_within, fill_within, get, put
from int8rt.simd.threads import atomic_add, atomic_load, copy_bytes

RUN_CASES = """
import pickle, sys
from engines import run_program
from int8rt.simd.lowerings import lowering
path, first, step = sys.argv[1:]
with open(path, "rb") as file:
    cases = pickle.load(file)[int(first) :: int(step)]
print(lowering())
for content, x, expected in cases:
    for threads in (1, 2):
        (y,) = run_program(content, x, threads=threads)
        assert (y == expected).all(), f"{(y != expected).sum()} of {y.size} differ"
"""


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """A file with models, inputs and what the reference gives."""
    path = tmp_path_factory.mktemp("cases") / "cases.pickle"
    models = [case.model() for case in CASES] + [(content, x) for content, (x,) in (p.model() for p in PRODUCTS)]
    models += bytewise()
    path.write_bytes(pickle.dumps([(content, x, run_reference(content, x)[0]) for content, x in models]))
    return path


@pytest.mark.parametrize(
    ("target", "part"), [("generic", "some"), ("haswell", "some"), *share([(name, "all") for name in TARGETS], -1, 99)]
)
def test_lowerings_give_the_same_bits(target, part, cases, python):
    """By default two lowerings and a share of the cases."""
    share = (0, 1) if part == "all" else (list(TARGETS).index(target), len(TARGETS))
    found = python(RUN_CASES, cases, *share, **compiling_for(target))
    assert found == f"{TARGETS[target][2]}\n"


def test_targets_cover_every_lowering():
    assert {lowering for _, _, lowering in TARGETS.values()} | set(aarch64.FEATURES) == set(DOT)


@pytest.mark.parametrize(
    "environment",
    [
        {"NUMBA_CPU_FEATURES": "+avx512bw,+avx512vnni,-avx512f"},
        *exhaustive(
            {"NUMBA_CPU_NAME": "haswell"},  # the host's features stay on
            {"NUMBA_CPU_NAME": "generic"},
            {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""},
            {"NUMBA_CPU_FEATURES": ""},
            {"NUMBA_CPU_FEATURES": "+avx2,-avx2"},
            {"NUMBA_CPU_FEATURES": "+avx2,+avxvnni,-avx"},
            {"NUMBA_CPU_FEATURES": "+avx512bw"},
            {"NUMBA_ENABLE_AVX": "0"},
        ),
    ],
    ids=lambda environment: " ".join(f"{k.removeprefix('NUMBA_')}={v}" for k, v in environment.items()),
)
def test_no_setting_aborts_the_compiler(environment, cases, python, tmp_path):
    """Kernels are compiled, not loaded, since the cache is empty, and not run, since this CPU may not be able to."""
    none = dict.fromkeys(("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_ENABLE_AVX"))
    python(COMPILE_SOME, cases, INT8RT_CACHE_DIR=tmp_path, **(none | environment))


COMPILE_SOME = """
import pickle, sys
from int8rt.format import reader
from int8rt.native.helpers import compile_all
from int8rt.numerics.rules import numerics
from int8rt.plan import program
from int8rt.runtime.instance import entry_points
with open(sys.argv[1], "rb") as file:
    cases = pickle.load(file)
for content, _, _ in (cases[0], cases[3], cases[5]):
    compile_all(entry_points(program.build(reader.read(content).main, numerics("reference"))))
"""


def test_numba_s_own_idea_of_the_cpu_is_checked(python, tmp_path):
    """A setting that int8rt does not see cannot lead to instructions that the target lacks."""
    code = """
import numba
numba.config.CPU_FEATURES = "+sse2"
from int8rt import errors
from int8rt.native.entries import entry_point
from int8rt.runtime import pool
try:
    entry_point(pool.run_table, pool.RUN_SIGNATURE)
except errors.UnsupportedError as error:
    print(error)
"""
    assert "Numba compiles for the CPU features '+sse2'" in python(code, INT8RT_CACHE_DIR=tmp_path)


def test_features_as_given(monkeypatch):
    for given, feature, expected in [
        ("", "avx2", False),
        ("+avx2", "avx2", True),
        ("-avx2", "avx2", False),
        ("+avx2,-avx2", "avx2", False),
        ("-avx2,+avx2", "avx2", True),
        ("+avx512f,+avx512bw", "avx512bw", True),
        ("+avx512bw,-avx512f", "avx512bw", False),
        ("+avx512vnni,-avx", "avx512vnni", False),
        ("+avx2,-sse4.1", "avx2", False),
    ]:
        monkeypatch.setattr(features, "cpu_features", lambda given=given: given)
        assert has(feature) is expected, given


# Words


def test_elements_of_an_array_of_any_rank():
    @kernel
    def double(x, y):
        for i in range(x.size):
            put(y, i, 2 * get(x, i))

    for dtype in (np.uint8, np.int16, np.int32, np.int64, np.float32, np.float64):
        x = np.arange(24, dtype=dtype).reshape(2, 3, 4)
        y = np.zeros(x.shape, dtype)
        double(x, y)
        assert (y == 2 * x).all()


def test_put_casts_to_the_array_s_type():
    @kernel
    def store(y, value):
        put(y, 1, value)

    y = np.zeros(3, np.uint8)
    store(y, 511)
    assert y.tolist() == [0, 255, 0]


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_copy_and_fill(dtype):
    @kernel
    def copy(x, start, y, at, count, filled, value):
        copy_within(x, start, y, at, count)
        fill_within(y, at + count, filled, value)

    x, y = np.arange(100, dtype=dtype), np.full((4, 50), 255, dtype)
    for count in (0, 1, 3, 64):
        copy(x, 7, y, 20, count, 90, 9)
        expected = np.full(200, 255, dtype)
        expected[20 : 20 + count] = x[7 : 7 + count]
        expected[20 + count : 110 + count] = 9
        assert (y.reshape(-1)[: 110 + count] == expected[: 110 + count]).all()
        assert (y.reshape(-1)[174:] == 255).all()


@pytest.mark.parametrize("flip", [0, 0x80])
def test_copy_bytes(flip):
    @kernel
    def copy(target, source, count, flip):
        copy_bytes(target, source, count, flip)

    x = np.random.default_rng(0).integers(0, 256, 300).astype(np.uint8)
    for count in (0, 1, 63, 64, 65, 128, 200):
        y = np.zeros(300, np.uint8)
        copy(address(y) + 1, address(x) + 3, count, flip)
        assert (y[1 : 1 + count] == x[3 : 3 + count] ^ flip).all()
        assert not y[1 + count :].any()
        assert y[0] == 0


def test_atomics():
    @kernel
    def add(counter, seen):
        for i in range(10):
            seen[i] = atomic_add(counter, 1, 5)
        seen[10] = atomic_load(counter, 1)

    counter, seen = np.zeros(3, np.int64), np.zeros(11, np.int64)
    add(counter, seen)
    assert seen.tolist() == list(range(0, 55, 5))
    assert counter.tolist() == [0, 50, 0]
