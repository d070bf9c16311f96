"""Cases for the products with a filter in the types beside 8 bits: geometries per operator, many kinds of values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from writer import NONE, SAME, VALID, T, model

AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 0}
WEIGHT_LIMIT = {"int8": 127, "INT4": 7, "INT2": 1}


@dataclass(frozen=True)
class Product:
    """One node and its input, random by a seed that follows from the shapes; w is as the file has it."""

    op: str
    x: tuple[int, ...]
    w: tuple[int, ...]
    activations: Any = np.float32
    weights: str = "int8"  # or float32, INT4, INT2
    is_unpacked: bool = False  # whether weights of 4 and 2 bits are written as int8
    per_channel: bool = True
    bias: Any = None  # its type; None: there is none
    activation: int = NONE
    values: str = "random"  # of x: zeros, ends, ties, huge, tiny, positive, negative, some zero images
    zero_points: tuple[int, int] = (0, 0)  # of x and y
    fit: float = 3.0  # output scale in standard deviations of a random sum over the type's limit
    scale: float = 0.01  # of weights
    odd_scale: float | None = None  # of the weights of every third channel, or of all where they have one scale
    size: tuple[int, int] | None = None  # of TRANSPOSE_CONV's output
    constant_weights: bool = True
    constant_bias: bool = True
    options: dict[str, Any] = field(default_factory=dict)
    version: int = 1

    def __str__(self) -> str:
        shapes = "x".join(map(str, self.x)) + "*" + "x".join(map(str, self.w))
        defaults = {k: f.default for k, f in Product.__dataclass_fields__.items()}
        given = {k: v for k, v in vars(self).items() if k not in ("op", "x", "w", "options") and v != defaults[k]}
        return " ".join([shapes, *(f"{k}={getattr(v, '__name__', v)}" for k, v in (given | self.options).items())])

    @property
    def channels(self) -> int:
        return self.w[AXIS[self.op]]

    def model(self) -> tuple[bytes, list[np.ndarray]]:
        """The file and its inputs."""
        rng = np.random.default_rng([*self.x, *self.w])
        x = self._x(rng)
        x_scale = None if self.activations == np.float32 else np.float32(0.037)
        w, w_scale = self._w(rng)
        depth = np.prod(self.w) / self.channels
        y_scale = None
        if x_scale is not None:
            spread = {np.int16: 19000.0}.get(self.activations, 74.0)
            limit = np.iinfo(self.activations).max
            weight = WEIGHT_LIMIT[self.weights] / 1.7
            y_scale = np.float32(x_scale * np.mean(w_scale) * self.fit * spread * weight * np.sqrt(depth) / limit)
        if self.odd_scale is not None:
            w_scale[::3] = self.odd_scale
        axis = AXIS[self.op]
        x_ = T(self.activations, self.x, x_scale, self.zero_points[0])
        type_name = self.weights if self.weights.isupper() and not self.is_unpacked else None
        w_ = T(w.dtype, self.w, w_scale, 0, data=w if self.constant_weights else None,
               axis=axis if np.size(w_scale) > 1 else 0, type_name=type_name)  # fmt: skip
        b_, b = None, None
        if self.bias is not None:
            b = self._b(rng, x_scale, w_scale)
            b_scale = None if x_scale is None else x_scale * w_scale
            b_ = T(self.bias, b.shape, b_scale, data=b if self.constant_bias else None)
        y_ = T(self.activations, self.output_shape(), y_scale, self.zero_points[1])
        inputs: list[T | None] = [x_, w_] if b_ is None else [x_, w_, b_]
        if self.op == "CONV_2D" and b_ is None:
            inputs = [x_, w_, None]
        if self.op == "TRANSPOSE_CONV":
            shape = T(np.int32, (4,), data=np.array(y_.shape, np.int32))
            inputs = [shape, w_, x_] if b_ is None else [shape, w_, x_, b_]
        fields = {"fused_activation_function": self.activation, **self._fields(), "version": self.version}
        fed = {id(x_): x, id(w_): w, id(b_): b}
        content = model(self.op, inputs, [y_], **fields)
        return content, [fed[id(t)] for t in inputs if t is not None and t.data is None]

    def _x(self, rng: Any) -> np.ndarray:
        if self.activations != np.float32:
            info = np.iinfo(self.activations)
            if self.values == "ends":
                return rng.choice([info.min, info.max], self.x).astype(self.activations)
            if self.values == "lowest":
                return np.full(self.x, info.min, self.activations)
            return rng.integers(info.min, info.max + 1, self.x).astype(self.activations)
        x = rng.normal(size=self.x).astype(np.float32)
        if self.values == "zeros":
            x[...] = 0
        elif self.values == "negative zeros":
            x[...] = -0.0
        elif self.values == "some zero images":
            x[::2] = 0
        elif self.values == "ties":  # multiples of half a step, and what SIMD rounds up though it is below
            x = rng.choice(np.array([0.5, -0.5, 1.5, -2.5, 0.49999997, -0.49999997, 126.5], np.float32), self.x)
            x.reshape(self.x[0], -1)[:, 0] = 127
        elif self.values == "asymmetric ties":
            x = rng.choice(np.array([0.5, 1.5, 2.5, 0.49999997, 253.5], np.float32), self.x)
            x.reshape(self.x[0], -1)[:, 0] = 255
        elif self.values == "huge":
            x *= np.float32(1e37)
        elif self.values == "tiny":
            x *= np.float32(1e-37)
        elif self.values == "denormal":
            x *= np.float32(1e-41)
        elif self.values == "positive":
            x = np.abs(x) + 3
        elif self.values == "negative":
            x = -np.abs(x) - 3
        elif self.values == "one negative":
            x = np.abs(x)
            x.reshape(-1)[-1] = -50
        return x.astype(np.float32)

    def _w(self, rng: Any) -> tuple[np.ndarray, Any]:
        if self.weights == "float32":
            return rng.normal(size=self.w).astype(np.float32), None
        most = WEIGHT_LIMIT[self.weights]
        w = rng.choice([-most, most], self.w) if self.values == "ends" else rng.integers(-most, most + 1, self.w)
        if self.values == "lowest":
            w = np.full(self.w, -most)
        count = self.channels if self.per_channel else 1
        return w.astype(np.int8), (self.scale * rng.uniform(0.5, 2, count)).astype(np.float32)

    def _b(self, rng: Any, x_scale: Any, w_scale: Any) -> np.ndarray:
        if self.bias == np.float32:
            return rng.normal(size=self.channels).astype(np.float32)
        return rng.integers(-(1 << 20), 1 << 20, self.channels).astype(self.bias)

    def _fields(self) -> dict[str, Any]:
        names = {"stride": ("stride_h", "stride_w"), "dilation": ("dilation_h_factor", "dilation_w_factor")}
        fields: dict[str, Any] = {}
        for name, value in self.options.items():
            fields.update(zip(names[name], value, strict=True) if name in names else {name: value})
        if self.op == "FULLY_CONNECTED":
            return fields
        fields = {"padding": VALID, "stride_h": 1, "stride_w": 1} | fields
        if self.op == "DEPTHWISE_CONV_2D":
            fields.setdefault("depth_multiplier", self.w[3] // self.x[3])
        return fields

    def output_shape(self) -> tuple[int, ...]:
        """What the file declares; for TRANSPOSE_CONV what it asks for."""
        if self.op == "FULLY_CONNECTED":
            rows = self.x[:-1] if self.options.get("keep_num_dims") else (int(np.prod(self.x)) // self.w[1],)
            return (*rows, self.channels)
        if self.op == "TRANSPOSE_CONV":
            assert self.size is not None
            return (self.x[0], *self.size, self.channels)
        return (self.x[0], 1, 1, self.channels)


def conv(x: Any, w: Any, **options: Any) -> dict[str, Any]:
    return {"op": "CONV_2D", "x": x, "w": w, "options": options}


def depthwise(x: Any, w: Any, **options: Any) -> dict[str, Any]:
    return {"op": "DEPTHWISE_CONV_2D", "x": (1, *x)[-4:], "w": (1, *w), "options": options}


def dense(x: Any, units: int, **options: Any) -> dict[str, Any]:
    return {"op": "FULLY_CONNECTED", "x": x, "w": (units, x[-1]), "options": options}


def transposed(x: Any, w: Any, stride: Any, padding: int, less: int = 0) -> dict[str, Any]:
    """``less`` pixels less than the largest output that belongs to x."""
    reach = [max(k, s) for k, s in zip(w[1:3], stride, strict=True)] if padding == VALID else stride
    size = tuple(
        (n - 1) * s + r - min(less, s - 1) * (padding == SAME) for n, s, r in zip(x[1:3], stride, reach, strict=True)
    )
    return {"op": "TRANSPOSE_CONV", "x": x, "w": w, "size": size, "options": {"stride": stride, "padding": padding}}


GEOMETRIES = {
    "CONV_2D": [
        conv((1, 8, 8, 3), (16, 3, 3, 3), padding=SAME),
        conv((1, 9, 7, 4), (8, 3, 3, 4), padding=SAME, stride=(2, 2)),
        conv((1, 9, 7, 5), (8, 3, 3, 5), padding=VALID, stride=(2, 3)),
        conv((1, 12, 11, 3), (7, 3, 3, 3), padding=SAME, dilation=(2, 2)),
        conv((1, 12, 11, 3), (7, 2, 3, 3), padding=VALID, dilation=(1, 4)),
        conv((1, 2, 3, 3), (4, 5, 7, 3), padding=SAME),
        conv((1, 1, 1, 1), (2, 1, 1, 1)),
        conv((1, 1, 1, 5), (6, 1, 1, 5)),
        conv((3, 6, 5, 3), (8, 3, 3, 3), padding=SAME),
        conv((2, 4, 4, 64), (70, 1, 1, 64)),
        conv((2, 5, 3, 17), (130, 1, 1, 17)),
        conv((1, 40, 1, 1), (9, 5, 1, 1), padding=SAME),
    ],
    "GROUPED": [
        conv((1, 6, 6, 8), (12, 3, 3, 2), padding=SAME),
        conv((2, 6, 5, 6), (6, 3, 3, 1), padding=SAME, stride=(2, 1)),
        conv((1, 5, 5, 34), (40, 1, 1, 17)),
        conv((1, 5, 5, 6), (4, 3, 3, 3), dilation=(2, 2), padding=SAME),
    ],
    "DEPTHWISE_CONV_2D": [
        depthwise((8, 8, 16), (3, 3, 16), padding=SAME),
        depthwise((9, 7, 24), (3, 3, 24), padding=SAME, stride=(2, 2)),
        depthwise((11, 10, 3), (7, 2, 3), padding=SAME, stride=(1, 4)),
        depthwise((12, 11, 18), (3, 3, 18), padding=SAME, dilation=(2, 2)),
        depthwise((12, 11, 3), (3, 2, 3), padding=VALID, dilation=(3, 1)),
        depthwise((2, 3, 4), (5, 7, 4), padding=SAME),
        depthwise((1, 1, 40), (1, 1, 40)),
        depthwise((3, 6, 5, 19), (3, 3, 19), padding=SAME),
        depthwise((8, 8, 1), (3, 3, 8), padding=SAME),
        depthwise((5, 5, 3), (3, 3, 6), padding=SAME),
        depthwise((2, 5, 5, 7), (3, 3, 21), dilation=(2, 2)),
        depthwise((1, 40, 70), (1, 9, 70), padding=VALID),
    ],
    "FULLY_CONNECTED": [
        *(dense((3, depth), 5) for depth in (1, 2, 3, 4, 5, 7, 8, 9, 15, 17)),
        *(dense((1, 19), units) for units in (2, 16, 17, 33, 64, 100)),
        *(dense((rows, 30), 40) for rows in (2, 7, 12, 13)),
        dense((2, 3, 9), 6),
        dense((2, 3, 9), 6, keep_num_dims=True),
        dense((2, 1500), 20),
    ],
    "TRANSPOSE_CONV": [
        transposed((1, 4, 4, 16), (8, 2, 2, 16), (2, 2), SAME),
        transposed((1, 5, 4, 3), (5, 3, 3, 3), (2, 2), VALID),
        transposed((2, 3, 6, 7), (4, 5, 3, 7), (2, 3), SAME, less=1),
        transposed((1, 6, 6, 8), (20, 3, 3, 8), (1, 1), SAME),
        transposed((1, 6, 6, 8), (20, 3, 3, 8), (1, 1), VALID),
        transposed((1, 1, 9, 12), (6, 1, 16, 12), (1, 8), SAME),
        transposed((3, 1, 9, 12), (6, 1, 8, 12), (1, 4), VALID),
        transposed((1, 4, 4, 5), (3, 1, 1, 5), (2, 2), SAME, less=1),
        transposed((1, 2, 2, 4), (2, 7, 7, 4), (2, 2), SAME),
        transposed((1, 3, 3, 4), (70, 9, 8, 4), (4, 3), VALID),
        transposed((2, 1, 1, 33), (17, 1, 1, 33), (1, 1), SAME),
    ],
}


def cases(*names: str, **fields: Any) -> list[Product]:
    """A case for every geometry of these operators."""
    return [Product(**(geometry | fields)) for name in names for geometry in GEOMETRIES[name]]


def some(*names: str, step: int = 3, **fields: Any) -> list[Product]:
    """A case for every third (or other) geometry of these operators."""
    return [Product(**(geometry | fields)) for name in names for geometry in GEOMETRIES[name][::step]]


def blockwise(
    rows: int, depth: int, units: int, size: int, bias: bool = True, values: float = 1.0, **fields: Any
) -> tuple[bytes, np.ndarray]:
    """FULLY_CONNECTED with int4 weights that have a scale per ``size`` weights of a row: the file and its input."""
    rng = np.random.default_rng([rows, depth, units, size])
    x = (rng.normal(size=(rows, depth)) * values).astype(np.float32)
    w = rng.integers(-8, 8, (units, depth)).astype(np.int8)
    scales = rng.uniform(0.01, 0.1, (units, depth // size)).astype(np.float16)
    s = T(np.float16, scales.shape, data=scales)
    b = T(np.float32, (units,), data=rng.normal(size=units).astype(np.float32)) if bias else None
    w_ = T(np.int8, w.shape, s, data=w, type_name="INT4", block_size=size)
    return model("FULLY_CONNECTED", [T(np.float32, x.shape), w_, b], [T(np.float32, (rows, units))], **fields), x
