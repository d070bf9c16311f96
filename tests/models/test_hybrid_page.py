"""docs/hybrid.md says what is measured here."""

from __future__ import annotations

import numpy as np
import pytest
from paths import MODELS, ROOT

import int8rt
from int8rt.format import reader
from int8rt.kernels import hybrid

NODE = 5  # CONV_2D with int8 weights and RELU
ROWS = [("dynamic_range", "dynamic"), ("dynamic_range", "weight_only"), ("int8", ""), ("int16x8", "")]


def path(form):
    return MODELS / f"digits_residual_{form}.tflite"


@pytest.fixture(scope="module")
def page():
    return (ROOT / "docs" / "hybrid.md").read_text()


@pytest.fixture(scope="module")
def split():
    """Images, float32 [360, 8, 8, 1], and labels."""
    with np.load(MODELS / "samples" / "test.npz") as stored:
        return stored["images"].astype(np.float32), stored["labels"]


def probabilities(form, images, mode):
    """float64 [360, 10]."""
    model = int8rt.load(path(form), hybrid=mode or "dynamic")
    source, target = (tensors[0] for tensors in (model.graph.main.inputs, model.graph.main.outputs))
    y = np.concatenate([np.asarray(model(quantize(source, x[None]))) for x in images])
    q = target.quantization
    return (np.float64(y) - q.zero_point) * np.float64(q.scale) if target.dtype.kind == "i" else np.float64(y)


def quantize(t, x):
    if t.dtype.kind == "f":
        return x
    limits = np.iinfo(t.dtype)
    q = np.rint(np.float64(x) / np.float64(t.quantization.scale)) + t.quantization.zero_point
    return q.clip(limits.min, limits.max).astype(t.dtype)


@pytest.mark.exhaustive
def test_table(page, split):
    images, labels = split
    exact = probabilities("float32", images, "")
    rows = [f"| float32 | | {size('float32')} | {accuracy(exact, labels)} | | |"]
    for form, mode in ROWS:
        p = probabilities(form, images, mode)
        error = np.abs(p - exact)
        name = f" `{mode}` " if mode else " "
        rows.append(
            f"| {form} |{name}| {size(form)} | {accuracy(p, labels)} | {error.mean():.6f} | {error.max():.4f} |"
        )
    for row in rows:
        assert row in page


def size(form):
    return f"{path(form).stat().st_size:,}"


def accuracy(p, labels):
    return f"{np.mean(p.argmax(axis=1) == labels):.2%}"


@pytest.mark.exhaustive
def test_convolution(page, split):
    """The picture's numbers, and the errors of one convolution."""
    node = reader.read(path("dynamic_range")).main.nodes[NODE]
    x, weights, bias = node.inputs
    s_w, w, b = weights.quantization.scale, np.int64(weights.data).reshape(48, 32), bias.data
    exact = np.float64(reader.read(path("float32")).main.nodes[NODE].inputs[1].data).reshape(48, 32)
    modes = [int8rt.load(path("dynamic_range"), hybrid=mode) for mode in ("dynamic", "weight_only")]
    errors, ulps = [], []
    for i, image in enumerate(split[0]):
        traces = [model.trace(image[None]) for model in modes]
        h, y = (np.asarray(traces[0][t.index]).reshape(16, -1) for t in (x, node.outputs[0]))
        q = hybrid.quantized(h, symmetric=False)
        sums = (q.q - q.zero_point) @ w.T
        np.testing.assert_array_equal(y, np.maximum(np.float32(sums) * s_w * q.scale + b, 0))
        dequantized, real = (np.maximum(h @ each.T + b, 0) for each in (w * np.float64(s_w)[:, None], exact))
        errors.append([rms(dequantized - real), rms(y - real), rms(y - dequantized)])
        own, found = (np.asarray(traces[1][t.index]).reshape(16, -1) for t in (x, node.outputs[0]))
        ulps.append(np.abs(found - np.maximum(np.float64(own) @ (w * np.float64(s_w)[:, None]).T + b, 0)).max())
        if i == 0:
            first = [f"{h.min():.0f} .. {h.max():.4f}", f"0) / 255 = {q.scale:.5f}", f"z_x = {q.zero_point}"]
            at = np.unravel_index(y.argmax(), y.shape)
            c = at[1]
            first += [f"{sums.min()} .. {sums.max()}", f"{y.min():.0f} .. {y.max():.4f}", f"would be {real[at]:.4f}"]
            first += [f"{sums[at]} * {s_w[c]:.7f} * {q.scale:.6f} - {-b[c]:.5f} = {y[at]:.4f}"]
    weight_only, dynamic, activations = np.mean(errors, axis=0)
    for part in [
        *first,
        f"float activations: `weight_only` | {weight_only:.4f} |",
        f"int8 activations: `dynamic` | {dynamic:.4f} |",
        f"activations alone | {activations:.4f} |",
    ]:
        assert part in " ".join(page.split())
    assert max(ulps) <= 0.0000012


def rms(x):
    return np.sqrt(np.mean(np.square(x)))


def test_weights_are_what_the_simulation_says():
    real, stored = (reader.read(path(form)).main.nodes[NODE].inputs[1] for form in ("float32", "dynamic_range"))
    dequantized = stored.data * stored.quantization.scale.reshape(-1, 1, 1, 1)
    rounded = int8rt.quantize_and_dequantize(real.data, None, None, narrow_range=True, axis=0)
    assert rounded.dtype == np.float32
    np.testing.assert_allclose(rounded, dequantized, rtol=3e-7)
