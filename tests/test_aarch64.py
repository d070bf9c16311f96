"""Kernels for AArch64, compiled on any host: their loops are looked at, and their results where QEMU can run them.

The emulation needs Debian's qemu-user-static, gcc-aarch64-linux-gnu and libc6-dev-arm64-cross.
"""

import json
import pickle
import re

import aarch64
import numpy as np
import pytest
import test_products_blockwise
import test_simd
import writer
from engines import run_reference
from linear import Linear
from products import Product
from writer import RELU, SAME, T

from int8rt import simd

DEPTHWISE = [
    Linear("DEPTHWISE_CONV_2D", (1, 6, 7, 64), (1, 3, 3, 64), options={"padding": SAME}),
    Linear("DEPTHWISE_CONV_2D", (1, 9, 9, 64), (1, 3, 3, 64), options={"stride_h": 2, "stride_w": 2}, extreme=True),
]
NINE_BITS = [
    Linear("CONV_2D", (1, 5, 7, 16), (64, 1, 1, 16), dtype=np.uint8, w_zero=0, extreme=True),
    Linear("DEPTHWISE_CONV_2D", (1, 6, 7, 64), (1, 3, 3, 64), dtype=np.uint8, w_zero=0, extreme=True),
]
OTHER_RULES = [
    Linear("CONV_2D", (1, 4, 4, 6), (20, 1, 1, 6), ratio=40.0),  # accumulators pass through memory
    Linear("FULLY_CONNECTED", (3, 31), (20, 31), ratio=0.75),  # requantized in float64
]


def add():
    """ADD of 70 bytes by itself: a whole vector and a part of one."""
    x, y = T(np.int8, (5, 70), 0.04, 3), T(np.int8, (5, 70), 0.07, -2)
    model = writer.model("ADD", [x, x], [y], fused_activation_function=RELU)
    return model, np.random.default_rng(0).integers(-128, 128, (5, 70), np.int8)


def more():
    """(model, input) of what test_simd has not."""
    linear = [case.model() for case in (*DEPTHWISE, *NINE_BITS, *OTHER_RULES)]
    return [*linear, add(), test_products_blockwise.case(7, 64, 20, 32)]


def pickled(models, folder):
    """A file with models, inputs and what the reference gives."""
    path = folder / "cases.pickle"
    path.write_bytes(pickle.dumps([(content, x, run_reference(content, x)[0]) for content, x in models]))
    return path
