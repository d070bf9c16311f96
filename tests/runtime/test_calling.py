"""calling: a run as a built-in function: what it takes and what it leaves to others, memory, threads."""

import gc
import sys
import threading

import numpy as np
import pytest
from writer import Op, T, model, network

import int8rt
from int8rt import InputError
from int8rt.format import reader
from int8rt.numerics.rules import numerics
from int8rt.plan.program import build
from int8rt.runtime import calling
from int8rt.runtime.instance import COPIED_BYTES, Instance

pytestmark = pytest.mark.skipif(not calling.is_supported(), reason="there are no such functions here")


def relu_and_neighbors(shape=(2, 3), count=2):
    """x, y -> relu(x), relu(y), ... of which ``count`` are outputs."""
    x, y, a, b = (T(np.int8, shape, 0.5, 3) for _ in range(4))
    return network([Op("RELU", [x], [a]), Op("RELU", [y], [b])], inputs=[x, y], outputs=[a, b][:count])


def direct_of(content):
    plan = build(reader.read(content).main, numerics("reference"))
    return Instance(plan).direct


def values(shape=(2, 3), seed=0):
    return np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)


def relu(x):
    return np.maximum(x, np.int8(3))


def test_one_output_is_an_array_and_several_are_a_tuple() -> None:
    x, y = values(seed=1), values(seed=2)
    single, double = direct_of(relu_and_neighbors(count=1))(x, y), direct_of(relu_and_neighbors())(x, y)
    assert type(single) is np.ndarray
    assert (single == relu(x)).all()
    assert isinstance(double, tuple)
    assert all((found == relu(given)).all() for found, given in zip(double, (x, y), strict=True))


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (5, 1, 1, 2), (2, 1, 3, 1, 1, 2)])
def test_shapes(shape) -> None:
    x, y = values(shape, 1), values(shape, 2)
    found = direct_of(relu_and_neighbors(shape))(x, y)
    assert [a.shape for a in found] == [shape, shape]
    assert all((a == relu(given)).all() for a, given in zip(found, (x, y), strict=True))


def test_results_are_new_arrays() -> None:
    direct = direct_of(relu_and_neighbors(count=1))
    x, y = values(seed=1), values(seed=2)
    first = direct(x, y)
    before = first.copy()
    assert not np.shares_memory(first, direct(y, x))
    assert (first == before).all()
    assert first.flags.owndata
    assert first.flags.writeable


class Sub(np.ndarray):
    pass


@pytest.mark.parametrize(
    "x",
    [
        values((2, 4)),
        values((3, 2)),
        values((6,)),
        values((1, 2, 3)),
        values((3, 2)).T,
        values((2, 6))[:, ::2],
        values().astype(np.uint8),
        values().astype(np.int16),
        values().astype(">i2"),
        values().view(Sub),
        values().tolist(),
        None,
        7,
    ],
    ids=lambda x: f"{type(x).__name__} {getattr(x, 'dtype', '')}{getattr(x, 'shape', '')}",
)
def test_what_does_not_fit_exactly_is_left_to_others(x) -> None:
    direct = direct_of(relu_and_neighbors())
    assert direct(x, values()) is None
    assert direct(values(), x) is None


def test_wrong_numbers_of_arguments_are_left_to_others() -> None:
    direct = direct_of(relu_and_neighbors())
    assert direct() is None
    assert direct(values()) is None
    assert direct(values(), values(), values()) is None
    with pytest.raises(TypeError, match="keyword"):
        direct(values(), values(), extra=1)


def test_arrays_that_cannot_be_written_or_are_not_aligned_will_do() -> None:
    x = T(np.int16, (3,), 0.5, 0)
    y = T(np.int16, (3,), 0.5, 0)
    direct = direct_of(model("RELU", [x], [y]))
    odd = np.frombuffer(b"\0" + np.array([-5, 0, 700], np.int16).tobytes(), np.uint8)[1:].view(np.int16)
    assert not odd.flags.aligned
    assert not odd.flags.writeable
    assert (direct(odd) == [0, 0, 700]).all()


