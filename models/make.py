"""Train the two digit networks of this folder, convert them, and measure every file.

    pip install tensorflow-cpu==2.21.0 scikit-learn pillow ai-edge-litert==2.3.0
    python models/make.py

Everything beside this script is written by it: the `.tflite` files, `labels.txt`, `samples/`, `samples.png`, and the
table in `README.md`. It takes about a minute on two cores. Splits and seeds are fixed, so the accuracies come out
alike on every machine; the bytes need not, since TensorFlow sums floats in an order of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HERE = Path(__file__).parent
SAMPLES = HERE / "samples"
SEED = 1
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True)
class Digits:
    """Images are uint8 [n, 8, 8, 1], bright ink on black; labels are uint8 [n], 0 to 9."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def load() -> Digits:
    """The 1797 digits of scikit-learn (UCI, 8x8, 0 to 16) as pixels 0 to 255; a fifth of every class is for testing."""
    source = load_digits()
    images = np.rint(source.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    labels = source.target.astype(np.uint8)
    split = train_test_split(images, labels, test_size=0.2, stratify=labels, random_state=SEED)
    train_images, test_images, train_labels, test_labels = split
    return Digits(train_images, train_labels, test_images, test_labels)


# The networks take [1, 8, 8, 1] and give ten probabilities. A BatchNormalization after a convolution, and the
# activation after that, disappear into the convolution when the model is converted.


def conv(x: keras.KerasTensor, channels: int, size: int = 3) -> keras.KerasTensor:
    x = layers.Conv2D(channels, size, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def depthwise(x: keras.KerasTensor, stride: int = 1) -> keras.KerasTensor:
    x = layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(x)
    return layers.ReLU(6.0)(layers.BatchNormalization()(x))


def residual(x: keras.KerasTensor, channels: int) -> keras.KerasTensor:
    """relu(x + pointwise(depthwise(x))), the pointwise convolution without an activation of its own."""
    y = layers.Conv2D(channels, 1, use_bias=False)(depthwise(x))
    return layers.ReLU()(layers.Add()([x, layers.BatchNormalization()(y)]))


def classify(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Dense(10, activation="softmax")(layers.Dropout(0.3)(x))


def digits_conv() -> keras.Model:
    image = keras.Input((8, 8, 1))
    x = layers.MaxPooling2D()(conv(conv(image, 16), 24))
    x = layers.MaxPooling2D()(conv(x, 32))
    x = layers.Dense(32, activation="relu")(layers.Flatten()(x))
    return keras.Model(image, classify(x))


def digits_residual() -> keras.Model:
    image = keras.Input((8, 8, 1))
    x = residual(conv(image, 32), 32)
    x = conv(depthwise(x, stride=2), 48, size=1)
    x = residual(residual(x, 48), 48)
    return keras.Model(image, classify(layers.GlobalAveragePooling2D()(x)))


def train(build: Callable[[], keras.Model], digits: Digits) -> keras.Model:
    """The trained network, taking pixels 0 to 255."""
    keras.utils.set_random_seed(SEED)
    model = build()
    epochs, batch = 60, 32
    steps = epochs * -(-len(digits.train_images) // batch)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    model.fit(digits.train_images / np.float32(255), digits.train_labels, batch, epochs, verbose=0)
    take_pixels(model)
    return model


def take_pixels(model: keras.Model) -> None:
    """Move the division by 255 from the data into the first kernel: no operator, and an input scale of exactly 1."""
    kernel = model.layers[1].kernel
    kernel.assign(kernel / 255)


Settings = Callable[[tf.lite.TFLiteConverter], None]


def convert(model: keras.Model, settings: Settings) -> bytes:
    """`model` as a .tflite file of fixed batch 1, with a signature that names its input and its output."""
    image = tf.TensorSpec([1, 8, 8, 1], tf.float32, name="image")
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, input_signature=[image], verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        settings(converter)
        return converter.convert()


def quantizations(images: np.ndarray) -> dict[str, Settings]:
    """File suffix to converter settings; `images`, uint8 [n, 8, 8, 1], show the range of every tensor."""

    def representative() -> Iterator[list[np.ndarray]]:
        for image in images.astype(np.float32):
            yield [image[np.newaxis]]

    def integer(edge: tf.DType, ops: str) -> Settings:
        def settings(converter: tf.lite.TFLiteConverter) -> None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = representative
            converter.target_spec.supported_ops = [tf.lite.OpsSet[ops]]
            converter.inference_input_type = edge
            converter.inference_output_type = edge

        return settings

    def dynamic_range(converter: tf.lite.TFLiteConverter) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]

    int16x8 = "EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8"
    return {
        "float32": lambda converter: None,
        "dynamic_range": dynamic_range,
        "int8": integer(tf.int8, "TFLITE_BUILTINS_INT8"),
        "uint8": integer(tf.uint8, "TFLITE_BUILTINS_INT8"),
        "int16x8": integer(tf.int16, int16x8),
    }


def write_models(digits: Digits) -> list[Path]:
    files = []
    for build in (digits_conv, digits_residual):
        model = train(build, digits)
        for suffix, settings in quantizations(digits.train_images).items():
            files.append(HERE / f"{build.__name__}_{suffix}.tflite")
            files[-1].write_bytes(convert(model, settings))
    return files


def write_test_split(digits: Digits) -> None:
    SAMPLES.mkdir(exist_ok=True)
    np.savez_compressed(SAMPLES / "test.npz", images=digits.test_images, labels=digits.test_labels)
    (HERE / "labels.txt").write_text("".join(f"{digit}\n" for digit in range(10)))


def measure(files: list[Path]) -> list[dict]:
    """What LiteRT gives for every file, by `measure.py` in a process of its own, since LiteRT may abort it."""
    command = [sys.executable, HERE / "measure.py", "--json", *files]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def typical(images: np.ndarray, allowed: np.ndarray) -> int:
    """Index of the allowed image with the smallest angle to the mean of all allowed ones; `allowed` is bool [n]."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    cosine = flat @ flat[allowed].mean(axis=0) / np.linalg.norm(flat, axis=1)
    return int(np.argmax(np.where(allowed, cosine, -1)))


def write_samples(digits: Digits, measured: list[dict]) -> None:
    """One 8x8 PNG for each digit: the most typical of the test images to which every model gives 0.95 or more."""
    images, labels = digits.test_images[..., 0], digits.test_labels
    probabilities = np.array([row["probabilities"] for row in measured])
    sure = probabilities[:, np.arange(len(labels)), labels].min(axis=0) >= 0.95
    chosen = [typical(images, sure & (labels == digit)) for digit in range(10)]
    for name, index in zip(NAMES, chosen):
        Image.fromarray(images[index]).save(SAMPLES / f"{name}.png")
    framed = np.pad(images[chosen], ((0, 0), (1, 1), (1, 1)), constant_values=64)
    Image.fromarray(np.kron(np.hstack(framed), np.ones((8, 8), np.uint8))).save(HERE / "samples.png", optimize=True)


def tables(measured: list[dict]) -> str:
    """Markdown: one row for each file, then one for each list of operators and the files that have it."""
    lines = ["| file | bytes | input | output | accuracy |", "|---|--:|---|---|--:|"]
    files: dict[str, list[str]] = {}
    for row in measured:
        lines.append(
            f"| `{row['file']}` | {row['bytes']:,} | {row['input']} | {row['output']} | {row['accuracy']:.2%} |"
        )
        files.setdefault(", ".join(row["operators"]), []).append(f"`{row['file']}`")
    lines += ["", "| files | operators, in order |", "|---|---|"]
    lines += [f"| {'<br>'.join(names)} | {operators} |" for operators, names in files.items()]
    return "\n".join(lines) + "\n"


def write_readme(measured: list[dict]) -> None:
    """Replace what stands between the two markers of README.md."""
    start, end = "<!-- measured -->\n", "<!-- end -->\n"
    readme = HERE / "README.md"
    head, rest = readme.read_text().split(start)
    tail = rest.split(end)[1]
    readme.write_text(head + start + tables(measured) + end + tail)


def main() -> None:
    digits = load()
    write_test_split(digits)
    measured = measure(write_models(digits))
    write_samples(digits, measured)
    write_readme(measured)
    for row in measured:
        print(f"{row['file']:34} {row['bytes']:7} bytes  {row['accuracy']:.2%}")


if __name__ == "__main__":
    main()
