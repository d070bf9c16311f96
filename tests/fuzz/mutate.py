"""Changes a model file by its structure: tables, vtables and offsets, and what tensors, nodes and subgraphs mean.

``mutant(content, other, rng)`` reads a file into a tree of tables, changes it in one place or in a few, and writes it
again; sometimes its bytes are changed afterwards, where offsets, vtables and numbers lie. Most changes leave the rest
of the file sound, so that what comes behind the reader sees them: where a shape or a type changes, constants are often
made to fit. Everything follows from ``rng``.
"""

from __future__ import annotations

import copy
import math
import random
import re
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import sparse
from writer import Table, fields_of, write

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.format.flatbuffer import DEPRECATED, Field, FlatBuffer, layout
from int8rt.format.schema import OPERATORS, OPTIONS, TABLES, TYPES, UNIONS

Rng = random.Random
Change = Callable[[Rng, Table, Table], None]

NUMBERS = (0, 1, -1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 255, 256, 1000, 65535)
EXTREMES = tuple(sign * 2**power + step for power in (15, 16, 20, 24, 30, 31, 32, 62, 63) for sign in (1, -1)
                 for step in (-1, 0, 1))  # fmt: skip
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 1e-45, 1e-38, -1e-38, 1e-20, 1e-6, 127.0, 1e6, 1e20, 3e38, -3e38,
          math.inf, -math.inf, math.nan)  # fmt: skip
RANGES = {
    "bool": (0, 1), "byte": (-(2**7), 2**7 - 1), "ubyte": (0, 2**8 - 1), "short": (-(2**15), 2**15 - 1),
    "ushort": (0, 2**16 - 1), "int": (-(2**31), 2**31 - 1), "uint": (0, 2**32 - 1), "long": (-(2**63), 2**63 - 1),
    "ulong": (0, 2**64 - 1),
}  # fmt: skip
BITS = {n: 8 if name == "BOOL" else int(found[0]) if (found := re.findall(r"\d+", name)) else 0
        for n, name in TYPES.items()}  # fmt: skip
SUPPORTED = [number for number, op in OPERATORS.items() if op in ops.supported()]
COMMON_TYPES = [n for n, name in TYPES.items() if name in (
    "INT8", "UINT8", "INT16", "INT32", "INT64", "FLOAT32", "BOOL", "FLOAT16", "INT4", "FLOAT64")]  # fmt: skip


# Trees


def tree(content: bytes) -> Table:
    """A file as the tables that ``writer.write`` takes. Raises ModelError."""
    return _table(FlatBuffer(np.frombuffer(content, np.uint8)).root("Model", b"TFL3"), "Model")


def _table(found: Any, name: str) -> Table:
    fields = {}
    for field in layout(name):
        if field.name == DEPRECATED:
            continue
        value = _value(getattr(found, field.name), field, found)
        if value is not None:
            fields[field.name] = value
    return Table(name, **fields)


def _value(value: Any, field: Field, found: Any) -> Any:
    """A field's value; None where it is the default."""
    if field.is_vector:
        if len(value) == 0:
            return None
        return [_table(item, field.kind) for item in value] if field.kind in TABLES else _plain(value)
    if field.scalar is not None:
        return None if value == field.default else value
    if value is None or value == "":
        return None
    if field.kind == "string":
        return value
    name = UNIONS[field.kind][getattr(found, f"{field.name}_type")] if field.kind in UNIONS else field.kind
    return _table(value, name)


def _plain(value: Any) -> Any:
    return value.tobytes() if getattr(value, "dtype", None) == np.uint8 else list(value)


def tables(root: Table) -> Iterator[Table]:
    """A table and all below it."""
    yield root
    for value in root.fields.values():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Table):
                yield from tables(item)


# Numbers


def number(rng: Rng, kind: str) -> Any:
    """A number that the kind of field can hold, small or extreme."""
    if kind in ("float", "double"):
        return rng.choice(FLOATS) if rng.random() < 0.8 else struct.unpack("<f", rng.randbytes(4))[0]
    low, high = RANGES[kind]
    value = rng.choice(NUMBERS if rng.random() < 0.7 else EXTREMES)
    return value if low <= value <= high else rng.randint(low, high)