def test_a_model_calls_it_and_goes_the_long_way_for_the_rest() -> None:
    running = int8rt.load(relu_and_neighbors(count=1))
    x, y = values(seed=1), values(seed=2)
    assert (running(x, y) == relu(x)).all()
    assert (running(x.tolist() and np.asfortranarray(x), y) == relu(x)).all()
    batch = values((8, 3), 3)
    assert (running(batch, batch) == relu(batch)).all()
    with pytest.raises(InputError, match="expected int8"):
        running(x.astype(np.float32), y)
    with pytest.raises(InputError, match="2 expected"):
        running(x)


def test_values_out_of_range_are_an_error_that_passes() -> None:
    x = T(np.int8, (4,), 0.5, 0, data=[1, 2, 3, 4])
    indices, y = T(np.int32, (2,)), T(np.int8, (2,), 0.5, 0)
    running = int8rt.load(model("GATHER", [x, indices], [y], axis=0))
    good, bad = np.array([3, 0], np.int32), np.array([1, 9], np.int32)
    assert running(good).tolist() == [4, 1]
    for _ in range(2):
        with pytest.raises(InputError, match="9"):
            running(bad)
    assert running(good).tolist() == [4, 1]


def test_references_stay_the_same() -> None:
    direct, x, y = direct_of(relu_and_neighbors()), values(), values()
    counted = [x, y, None, x.dtype, np.ndarray]
    for arguments in [(x, y), (x,), (x, x.T)]:
        direct(*arguments)
        gc.collect()
        before = [sys.getrefcount(o) for o in counted]
        for _ in range(1000):
            direct(*arguments)
        after = [sys.getrefcount(o) for o in counted]
        assert all(abs(a - b) < 100 for a, b in zip(after, before, strict=True))


def test_memory_lives_as_long_as_the_function() -> None:
    direct = direct_of(relu_and_neighbors((64, 64), count=1))  # of an Instance that is gone
    gc.collect()
    for seed in range(20):
        x = values((64, 64), seed)
        assert (direct(x, x) == relu(x)).all()


@pytest.mark.parametrize(
    "make", [lambda i: np.dtype([(f"field{i}", "<i2")]), lambda i: np.dtype(("V", i))], ids=["structured", "bytes"]
)
def test_no_data_type_takes_the_place_of_a_declared_one(make) -> None:
    """Types are compared by their addresses, so those must not be given to others while the function lives."""
    places, output = np.zeros(4, np.int64), np.zeros(3, np.int8)
    declared = [np.zeros(3, make(i + 1)) for i in range(50)]
    functions = [calling.bind(0, 0, places, [x], [output], (), None) for x in declared]
    taken = {id(x.dtype) for x in declared}
    del declared
    others = [make(i + 1) for i in range(200)]
    assert not {id(dtype) for dtype in others} & taken
    assert all(function(np.zeros(3, dtype)) is None for function in functions for dtype in others)


def test_several_threads_call_one_model() -> None:
    running = int8rt.load(relu_and_neighbors((16, 64), count=1))
    wrong = []

    def work(seed):
        x = values((16, 64), seed)
        expected = relu(x)
        wrong.extend(1 for _ in range(500) if not (running(x, x) == expected).all())

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_large_outputs_and_shared_work_have_no_such_function() -> None:
    assert direct_of(relu_and_neighbors((1, COPIED_BYTES), count=1)) is not None
    assert direct_of(relu_and_neighbors((1, COPIED_BYTES + 1), count=1)) is None


def test_a_layout_that_is_not_known_is_refused(monkeypatch) -> None:
    assert calling._is_laid_out(np.zeros((2, 3), np.int8))
    for field in ("TYPE", "DATA", "RANK", "SHAPE", "DTYPE"):
        monkeypatch.setattr(calling, field, getattr(calling, field) + 8)
        assert not calling._is_laid_out(np.zeros((2, 3), np.int8))
        monkeypatch.undo()
