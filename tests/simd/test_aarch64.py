"""Kernels for AArch64, compiled on any host: their loops are looked at, and their results where QEMU can run them.

The emulation needs Debian's qemu-user-static, gcc-aarch64-linux-gnu and libc6-dev-arm64-cross.
"""

import pickle
import re

import aarch64
import numpy as np
import pytest
import targets
import writer
from engines import REFERENCE, run_reference
from linear import Linear
from products import Product, blockwise
from selection import exhaustive, share
from writer import RELU, SAME, T

from int8rt.format import reader
from int8rt.plan.program import build
from int8rt.runtime.instance import entry_points

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
    """(model, input) of what targets has not."""
    linear = [case.model() for case in (*DEPTHWISE, *NINE_BITS, *OTHER_RULES)]
    return [*linear, add(), blockwise(7, 64, 20, 32)]


# The code

INSTRUCTION = {"i8mm": "usdot", "dotprod": "sdot", "neon": "sadalp"}

ROWS_OF_SUMS = [
    Linear("CONV_2D", (1, 6, 7, 5), (33, 3, 3, 5), options={"padding": SAME}),
    Linear("FULLY_CONNECTED", (1, 300), (40, 300)),
    Product("FULLY_CONNECTED", (7, 131), (70, 131), bias=np.float32),  # hybrid
]
OTHERS = [
    Linear("DEPTHWISE_CONV_2D", (1, 6, 7, 64), (1, 3, 3, 64), options={"padding": SAME}),
    Linear("DEPTHWISE_CONV_2D", (1, 6, 7, 37), (1, 5, 3, 37)),
    Product("FULLY_CONNECTED", (7, 131), (70, 131), weights="float32", bias=np.float32),
    Product("FULLY_CONNECTED", (7, 131), (70, 131), activations=np.int16, bias=np.int64),
]

LIST = """
import pickle, sys
import aarch64
aarch64.target(sys.argv[1])
from int8rt.format import reader
from int8rt.native.kernel import find_kernel
from int8rt.numerics.rules import numerics
from int8rt.runtime.instance import entry_points
from int8rt.plan import program
from int8rt.simd.lowerings import lowering
with open(sys.argv[2], "rb") as file:
    models, recipes = pickle.load(file)
plans = [program.build(reader.read(model).main, numerics("reference")) for model in models]
needed = [n for plan in plans for n in entry_points(plan)] + [(find_kernel(r), s) for r, s in recipes]
code = {kernel.name: aarch64.assembly(kernel, signature) for kernel, signature in dict.fromkeys(needed)}
with open(sys.argv[2], "wb") as file:
    pickle.dump((lowering(), code), file)
"""


def recipes(model):
    """The kernels of a model as this CPU needs them, which another process can make."""
    return [(kernel.recipe, signature) for kernel, signature in entry_points(build(reader.read(model).main, REFERENCE))]


def code_for(lowering, python, folder):
    """{kernel: its code}."""
    path = folder / "models"
    models = [case.model()[0] for case in (*ROWS_OF_SUMS, *OTHERS)] + [model for model, _ in targets.bytewise()]
    path.write_bytes(pickle.dumps((models, recipes(add()[0]))))  # ADD's preparation runs a kernel
    python(LIST, aarch64.FEATURES[lowering], path)
    found, code = pickle.loads(path.read_bytes())
    assert found == lowering
    return code


def innermost_loops(code):
    """The instructions of each innermost loop of a function, as lists."""
    lines = code.splitlines()
    place = {line.split(":")[0]: i for i, line in enumerate(lines) if re.match(r"\.\w+:", line)}
    ends = [
        (i, re.search(r"\t(?:b|b\.\w+|cbn?z|tbn?z)\t.*?(\.\w+)$", line.split("//")[0].rstrip()))
        for i, line in enumerate(lines)
    ]
    loops = [(place[end[1]], i) for i, end in ends if end and place.get(end[1], i) < i]
    inner = [(a, b) for a, b in loops if not any(a <= c and d <= b and (c, d) != (a, b) for c, d in loops)]
    return [[line.strip() for line in lines[a:b] if line.startswith("\t") and line[1] != "."] for a, b in inner]


