"""Cases for the products with a constant filter: CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED differ in few words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from writer import NONE, VALID, T, model

FILTER_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}


def weights(shape: tuple[int, ...], scale: Any = 0.1, dtype: Any = np.int8, **fields: Any) -> T:
    """A filter of ones."""
    return T(dtype, shape, scale, data=np.ones(shape), **fields)


@dataclass(frozen=True)
class Linear:
    """One node and its input; what is not given is random, by a seed that follows from the shapes.

    ``fit`` is the output scale in standard deviations of a random accumulator over 128; ``ratio`` sets s_x s_w / s_y
    instead. ``extreme`` fills x and w with the ends of their types only.
    """

    op: str
    x: tuple[int, ...]
    w: tuple[int, ...]
    dtype: Any = np.int8
    per_channel: bool = True
    bias: int | None = 5000  # its magnitude; None: no bias
    x_zero: int | None = None
    w_zero: int | None = None  # uint8 only
    y_zero: int | None = None
    activation: int = NONE
    fit: float = 3.0
    ratio: Any = None  # a number or one per channel
    x_scale: float = 0.037
    extreme: bool = False
    x_value: int | None = None  # all of x
    w_value: int | None = None  # all of w
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        shapes = "x".join(map(str, self.x)) + "*" + "x".join(map(str, self.w))
        given = {k: v for k, v in vars(self).items() if k not in ("op", "x", "w", "options") and v is not DEFAULTS[k]}
        if np.size(self.ratio) > 1:
            given["ratio"] = f"{self.ratio[0]:.3g}...{self.ratio[-1]:.3g}"
        words = [f"{k}={getattr(v, '__name__', v)}" for k, v in (given | self.options).items()]
        return " ".join([shapes, *words])

    @property
    def channels(self) -> int:
        """How many filters there are."""
        return self.w[FILTER_AXIS[self.op]]

    def tensors(self) -> tuple[T, T, T | None, T, np.ndarray]:
        """x, w, b and y for the writer, and the values of x."""
        rng = np.random.default_rng([*self.x, *self.w])
        info = np.iinfo(self.dtype)
        x = self._values(rng, self.x, info.min, info.max, self.x_value)
        w = self._values(rng, self.w, info.min + (self.dtype == np.int8), info.max, self.w_value)
        x_zero = int(rng.integers(info.min, info.max + 1)) if self.x_zero is None else self.x_zero
        y_zero = int(rng.integers(info.min, info.max + 1)) if self.y_zero is None else self.y_zero
        w_zero = 0 if self.dtype == np.int8 else int(rng.integers(80, 180)) if self.w_zero is None else self.w_zero
        count = self.channels if self.per_channel and self.dtype == np.int8 else 1
        s_w = rng.uniform(0.002, 0.02, count).astype(np.float32)
        depth = np.prod(self.w) / self.channels
        s_y = np.float32(self.x_scale * s_w.mean() * self.fit / 128 * 74 * 74 * np.sqrt(depth))
        if self.ratio is not None:
            s_w = np.broadcast_to(np.asarray(self.ratio, np.float64), count).astype(np.float32)
            s_y = np.float32(self.x_scale)
        axis = FILTER_AXIS[self.op]
        w_ = T(self.dtype, self.w, s_w, w_zero, data=w, axis=axis if count > 1 else 0)
        b = None
        if self.bias is not None:
            values = rng.integers(-self.bias, self.bias + 1, self.channels)
            if self.extreme:
                values = np.where(values < 0, -self.bias, self.bias)
            b = T(np.int32, (self.channels,), np.float32(self.x_scale) * s_w, 0, data=values)
        return T(self.dtype, self.x, self.x_scale, x_zero), w_, b, T(self.dtype, None, s_y, y_zero), x

    def _values(self, rng: Any, shape: tuple[int, ...], lo: int, hi: int, value: int | None) -> np.ndarray:
        if value is not None:
            return np.full(shape, value, self.dtype)
        if self.extreme:
            return np.where(rng.integers(0, 2, shape) == 1, hi, lo).astype(self.dtype)
        return rng.integers(lo, hi + 1, shape).astype(self.dtype)

    def model(self) -> tuple[bytes, np.ndarray]:
        """The file and the input."""
        x, w, b, y, values = self.tensors()
        y = T(y.dtype, self.output_shape(), y.scale, y.zero_point)
        inputs = [x, w] if b is None else [x, w, b]
        return model(self.op, inputs, [y], fused_activation_function=self.activation, **self._fields()), values

    def _fields(self) -> dict[str, Any]:
        if self.op == "FULLY_CONNECTED":
            return self.options
        fields: dict[str, Any] = {"padding": VALID, "stride_h": 1, "stride_w": 1} | self.options
        if self.op == "DEPTHWISE_CONV_2D":
            fields.setdefault("depth_multiplier", self.w[3] // self.x[3])
        return fields

    def output_shape(self) -> tuple[int, ...]:
        """What the file declares; LiteRT and int8rt compute it anew."""
        if self.op == "FULLY_CONNECTED":
            rows = self.x[:-1] if self.options.get("keep_num_dims") else (int(np.prod(self.x)) // self.w[1],)
            return (*rows, self.channels)
        return (self.x[0], 1, 1, self.channels)


DEFAULTS = {k: v.default for k, v in Linear.__dataclass_fields__.items()}
