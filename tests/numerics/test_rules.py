"""Rows of rules: what nobody computes is refused when a row is made."""

from __future__ import annotations

import numpy as np
import pytest
from linear import Linear

from int8rt.errors import InputError
from int8rt.format import reader
from int8rt.numerics.fixedpoint import quantize_multiplier, requantize_double, requantize_double_rounding
from int8rt.numerics.rules import RULES, Numerics, numerics
from int8rt.plan.program import build
from int8rt.runtime.instance import Instance

KNOWN = "known are double_rounding, double"


@pytest.mark.parametrize("rule", ["half_up", "float", "single_rounding", "exactly", "", None])
@pytest.mark.parametrize("field", ["convolution", "fully_connected"])
def test_rules_that_no_kernel_has_are_refused(field, rule):
    fields = {"convolution": "double", "fully_connected": "double"} | {field: rule}
    with pytest.raises(InputError, match=f"{field} is {rule!r}; {KNOWN}"):
        Numerics("mine", **fields)


def test_hybrid_is_checked_too():
    with pytest.raises(InputError, match="hybrid is 'static'; known are dynamic, weight_only"):
        Numerics("mine", "double", "double", "static")
    with pytest.raises(InputError, match="hybrid is 'static'; known are dynamic, weight_only"):
        numerics("reference", "static")


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("op", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
def test_rules_that_are_known_are_computed(op, rule):
    """One product by one weight, by every byte: ties where the two rules differ."""
    x = np.arange(-128, 128, dtype=np.int8)
    shape = {"FULLY_CONNECTED": (256, 1)}.get(op, (1, 16, 16, 1))
    w = {"FULLY_CONNECTED": (1, 1)}.get(op, (1, 1, 1, 1))
    case = Linear(op, shape, w, ratio=0.25, bias=0, x_zero=0, y_zero=0, w_value=1)
    content, _ = case.model()
    row = Numerics("mine", rule, rule)
    running = Instance(build(reader.read(content).main, row))
    (y,) = running.run([x.reshape(shape)])
    acc = x.astype(np.int64)
    expected = {
        "double": requantize_double(acc, np.float64(0.25)),
        "double_rounding": requantize_double_rounding(acc, *quantize_multiplier(0.25)),
    }
    np.testing.assert_array_equal(y.reshape(-1), expected[rule])
    assert (expected["double"] != expected["double_rounding"]).any()