def changed(rng: Rng, value: Any, kind: str) -> Any:
    """A number near another one, or far from it."""
    if kind in ("float", "double") or rng.random() < 0.5:
        return number(rng, kind)
    low, high = RANGES[kind]
    return min(max(int(value) + rng.choice((-1, 1, -1, 1, 2, -int(value) - 1, int(value))), low), high)


def changed_vector(rng: Rng, values: list[Any], any_item: Callable[[], Any]) -> list[Any]:
    """A vector with an item more, less, twice, or of another value; or in another order, or empty."""
    values = list(values)
    how = rng.randrange(8)
    at = rng.randrange(len(values)) if values else 0
    if how == 0 or not values:
        values.insert(at, any_item())
    elif how == 1:
        del values[at]
    elif how == 2:
        values[at] = rng.choice(values)
    elif how == 3:
        rng.shuffle(values)
    elif how == 4 and rng.random() < 0.3:
        values = []
    elif how == 5:
        values.append(values[at])
    else:
        values[at] = any_item()
    return values


# What a model holds


def subgraphs(model: Table) -> list[Table]:
    """The subgraphs of a model."""
    return model.fields.setdefault("subgraphs", [])


def listed(table: Table, name: str) -> list[Any]:
    """A vector of a table, which is there from then on and can be changed."""
    return table.fields.setdefault(name, [])


def some_subgraph(rng: Rng, model: Table) -> Table:
    """Mostly the main one."""
    graphs = subgraphs(model)
    return graphs[0] if rng.random() < 0.6 else rng.choice(graphs)


def some_tensor(rng: Rng, model: Table) -> Table:
    """One of a node's tensors, more often than others."""
    graph = some_subgraph(rng, model)
    found, nodes = listed(graph, "tensors"), listed(graph, "operators")
    if nodes and rng.random() < 0.8:
        node = rng.choice(nodes)
        indices = [*node.fields.get("inputs", []), *node.fields.get("outputs", [])]
        indices = [i for i in indices if 0 <= i < len(found)]
        if indices:
            return found[rng.choice(indices)]
    return rng.choice(found)


def some_node(rng: Rng, model: Table) -> Table:
    return rng.choice(listed(some_subgraph(rng, model), "operators"))


def add_buffer(model: Table, data: bytes) -> int:
    """The number of a new buffer."""
    listed(model, "buffers").append(Table("Buffer", data=data))
    return len(listed(model, "buffers")) - 1


def data_of(model: Table, tensor: Table) -> bytes:
    """The bytes of a constant; empty where a tensor has none."""
    number = tensor.fields.get("buffer", 0)
    buffers = listed(model, "buffers")
    return bytes(buffers[number].fields.get("data", b"")) if 0 < number < len(buffers) else b""


def nbytes(tensor: Table) -> int:
    """How many bytes a constant of a tensor's shape and type has; 0 where that is not to be made."""
    count = math.prod(max(int(n), 0) for n in tensor.fields.get("shape", []))
    size = (count * BITS.get(tensor.fields.get("type", 0), 0) + 7) // 8
    return size if size <= 1 << 20 else 0


