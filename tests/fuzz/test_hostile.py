"""What is hostile about every operator's operands and options: refused with an error of ours, or the right answer.

python -m tests.fuzz.hostile     all of it, some 250,000 files
"""

from __future__ import annotations

import hostile
import pytest
import watched
from conformance_cases import BUILDERS
from selection import share

PER_OPERATOR = 80


def spread(op: str) -> list[int]:
    """The numbers of some of an operator's files, of every kind of change."""
    count = len(hostile.hostile(op))
    return sorted({i * count // PER_OPERATOR for i in range(PER_OPERATOR)})


@pytest.mark.parametrize("op", share(sorted(BUILDERS), 0, 10))
def test_operator(op):
    verdicts = list(watched.watch("hostile:case", spread(op), {"op": op}))
    assert not [v for v in verdicts if v.is_finding]
    assert {v.kind for v in verdicts} > {"refused"}


def test_every_kind_of_change_of_every_operand():
    """Of a node with three inputs, an output and options."""
    changes = {h.what.split(" ")[0] + h.what.partition(":")[2].split(" = ")[0] for h in hostile.hostile("CONV_2D")}
    for operand in ("input", "output"):
        for kind in ("type FLOAT32", "no quantization", "scale nan", "scales along 3", "shape []", "a constant"):
            assert f"{operand} {kind}" in changes
    assert {h.what for h in hostile.hostile("CONV_2D")} >= {
        "input 1 left out",
        "inputs end before 0",
        "an output more",
        "stride_w = 0",
        "no options",
    }


def test_files_differ_from_what_they_are_made_of():
    files = {h.content() for h in hostile.hostile("GATHER")}
    assert len(files) > 0.9 * len(hostile.hostile("GATHER"))
    assert not files & set(hostile.files("GATHER"))
