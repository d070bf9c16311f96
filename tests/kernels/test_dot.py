"""dot and its requantization: the short formula against the rule it stands for, and every tile against dot_plain."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from selection import exhaustive

from int8rt.graph import Tensor
from int8rt.kernels import dot
from int8rt.kernels.product import RowSegments, widest
from int8rt.memory import address
from int8rt.native.abi import pack, signature_of
from int8rt.native.entries import native
from int8rt.numerics import requantization
from int8rt.numerics.fixedpoint import quantize_multiplier
from int8rt.numerics.requantization import (
    LIMIT,
    MAX_SHIFT,
    Filters,
    Rounding,
    double_precision,
    double_rounding,
    fitted,
    parameters,
)
from int8rt.simd.narrow import column_order
from int8rt.simd.runs import STRIDE
from int8rt.simd.tiles import single_row_shapes, tile_shapes

I64 = np.int64


def one_column(multiplier, shift, zero_point=0, lo=-(2**40), hi=2**40, bias=0):
    """Double rounding for one column with a weight of one; the formula depends on weights by their bounds alone."""
    r = Rounding(I64([multiplier]), I64([shift]), np.zeros(0), zero_point, lo, hi)
    return Filters(np.int16([[1]]), I64([bias]), r)


def short_formula(constants, acc, column=0):
    """What the vectors compute, modulo 2**32 where they do; before the clamp."""
    multiplier, constant, shift, negative, bias = (int(v) & 0xFFFFFFFF for v in constants.rows[:, column])
    x = (np.asarray(acc, I64) + bias).astype(np.uint64) & np.uint64(0xFFFFFFFF)
    high = (x * np.uint64(multiplier)) >> np.uint64(32)  # below 2**64
    q = high.astype(I64) + constant - (x < negative)
    q = ((q + 2**31) & 0xFFFFFFFF) - 2**31
    return q >> shift


def exact(acc, multiplier, shift, zero_point):
    """Double rounding on Python integers: both roundings, one after the other."""
    high = (int(acc) * multiplier + 2**30) >> 31
    e = -shift
    if e == 0:
        return high + zero_point
    half = 1 << (e - 1)
    return (high + half >> e if high >= 0 else -(-high + half >> e)) + zero_point


def agree(multiplier, shift, zero_point, accumulators):
    constants = parameters(one_column(multiplier, shift, zero_point))
    assert constants is not None
    found = short_formula(constants, accumulators)
    expected = [exact(acc, multiplier, shift, zero_point) for acc in np.asarray(accumulators).tolist()]
    assert found.tolist() == expected


MULTIPLIERS = [2**30, 2**30 + 1, 2**30 + 2, 3 * 2**29, 2**31 - 2**16, 2**31 - 2, 2**31 - 1, 1518500250, 1234567890]


@pytest.mark.parametrize("shift", range(-MAX_SHIFT, 1))
def test_double_rounding_for_every_shift_near_every_threshold(shift):
    """Double rounding is monotone: where the formula agrees on both sides of every step, it agrees everywhere."""
    for multiplier in MULTIPLIERS:
        for zero_point in (0, 1, 128, 255):
            outputs = np.arange(-256, 257)
            real = np.round((outputs - 0.5) * 2.0 ** (31 - shift) / multiplier).astype(I64)
            near = (real[:, None] + np.arange(-2, 3)).reshape(-1)
            ends = [-LIMIT + 1, -LIMIT + 2, -1, 0, 1, LIMIT - 2, LIMIT - 1]
            agree(multiplier, shift, zero_point, np.concatenate([near[np.abs(near) < LIMIT], ends]))


@pytest.mark.parametrize("zero_point", [0, 128, 255])
def test_thresholds_in_closed_form(zero_point):
    """The least accumulator that gives output k, by performance.md's L7, is where the formula steps from k - 1 to k."""
    rng = np.random.default_rng(zero_point)
    for multiplier, e in [*zip(MULTIPLIERS, range(1, 10)), (2**30, 1), (2**31 - 1, 21), (2**30, 8)]:
        constants = parameters(one_column(multiplier, -e, zero_point))
        offset = 2**30 + 2 ** (30 + e)
        for k in sorted({-254, -1, 0, 1, 254, *rng.integers(-254, 255, 40).tolist()}):
            numerator = k * 2 ** (31 + e) - offset
            if_positive, if_negative = -(-numerator // multiplier), -(-(numerator + 2**31) // multiplier)
            least = if_negative if if_negative < 0 else max(if_positive, 0)
            if abs(least) < LIMIT - 1:
                found = short_formula(constants, [least - 1, least]).tolist()
                assert found[1] == k + zero_point
                assert found[0] == k + zero_point - 1


@given(
    st.integers(2**30, 2**31 - 1) | st.integers(0, 30).map(lambda t: min(3 << 29, (2**30 >> t << t) + (1 << t))),
    st.integers(-MAX_SHIFT, 0), st.integers(0, 255), st.lists(st.integers(-LIMIT + 1, LIMIT - 1), min_size=1),
)  # fmt: skip
def test_double_rounding_on_random_accumulators(multiplier, shift, zero_point, accumulators):
    agree(multiplier, shift, zero_point, accumulators)


def test_double_rounding_on_ties_of_both_roundings():
    """m = 2**30 makes every second high product a tie, and powers of two make ties of the shift."""
    for shift in (0, -1, -2, -5):
        agree(2**30, shift, 7, np.arange(-3000, 3000))
        agree(3 * 2**29, shift, 7, np.arange(-3000, 3000))


def test_a_constant_column_needs_no_exact_formula():
    """Multiplier 0, or a result that the clamp makes the same for every accumulator."""
    constants = parameters(one_column(0, 0, zero_point=9, lo=0, hi=255))
    assert short_formula(constants, [-300, 0, 300]).tolist() == [9, 9, 9]
    saturated = parameters(one_column(2**30, 5, zero_point=9, lo=0, hi=255, bias=10**6))
    assert short_formula(saturated, [0, 100, 255]).tolist() == [255] * 3


@pytest.mark.parametrize(
    "columns",
    [
        one_column(2**30, 1),  # a left shift
        one_column(2**30, -MAX_SHIFT - 1, bias=0, zero_point=3)._replace(w=np.int16([[255] * 4000])),
        one_column(2**30, -3, bias=LIMIT),
        one_column(2**30, -3, bias=-LIMIT),
        one_column(2**30, -3, bias=LIMIT - 255),
        one_column(2**30, -3, bias=2**31),
    ],
    ids=["left shift", "shift of 23", "bias", "negative bias", "largest sum", "wraps"],
)
def test_where_there_is_no_formula(columns):
    assert parameters(columns) is None


def test_equal_ends_are_no_constant_where_a_left_shift_wraps():
    """Accumulators 0 and 255 give 0, the second since 255 << 30 wraps below 0; but 1 gives 255."""
    column = one_column(2**30, 30, lo=0, hi=255)
    assert column.rounding.apply(I64([[0], [1], [255]])).reshape(-1).tolist() == [0, 255, 0]
    assert parameters(column) is None


def test_one_column_without_formula_spoils_all():
    r = Rounding(I64([2**30, 2**30]), I64([-3, 4]), np.zeros(0), 0, 0, 255)
    columns = Filters(np.ones((2, 9), np.int16), I64([0, 0]), r)
    assert parameters(columns) is None
    part = Filters(columns.w[:1], columns.bias[:1], r.part(slice(0, 1)))
    assert parameters(part) is not None


def test_left_shifts_move_into_the_weights():
    r = Rounding(I64([2**30, 2**30 + 5]), I64([2, -4]), np.zeros(0), 0, 0, 255)
    columns = Filters(np.int16([[1, -2], [3, -4]]), I64([10, 20]), r)
    moved = fitted(columns)
    assert moved.rounding.shift.tolist() == [0, -4]
    assert moved.w.tolist() == [[4, -8], [3, -4]]
    assert moved.bias.tolist() == [40, 20]
    wraps = columns._replace(bias=I64([2**29, 0]))
    assert fitted(wraps) is wraps


def test_quantized_rule_is_what_rounding_applies():
    scales = np.array([0.003, 0.7, 2.0, 0.0])
    acc = np.random.default_rng(0).integers(-(2**20), 2**20, (50, 4))
    for r in (double_rounding(scales, 5, 0, 255), double_precision(scales, 5, 0, 255)):
        found = r.apply(acc)
        assert found.min() >= 0
        assert found.max() <= 255
        assert (found[:, 3] == 5).all()
    multiplier, shift = quantize_multiplier(scales)
    pairs = list(zip(multiplier.tolist(), shift.tolist()))
    expected = [[min(max(_double_rounding(a, *p) + 5, 0), 255) for a, p in zip(row, pairs)] for row in acc.tolist()]
    assert double_rounding(scales, 5, 0, 255).apply(acc).tolist() == expected


def _double_rounding(acc, multiplier, shift):
    return exact(acc << max(shift, 0), multiplier, min(shift, 0), 0)


# Kernels


def run(calls, arrays):
    """Run Calls on one thread and on three; ``arrays`` maps their Tensors to memory. Gives what the last one writes
    first.
    """
    results = []
    for threads in (1, 3):
        memory = dict(arrays)
        for call in calls:
            step = call.for_threads(threads)
            for a in step.args:
                if isinstance(a, Tensor):
                    memory.setdefault(a, np.full(a.shape, 77, a.dtype))
            args = [memory[a].reshape(-1) if isinstance(a, Tensor) else a for a in step.args]
            entry, record = native(step.kernel, signature_of(args)), pack(args)
            for thread in range(threads):
                entry(address(record), thread, threads)
        results.append(memory[calls[-1].writes[0]])
    assert (results[0] == results[1]).all()
    return results[0]


def compare(rng, rows, columns, depth, segments, r, weights=(-127, 127), first=0, stride=0):
    """A call on random bytes gives what dot_plain gives, and touches nothing else."""
    w = rng.integers(weights[0], weights[1] + 1, (columns, segments * depth)).astype(np.int16)
    bias = rng.integers(-(10**4), 10**4, columns)
    x = rng.integers(0, 256, rows * depth + 3 * segments * (depth + 2) + STRIDE).astype(np.uint8)
    offsets = rng.permutation(rows).astype(np.int32) * np.int32(depth)
    starts = np.arange(segments, dtype=I64) * (depth + 2)
    size = first + (rows - 1) * (stride or columns) + columns
    x_, y_ = Tensor("x", x.shape, x.dtype), Tensor("y", (size + 70,), np.dtype(np.uint8))
    calls = dot.call(x_, RowSegments(offsets, starts, depth), Filters(w, bias, r), y_, first, stride)
    found = run(calls, {x_: x})
    expected = np.full(size + 70, 77, np.uint8)
    output = dot.Output(expected, first, stride or columns)
    dot.dot_plain(x, RowSegments(offsets, starts, depth), w, bias.astype(np.int32), r, output)
    assert (found == expected).all()
    return calls


def rounding(columns, rule=double_rounding, scale=1e-4, zero_point=100, lo=0, hi=255):
    spread = np.random.default_rng(columns).uniform(0.3, 3, columns)
    return rule(spread * scale, zero_point, lo, hi)


@pytest.mark.parametrize("rule", [double_rounding, double_precision], ids=["double rounding", "double precision"])
@pytest.mark.parametrize("columns", [1, 16, 17, 63, 128, *exhaustive(15, 32, 33, 48, 49, 64, 65, 100, 200)])
def test_columns(columns, rule):
    rng = np.random.default_rng(columns)
    for rows in (1, 2, 7):
        compare(rng, rows, columns, 9, 2, rounding(columns, rule))


@pytest.mark.parametrize("rows", [1, 2, 5, 7, 12, 13, *exhaustive(3, 4, 6, 8, 9, 10, 11, 14, 24, 25)])
def test_rows(rows):
    rng = np.random.default_rng(rows)
    for columns in (5, 20, 40, 60):
        compare(rng, rows, columns, 6, 1, rounding(columns))


@pytest.mark.parametrize("depth", range(1, 21))
def test_depths(depth):
    rng = np.random.default_rng(depth)
    for segments in (1, 3):
        compare(rng, 5, 20, depth, segments, rounding(20))


@pytest.mark.parametrize("rule", [double_rounding, double_precision], ids=["double rounding", "double precision"])
@pytest.mark.parametrize("weights", [(-255, 255), (-100, 155), (-155, 100), (0, 255), (-255, 0)])
def test_nine_bit_weights(rule, weights):
    for rows, depth in ((1, 5), (7, 13), (50, 64), (3, 130)):
        compare(np.random.default_rng(0), rows, 70, depth, 2, rounding(70, rule), weights=weights)


@pytest.mark.parametrize("rule", [double_rounding, double_precision], ids=["double rounding", "double precision"])
@pytest.mark.parametrize("weights", [(-127, 127), (-255, 255)], ids=["eight bits", "nine bits"])
@pytest.mark.parametrize(("columns", "depth"), [(1, 70), (1, 256), (1, 257), (2, 1000), (4, 600), (8, 1500)])
def test_few_deep_columns(columns, depth, weights, rule):
    """Vectors run along the rows, and the one step that rows of 70 take is four times as long as they are."""
    rng = np.random.default_rng(depth)
    for rows, segments in ((1, 1), (5, 3)):
        scale = 100 / (4e4 * np.sqrt(segments * depth))
        *_, call = compare(rng, rows, columns, depth, segments, rounding(columns, rule, scale), weights=weights)
        assert call.kernel is dot.dot_along or depth == 70
        compare(rng, rows, columns, depth, segments, rounding(columns, rule, scale), first=11, stride=columns + 23)


@pytest.mark.parametrize("rule", [double_rounding, double_precision], ids=["double rounding", "double precision"])
def test_limits_and_place(rule):
    """Part of the columns of a wider output, clamped to a range narrower than the type."""
    rng = np.random.default_rng(0)
    for columns in (3, 16, 50, 64, 70):
        compare(rng, 8, columns, 9, 1, rounding(columns, rule, lo=90, hi=120), first=11, stride=columns + 23)


@pytest.mark.parametrize(
    ("scale", "accumulates"), [(40.0, True), (1.0, False), (2.0**-20, False), (2.0**-26, False), (2.0**-40, False)]
)
def test_which_kernel(scale, accumulates):
    """Accumulators pass through memory where left shifts are too large for the weights, and only there."""
    *_, call = compare(np.random.default_rng(0), 9, 40, 9, 2, rounding(40, scale=scale))
    assert call.kernel.name.startswith("int8rt.kernels.dot:dot_accumulate[") == accumulates


def test_tiles_have_an_order_of_their_columns():
    for vectors in {*tile_shapes(), *single_row_shapes()}:
        assert sorted(column_order(vectors)) == list(range(16 * vectors))


@pytest.mark.parametrize("columns", [1, 16, 17, 64, 100, 1000])
def test_widest_tile_is_one_of_the_tiles_and_not_higher_than_the_rows(columns):
    for rows in (1, 3, 50):
        tiles = tile_shapes() if rows > 1 else single_row_shapes()
        height, vectors = widest(rows, columns)
        assert height == min(tiles[vectors], rows)
        assert -columns % (16 * vectors) < max(16, columns)  # less than half of the lanes are idle


@pytest.mark.parametrize("count", [1, 20])
def test_extreme_sums_wrap_nowhere(count):
    """255 times -128 and 127, as many as fit below 2**30; in few columns and in many."""
    depth = 4 * (LIMIT // (255 * 128 * 4) - 1)
    x = np.full(depth + STRIDE, 255, np.uint8)
    w = np.repeat(np.int16([[-128], [127]] * count), depth, axis=1)
    r = double_rounding(np.full(len(w), 2.0**-23), 128, 0, 255)
    x_, y_ = Tensor("x", x.shape, x.dtype), Tensor("y", (len(w),), np.dtype(np.uint8))
    segments = RowSegments(np.zeros(1, np.int32), np.zeros(1, I64), depth)
    columns = Filters(w, np.zeros(len(w), I64), r)
    assert requantization.parameters(columns) is not None
    found = run(dot.call(x_, segments, columns, y_), {x_: x})
    acc = [255 * -128 * depth, 255 * 127 * depth] * count
    assert found.tolist() == r.apply(np.array(acc)).tolist()


def double_precision_columns(scales, depth=64):
    w = np.full((len(scales), depth), 127, np.int16)
    w[:, ::2] = -127
    return Filters(w, np.zeros(len(scales), I64), double_precision(np.asarray(scales), 128, 0, 255))


def test_double_precision_by_the_fixed_formula_is_the_product_in_float64():
    scales = np.exp(np.random.default_rng(0).uniform(-9, -0.1, 200))
    columns = double_precision_columns(scales)
    f = parameters(columns)
    assert f.kind == "plain"
    accumulators = np.random.default_rng(1).integers(columns.least.min(), columns.most.max(), 3000)
    for column in range(len(scales)):
        expected = columns.rounding._replace(scale=scales[column : column + 1]).apply(accumulators)
        assert np.array_equal(short_formula(f, accumulators, column).clip(0, 255), expected)


@pytest.mark.parametrize("scale", [0.5, 0.25, 2.0**-7, 3 * 2.0**-9])
def test_ties_of_negative_accumulators_need_the_product_in_float64(scale):
    """acc * scale is a tie for whole accumulators, and one rounding half up is not half away from zero."""
    assert parameters(double_precision_columns([scale])).kind == "double"
