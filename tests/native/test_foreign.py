"""Kernels from outside the package in the cache: whatever their code depends on is a part of their key."""

import json

import numpy as np
import pytest

from int8rt.native.foreign import content
from int8rt.native.kernel import Kernel, inline, kernel_factory
from int8rt.ops import _sum

# A program that runs a kernel of its own and prints what comes out; each takes one of two forms.
HEAD = """
import types
from collections import namedtuple
import numba
import numpy as np
from numba.extending import register_jitable
from int8rt.native.kernel import Kernel, inline, kernel
from int8rt.ops import _lookup
"""
BODY = """
@kernel
def kernel(y):
    y[0] = EXPRESSION
"""
RUN = """
import json, sys
import numpy as np
from int8rt.native import entries
found = {}
for what, code in json.loads(sys.argv[1]).items():
    names = {"__name__": "mine"}
    exec(code, names)
    y = np.zeros(1, np.int64)
    arguments = (np.zeros(1, np.int64), y) if what.startswith("given to") else (y,)
    entries.run(names["kernel"], *arguments)
    names["kernel"].entries.clear()  # what is in memory
    found[what] = [int(y[0]), entries.is_cached(names["kernel"], ("int64[1]",) * len(arguments))]
print(json.dumps(found))
"""

CHANGES = {
    "the code": ("", "VALUE"),
    "a variable that is closed over": (
        "def make(value):\n    def kernel(y):\n        y[0] = value\n    return Kernel(kernel)\nkernel = make(VALUE)\n",
        None,
    ),
    "given to a kernel factory": (
        "C = VALUE\n@inline\ndef mine(x):\n    return x + C\nkernel = _lookup.mapping(mine)\n",
        None,
    ),
    "given to a kernel factory, closed over": (
        "def make(value):\n    def mine(x):\n        return x + value\n    return inline(mine)\n"
        "kernel = _lookup.mapping(make(VALUE))\n",
        None,
    ),
    "a constant": ("CONSTANT = VALUE\n", "CONSTANT"),
    "a tuple": ("PAIR = (7, (VALUE, 8))\n", "PAIR[1][0]"),
    "a named tuple": ("N = namedtuple('N', 'a b')\nPAIR = N(VALUE, 9)\n", "PAIR.a"),
    "the fields of a class": ("N = namedtuple('N', ('a', 'b') if VALUE == 1 else ('b', 'a'))\n", "N(1, 2).a"),
    "an array": ("ARRAY = np.array([5, VALUE])\n", "ARRAY[1]"),
    "an array's type": ("ARRAY = np.array([255]).astype(('int8', 'uint8')[VALUE - 1])\n", "1 + (ARRAY[0] > 0)"),
    "a type": ("TYPE = (np.bool_, np.int64)[VALUE - 1]\n", "np.int64(TYPE(2))"),
    "a function of NumPy": ("function = (np.sign, np.abs)[VALUE - 1]\n", "np.int64(function(2))"),
    "an inlined function": ("@inline\ndef helper(x):\n    return x + VALUE\n", "helper(0)"),
    "a constant of an inlined function": ("C = VALUE\n@inline\ndef helper(x):\n    return x + C\n", "helper(0)"),
    "a function in an inlined one": (
        "@inline\ndef inner(x):\n    return VALUE * x\n@inline\ndef helper(x):\n    return inner(x)\n",
        "helper(1)",
    ),
    "default arguments of a function": ("@inline\ndef helper(x=VALUE):\n    return x\n", "helper()"),
    "another kernel": ("@kernel\ndef other(y):\n    y[0] = VALUE\n", "other(y) or y[0]"),
    "a function of Numba": ("@numba.njit\ndef helper(x):\n    return x + VALUE\n", "helper(0)"),
    "options of Numba": (
        "@numba.njit(error_model=('numpy', 'python')[VALUE - 1])\ndef helper(x):\n    return x + VALUE\n",
        "helper(0)",
    ),
    "signatures of Numba": (
        "@numba.njit(('int8(int8)', 'int64(int64)')[VALUE - 1])\ndef helper(x):\n    return x\n",
        "np.sign(helper(255)) + (helper(255) > 0) + (helper(255) < 0) * 2",
    ),
    "a module's constant": ("module = types.ModuleType('m')\nmodule.constant = VALUE\n", "module.constant"),
    "a module's function": (
        "module = types.ModuleType('m')\nmodule.inner = types.ModuleType('n')\n"
        "@inline\ndef helper(x):\n    return x + VALUE\nmodule.inner.helper = helper\n",
        "module.inner.helper(0)",
    ),
    "a function in the function": (
        "@kernel\ndef kernel(y):\n    def inner(x):\n        return x + VALUE\n    y[0] = inner(0)\n",
        None,
    ),
}
UNCERTAIN = {
    "a plain function, for which another may stand": (
        "@register_jitable\ndef helper(x):\n    return x + VALUE\n",
        "helper(0)",
    ),
}


