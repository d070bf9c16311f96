"""Single operators over shapes of well-known networks, as models of one node, under int8rt and LiteRT.

python -m benchmarks.kernels
python -m benchmarks.kernels depthwise --threads 1 --seconds 1
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from writer import NONE, RELU6, VALID

from benchmarks import tables
from benchmarks.contest import Others, Row, contest
from benchmarks.models import arguments, counts, show
from benchmarks.networks import Builder, Value

Layer = Callable[[Builder, Value], Value]


def _model(shape: Sequence[int], layer: Layer) -> Callable[[], bytes]:
    def build() -> bytes:
        builder = Builder(*shape)
        return builder.file(layer(builder, builder.image))

    return build


def _conv(
    height: int, width: int, inputs: int, outputs: int, size: int = 1, stride: int = 1, activation: int = RELU6
) -> Callable[[], bytes]:
    return _model((1, height, width, inputs), lambda b, x: b.conv(x, outputs, size, stride, activation))


def _depthwise(side: int, channels: int, size: int, stride: int) -> Callable[[], bytes]:
    return _model((1, side, side, channels), lambda b, x: b.depthwise(x, size, stride))


def _dense(inputs: int, outputs: int) -> Callable[[], bytes]:
    return _model((1, inputs), lambda b, x: b.dense(x, outputs))


KERNELS: dict[str, Callable[[], bytes]] = {
    "conv 1x1 112x112 16-96": _conv(112, 112, 16, 96),
    "conv 1x1 56x56 144-24 linear": _conv(56, 56, 144, 24, activation=NONE),
    "conv 1x1 28x28 256-256": _conv(28, 28, 256, 256),
    "conv 1x1 14x14 512-512": _conv(14, 14, 512, 512),
    "conv 1x1 7x7 320-1280": _conv(7, 7, 320, 1280),
    "conv 1x1 7x7 2048-512": _conv(7, 7, 2048, 512),
    "conv 3x3 56x56 64-64": _conv(56, 56, 64, 64, 3),
    "conv 3x3 14x14 256-256": _conv(14, 14, 256, 256, 3),
    "conv 3x3/2 28x28 256-256": _conv(28, 28, 256, 256, 3, 2),
    "conv 3x3 32x32 16-16": _conv(32, 32, 16, 16, 3),
    "conv 3x3/2 224x224 3-32": _conv(224, 224, 3, 32, 3, 2),
    "conv 7x7/2 224x224 3-64": _conv(224, 224, 3, 64, 7, 2),
    "depthwise 3x3 112x112 32": _depthwise(112, 32, 3, 1),
    "depthwise 3x3/2 112x112 96": _depthwise(112, 96, 3, 2),
    "depthwise 3x3 56x56 144": _depthwise(56, 144, 3, 1),
    "depthwise 3x3 14x14 512": _depthwise(14, 512, 3, 1),
    "depthwise 3x3 25x5 64": _model((1, 25, 5, 64), lambda b, x: b.depthwise(x)),
    "depthwise 3x3 48x48 8": _depthwise(48, 8, 3, 1),
    "depthwise 5x5 28x28 240": _depthwise(28, 240, 5, 1),
    "depthwise 5x5/2 56x56 144": _depthwise(56, 144, 5, 2),
    "fully connected 640-128": _dense(640, 128),
    "fully connected 1280-1000": _dense(1280, 1000),
    "fully connected 2048-1000": _dense(2048, 1000),
    "fully connected 4096-4096": _dense(4096, 4096),
    "add 56x56x24": _model((1, 56, 56, 24), lambda b, x: b.add(x, x)),
    "add 56x56x256": _model((1, 56, 56, 256), lambda b, x: b.add(x, x, RELU6)),
    "mul by channel 28x28x240": _model((1, 28, 28, 240), lambda b, x: b.mul(x, b.mean(x, keep_dims=True))),
    "average pool 7x7x1024": _model((1, 7, 7, 1024), lambda b, x: b.pool("AVERAGE_POOL_2D", x, 7, 1, VALID)),
    "max pool 3x3/2 112x112x64": _model((1, 112, 112, 64), lambda b, x: b.pool("MAX_POOL_2D", x, 3, 2)),
    "mean 7x7x1280": _model((1, 7, 7, 1280), lambda b, x: b.mean(x)),
    "hard swish 56x56x72": _model((1, 56, 56, 72), lambda b, x: b.hard_swish(x)),
    "logistic 1917x91": _model((1, 1917, 91), lambda b, x: b.logistic(x)),
    "softmax 1000": _model((1, 1000), lambda b, x: b.softmax(x)),
    "softmax 1024x32": _model((1024, 32), lambda b, x: b.softmax(x)),
    "concatenation 28x28x128": _model((1, 28, 28, 128), lambda b, x: b.concatenation([x, x], 3)),
}


def run(names: Sequence[str], threads: Sequence[int], seconds: float, features: str | None = None) -> list[Row]:
    """A row per operator and number of threads, printed as they come. Names are parts of names; none means all."""
    chosen = {name: build for name, build in KERNELS.items() if not names or any(part in name for part in names)}
    if not chosen:
        raise SystemExit(f"no kernel is called {' or '.join(names)}; there are: {', '.join(KERNELS)}")
    rows = []
    with Others(features=features) as others, tempfile.TemporaryDirectory() as folder:
        for number, (name, build) in enumerate(chosen.items()):
            path = Path(folder) / f"{number}.tflite"
            path.write_bytes(build())
            for count in threads:
                rows.append(contest(name, path, count, seconds, others, profiled=False))
                print(tables.brief(rows[-1]), flush=True)
    return rows


def main(args: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = arguments(__doc__)
    parser.set_defaults(threads="1", seconds=0.4)
    given = parser.parse_args(args)
    rows = run(given.names, counts(given.threads), given.seconds, given.features)
    show(rows, means=False)
    if given.json:
        tables.write_json(given.json, rows)


if __name__ == "__main__":
    main()
