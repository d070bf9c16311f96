"""What SOFTMAX and LOG_SOFTMAX share: differences to the largest value of a row, and their exponentials."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from int8rt.graph import Tensor
from int8rt.numerics.fixedmath import exp_on_negative
from int8rt.numerics.fixedpoint import quantize_multiplier, requantize_double_rounding


class Differences(NamedTuple):
    """-beta s_x d in Q5.26 for d = 0 ... 255, the differences of a row's largest 8-bit value to the others."""

    multiplier: int
    shift: int
    scaled: np.ndarray  # int64 [256], 0 where a difference is not used
    used: np.ndarray  # bool [256]: LiteRT leaves larger ones out

    @property
    def exponentials(self) -> np.ndarray:
        """Their exponentials in Q0.31: int32 [256], 0 of those that are not used."""
        return np.where(self.used, exp_on_negative(self.scaled), 0).astype(np.int32)


def differences(x: Tensor, beta: float) -> Differences:
    """Those of 8-bit values: PreprocessSoftmaxScaling and CalculateInputRadius."""
    real = min(np.float64(np.float32(beta)) * np.float64(x.scale) * (1 << 26), 2.0**31 - 1)
    multiplier, shift = map(int, quantize_multiplier(real))
    d = np.arange(256)
    used = d <= math.floor(31.0 * 2.0**26 / 2.0**shift)
    scaled = requantize_double_rounding(np.where(used, -d, 0), np.int64(multiplier), np.int64(shift))
    return Differences(multiplier, shift, scaled, used)


def largest_of_rows(x: np.ndarray) -> np.ndarray:
    """The largest number of each row that is not NaN, and no less than the smallest finite float32."""
    return np.asarray(np.maximum(np.fmax.reduce(x, -1, keepdims=True), np.finfo(np.float32).min))