def programs(cases, value):
    """The code of every case, with one of two values."""
    codes = {
        what: HEAD + before + (BODY.replace("EXPRESSION", after) if after else "")
        for what, (before, after) in cases.items()
    }
    return json.dumps({what: code.replace("VALUE", str(value)) for what, code in codes.items()})


def test_a_change_is_noticed_and_no_change_is_none(python, tmp_path):
    cases = CHANGES | UNCERTAIN
    for seed, value in enumerate((1, 2, 1, 2)):
        out = python(RUN, programs(cases, value), INT8RT_CACHE_DIR=tmp_path, PYTHONHASHSEED=seed)
        assert json.loads(out) == {what: [value, what in CHANGES] for what in cases}
        assert len(list(tmp_path.rglob("*.o"))) == len(CHANGES) * (1 + (seed > 0))


def test_what_changes_while_a_process_runs_is_not_kept():
    """Numba may have compiled the helper with the value that it had first, and uses that again."""
    names = {"__name__": "mine"}
    code = "C = 1\n@inline\ndef helper(x):\n    return x + C\n@kernel\ndef {}(y):\n    y[0] = helper({})\n"
    exec(HEAD + code.format("first", 1), names)
    assert content(names["first"]) == content(names["first"]) is not None
    names["C"] = 2
    assert content(names["first"]) is None
    exec(HEAD + code.format("second", 2), names)
    assert content(names["second"]) is not None


@pytest.mark.parametrize(
    "body",
    ["y[0] = getattr(np, NAME)", "import math", "y[0] = UNKNOWN", "y[0] = open", "y[0] = OBJECTS", "y[0] = MADE(1)"],
)
def test_what_is_not_known_has_no_key(body):
    names = {"__name__": "mine", "NAME": "e", "UNKNOWN": object(), "MADE": np.frompyfunc(abs, 1, 1)}
    names["OBJECTS"] = np.array([object()])
    exec(f"{HEAD}@kernel\ndef kernel(y):\n    {body}\n", names)
    assert (content(names["kernel"]) is None) == (body != "y[0] = open")


def test_a_factory_s_kernels_never_share_a_name():
    """Though the name that it gives forgets an argument."""

    @kernel_factory
    def make(value, kind="a", function=None):
        return Kernel(lambda y: value, "forgetful")

    made = [make(1), make(2), make(True), make(1.0), make(1, "b"), make("1"), make(1, "a", _sum.scaled_sum)]
    assert len({k.name for k in made}) == len({k.recipe for k in made}) == len(made)
    assert make(1) is make(value=1) is make(1, "a", function=None)
    with pytest.raises(TypeError, match="required"):
        make()


def test_what_factories_do_not_take():
    """Functions of int8rt that stand in another function have no name of their own."""

    @kernel_factory
    def make(function):
        return Kernel(lambda y: None)

    local = inline(lambda x: x)
    assert make(local) is make(local)
    local.function.__module__ = "int8rt.ops.add"
    with pytest.raises(TypeError, match="stands in a function"):
        make(inline(local.function))
    with pytest.raises(TypeError, match="not of Int8DType"):
        make(np.dtype(np.int8))
