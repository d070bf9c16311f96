"""What pooling operators share."""

from __future__ import annotations

import numpy as np
import pytest
from engines import check, run_program, run_reference, same
from writer import SAME, T, model

INT8, FLOAT32 = np.int8, np.float32
CASES = [("MAX_POOL_2D", INT8), ("AVERAGE_POOL_2D", INT8), ("AVERAGE_POOL_2D", FLOAT32), ("L2_POOL_2D", FLOAT32)]


@pytest.mark.parametrize(("op", "dtype"), CASES)
def test_windows_larger_than_the_image(op: str, dtype: type) -> None:
    """Of one that LiteRT refuses the reference looked at every place."""
    x = np.random.default_rng(0).integers(-128, 128, (1, 5, 6, 3)).astype(dtype)
    quantization = {"scale": 0.05, "zero_point": 3} if dtype == np.int8 else {}

    def pool(height: int, width: int) -> bytes:
        tensors = (T(dtype, x.shape, **quantization) for _ in range(2))
        options = {"filter_height": height, "filter_width": width, "stride_h": 1, "stride_w": 1}
        return model(op, [next(tensors)], [next(tensors)], padding=SAME, **options)

    whole = check(pool(40, 50), x)
    for size in ((1 << 24, 50), (40, (1 << 24) - 1)):
        huge = pool(*size)
        same("a smaller window", whole, run_program(huge, x))
        same("reference", run_reference(huge, x), run_program(huge, x))
