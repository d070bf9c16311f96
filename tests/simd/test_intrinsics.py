"""Every intrinsic does what it means in NumPy and touches nothing beyond what it declares, on every kind of CPU."""

import ast
from pathlib import Path

import aarch64
import pytest
from intrinsics import MEANINGS
from selection import exhaustive
from targets import TARGETS, compiling_for

from int8rt import simd
from int8rt.memory import SLACK
from int8rt.simd import floats, lanes, lookup, memory, pairs, runs, threads, tiles
from int8rt.simd.intrinsics import Declared
from int8rt.simd.lowerings import CHOICES

EXEMPT = {
    "threads.call": "runs code at an address, as every call of a program does",
    "threads.invoke": "the same of the C library, as every run does",
    "threads.pause": "has no effect that could be seen",
}

SWEEP = """
from intrinsics import MEANINGS
for names, case in MEANINGS.items():
    try:
        case()
    except Exception as error:
        raise SystemExit(f"{', '.join(names)}: {type(error).__name__} {error}") from error
    print(*names, flush=True)
"""


def declared():
    """The names of all intrinsics in the sources, as module.function or module.Class.method."""
    found = []

    def walk(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.ClassDef, ast.FunctionDef)):
                name = f"{prefix}.{child.name}"
                if any(ast.unparse(d).startswith("intrinsic(") for d in child.decorator_list):
                    found.append(name)
                walk(child, name)

    for path in sorted(Path(simd.__file__).parent.glob("*.py")):
        walk(ast.parse(path.read_text()), path.stem)
    return found


def test_every_intrinsic_has_a_meaning_or_a_reason():
    swept = [name for names in MEANINGS for name in names]
    assert sorted([*swept, *EXEMPT]) == sorted(declared())


TWO = ("generic", "haswell")


@pytest.mark.parametrize("target", [*TWO, *exhaustive(*(name for name in TARGETS if name not in TWO))])
def test_intrinsics_mean_what_numpy_says(target, python):
    found = python(SWEEP, **compiling_for(target))
    assert found.splitlines() == [" ".join(names) for names in MEANINGS]


def intrinsics():
    """All intrinsics, those of tiles for the largest shapes that kernels have."""
    modules = (floats, lanes, lookup, memory, pairs, runs, threads, tiles)
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Declared)]
    found += [*lanes.lanes_requantize.values(), *pairs.scaled_products.values()]
    for tile in (tiles.byte_tile(12, 8), *(floats.wide_tile(kind, 12, 4) for kind in tiles.kinds()), lanes.window(5)):
        found += [getattr(tile, name) for name in dir(type(tile)) if isinstance(getattr(type(tile), name), Declared)]
    return found


def test_slack_covers_what_is_read_past_an_end():
    """Memory for tensors has SLACK bytes more; nothing reads or writes beyond them."""
    reaches = {i.__name__: max(i.reads_past, i.writes_past) for i in intrinsics()}
    assert {"sum_of_bytes", "dot", "lanes", "scaled_product"} <= reaches.keys()
    assert 0 < max(reaches.values()) <= SLACK


def test_targets_cover_every_choice(python):
    """Each line of each table of lowerings is what some target of the tests gets."""
    code = "from int8rt.simd.lowerings import CHOICES, chosen\nprint(*(chosen(table) for table in CHOICES.values()))"
    found = [python(code, **compiling_for(target, runs=False)).split() for target in TARGETS]
    arm = {"neon", "dotprod", "i8mm"}
    assert arm == set(aarch64.FEATURES)
    for i, (name, table) in enumerate(CHOICES.items()):
        assert {row[i] for row in found} == set(table) - arm, name
