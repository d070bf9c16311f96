"""Windows of convolutions: what lies outside the image wherever it is takes no time and changes nothing."""

import time

import numpy as np
import pytest
from engines import check, run_program, run_reference, same
from writer import NONE, SAME, VALID, T, model

from int8rt import limits
from int8rt.errors import LimitError

CASES = [(1, 1, 1), (2, 1, 3), (1, 2, 2), (3, 3, 5), (7, 1, 2)]  # stride, dilation of height, of width


def convolution(
    op, kernel, image=(11, 10), stride=1, dilation=(1, 1), padding=SAME, x_scales=0.05, x_zero_points=-3
):  # fmt: skip
    """int8, of 2 channels and 2 more; the weights are random."""
    rng = np.random.default_rng(0)
    outputs = 2
    shape = (outputs, *kernel, 2) if op == "CONV_2D" else (1, *kernel, outputs)
    w = T(np.int8, shape, 0.01, data=rng.integers(-127, 128, shape).astype(np.int8))
    x, y = T(np.int8, (1, *image, 2), x_scales, x_zero_points, axis=3), T(np.int8, (1, 1, 1, outputs), 0.3, 2)
    more = {} if op == "CONV_2D" else {"depth_multiplier": 1}
    options = {"stride_h": stride, "stride_w": stride, "padding": padding, "fused_activation_function": NONE}
    dilations = {"dilation_h_factor": dilation[0], "dilation_w_factor": dilation[1]}
    content = model(
        op,
        [x, w, T(np.int32, (outputs,), 0.0005, data=np.array([5, -9], np.int32))],
        [y],
        **options,
        **dilations,
        **more,
    )
    return content, rng.integers(-128, 128, x.shape).astype(np.int8)


@pytest.mark.parametrize("op", ["CONV_2D", "DEPTHWISE_CONV_2D"])
@pytest.mark.parametrize(("stride", "dilation_h", "dilation_w"), CASES)
def test_filters_larger_than_the_image(op, stride, dilation_h, dilation_w):
    for kernel in ((3, 40), (40, 3), (25, 25)):
        check(*convolution(op, kernel, stride=stride, dilation=(dilation_h, dilation_w)))


@pytest.mark.parametrize("op", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_huge_filters_take_no_longer_than_the_image(op):
    content, x = convolution(op, (3, 1 << 16), stride=4)
    start = time.process_time()
    found = run_reference(content, x)
    assert time.process_time() - start < 5
    same("program", found, run_program(content, x))


@pytest.mark.parametrize("op", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_what_windows_take_is_counted(op):
    content, x = convolution(op, (60, 60), (80, 80), padding=VALID)
    with limits.using(limits.Budget(max_memory=16 << 20)), pytest.raises(LimitError, match="max_memory"):
        run_reference(content, x)


@pytest.mark.parametrize("op", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_an_activation_that_has_several_scales_has_the_first(op):
    """As weights have them; of LiteRT's scale and zero point, which are for one, nothing is left."""
    first, x = convolution(op, (3, 3))
    several, _ = convolution(op, (3, 3), x_scales=[0.05, 0.3], x_zero_points=[-3, 9])
    expected = check(first, x)
    same("program", expected, run_program(several, x))
    same("evaluator", expected, run_reference(several, x))