def calls(code):
    """What code calls that is not a part of it."""
    return set(re.findall(r"\tbl\t(\S+)", code)) - set(re.findall(r"^(\w+):", code, re.MULTILINE))


@pytest.mark.parametrize("lowering", ["i8mm", *exhaustive("neon", "dotprod")])
def test_code(lowering, python, tmp_path):
    code = code_for(lowering, python, tmp_path)
    for name, listing in code.items():
        assert calls(listing) <= {"memcpy", "memmove", "memset"}, name
        if ":depthwise" in name:
            assert f"\t{INSTRUCTION[lowering]}\t" in listing, name
    tiles = {name: re.search(r":dot\w*\[(\d+), (\d+)", name) for name in code}
    sizes = {name: int(size[1]) * int(size[2]) for name, size in tiles.items() if size}
    assert len(sizes) == len(ROWS_OF_SUMS)
    for name, vectors in sizes.items():
        check_dot_loops(name, code[name], INSTRUCTION[lowering], vectors)
    (table,) = (listing for name, listing in code.items() if ":look_up" in name)
    assert any(sum(i.startswith(("tbl", "tbx")) for i in loop) == 16 for loop in innermost_loops(table))


def check_dot_loops(name, code, instruction, vectors):
    """As many products as the tile has quarters of vectors, few other instructions, and nothing goes to the stack."""
    loops = [loop for loop in innermost_loops(code) if any(i.startswith(instruction) for i in loop)]
    assert loops, name
    for loop in loops:
        products = sum(i.startswith(instruction) for i in loop)
        assert products == vectors * (8 if instruction == "sadalp" else 4), f"{name}\n{loop}"
        assert not any("[sp" in i or i.startswith("bl") for i in loop), f"{name}\n{loop}"
        assert len(loop) < (3.5 if vectors > 2 else 5) * products, f"{name}\n{loop}"


@pytest.mark.parametrize(
    ("cpu", "features", "lowering"),
    [
        ("generic", "", "neon"),
        ("cortex-a72", "+neon,+crc", "neon"),
        ("neoverse-n1", "+neon,+crc,+lse", "dotprod"),  # Graviton 2
        ("neoverse-n1", "-dotprod", "neon"),
        ("neoverse-v1", "+neon,+sve", "i8mm"),  # Graviton 3
        ("apple-m1", "", "dotprod"),
        ("apple-m2", "", "i8mm"),
        ("apple-m2", "-i8mm", "dotprod"),
        ("generic", "+dotprod,-neon", "portable"),
    ],
)
def test_lowering_by_name_of_cpu(cpu, features, lowering, python):
    assert python(LOWERING, cpu, features) == f"{lowering}\n"


LOWERING = """
import sys
import aarch64
aarch64.target(*sys.argv[:0:-1])
from int8rt.simd.lowerings import lowering
print(lowering())
"""


# Results

RUN = """
import pickle, sys
import aarch64
aarch64.target(sys.argv[1])
from int8rt.simd.lowerings import lowering
with open(sys.argv[2], "rb") as file:
    cases = pickle.load(file)
print(lowering())
for content, x, expected in cases:
    (y,) = aarch64.run_program(content, x)
    assert (y == expected).all(), f"{(y != expected).sum()} of {y.size} differ"
"""


@pytest.mark.needs("emulator")
@pytest.mark.parametrize(
    ("lowering", "part"), [("i8mm", "some"), *share([(name, "all") for name in aarch64.FEATURES], -1, 99)]
)
def test_same_bits_under_emulation(lowering, part, python, tmp_path):
    """By default one lowering and a few of the cases."""
    cases = [case.model() for case in targets.CASES] + [(m, x) for m, (x,) in (p.model() for p in targets.PRODUCTS)]
    cases += [*targets.bytewise(), *more()]
    if part == "some":
        cases = cases[::12]
    path = tmp_path / "cases.pickle"
    path.write_bytes(pickle.dumps([(content, x, run_reference(content, x)[0]) for content, x in cases]))
    assert python(RUN, aarch64.FEATURES[lowering], path) == f"{lowering}\n"
