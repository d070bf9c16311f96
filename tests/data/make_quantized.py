"""TensorFlow's int8 models of small float ones, in ``quantized.npz`` beside this script.

    pip install tensorflow-cpu==2.21.0
    python tests/data/make_quantized.py

It takes ten seconds. For each network there are three arrays: ``NAME.float``, the float .tflite, uint8 [nbytes];
``NAME.int8``, what the converter's quantizer makes of it; and ``NAME.ranges``, float32 [tensors, 2], the ranges that
its calibrator found (NaN where a tensor has none), which the quantizer is given.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from tensorflow.lite.python import convert  # noqa: E402
from tensorflow.lite.python.optimize import calibrator  # noqa: E402

from int8rt.format import reader  # noqa: E402

L = tf.keras.layers
Network = Callable[[Any], Any]
IMAGE, VECTOR, SEQUENCE = (8, 8, 3), (12,), (6, 5)


def conv(x: Any, filters: int = 4, size: int = 3, **options: Any) -> Any:
    return L.Conv2D(filters, size, **{"padding": "same", **options})(x)


def residual(x: Any) -> Any:
    y = conv(x, 4, activation="relu")
    return L.ReLU()(L.Add()([conv(y), y]))


def squeeze_excite(x: Any) -> Any:
    y = conv(x, 4)
    s = L.GlobalAveragePooling2D(keepdims=True)(y)
    return y * conv(conv(s, 2, 1, activation="relu"), 4, 1, activation="sigmoid")


def inception(x: Any) -> Any:
    parts = [conv(x, 2, 1), conv(x, 3, 3, activation="relu6"), L.MaxPool2D(3, 1, "same")(x)]
    return conv(L.Concatenate()(parts), 2)


def gates(x: Any) -> Any:
    y = tf.keras.ops.concatenate([L.Dense(4, activation="sigmoid")(x), L.Dense(4, activation="tanh")(x)], axis=-1)
    return L.Dense(3)(y)


def attention(x: Any) -> Any:
    q, k, v = (L.Dense(4)(x) for _ in range(3))
    weights = tf.keras.ops.softmax(tf.keras.ops.matmul(q, tf.keras.ops.transpose(k, (0, 2, 1))) / 2)
    return L.Dense(3)(tf.keras.ops.matmul(weights, v))


def halves(x: Any) -> Any:
    a, b = tf.keras.ops.split(conv(x, 6), 2, axis=-1)
    return conv(tf.keras.ops.maximum(a, b) - tf.keras.ops.minimum(a, 0.25), 2)


def pyramid(x: Any) -> Any:
    y = conv(x, 4, strides=2, activation="relu")
    return L.Concatenate()([L.UpSampling2D(2, interpolation="bilinear")(y), L.UpSampling2D(2)(y), conv(x, 2)])


def two_heads(x: Any) -> Any:
    y = L.Flatten()(conv(x, 4, strides=2, activation="relu6"))
    return [L.Dense(4, activation="softmax")(y), L.Dense(2)(y)]


NETWORKS: dict[str, tuple[tuple[int, ...], Network]] = {
    "conv_valid_stride": (IMAGE, lambda x: conv(x, 5, 3, strides=2, padding="valid", activation="relu")),
    "conv_dilated": (IMAGE, lambda x: conv(x, 4, 3, dilation_rate=2)),
    "conv_no_bias": (IMAGE, lambda x: conv(x, 4, 1, use_bias=False)),
    "conv_twice_the_same_input": (IMAGE, lambda x: conv(x) + conv(x)),
    "depthwise": (IMAGE, lambda x: L.DepthwiseConv2D(3, padding="same", activation="relu6")(x)),
    "depthwise_multiplier": (IMAGE, lambda x: L.DepthwiseConv2D(3, depth_multiplier=2)(x)),
    "separable": (IMAGE, lambda x: L.SeparableConv2D(5, 3, activation="relu")(x)),
    "transposed": (IMAGE, lambda x: L.Conv2DTranspose(3, 3, strides=2, padding="same")(x)),
    "dense": (VECTOR, lambda x: L.Dense(3)(L.Dense(8, activation="relu")(x))),
    "dense_sequence": (SEQUENCE, lambda x: L.Dense(4)(x)),
    "dense_no_bias": (VECTOR, lambda x: L.Dense(4, use_bias=False)(x)),
    "residual": (IMAGE, residual),
    "squeeze_excite": (IMAGE, squeeze_excite),
    "inception": (IMAGE, inception),
    "concatenation_of_inputs": (IMAGE, lambda x: L.Concatenate()([x, conv(x, 2, activation="relu")])),
    "gates": (VECTOR, gates),
    "attention": (SEQUENCE, attention),
    "prelu": (IMAGE, lambda x: L.PReLU(shared_axes=[1, 2], alpha_initializer="random_uniform")(conv(x))),
    "leaky_relu": (IMAGE, lambda x: L.LeakyReLU(negative_slope=0.1)(conv(x))),
    "hard_swish": (IMAGE, lambda x: L.Activation("hard_silu")(conv(x))),
    "gelu": (VECTOR, lambda x: L.Dense(3, activation="gelu")(x)),
    "pooling": (IMAGE, lambda x: L.AveragePooling2D(2)(L.MaxPool2D(2)(conv(x)))),
    "mean": (IMAGE, lambda x: L.GlobalAveragePooling2D()(conv(x, activation="relu"))),
    "maximum_of_rows": (IMAGE, lambda x: L.GlobalMaxPooling2D()(conv(x))),
    "halves": (IMAGE, halves),
    "pyramid": (IMAGE, pyramid),
    "padding": (IMAGE, lambda x: L.MaxPool2D(2)(L.ZeroPadding2D(((1, 2), (0, 1)))(conv(x)))),
    "cropping": (IMAGE, lambda x: L.Cropping2D(1)(conv(x))),
    "reshaped": (IMAGE, lambda x: L.Permute((2, 1))(L.Reshape((16, 12))(x))),
    "two_heads": (IMAGE, two_heads),
    "logits": (VECTOR, lambda x: L.Activation("log_softmax")(L.Dense(5)(x))),
    "normalized": (VECTOR, lambda x: L.UnitNormalization()(L.Dense(5)(x))),
}


def made(shape: tuple[int, ...], network: Network) -> bytes:
    """The float model, with weights that are no rounder than trained ones."""
    tf.keras.utils.set_random_seed(1)
    x = tf.keras.Input(shape, batch_size=1)
    model = tf.keras.Model(x, network(x))
    rng = np.random.default_rng(1)
    model.set_weights([rng.standard_normal(w.shape).astype(np.float32) * 0.3 for w in model.get_weights()])
    return tf.lite.TFLiteConverter.from_keras_model(model).convert()


def quantized(content: bytes) -> tuple[np.ndarray, bytes]:
    """The calibrator's ranges, and the int8 model."""
    calibrated = calibrator.Calibrator(calibrator.add_intermediate_tensors(content))
    rng = np.random.default_rng(2)
    shapes = [d["shape"] for d in tf.lite.Interpreter(model_content=content).get_input_details()]
    data = [[rng.uniform(-1, 1, s).astype(np.float32) for s in shapes] for _ in range(8)]
    noted = calibrated.calibrate(lambda: iter(data))
    tensors = reader.read(noted).main.tensors
    ranges = np.full((len(tensors), 2), np.nan, np.float32)
    for t in tensors:
        if t.noted_range is not None and len(t.noted_range[0]) == 1:
            ranges[t.index] = t.noted_range[0][0], t.noted_range[1][0]
    return ranges, convert.mlir_quantize(noted, input_data_type=tf.float32, output_data_type=tf.float32)


def main() -> None:
    """Write the file."""
    arrays = {}
    for name, (shape, network) in NETWORKS.items():
        content = made(shape, network)
        ranges, int8 = quantized(content)
        arrays |= {
            f"{name}.float": np.frombuffer(content, np.uint8),
            f"{name}.int8": np.frombuffer(int8, np.uint8),
            f"{name}.ranges": ranges,
        }
        print(name, len(content), len(int8))
    np.savez_compressed(HERE / "quantized.npz", **arrays)


if __name__ == "__main__":
    main()
