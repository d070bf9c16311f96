"""A transformer encoder of one layer, as TensorFlow's converter makes it: ``encoder_int8.tflite`` and
``encoder_dynamic.tflite`` beside this script.

    pip install tensorflow-cpu==2.21.0
    python tests/data/make_encoder.py

int32 tokens [1, 96] -> int8 or float32 [1, 96, 32]; a vocabulary of 100, two heads, random weights. The converter makes
GATHER of tf.nn.embedding_lookup; EMBEDDING_LOOKUP has to be asked for by name, as the composite "embedding_matmul".
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

HERE = Path(__file__).parent
VOCABULARY, SEQUENCE, WIDTH, HEADS, HIDDEN = 100, 96, 32, 2, 64
EPSILON = 1e-6


@tf.function(experimental_implements="embedding_matmul")
def embedding_lookup(table: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
    return tf.gather(table, ids)


class Encoder(tf.Module):
    """Embedding, self-attention and a GELU network, each followed by a residual sum and layer normalization."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        rng = np.random.default_rng(seed)

        def weights(*shape: int, spread: float) -> tf.Tensor:
            return tf.constant(rng.normal(0, spread, shape), tf.float32)

        def square_or_not(rows: int, columns: int) -> tuple[tf.Tensor, tf.Tensor]:
            return weights(rows, columns, spread=rows**-0.5), weights(columns, spread=0.1)

        self.tokens = weights(VOCABULARY, WIDTH, spread=1)
        self.positions = weights(SEQUENCE, WIDTH, spread=0.5)
        self.query, self.key, self.value, self.joined = (square_or_not(WIDTH, WIDTH) for _ in range(4))
        self.up, self.down = square_or_not(WIDTH, HIDDEN), square_or_not(HIDDEN, WIDTH)
        self.norms = [(1 + weights(WIDTH, spread=0.2), weights(WIDTH, spread=0.2)) for _ in range(3)]

    @tf.function(input_signature=[tf.TensorSpec([1, SEQUENCE], tf.int32, name="tokens")])
    def __call__(self, tokens: tf.Tensor) -> tf.Tensor:
        x = embedding_lookup(self.tokens, tf.reshape(tokens, [SEQUENCE]))
        x = self.normalized(0, tf.reshape(x, [1, SEQUENCE, WIDTH]) + self.positions)
        x = self.normalized(1, x + self.attention(x))
        return self.normalized(2, x + dense(tf.nn.gelu(dense(x, self.up), approximate=False), self.down))

    def normalized(self, index: int, x: tf.Tensor) -> tf.Tensor:
        gain, offset = self.norms[index]
        mean = tf.reduce_mean(x, -1, keepdims=True)
        variance = tf.reduce_mean(tf.math.squared_difference(x, mean), -1, keepdims=True)
        factor = tf.math.rsqrt(variance + EPSILON) * gain
        return x * factor + (offset - mean * factor)

    def attention(self, x: tf.Tensor) -> tf.Tensor:
        query, key, value = (heads(dense(x, w)) for w in (self.query, self.key, self.value))
        scores = tf.matmul(query, key, transpose_b=True) * (WIDTH // HEADS) ** -0.5
        mixed = tf.matmul(tf.nn.softmax(scores), value)  # softmax over all 96
        return dense(tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [1, SEQUENCE, WIDTH]), self.joined)


def dense(x: tf.Tensor, weights: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    matrix, bias = weights
    y = tf.matmul(tf.reshape(x, [SEQUENCE, matrix.shape[0]]), matrix) + bias
    return tf.reshape(y, [1, SEQUENCE, matrix.shape[1]])


def heads(x: tf.Tensor) -> tf.Tensor:
    """[1, 96, 32] -> [1, 2, 96, 16]."""
    return tf.transpose(tf.reshape(x, [1, SEQUENCE, HEADS, WIDTH // HEADS]), [0, 2, 1, 3])


def representative() -> Iterator[list[np.ndarray]]:
    rng = np.random.default_rng(1)
    for _ in range(50):
        yield [rng.integers(VOCABULARY, size=(1, SEQUENCE), dtype=np.int32)]


def convert(encoder: Encoder, full: bool) -> bytes:
    converter = tf.lite.TFLiteConverter.from_concrete_functions([encoder.__call__.get_concrete_function()], encoder)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if full:
        converter.representative_dataset = representative
        converter.inference_output_type = tf.int8
    return converter.convert()


if __name__ == "__main__":
    made = Encoder()
    for name, full in (("int8", True), ("dynamic", False)):
        (HERE / f"encoder_{name}.tflite").write_bytes(convert(made, full))
