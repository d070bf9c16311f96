"""TensorFlow's answers to the cases of ``tests/simulation.py``, in ``simulate.npz`` beside this script.

    pip install tensorflow-cpu==2.21.0
    python tests/data/make_simulate.py

It takes about two minutes. Three arrays: ``inputs`` is one digest of all x, ``outputs``, uint64 [10000], a digest of
each answer of quantize_and_dequantize, ``fake``, float32 [300, 64], the answers of fake_quant.

QuantizeAndDequantizeV2 has no float16 kernel but XLA's. With ranges per axis it refuses
to run (its kernel reads input_min as one number), so that every index of the axis is computed by itself, and compared
to QuantizeAndDequantizeV3 where that has the same options.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "cases"))

import numpy as np  # noqa: E402
import simulation  # noqa: E402
import tensorflow as tf  # noqa: E402


def run(x: Any, lo: Any, hi: Any, **options: Any) -> np.ndarray:
    """NumPy's float64 scalars are Python's too, and TensorFlow caches those: 0.0 may come as -0.0. So arrays it is."""
    operate = compiled if x.dtype == np.float16 else tf.raw_ops.QuantizeAndDequantizeV2
    return operate(input=np.asarray(x), input_min=np.asarray(lo), input_max=np.asarray(hi), **options).numpy()


@tf.function(jit_compile=True)
def compiled(**arguments: Any) -> tf.Tensor:
    return tf.raw_ops.QuantizeAndDequantizeV2(**arguments)


def answer(case: simulation.Case) -> np.ndarray:
    options = case.options()
    axis = options.pop("axis")
    if axis is None:
        return run(*case[:3], **options)
    axis %= case.x.ndim
    if not case.range_given:
        return run(*case[:3], axis=axis, **options)
    x = np.moveaxis(case.x, axis, 0)
    y = [run(part, lo, hi, **options) for part, lo, hi in zip(x, *case[1:3])]
    together = np.moveaxis(np.stack(y), 0, axis)
    if case.round_mode == "HALF_TO_EVEN" and x.dtype != np.float16:
        del options["round_mode"]
        v3 = tf.raw_ops.QuantizeAndDequantizeV3(
            input=case.x, input_min=case.input_min, input_max=case.input_max, axis=axis, **options
        )
        np.testing.assert_array_equal(v3.numpy(), together)
    return together


def main() -> None:
    cases = list(simulation.cases())
    inputs = [simulation.digest(case.x) for case in cases]
    outputs = [simulation.digest(answer(case)) for case in cases]
    fake = [tf.quantization.fake_quant_with_min_max_vars(*case).numpy() for case in simulation.fake_cases()]
    together = np.bitwise_xor.reduce(np.array(inputs, np.uint64))
    np.savez_compressed(
        HERE / "simulate.npz", inputs=together, outputs=np.array(outputs, np.uint64), fake=np.array(fake)
    )


if __name__ == "__main__":
    main()
