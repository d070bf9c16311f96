"""CPUs to compile for, by what they have, and cases that use every lowering of the products and of bytes."""

from __future__ import annotations

import numpy as np
import pytest
import writer
from linear import Linear
from products import GEOMETRIES, Product
from writer import RELU6, SAME, VALID, T


def host_features() -> set[str]:
    """What LLVM finds in this CPU."""
    import llvmlite.binding as llvm

    return {name for name, there in llvm.get_host_cpu_features().items() if there}


SSE = "sse2,sse3,ssse3,sse4.1,sse4.2,popcnt"
AVX2 = f"{SSE},avx,avx2,fma,f16c,bmi,bmi2"
AVX512 = f"{AVX2},avx512f,avx512bw,avx512dq,avx512vl,avx512cd"

# name: (CPU, its features, the lowering of dot)
TARGETS = {
    "generic": ("generic", "", "portable"),
    "nehalem": ("nehalem", SSE, "portable"),
    "haswell": ("haswell", AVX2, "avx2"),
    "alderlake": ("alderlake", f"{AVX2},avxvnni", "avxvnni"),
    "skylake": ("skylake-avx512", AVX512, "avx512bw"),
    "cascadelake": ("cascadelake", f"{AVX512},avx512vnni", "avx512vnni"),
    "icelake": ("icelake-server", f"{AVX512},avx512vnni,avx512vbmi", "avx512vnni"),
}


def compiling_for(target: str, runs: bool = True) -> dict[str, str]:
    """Variables of a process that compiles for a target; skips the test if its code runs and this CPU cannot."""
    cpu, features, _ = TARGETS[target]
    names = [name for name in features.split(",") if name]
    missing = set(names) - host_features()
    if runs and missing:
        pytest.skip(f"this CPU has no {', '.join(sorted(missing))}")
    return {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ",".join(f"+{name}" for name in names)}


CASES = [
    Linear("CONV_2D", (1, 6, 7, 5), (33, 3, 3, 5), options={"padding": SAME}),
    Linear("CONV_2D", (2, 5, 5, 8), (100, 1, 1, 8), extreme=True, activation=RELU6, fit=30),
    Linear("CONV_2D", (1, 4, 4, 6), (4, 3, 3, 3), options={"padding": SAME, "stride_h": 2}),
    Linear("CONV_2D", (1, 5, 5, 3), (20, 3, 3, 3), ratio=[0.5, 3.0, 2.0**-20, 0.0] * 5),
    Linear("CONV_2D", (1, 5, 5, 3), (20, 3, 3, 3), dtype=np.uint8, w_zero=0, extreme=True),
    Linear("DEPTHWISE_CONV_2D", (1, 6, 7, 37), (1, 3, 3, 37), options={"padding": SAME}),
    Linear("DEPTHWISE_CONV_2D", (1, 7, 7, 20), (1, 3, 3, 20), options={"stride_h": 2, "stride_w": 2}, extreme=True),
    Linear("DEPTHWISE_CONV_2D", (1, 6, 7, 64), (1, 5, 5, 64), dtype=np.uint8, options={"padding": VALID}),
    Linear("DEPTHWISE_CONV_2D", (1, 6, 7, 4), (1, 3, 3, 12), options={"padding": SAME}),
    Linear("FULLY_CONNECTED", (7, 31), (70, 31)),
    Linear("FULLY_CONNECTED", (1, 300), (10, 300), extreme=True, dtype=np.uint8),
]

PRODUCTS = [
    *(
        Product(**GEOMETRIES[op][0], **kind)
        for op in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
        for kind in (
            {"weights": "float32", "bias": np.float32},
            {"bias": np.float32},
            {"activations": np.int16, "bias": np.int64},
        )
    ),
    Product("FULLY_CONNECTED", (7, 1031), (70, 1031), activations=np.int16, bias=np.int64, values="lowest", fit=60),
    Product("FULLY_CONNECTED", (7, 131), (70, 131), weights="float32", bias=np.float32),
    Product("FULLY_CONNECTED", (7, 131), (70, 131), bias=np.float32),
]


def bytewise():
    """(model, input) of operators that work on 64 bytes side by side: whole vectors and a part of one."""
    rng = np.random.default_rng(0)
    shape, axes = (1, 5, 7, 70), np.array([1, 2], np.int32)
    factor = rng.integers(-128, 128, (1, 1, 1, 70), np.int8)
    x = T(np.int8, shape, 0.05, 3)
    y, half = T(np.int8, shape, 1 / 256, -128), T(np.int8, (1, 3, 4, 70), 0.05, 3)
    models = [
        writer.model("LOGISTIC", [x], [y]),
        writer.model("SOFTMAX", [x], [y], beta=1.0),
        writer.model("MUL", [x, T(np.int8, factor.shape, 0.02, -5, data=factor)], [T(np.int8, shape, 0.04, 1)]),
        writer.model("MEAN", [x, T(np.int32, axes.shape, data=axes)], [T(np.int8, (1, 70), 0.03, 2)]),
        writer.model(
            "MAX_POOL_2D", [x], [half], padding=SAME, filter_height=3, filter_width=3, stride_h=2, stride_w=2
        ),
    ]  # fmt: skip
    return [(model, rng.integers(-128, 128, shape, np.int8)) for model in models]
