"""What operators declare of their operands, and that nodes which are otherwise never come to an operator."""

import inspect
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conformance_cases import BUILDERS, cases
from selection import share

from int8rt import ops
from int8rt.errors import Error, InputError, ModelError
from int8rt.format import reader
from int8rt.graph import Node, Tensor
from int8rt.ops._declared import check, declaration
from int8rt.plan.infer import shaped

ENDLESS = {"ADD_N", "CONCATENATION", "IF", "LSTM", "PACK", "STABLEHLO_COMPOSITE", "UNIDIRECTIONAL_SEQUENCE_LSTM",
           "WHILE"}  # fmt: skip


def tensor(shape=(), dtype=np.int32):
    return Tensor("t", tuple(shape), np.dtype(dtype))


def node(inputs, outputs=1):
    return Node("CONV_2D", tuple(inputs), tuple(tensor() for _ in range(outputs)))


def refused(declared, *inputs, outputs=1):
    """What is said of a node, or an empty string."""
    try:
        check(node(inputs, outputs), declaration(declared))
    except ModelError as error:
        return str(error).partition("(node 0)")[2].lstrip(": ")
    return ""


def test_presence():
    x = tensor()
    assert refused("a b? -> y", x) == refused("a b? -> y", x, None) == refused("a b? -> y", x, x) == ""
    assert refused("a b? -> y", None, x) == refused("a b? -> y") == "has no input 0 (a)"
    assert refused("a b? -> y", x, x, x) == "has 3 inputs; at most 2 were expected"
    assert refused("a b? -> y", x, x, None) == "has 3 inputs; at most 2 were expected"
    assert refused("->", outputs=0) == ""
    assert refused("->") == "has 1 outputs; at most 0 were expected"
    assert refused("-> y", outputs=0) == "has no output 0 (y)"
    assert refused("-> y z?", outputs=1) == refused("-> y z*", outputs=5) == ""


def test_repeated():
    x = tensor()
    assert refused("a b* -> y", x) == refused("a b* -> y", *[x] * 9) == ""
    assert refused("a b* -> y", x, None) == "has no input 1 (b)"
    assert refused("a b?* -> y", x, None, x) == ""
    assert refused("a b{2} -> y", x, x, x) == refused("a b?{2} -> y", x, None, None) == ""
    assert refused("a b{2} -> y", x, x, None) == "has no input 2 (b)"
    assert refused("a b{2} -> y", x, x) == refused("a b?{2} -> y", x, x) == "has 2 inputs; more were expected (b)"


def test_ranks_and_types():
    one, two, three = tensor((1,)), tensor((1, 1)), tensor((1, 1, 1), np.int64)
    assert refused("a[2] -> y", two) == refused("a[2+] -> y", three) == refused("a[1-2] -> y", one) == ""
    assert refused("a[2] -> y", one) == "input 0 (a, 't') has shape [1]; 2 axes were expected"
    assert refused("a[2+] -> y", one) == "input 0 (a, 't') has shape [1]; 2 axes or more were expected"
    assert refused("a[0-2] -> y", three) == "input 0 (a, 't') has shape [1, 1, 1]; at most 2 axes were expected"
    assert refused("a:int32|int64 -> y", one) == refused("a:int32|int64 -> y", three) == ""
    assert refused("a:float32 -> y", one) == "input 0 (a, 't') has type int32; float32 was expected"
    assert refused("a -> y:float32", one) == "output 0 (y, 't') has type int32; float32 was expected"
    assert refused("a -> y[4]", one) == ""  # the shape of an output is what comes of the inputs


@pytest.mark.parametrize("text", ["", "x", "x- -> y", "x[ -> y", "x[2-] -> y", "x?? -> y", "x:-> y"])
def test_what_declares_nothing(text):
    with pytest.raises(ValueError, match=r"->|declares no operand"):
        declaration(text)


def test_one_that_is_registered(monkeypatch):
    monkeypatch.setattr(ops, "_registered", {})
    given = SimpleNamespace(shapes=lambda node: [()], reference=lambda node, x, *others: x)
    ops.register("FREE", given)
    x = tensor()
    for inputs in ((), (None,), (x, x, None, x)):
        check(node(inputs, 3), ops.find("FREE").declared)
    given.operands = "x -> y"
    ops.register("ONE", given)
    with pytest.raises(ModelError, match=r"no input 0 \(x\)"):
        check(node((None,)), ops.find("ONE").declared)
    given.operands = "x; y"
    with pytest.raises(InputError, match="operands 'x; y'"):
        ops.register("NONE", given)


@pytest.mark.parametrize("op", ops.supported())
def test_a_declaration_is_what_the_reference_takes(op):
    """As many, and those that may be left out have a default."""
    operator = ops.find(op)
    assert operator.operands
    function, others = (operator.reference, 1) if operator.control is None else (operator.control, 2)
    parameters = list(inspect.signature(function).parameters.values())[others:]
    declared = operator.declared.inputs
    if any(p.kind == p.VAR_POSITIONAL for p in parameters):
        assert sum(i.most for i in declared) >= 3 or declared[-1].most == math.inf
    else:
        assert [i.is_optional for i in declared] == [p.default is None for p in parameters]
        assert [i.most for i in declared] == [1] * len(parameters)


def test_which_operators_take_any_number_of_inputs():
    endless = {op for op in ops.supported() if any(i.most == math.inf for i in ops.find(op).declared.inputs)}
    assert endless == ENDLESS


@pytest.mark.parametrize("op", share(sorted(BUILDERS), 1, 2))
def test_every_operand_of_every_operator(op):
    """What is declared is what is refused: operands left out, too many, of other ranks and types."""
    graph = reader.read(next(iter(cases([op]))).model).main
    found = next(n for n in graph.nodes if n.op == op)
    declared, operator = ops.find(op).declared, ops.find(op)
    given = list(found.inputs)
    for at, operand in enumerate(declared.inputs):
        if operand.most != 1 or at >= len(given) or given[at] is None:
            continue
        if not operand.is_optional:
            assert says(operator, found, given, at, None) == f"no input {at}"
        rank = operand.least_rank - 1 if operand.most_rank == math.inf else int(operand.most_rank) + 1
        if rank >= 0 and (operand.least_rank or operand.most_rank < math.inf):
            assert says(operator, found, given, at, replace(given[at], shape=(1,) * rank, data=None)) == "has shape"
        if operand.types:
            other = replace(given[at], dtype=np.dtype(np.complex128), type_name="", data=None)
            assert says(operator, found, given, at, other) == "has type"
    if declared.inputs and declared.inputs[-1].most == math.inf:
        return
    most = int(sum(i.most for i in declared.inputs))
    extra = given[0] if given else graph.tensors[0]
    many = replace(found, inputs=(*given, *[extra] * (most + 1 - len(given))))
    with pytest.raises(ModelError, match=rf"has {most + 1} inputs; at most {most} were"):
        shaped(operator, many)


def says(operator, found, given, at, t):
    """What the node with another input is refused for."""
    try:
        shaped(operator, replace(found, inputs=(*given[:at], t, *given[at + 1 :])))
    except Error as error:
        words = f"no input {at}", "has shape", "has type"
        return next((word for word in words if word in str(error)), str(error))
    return "nothing"