def refit(model: Table, tensor: Table) -> None:
    """Give a constant as many bytes as its shape and type ask for."""
    data, size = data_of(model, tensor), nbytes(tensor)
    if data and size:
        tensor.fields["buffer"] = add_buffer(model, (data * (size // len(data) + 1))[:size])


# Changes of the tree


def any_field(rng: Rng, model: Table, other: Table) -> None:
    """Any field of any table."""
    table = rng.choice(list(tables(model)))
    fields = fields_of(table.table)
    if not fields:
        return
    field = rng.choice(fields)
    if rng.random() < 0.15:
        table.fields.pop(field.name, None)
    else:
        value = _changed_field(rng, table, field, model, other)
        if value is not None:
            table.fields[field.name] = value


def _changed_field(rng: Rng, table: Table, field: Field, model: Table, other: Table) -> Any:
    value = table.fields.get(field.name)
    if field.is_vector:
        return _changed_vector_field(rng, value, field, model, other)
    if field.scalar is not None:
        return changed(rng, value or 0, field.kind)
    if field.kind == "string":
        return rng.choice(["", "a", "\0", "\x1b[2J", "\udcff".encode("utf-8", "replace").decode(), "x" * 300])
    return _alike(rng, value.table if value is not None else field.kind, model, other) or value


def _changed_vector_field(rng: Rng, value: Any, field: Field, model: Table, other: Table) -> Any:
    if field.kind in TABLES:
        new = _alike(rng, field.kind, model, other)
        return changed_vector(rng, value or [], lambda: copy.deepcopy(new) if new else Table(field.kind))
    if field.kind == "string":
        return None
    if field.kind == "ubyte":
        return bytes(changed_vector(rng, list((value or b"")[:4096]), lambda: rng.randrange(256)))
    return changed_vector(rng, value or [], lambda: number(rng, field.kind)) or None


def _alike(rng: Rng, name: str, model: Table, other: Table) -> Table | None:
    """A table of that name from the one or the other file."""
    found = [t for t in tables(rng.choice((model, other))) if t.table == name]
    return copy.deepcopy(rng.choice(found)) if found else None


def operator_code(rng: Rng, model: Table, other: Table) -> None:
    """Another operator or version at the same tensors, with its options or those before."""
    code = rng.choice(listed(model, "operator_codes"))
    if rng.random() < 0.3:
        code.fields["version"] = rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 9, 12, 2**31 - 1, -1))
        return
    code.fields["builtin_code"] = rng.choice(SUPPORTED) if rng.random() < 0.95 else rng.randrange(-2, 260)
    code.fields["deprecated_builtin_code"] = min(code.fields["builtin_code"], 127)
    if rng.random() < 0.6:
        index = listed(model, "operator_codes").index(code)
        for graph in subgraphs(model):
            for node in listed(graph, "operators"):
                if node.fields.get("opcode_index", 0) == index:
                    _set_options(rng, node, OPTIONS.get(OPERATORS.get(code.fields["builtin_code"], "")))


def _set_options(rng: Rng, node: Table, name: str | None) -> None:
    for field in ("builtin_options", "builtin_options_type", "builtin_options_2", "builtin_options_2_type"):
        node.fields.pop(field, None)
    for union, field in (("BuiltinOptions", "builtin_options"), ("BuiltinOptions2", "builtin_options_2")):
        for type_number, table in UNIONS[union].items():
            if table == name:
                node.fields[field + "_type"] = type_number
                node.fields[field] = _any_options(rng, table)
                return


def _any_options(rng: Rng, name: str) -> Table:
    """Options with small values in most fields."""
    table = Table(name)
    for field in fields_of(name):
        if rng.random() < 0.2:
            continue
        if field.scalar is not None:
            small = number(rng, field.kind) if field.kind in ("float", "double") else rng.choice((0, 1, 1, 2, 3))
            table.fields[field.name] = min(small, 1) if field.kind == "bool" else small
        elif field.is_vector and field.kind in RANGES and field.kind != "ubyte":
            table.fields[field.name] = [rng.choice((0, 1, 1, 2)) for _ in range(rng.randrange(5))]
    return table


def options(rng: Rng, model: Table, other: Table) -> None:
    """A field of a node's options."""
    node = some_node(rng, model)
    table = node.fields.get("builtin_options") or node.fields.get("builtin_options_2")
    if table is None:
        if "custom_options" in node.fields:
            any_bytes = node.fields["custom_options"]
            node.fields["custom_options"] = bytes(changed_vector(rng, list(any_bytes), lambda: rng.randrange(256)))
        return
    fields = fields_of(table.table)
    if fields:
        field = rng.choice(fields)
        value = _changed_field(rng, table, field, model, other)
        if value is not None:
            table.fields[field.name] = value


def shape(rng: Rng, model: Table, other: Table) -> None:
    """A size, the number of axes, or their order; constants mostly fit afterwards."""
    tensor = some_tensor(rng, model)
    sizes = list(tensor.fields.get("shape", []))
    how = rng.randrange(7)
    if how == 0 or not sizes:
        sizes.insert(rng.randrange(len(sizes) + 1), rng.choice((1, 1, 2, 0)))
    elif how == 1:
        del sizes[rng.randrange(len(sizes))]
    elif how == 2:
        rng.shuffle(sizes)
    elif how == 3:
        sizes = list(some_tensor(rng, model).fields.get("shape", []))
    elif how == 4:
        sizes[rng.randrange(len(sizes))] = number(rng, "int")
    else:
        at = rng.randrange(len(sizes))
        sizes[at] = rng.choice((0, 1, 2, 3, sizes[at] + 1, max(sizes[at] - 1, 0), 2 * sizes[at], 17))
    tensor.fields["shape"] = [min(max(int(n), -(2**31)), 2**31 - 1) for n in sizes]
    if rng.random() < 0.1:
        tensor.fields["shape_signature"] = [rng.choice((-1, n)) for n in tensor.fields["shape"]]
    elif "shape_signature" in tensor.fields and rng.random() < 0.7:
        del tensor.fields["shape_signature"]
    if rng.random() < 0.8:
        refit(model, tensor)


def element_type(rng: Rng, model: Table, other: Table) -> None:
    """Another type of a tensor, or of all that have the same."""
    tensor = some_tensor(rng, model)
    before = tensor.fields.get("type", 0)
    new = rng.choice(COMMON_TYPES) if rng.random() < 0.8 else rng.randrange(-1, 24)
    found = [tensor]
    if rng.random() < 0.4:
        found = [t for g in subgraphs(model) for t in listed(g, "tensors") if t.fields.get("type", 0) == before]
    for t in found:
        t.fields["type"] = new
        if rng.random() < 0.85:
            refit(model, t)


def quantization(rng: Rng, model: Table, other: Table) -> None:
    """Scales, zero points, axis, or their number."""
    tensor = some_tensor(rng, model)
    q = tensor.fields.get("quantization")
    if q is None or rng.random() < 0.1:
        q = copy.deepcopy(some_tensor(rng, model).fields.get("quantization")) or Table("QuantizationParameters")
        tensor.fields["quantization"] = q
    scale, zero = list(q.fields.get("scale", [])), list(q.fields.get("zero_point", []))
    how = rng.randrange(8)
    if how == 0:
        del tensor.fields["quantization"]
    elif how == 1:
        scale = [number(rng, "float")]
        zero = zero[:1]
    elif how == 2 and scale:
        scale[rng.randrange(len(scale))] = number(rng, "float")
    elif how == 3:
        zero = [rng.choice((0, 1, -1, 127, -128, 255, 128, 2**31 - 1, -(2**31), 2**40)) for _ in scale or [0]]
    elif how == 4 and tensor.fields.get("shape"):  # for each index of an axis
        axis = rng.randrange(len(tensor.fields["shape"]))
        size = min(max(tensor.fields["shape"][axis], 0), 4096)
        scale, zero = [rng.choice((0.1, 0.01, 1.5, 2.0**-20)) for _ in range(size)], [0] * size
        q.fields["quantized_dimension"] = axis
    elif how == 5:
        q.fields["quantized_dimension"] = number(rng, "int")
    elif how == 6:
        scale = changed_vector(rng, scale, lambda: number(rng, "float"))
        if rng.random() < 0.5:
            zero = (zero + [0] * len(scale))[: len(scale)]
    elif scale:
        power = rng.choice((-149, -100, -60, -31, -20, -8, 8, 20, 31, 60, 100))
        scale = [float(np.float32(max(min(s * 2.0**power, 3e38), -3e38))) for s in scale]
    q.fields["scale"] = [
        float(np.float32(s)) if abs(s) < 3.4e38 or s != s else math.copysign(math.inf, s) for s in scale
    ]
    q.fields["zero_point"] = zero


def indices(rng: Rng, model: Table, other: Table) -> None:
    """The tensors of a node or of a subgraph: order, number, absent ones, others."""
    graph = some_subgraph(rng, model)
    nodes = listed(graph, "operators")
    holder = graph if not nodes or rng.random() < 0.25 else rng.choice(nodes)
    field = rng.choice(["inputs"] * 3 + ["outputs"] * 2 + (["intermediates"] if holder is not graph else []))
    count = len(listed(graph, "tensors"))

    def any_index() -> int:
        return rng.choice((rng.randrange(count) if count else 0,) * 4 + (-1, -1, count, number(rng, "int")))

    holder.fields[field] = changed_vector(rng, holder.fields.get(field, []), any_index)


def buffers(rng: Rng, model: Table, other: Table) -> None:
    """A constant's bytes: others, more, fewer, none, those of another tensor; or constants for what was computed."""
    tensor = some_tensor(rng, model)
    data = data_of(model, tensor)
    how = rng.randrange(8)
    if how == 0:
        tensor.fields["buffer"] = rng.randrange(len(listed(model, "buffers")) + 1)
    elif how == 1:
        tensor.fields["buffer"] = 0
    elif how == 2:
        tensor.fields["buffer"] = some_tensor(rng, model).fields.get("buffer", 0)
    elif how == 3:
        cut = rng.randrange(len(data) + 1)
        tensor.fields["buffer"] = add_buffer(model, data[:cut] if rng.random() < 0.5 else data + data[:cut])
    else:
        tensor.fields["buffer"] = add_buffer(model, values(rng, tensor, data))


def values(rng: Rng, tensor: Table, data: bytes) -> bytes:
    """Bytes for a constant of a tensor's shape: one of its values extreme, or all of them."""
    size = nbytes(tensor)
    step = max(BITS.get(tensor.fields.get("type", 0), 8) // 8, 1)
    is_float = "FLOAT" in TYPES.get(tensor.fields.get("type", 0), "")

    def item() -> bytes:
        if is_float and step >= 2:
            return struct.pack({2: "<e", 4: "<f", 8: "<d"}[step], rng.choice((0.0, 1.0, -1.5, math.inf, math.nan, 6e4)))
        low, high = -(2 ** (8 * step - 1)), 2 ** (8 * step - 1) - 1
        value = rng.choice((0, 1, -1, 2, 3, 5, 100, low, high, low + 1, high - 1))
        return min(max(value, low), high).to_bytes(step, "little", signed=True)

    if len(data) != size or rng.random() < 0.3:
        return b"".join(item() for _ in range(min(size // step, 4096))).ljust(size, b"\0")[:size]
    at = rng.randrange(size // step) * step if size >= step else 0
    return data[:at] + item() + data[at + step :]


def state(rng: Rng, model: Table, other: Table) -> None:
    """A tensor becomes a variable, or is none any more; often one that is no constant."""
    tensor = some_tensor(rng, model)
    tensor.fields["is_variable"] = not tensor.fields.get("is_variable", False)
    if rng.random() < 0.6:
        tensor.fields["buffer"] = 0


def sparsity(rng: Rng, model: Table, other: Table) -> None:
    """A constant stored sparsely, as is right or not."""
    tensor = some_tensor(rng, model)
    if tensor.fields.get("sparsity") is None:
        _store_sparsely(rng, model, tensor)
    table = tensor.fields.get("sparsity")
    if table is None or rng.random() < 0.3:
        return
    if rng.random() < 0.5:
        table = rng.choice(list(tables(table)))
    field = rng.choice(layout(table.table))
    value = _changed_field(rng, table, field, model, other)
    if value is not None and field.kind not in UNIONS:
        table.fields[field.name] = value


def _store_sparsely(rng: Rng, model: Table, tensor: Table) -> None:
    data, sizes = data_of(model, tensor), [int(n) for n in tensor.fields.get("shape", [])]
    if not sizes or len(data) > 4096 or len(data) != nbytes(tensor) or BITS.get(tensor.fields.get("type", 0), 0) < 8:
        return
    if not data:
        data = bytes(nbytes(tensor))
    count = math.prod(sizes)
    if count < 1 or len(data) < count:
        return
    dense = np.frombuffer(data, f"V{len(data) // count}").reshape(sizes)
    numbers = np.frombuffer(data, np.uint8).reshape(count, -1).any(1).reshape(sizes).astype(np.int64)
    numbers *= np.arange(1, count + 1).reshape(sizes)  # each value that is not zero by its place
    order = rng.sample(range(len(sizes)), len(sizes))
    blocks = [
        (axis, rng.choice([d for d in (1, 2, 4) if sizes[axis] % d == 0])) for axis in order if rng.random() < 0.2
    ]
    order += [len(sizes) + i for i in range(len(dict(blocks)))]
    stored, table = sparse.encode(numbers, order, [level for level in order if rng.random() < 0.6], blocks)
    raw = b"".join(dense.reshape(-1)[n - 1].tobytes() if n else bytes(dense.itemsize) for n in stored.tolist())
    tensor.fields["buffer"], tensor.fields["sparsity"] = add_buffer(model, raw), table


def control_flow(rng: Rng, model: Table, other: Table) -> None:
    """Which subgraphs a node runs: others, itself, none; chains and diamonds of nodes that run further ones."""
    if rng.random() < 0.5:
        return _rewire_calls(rng, model)
    return _nest(rng, model, rng.choice((1, 2, 5, 30, 60)), rng.random() < 0.5)


def _rewire_calls(rng: Rng, model: Table) -> None:
    fields = [
        (table, name)
        for table in tables(model)
        for name in table.fields
        if name.endswith("subgraph_index") or name == "subgraph"
    ]
    if fields:
        table, name = rng.choice(fields)
        least = next(RANGES[f.kind][0] for f in layout(table.table) if f.name == name)
        table.fields[name] = rng.choice((*range(len(subgraphs(model)) + 1), max(least, -1), 2**31 - 1))


def _nest(rng: Rng, model: Table, depth: int, twice: bool) -> None:
    """Subgraphs that each run the next one, once or in both branches of an IF, the last as main does."""
    main = subgraphs(model)[0]
    how = rng.choice(("IF", "STABLEHLO_COMPOSITE", "CALL_ONCE", "WHILE"))
    tensors = [copy.deepcopy(t) for t in listed(main, "tensors")]
    inputs, outputs = list(main.fields.get("inputs", [])), list(main.fields.get("outputs", []))
    listed(model, "operator_codes").append(_code(how))
    opcode = len(listed(model, "operator_codes")) - 1
    first = len(subgraphs(model))
    inner = copy.deepcopy(main)
    for level in range(depth):
        target = first + level + 1
        node = _caller(rng, how, opcode, target, target if twice else first + depth, inputs, outputs)
        holder = (
            main if level == 0 else Table("SubGraph", tensors=copy.deepcopy(tensors), inputs=inputs, outputs=outputs)
        )
        if how == "IF":
            listed(holder, "tensors").append(Table("Tensor", type=6, shape=[1], buffer=add_buffer(model, b"\1")))
            node.fields["inputs"] = [len(listed(holder, "tensors")) - 1, *inputs]
            if rng.random() < 0.5:
                listed(holder, "tensors")[-1].fields["is_variable"] = True
                listed(holder, "tensors")[-1].fields["buffer"] = 0
        holder.fields["operators"] = [node]
        if level:
            subgraphs(model).append(holder)
        else:
            subgraphs(model).append(Table("SubGraph"))  # so that numbers are as counted above
    subgraphs(model).append(inner)


def _code(op: str) -> Table:
    number = next(n for n, name in OPERATORS.items() if name == op)
    return Table("OperatorCode", builtin_code=number, deprecated_builtin_code=min(number, 127), version=1)


def _caller(rng: Rng, how: str, opcode: int, target: int, second: int, inputs: list[int], outputs: list[int]) -> Table:
    node = Table("Operator", opcode_index=opcode, inputs=list(inputs), outputs=list(outputs))
    _set_options(rng, node, OPTIONS[how])
    table = node.fields.get("builtin_options") or node.fields.get("builtin_options_2")
    assert table is not None
    names = [f.name for f in layout(table.table) if f.name.endswith("subgraph_index")]
    for name, index in zip(names, (target, second), strict=False):
        table.fields[name] = index
    if how == "CALL_ONCE":
        node.fields["inputs"] = node.fields["outputs"] = []
    return node


def nodes(rng: Rng, model: Table, other: Table) -> None:
    """A node more, less, or elsewhere."""
    graph = some_subgraph(rng, model)
    found = listed(graph, "operators")
    if not found:
        return
    at = rng.randrange(len(found))
    how = rng.randrange(4)
    if how == 0:
        del found[at]
    elif how == 1:
        rng.shuffle(found)
    else:  # once more, on its own results where they fit, or beside itself
        node = copy.deepcopy(found[at])
        tensors = listed(graph, "tensors")
        outputs = [i for i in node.fields.get("outputs", []) if 0 <= i < len(tensors)]
        new = [copy.deepcopy(tensors[i]) for i in outputs]
        node.fields["outputs"] = list(range(len(tensors), len(tensors) + len(new)))
        tensors += new
        if how == 2 and outputs and node.fields.get("inputs"):
            node.fields["inputs"] = list(node.fields["inputs"])
            node.fields["inputs"][rng.randrange(len(node.fields["inputs"]))] = rng.choice(outputs)
        found.append(node)
        graph.fields["outputs"] = list(graph.fields.get("outputs", [])) + node.fields["outputs"]


def ports(rng: Rng, model: Table, other: Table) -> None:
    """A constant becomes an input, an input a constant; results inside become outputs."""
    graph = some_subgraph(rng, model)
    tensors, inputs = listed(graph, "tensors"), list(graph.fields.get("inputs", []))
    how = rng.randrange(4)
    if how == 0 and inputs:
        index = inputs.pop(rng.randrange(len(inputs)))
        if 0 <= index < len(tensors):
            tensors[index].fields["buffer"] = add_buffer(model, values(rng, tensors[index], b""))
    elif how == 1:
        constants = [i for i, t in enumerate(tensors) if data_of(model, t) and i not in inputs]
        if constants:
            inputs.insert(rng.randrange(len(inputs) + 1), index := rng.choice(constants))
            if rng.random() < 0.7:
                tensors[index].fields["buffer"] = 0
    elif tensors:
        graph.fields["outputs"] = [*graph.fields.get("outputs", []), rng.randrange(len(tensors))]
    graph.fields["inputs"] = inputs


def signatures(rng: Rng, model: Table, other: Table) -> None:
    """A signature more, or another one."""
    graph = rng.randrange(len(subgraphs(model)) + 1)
    maps = [
        [Table("TensorMap", name=rng.choice("xyz"), tensor_index=rng.choice((0, 1, 2, 3, 2**32 - 1)))
         for _ in range(rng.randrange(3))] for _ in range(2)
    ]  # fmt: skip
    table = Table("SignatureDef", inputs=maps[0], outputs=maps[1], signature_key="k", subgraph_index=graph)
    listed(model, "signature_defs").append(table)


def metadata(rng: Rng, model: Table, other: Table) -> None:
    """Metadata more, of any buffer."""
    buffer = rng.choice((0, 1, len(listed(model, "buffers")), 2**32 - 1))
    listed(model, "metadata").append(
        Table("Metadata", name=rng.choice(("min_runtime_version", "m", "")), buffer=buffer)
    )


def crossed(rng: Rng, model: Table, other: Table) -> None:
    """The other file's nodes behind one's own, on tensors of either."""
    if not subgraphs(other):
        return
    other = copy.deepcopy(other)
    tensors, buffer = len(listed(subgraphs(model)[0], "tensors")), len(listed(model, "buffers"))
    codes, graphs = len(listed(model, "operator_codes")), len(subgraphs(model))
    for graph in subgraphs(other):
        for t in listed(graph, "tensors"):
            t.fields["buffer"] = t.fields.get("buffer", 0) + buffer if t.fields.get("buffer", 0) else 0
        for node in listed(graph, "operators"):
            node.fields["opcode_index"] = node.fields.get("opcode_index", 0) + codes
    for table in tables(other):
        for name in table.fields:
            if name.endswith("subgraph_index"):
                table.fields[name] = min(table.fields[name] + graphs - 1, 2**31 - 1)
    listed(model, "buffers").extend(listed(other, "buffers"))
    listed(model, "operator_codes").extend(listed(other, "operator_codes"))
    _append(rng, subgraphs(model)[0], subgraphs(other)[0], tensors)
    subgraphs(model).extend(subgraphs(other)[1:])


def _append(rng: Rng, main: Table, added: Table, first: int) -> None:
    """A subgraph's nodes behind another's; of its inputs, some are tensors which the other has already."""
    own = listed(main, "tensors")
    kinds = [(t.fields.get("type", 0), list(t.fields.get("shape", []))) for t in own]
    written = {i for n in listed(main, "operators") for i in n.fields.get("outputs", [])}
    replaced = {}
    for i in added.fields.get("inputs", []):
        if 0 <= i < len(listed(added, "tensors")):
            t = listed(added, "tensors")[i]
            kind = t.fields.get("type", 0), list(t.fields.get("shape", []))
            fitting = [j for j, k in enumerate(kinds) if k == kind or (k[0] == kind[0] and rng.random() < 0.3)]
            fitting = [j for j in fitting if j in written] or fitting
            if fitting and rng.random() < 0.8:
                replaced[i] = rng.choice(fitting)

    def moved(found: list[int]) -> list[int]:
        return [i if i < 0 else replaced.get(i, min(i + first, 2**31 - 1)) for i in found]

    own.extend(listed(added, "tensors"))
    for node in listed(added, "operators"):
        for name in ("inputs", "outputs", "intermediates"):
            if name in node.fields:
                node.fields[name] = moved(node.fields[name])
        listed(main, "operators").append(node)
    inputs = moved([i for i in added.fields.get("inputs", []) if i not in replaced])
    main.fields["inputs"] = list(main.fields.get("inputs", [])) + inputs
    main.fields["outputs"] = list(main.fields.get("outputs", [])) + moved(list(added.fields.get("outputs", [])))


CHANGES: dict[Change, int] = {  # and how often each is drawn
    any_field: 8, operator_code: 6, options: 10, shape: 12, element_type: 8, quantization: 12, indices: 8, buffers: 10,
    state: 2, sparsity: 4, control_flow: 3, nodes: 4, ports: 5, signatures: 1, metadata: 1, crossed: 6,
}  # fmt: skip


# Changes of bytes


class _Places(FlatBuffer):
    """A file that notes where offsets, vtables and tables lie while it is read."""

    def __init__(self, raw: np.ndarray) -> None:
        super().__init__(raw)
        self.offsets: list[int] = []
        self.vtables: dict[int, int] = {}  # {where: bytes}
        self.starts: list[int] = []

    def _offset(self, start: int, where: str) -> int:
        self.offsets.append(start)
        return super()._offset(start, where)

    def _fields(self, start: int, name: str, where: str) -> list[tuple[Field, int]]:
        found = super()._fields(start, name, where)
        vtable = start - int(self._number("int", start, where))
        self.vtables[vtable] = int(self._number("ushort", vtable, where))
        self.starts.append(start)
        return found


def bytes_changed(rng: Rng, content: bytes) -> bytes:
    """A file of which offsets, vtables, lengths or any bytes are others, or which ends elsewhere."""
    places = _Places(np.frombuffer(content, np.uint8))
    places.root("Model", b"TFL3")
    raw = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        how = rng.randrange(6)
        if how == 0:
            at = rng.choice(places.offsets)
            target = rng.choice((rng.choice(places.starts), rng.choice(places.offsets), rng.randrange(len(raw))))
            _put(raw, at, "<I", (target - at) % 2**32)
        elif how == 1:
            at, size = rng.choice(list(places.vtables.items()))
            slot = at + 2 * rng.randrange(size // 2)
            _put(raw, slot, "<H", rng.choice((0, 2, 4, 5, 6, 8, 12, 20, 255, 65535, rng.randrange(65536))))
        elif how == 2:
            at = rng.choice(places.starts)
            vtable = rng.choice([*places.vtables, rng.randrange(len(raw))])
            _put(raw, at, "<i", max(min(at - vtable, 2**31 - 1), -(2**31)))
        elif how == 3:
            at = rng.choice(places.offsets)
            _put(raw, at + struct.unpack_from("<I", raw, at)[0], "<I", number(rng, "uint"))  # often a length
        elif how == 4:
            at = rng.randrange(len(raw) // 4) * 4
            _put(raw, at, "<i", number(rng, "int"))
        else:
            raw[rng.randrange(len(raw))] = rng.randrange(256)
    if rng.random() < 0.1:
        del raw[rng.randrange(len(raw)) :]
    return bytes(raw)


def _put(raw: bytearray, at: int, kind: str, value: int) -> None:
    if 0 <= at <= len(raw) - struct.calcsize(kind):
        struct.pack_into(kind, raw, at, value)


# All together


def mutant(content: bytes, other: bytes, rng: Rng) -> bytes:
    """A changed file, in one or several ways; ``other`` is what it may be crossed with."""
    how = rng.random()
    if how < 0.08:
        return bytes_changed(rng, content)
    model, second = tree(content), tree(other)
    for _ in range(rng.choice((1, 1, 1, 1, 2, 2, 3, 5))):
        change = rng.choices(list(CHANGES), list(CHANGES.values()))[0]
        try:
            change(rng, model, second)
        except IndexError:  # there is nothing of the kind to change
            continue
    try:
        made = write(model)
    except TypeError:  # a vector of numbers that its field cannot hold
        return content
    if how < 0.12:
        try:
            return bytes_changed(rng, made)
        except ModelError:  # the tree is one already that cannot be read
            return made
    return made
