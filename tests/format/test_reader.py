"""The reader gives what the file says, and refuses with ModelError what does not hold together."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from paths import ROOT, SHARED_MODELS
from selection import exhaustive
from writer import SAME, Graph, Op, T, Table, model, network, write

from int8rt import load
from int8rt.errors import InputError, LimitError, ModelError, UnsupportedError
from int8rt.format import flatbuffer
from int8rt.format import schema as tables
from int8rt.format.reader import read, unpack
from int8rt.graph import MAX_RANK

SHARED_FILES = sorted(SHARED_MODELS.rglob("*.tflite"))


# What LiteRT's own schema code says about real models


def snake_case(name: str) -> str:
    return re.sub(r"(?<=.)([A-Z])", r"_\1", name).lower()


def text(value: bytes | None) -> str:
    return (value or b"").decode()


def listed(vector: Any) -> list[Any]:
    return [] if vector is None else np.asarray(vector).tolist()


def same_options(ours: SimpleNamespace, theirs: Any) -> None:
    for name, value in vars(theirs).items():
        mine = getattr(ours, snake_case(name))
        if isinstance(mine, tuple | bytes):
            assert list(mine) == listed(value)
        else:
            assert mine == (text(value) if isinstance(mine, str) else value)


def same_tensor(ours: Any, theirs: Any, buffers: list[Any], types: dict[int, str]) -> None:
    assert ours.name == text(theirs.name)
    assert list(ours.shape) == listed(theirs.shape)
    assert list(ours.shape_signature) == listed(theirs.shapeSignature)
    assert ours.type.upper() == types[theirs.type]
    assert ours.is_variable == theirs.isVariable
    scale = [] if theirs.quantization is None else listed(theirs.quantization.scale)
    assert (ours.quantization is None) == (not scale)
    if ours.quantization is not None:
        assert ours.quantization.scale.dtype == np.float32
        assert ours.quantization.scale.tolist() == scale
        assert ours.quantization.zero_point.tolist() == (listed(theirs.quantization.zeroPoint) or [0] * len(scale))
        assert ours.quantization.axis == theirs.quantization.quantizedDimension
    raw = buffers[theirs.buffer].data
    if raw is not None and len(raw):
        assert ours.data.tobytes() == np.asarray(raw, np.uint8).tobytes()
        assert ours.data.shape == ours.shape
        assert not ours.data.flags.writeable
    else:
        assert ours.data is None or ours.data.size == 0


@pytest.mark.needs("models")
@pytest.mark.needs("litert")
@pytest.mark.parametrize("path", SHARED_FILES, ids=lambda path: path.stem)
def test_real_models_agree_with_the_schema_code_of_litert(path: Path) -> None:
    from ai_edge_litert import schema_py_generated as schema

    types = {number: name for name, number in vars(schema.TensorType).items() if isinstance(number, int)}
    operators = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    theirs = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes()))
    ours = read(path)
    assert ours.description == text(theirs.description)
    assert ours.nbytes == path.stat().st_size
    assert {name: bytes(theirs.buffers[m.buffer].data) for m in theirs.metadata or () for name in [text(m.name)]} == (
        ours.metadata
    )
    for signature, other in itertools.zip_longest(ours.signatures, theirs.signatureDefs or ()):
        assert signature.key == text(other.signatureKey)
        assert signature.subgraph == other.subgraphIndex
        for side in ("inputs", "outputs"):
            expected = {text(entry.name): entry.tensorIndex for entry in getattr(other, side)}
            assert {name: tensor.index for name, tensor in getattr(signature, side).items()} == expected
    for subgraph, other in itertools.zip_longest(ours.subgraphs, theirs.subgraphs):
        assert subgraph.name == text(other.name)
        assert [t.index for t in subgraph.inputs] == listed(other.inputs)
        assert [t.index for t in subgraph.outputs] == listed(other.outputs)
        for tensor, other_tensor in itertools.zip_longest(subgraph.tensors, other.tensors):
            same_tensor(tensor, other_tensor, theirs.buffers, types)
        for node, operator in itertools.zip_longest(subgraph.nodes, other.operators):
            code = theirs.operatorCodes[operator.opcodeIndex]
            op = operators[max(code.builtinCode, code.deprecatedBuiltinCode)]
            assert node.is_custom == (op == "CUSTOM")
            assert node.op == (text(code.customCode) if node.is_custom else op)
            assert node.version == code.version
            assert [-1 if t is None else t.index for t in node.inputs] == listed(operator.inputs)
            assert [t.index for t in node.outputs] == listed(operator.outputs)
            assert [t.index for t in node.intermediates] == listed(operator.intermediates)
            if node.is_custom:
                assert node.options.custom_options == bytes(listed(operator.customOptions))
            elif operator.builtinOptions is not None:
                same_options(node.options, operator.builtinOptions)


@pytest.mark.needs("litert")
def test_tables_agree_with_the_schema_code_of_litert() -> None:
    """Every field of every table is in its slot, with its type and default."""
    from ai_edge_litert import schema_py_generated as schema

    source = Path(schema.__file__).read_text(encoding="utf-8")
    pattern = r"^def (\w+?)Add(\w+)\(builder, (\w+)\):\n\s+builder\.Prepend(\w+?)Slot\((\d+), .+, ([^,\n]+)\)$"
    kinds = {"bool": "Bool", "byte": "Int8", "ubyte": "Uint8", "int": "Int32", "uint": "Uint32", "long": "Int64"}
    kinds |= {"ulong": "Uint64", "float": "Float32"}
    found = re.findall(pattern, source, re.M)
    assert len(found) > 250
    for table, _, name, kind, slot, default in found:
        field = flatbuffer.layout(table)[int(slot)]
        assert field.name.replace("_", "") == name.lower(), (table, name)
        assert (kinds[field.kind] if field.scalar else "UOffsetTRelative") == kind, (table, name)
        assert field.scalar is None or field.default == float(default), (table, name)
    for names, enum in ((tables.TYPES, schema.TensorType), (tables.OPERATORS, schema.BuiltinOperator)):
        assert {name: number for number, name in names.items()} == {
            name: number for name, number in vars(enum).items() if isinstance(number, int)
        }


def test_tables_are_what_the_tool_writes() -> None:
    subprocess.run([sys.executable, ROOT / "schema" / "tables.py", "--check"], check=True)


# What files can say


def x(dtype: Any = np.int8, shape: tuple[int, ...] = (1, 4), **fields: Any) -> T:
    return T(dtype, shape, **fields)


def identity(*constants: T, **fields: Any) -> bytes:
    """A model of one RELU that also mentions the given tensors."""
    a, b = x(), x()
    return network([Op("RELU", [a], [b])], [a], [b], tensors=constants, **fields)


def constant(t: T) -> Any:
    """How the reader sees a tensor that nothing uses."""
    return read(identity(t)).main.tensors[0]


def test_a_graph_holds_what_was_written() -> None:
    a, y = x(scale=0.5, zero_point=-3, name="a"), x(shape=(1, 2), scale=0.25, zero_point=7)
    w = x(shape=(2, 4), scale=[0.1, 0.2], data=np.arange(8).reshape(2, 4))
    graph = read(model("FULLY_CONNECTED", [a, w, None], [y], version=4, keep_num_dims=True))
    (node,) = graph.main.nodes
    assert (node.op, node.version, node.label) == ("FULLY_CONNECTED", 4, "FULLY_CONNECTED (node 0)")
    assert node.inputs == (graph.main.inputs[0], graph.main.tensors[node.inputs[1].index], None)
    assert node.options.keep_num_dims is True
    assert node.options.fused_activation_function == 0
    assert (graph.main.inputs[0].scale, graph.main.inputs[0].zero_point) == (0.5, -3)
    weights = node.inputs[1]
    np.testing.assert_array_equal(weights.data, w.data)
    np.testing.assert_array_equal(weights.quantization.scale, np.float32([0.1, 0.2]))
    assert weights.quantization.axis == 0
    assert "FULLY_CONNECTED" in repr(node)


def test_sources(tmp_path: Path) -> None:
    content = identity(x(shape=(2,), data=np.array([5, -6])))
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    written = bytearray(content)
    graphs = [read(s) for s in (path, str(path), content, written, memoryview(content)[:], io.BytesIO(content))]
    strided = np.zeros(2 * len(content), np.uint8)
    strided[::2] = np.frombuffer(content, np.uint8)
    graphs.append(read(memoryview(strided)[::2]))
    with path.open("rb") as file:
        graphs.append(read(file))
    written[:] = bytes(len(written))  # the reader keeps no hold of memory that can change
    for graph in graphs:
        assert graph.main.tensors[0].data.tolist() == [5, -6]
        assert not graph.main.tensors[0].data.flags.writeable


def test_constants_are_views_of_the_file() -> None:
    content = np.frombuffer(identity(x(np.int32, (16,), data=np.arange(16))), np.uint8)
    values = read(memoryview(content)).main.tensors[0].data
    assert np.shares_memory(content, values)
    misaligned = np.frombuffer(b"-" + content.tobytes(), np.uint8)[1:]
    assert read(memoryview(misaligned)).main.tensors[0].data.tolist() == list(range(16))


@pytest.mark.parametrize("source", [None, 3, 1.5, ["model.tflite"], io.StringIO("text"), "nul\0"])
def test_wrong_sources(source: Any) -> None:
    with pytest.raises(InputError):
        read(source)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.tflite")


def test_importing_the_reader_is_light() -> None:
    """The package's own __init__, which may import more, is left out."""
    code = f"import sys, types; package = types.ModuleType('int8rt'); package.__path__ = [{str(ROOT / 'int8rt')!r}]; "
    code += "sys.modules['int8rt'] = package; import int8rt.format.reader; "
    code += "assert not {'numba', 'tflite', 'ai_edge_litert'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("legacy", [False, True])
def test_operator_codes_of_both_ages(legacy: bool) -> None:
    a, b = x(), x()
    content = network([Op("CONV_2D", [a], [b], version=3)], [a], [b], legacy_codes=legacy)
    assert (read(content).main.nodes[0].op, read(content).main.nodes[0].version) == ("CONV_2D", 3)


def test_operators_above_127_and_unknown_ones() -> None:
    a, b, c = x(), x(), x()
    nodes = [Op("GELU", [a], [b], approximate=True), Op(999, [b], [c])]
    gelu, unknown = read(network(nodes, [a], [c])).main.nodes
    assert (gelu.op, gelu.options.approximate) == ("GELU", True)
    assert (unknown.op, unknown.is_custom, vars(unknown.options)) == ("BUILTIN_999", False, {})


def test_custom_operators_keep_their_bytes() -> None:
    (node,) = read(model("CUSTOM", [x()], [x()], custom_code="Mine", custom_options=b"\1\2\3")).main.nodes
    assert (node.op, node.is_custom, node.options) == ("Mine", True, SimpleNamespace(custom_options=b"\1\2\3"))


def test_omitted_options_have_defaults() -> None:
    (node,) = read(model("CONV_2D", [x()], [x()], options=None)).main.nodes
    assert (node.options.dilation_h_factor, node.options.padding, node.options.stride_w) == (1, SAME, 0)
    (node,) = read(model("ADD", [x(), x()], [x()], options="Conv2DOptions")).main.nodes
    assert vars(node.options) == {"fused_activation_function": 0, "pot_scale_int16": True}


def test_options_of_every_kind() -> None:
    (node,) = read(model("SQUEEZE", [x()], [x()], squeeze_dims=[0, -1])).main.nodes
    assert node.options.squeeze_dims == (0, -1)
    (node,) = read(model("RESHAPE", [x()], [x()])).main.nodes
    assert node.options.new_shape == ()
    (node,) = read(model("LEAKY_RELU", [x()], [x()], alpha=0.25)).main.nodes
    assert node.options.alpha == 0.25
    (node,) = read(model("VAR_HANDLE", [], [x()], container="c", shared_name="s")).main.nodes
    assert vars(node.options) == {"container": "c", "shared_name": "s"}
    (node,) = read(model("STABLEHLO_SLICE", [x()], [x()], start_indices=[2**40], strides=[1])).main.nodes
    assert (node.options.start_indices, node.options.strides) == ((2**40,), (1,))
    composite = {"name": "f", "decomposition_subgraph_index": 1, "composite_attributes": b"\7", "version": 2}
    a, b = x(), x()
    content = model("STABLEHLO_COMPOSITE", [x()], [x()], options=Table("StableHLOCompositeOptions", **composite))
    with pytest.raises(ModelError, match="subgraph 1 does not exist"):
        read(content)
    nodes = [Op("STABLEHLO_COMPOSITE", [a], [b], options=Table("StableHLOCompositeOptions", **composite))]
    c, d = x(), x()
    graph = read(network(nodes, [a], [b], subgraphs=[Graph([Op("RELU", [c], [d])], [c], [d], "body")]))
    assert vars(graph.main.nodes[0].options) == composite | {"composite_attributes_format": 0}
    assert [subgraph.name for subgraph in graph.subgraphs] == ["main", "body"]


def test_signatures_and_metadata() -> None:
    a, b = x(), x()
    content = network(
        [Op("RELU", [a], [b])],
        [a],
        [b],
        signatures={"serve": ({"in": a}, {"out": b})},
        metadata={"note": b"hello", "empty": b""},
        description="a test",
    )
    graph = read(content)
    (signature,) = graph.signatures
    assert (signature.key, signature.subgraph) == ("serve", 0)
    assert signature.inputs["in"] is graph.main.inputs[0]
    assert signature.outputs["out"] is graph.main.outputs[0]
    assert dict(graph.metadata) == {"note": b"hello", "empty": b""}
    assert graph.description == "a test"


def test_a_zip_after_the_model_does_no_harm() -> None:
    content = identity(metadata={"m": b"1"})
    archive = b"PK\3\4 labels.txt"
    graph = read(content + archive)
    assert graph.nbytes == len(content) + len(archive)
    assert graph.metadata == {"m": b"1"}


def test_buffers_outside_the_flatbuffer() -> None:
    values = np.arange(6, dtype=np.int32).reshape(2, 3)
    t = read(identity(T(np.int32, (2, 3), data=values), buffers_at_end=True)).main.tensors[0]
    np.testing.assert_array_equal(t.data, values)


def test_shared_and_empty_buffers() -> None:
    raw = np.arange(4, dtype=np.int8)
    first, second, empty = x(shape=(4,), data=raw), x(shape=(2, 2), data=raw), x(np.int32, (0,), data=b"")
    a, b, c, *_ = read(identity(first, second, empty)).main.tensors
    assert np.shares_memory(a.data, b.data)
    assert c.data.shape == (0,)


def test_an_empty_tensor_may_also_be_computed() -> None:
    a, b = x(shape=(0, 3)), x(shape=(0, 3))
    graph = read(network([Op("RELU", [a], [b])], [a], [b]))
    assert [t.data for t in graph.main.tensors] == [None, None]


def test_variables_and_shape_signature() -> None:
    state = x(is_variable=True)
    a, b = x(shape_signature=(-1, 4)), x()
    tensors = read(network([Op("ADD", [a, state], [b])], [a], [b])).main.tensors
    assert tensors[0].shape_signature == (-1, 4)
    assert [t.is_variable for t in tensors] == [False, True, False]


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (np.float16, [1.5, -2]),
        (np.float64, [1.5, -2]),
        (np.complex64, [1 + 2j, 0]),
        (np.int16, [-32768, 32767]),
        (np.uint16, [0, 65535]),
        (np.uint32, [0, 2**32 - 1]),
        (np.uint64, [0, 2**64 - 1]),
        (np.int64, [-(2**63), 2**63 - 1]),
    ],
)
def test_element_types_of_numpy(dtype: Any, values: list[Any]) -> None:
    t = constant(T(dtype, (2,), data=np.array(values, dtype).tobytes()))
    assert (t.dtype, t.data.dtype, t.type_name) == (np.dtype(dtype), np.dtype(dtype), "")
    assert t.data.tolist() == values


def test_bools_are_zero_and_one() -> None:
    t = constant(T(np.bool_, (3,), data=b"\0\1\2"))
    assert t.data.view(np.uint8).tolist() == [0, 1, 1]


@pytest.mark.parametrize(("name", "bits", "lo"), [("INT4", 4, -8), ("UINT4", 4, 0), ("INT2", 2, -2)])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 15, 16, 17])
def test_packed_types(name: str, bits: int, lo: int, count: int) -> None:
    values = lo + np.arange(count) % 2**bits
    t = constant(T(np.uint8 if name == "UINT4" else np.int8, (count, 1), data=values, type_name=name))
    assert (t.type_name, t.dtype, t.shape) == (name, np.uint8 if name == "UINT4" else np.int8, (count, 1))
    assert t.data.reshape(-1).tolist() == values.tolist()
    assert not t.data.flags.writeable


def test_unpack_takes_the_lowest_bits_first() -> None:
    assert unpack(np.uint8([0x8F, 0x07]), 4, 3, np.dtype(np.int8)).tolist() == [-1, -8, 7]
    assert unpack(np.uint8([0b11_10_01_00]), 2, 4, np.dtype(np.int8)).tolist() == [0, 1, -2, -1]


def test_types_without_numpy_counterpart() -> None:
    t = constant(T(np.uint16, (2,), data=b"\x80\x3f\0\0", type_name="BFLOAT16"))
    assert (t.type, t.dtype, t.data.tolist()) == ("bfloat16", np.uint16, [0x3F80, 0])
    t = constant(T(object, (1,), data=["hi"], type_name="STRING"))
    assert (t.type, t.dtype, t.data.dtype, t.data.tobytes()[-2:]) == ("string", object, np.uint8, b"hi")
    content = write(Table("Model", **shell(tensors=[Table("Tensor", shape=[1], type=99)])))
    assert read(content).main.tensors[0].type_name == "TYPE_99"


def test_blockwise_scales_are_resolved() -> None:
    scales = T(np.float16, (2, 2), data=np.float16([[0.5, 1], [2, 4]]))
    t = constant(T(np.int8, (2, 8), scales, data=np.zeros((2, 8)), type_name="INT4", block_size=4))
    assert t.quantization.block_size == 4
    assert t.quantization.scale.tolist() == [0.5, 1, 2, 4]
    assert t.quantization.zero_point.tolist() == [0] * 4


def test_range_of_training_is_no_quantization() -> None:
    t = constant(x(quantization=Table("QuantizationParameters", min=[0.0], max=[6.0])))
    assert t.quantization is None


def test_scale_without_zero_point_and_axis_out_of_range() -> None:
    t = constant(x(quantization=Table("QuantizationParameters", scale=[0.5], quantized_dimension=3)))
    assert (t.scale, t.zero_point) == (0.5, 0)


def csr(segments: list[int], indices: list[int], dense: int = 0) -> Table:
    """A sparse level."""
    return Table(
        "DimensionMetadata",
        format=1,
        array_segments_type=1,
        array_segments=Table("Int32Vector", values=segments),
        array_indices_type=3,
        array_indices=Table("Uint8Vector", values=bytes(indices)),
    )


def dense(size: int) -> Table:
    return Table("DimensionMetadata", format=0, dense_size=size)


def sparse(order: list[int], levels: list[Table], blocks: list[int] | None = None) -> Table:
    return Table("SparsityParameters", traversal_order=order, block_map=blocks, dim_metadata=levels)


def test_sparse_tensors() -> None:
    t = constant(x(shape=(2, 4), data=b"\5\6\7", sparsity=sparse([0, 1], [dense(2), csr([0, 1, 3], [2, 0, 3])])))
    assert t.data.tolist() == [[0, 0, 5, 0], [6, 0, 0, 7]]
    assert not t.data.flags.writeable
    rows, columns = t.sparsity.dim_metadata
    assert (t.sparsity.traversal_order, t.sparsity.block_map, rows.dense_size) == ((0, 1), (), 2)
    assert (columns.array_segments.tolist(), columns.array_indices.tolist()) == ([0, 1, 3], [2, 0, 3])
    blocks = sparse([0, 1, 2], [dense(2), csr([0, 1, 2], [1, 0]), dense(2)], blocks=[1])
    assert constant(x(shape=(2, 4), data=b"\1\2\3\4", sparsity=blocks)).sparsity.block_map == (1,)


@pytest.mark.parametrize(
    "table",
    [
        sparse([0, 0], [dense(2), dense(4)]),
        sparse([0, 1], [dense(2)]),
        sparse([0, 1], [dense(3), dense(4)]),
        sparse([0, 1], [dense(2), csr([0, 1], [0])]),
        sparse([0, 1], [dense(2), csr([0, 2, 1], [0])]),
        sparse([0, 1], [dense(2), csr([0, 1, 2], [0, 4])]),
        sparse([0, 1], [dense(2), csr([0, 1, 2], [0, 3])]),
        sparse([0, 1], [dense(2), Table("DimensionMetadata", format=1)]),
        sparse([0, 1], [dense(2), Table("DimensionMetadata", format=7)]),
        sparse([0, 1, 2], [dense(2), dense(2), dense(3)], blocks=[1]),
        sparse([0, 1, 2], [dense(2), dense(2), dense(2)], blocks=[2]),
        sparse([0, 1, 2, 3], [dense(2), dense(1), dense(2), dense(2)], blocks=[1, 1]),
    ],
)
def test_malformed_sparsity(table: Table) -> None:
    with pytest.raises(ModelError, match="sparsity"):
        constant(x(shape=(2, 4), data=b"\1\2\3", sparsity=table))


def test_a_small_file_does_not_become_large() -> None:
    wide = sparse([0, 1], [dense(2**10), csr([0] * 2**10 + [1], [7])])
    with pytest.raises(ModelError, match="far more memory than the file"):
        constant(x(shape=(2**10, 2**20), data=b"\1", sparsity=wide))


# What is refused


def shell(**subgraph: Any) -> dict[str, Any]:
    """The fields of a Model with one subgraph."""
    fields: dict[str, Any] = {"tensors": [], "operators": [], "inputs": [], "outputs": []} | subgraph
    return {"version": 3, "subgraphs": [Table("SubGraph", **fields)], "buffers": [Table("Buffer")]}


def tensor(**fields: Any) -> bytes:
    """A model that is one tensor."""
    return write(Table("Model", **shell(tensors=[Table("Tensor", **{"shape": [2], "type": 9} | fields)])))


def node(**fields: Any) -> bytes:
    """A model of two tensors, the first an input, and one operator."""
    tensors = [Table("Tensor", shape=[1], type=9, name=name) for name in "ab"]
    operator = Table("Operator", **{"opcode_index": 0, "inputs": [0], "outputs": [1]} | fields)
    subgraph = shell(tensors=tensors, operators=[operator], inputs=[0], outputs=[1])
    return write(Table("Model", operator_codes=[Table("OperatorCode", builtin_code=19)], **subgraph))


def quantized(shape: tuple[int, ...] = (2, 4), **fields: Any) -> bytes:
    return identity(x(shape=shape, quantization=Table("QuantizationParameters", **fields)))


BLOCKS = {"details_type": 2, "details": Table("BlockwiseQuantization", scales=9, block_size=4)}

GIVEN, RESULT = x(), x()
MALFORMED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "0 bytes"),
    "short": (b"TFL3TFL", "7 bytes"),
    "header only": (b"\4\0\0\0TFL3", "outside|past"),
    "wrong identifier": (identity(identifier=b"TFL2"), r"b'TFL2', expected b'TFL3'"),
    "a zip": (b"PK\3\4" + bytes(100), "expected b'TFL3'"),
    "schema version": (identity(version=4), "version 4, expected 3"),
    "no subgraph": (write(Table("Model", version=3)), "no subgraph"),
    "root far away": (b"\xff\xff\xff\x7fTFL3" + bytes(64), "outside the file of 72 bytes"),
    "negative size": (tensor(shape=[-1]), r"shape \(-1,\)"),
    "huge shape": (tensor(shape=[65536, 65536]), "at most 2147483647 elements"),
    "huge empty shape": (tensor(shape=[0, 65536, 65536]), "at most"),
    "rank": (tensor(shape=[1] * (MAX_RANK + 1)), "33 axes"),
    "signature's rank": (tensor(shape_signature=[-1, 2]), "shape signature"),
    "signature's size": (tensor(shape_signature=[-2]), "shape signature"),
    "buffer": (tensor(buffer=7), "buffer 7 does not exist, there are 1"),
    "too few bytes": (identity(x(data=b"\1\2\3")), r"int8\[1, 4\] of 4 bytes, but buffer 1 has 3"),
    "too many bytes": (identity(x(data=bytes(5))), "buffer 1 has 5"),
    "packed": (identity(x(shape=(3,), data=bytes(3), type_name="INT4")), "INT4.* of 2 bytes"),
    "variable with values": (identity(x(data=bytes(4), is_variable=True)), "variable"),
    "scales": (quantized(scale=[1.0, 2.0, 3.0]), "3 scales, expected 1 or 2"),
    "axis": (quantized(scale=[1.0, 2.0], quantized_dimension=2), "axis 2, but 2 axes"),
    "negative axis": (quantized(scale=[1.0, 2.0], quantized_dimension=-1), "axis -1"),
    "zero points": (quantized(scale=[1.0, 2.0], zero_point=[0]), "2 scales, but 1 zero points"),
    "zero point": (quantized(scale=[1.0], zero_point=[128]), "zero point 128, expected -128 to 127"),
    "zero point of a sum": (
        model("ADD", [T(np.int8, (4,), 0.1)] * 2, [T(np.float32, (4,), 0.1, 128)]),
        "zero point 128, expected -128 to 127",
    ),
    "scale inf": (quantized(scale=[float("inf")]), "scale inf"),
    "scale nan": (quantized(scale=[float("nan")]), "scale nan"),
    "block scales": (quantized(**BLOCKS), "tensor 9 does not exist"),
    "block size": (quantized((2, 3), **BLOCKS), "blocks of 4"),
    "operator code": (node(opcode_index=1), "operator code 1 does not exist"),
    "input": (node(inputs=[2]), "input 0: tensor 2 does not exist, there are 2"),
    "input -2": (node(inputs=[-2]), "tensor -2"),
    "output": (node(outputs=[-1]), "output 0: tensor -1"),
    "intermediate": (node(intermediates=[5]), "intermediate 0: tensor 5"),
    "reads its output": (node(inputs=[0, 1]), r"RELU \(node 0\) reads tensor 1 'b'"),
    "writes its input": (node(outputs=[0]), "writes tensor 0 'a', as does the caller"),
    "writes a constant": (
        model("RELU", [x()], [x(data=np.zeros((1, 4)))]),
        r"RELU \(node 0\) writes tensor 1 't1', as does the file",
    ),
    "writes a variable": (model("RELU", [x()], [x(is_variable=True)]), "writes tensor 1 't1', as does the file"),
    "input twice": (network([Op("RELU", [GIVEN], [RESULT])], [GIVEN, GIVEN], [RESULT]), "tensor 0 't0' twice"),
    "writes twice": (node(outputs=[1, 1]), "writes tensor 1 'b'"),
    "writes nothing": (node(outputs=[]), "which nothing writes"),
    "custom without code": (model("CUSTOM", [x()], [x()]), "no custom code"),
    "graph input": (write(Table("Model", **shell(inputs=[0]))), "input 0: tensor 0 does not exist, there are 0"),
    "graph output": (write(Table("Model", **shell(outputs=[-1]))), "output 0: tensor -1"),
    "metadata": (
        write(Table("Model", metadata=[Table("Metadata", name="m", buffer=3)], **shell())),
        "metadata 'm': buffer 3",
    ),
    "signature": (
        write(Table("Model", signature_defs=[Table("SignatureDef", subgraph_index=1)], **shell())),
        "subgraph 1 does not exist",
    ),
    "runs itself": (model("CALL_ONCE", [], [x()]), "circle"),
    "large custom options": (
        write(
            Table(
                "Model",
                operator_codes=[Table("OperatorCode", builtin_code=32, custom_code="C")],
                **shell(
                    operators=[Table("Operator", large_custom_options_offset=2**63, large_custom_options_size=2**63)]
                ),
            )
        ),
        "large custom options",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name: str) -> None:
    content, message = MALFORMED[name]
    with pytest.raises(ModelError, match=message):
        read(content)


def test_order_of_nodes() -> None:
    a, b, c = x(), x(), x()
    read(network([Op("RELU", [a], [b]), Op("RELU", [b], [c])], [a], [c]))
    with pytest.raises(ModelError, match="reads tensor"):
        read(network([Op("RELU", [b], [c]), Op("RELU", [a], [b])], [a], [c]))


def test_constants_are_not_written() -> None:
    a, b = x(), x(data=bytes(4))
    with pytest.raises(ModelError, match="as does the file"):
        read(network([Op("RELU", [a], [b])], [a], [b]))


@pytest.mark.parametrize("change", ["truncated", "overwritten", "removed"])
def test_what_becomes_of_a_file_changes_nothing(tmp_path: Path, change: str) -> None:
    data = np.arange(2**20, dtype=np.int32).reshape(1024, 1024)
    a, b, w = (x(np.float32, name="a"), x(np.float32), x(np.int32, data.shape, data=data, name="w"))
    content = network([Op("RELU", [a], [b])], [a], [b], tensors=[w])
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    loaded = load(path)
    if change == "truncated":
        os.truncate(path, 100)
    elif change == "overwritten":
        path.write_bytes(bytes(len(content)))
    else:
        path.unlink()
    held = next(t.data for t in loaded.graph.main.tensors if t.name == "w")
    np.testing.assert_array_equal(held, data)  # of a mapped file this was a SIGBUS
    loaded.trace(np.ones(loaded.inputs[0].shape, loaded.inputs[0].dtype))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs")
def test_a_model_may_come_by_a_fifo(tmp_path: Path) -> None:
    path, content = tmp_path / "fifo", identity(x(np.int32, (4,), name="x"))
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(content,))
    writer.start()
    assert read(path).main.tensors[0].name == "x"
    writer.join()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs")
def test_a_fifo_may_have_no_end(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)

    def pour() -> None:
        with contextlib.suppress(BrokenPipeError), path.open("wb", buffering=0) as pipe:
            while True:
                pipe.write(bytes(1 << 16))

    writer = threading.Thread(target=pour)
    writer.start()
    with pytest.raises(LimitError, match="max_memory"):
        load(path, max_memory=64 << 20)
    writer.join()


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no /dev/zero")
def test_a_device_is_no_model() -> None:
    with pytest.raises(InputError, match="is no file"):
        read("/dev/zero")


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.tflite"
    path.touch()
    with pytest.raises(ModelError, match="is empty"):
        read(path)


def test_tensors_in_other_files_and_unknown_quantization_are_unsupported() -> None:
    with pytest.raises(UnsupportedError, match="external buffer 5"):
        read(tensor(external_buffer=5))
    with pytest.raises(UnsupportedError, match="MultiAxisQuantization"):
        read(quantized(details_type=3))


# Bytes at random


def rich_model() -> bytes:
    """A small model with one of everything."""
    a, b, c, d = x(scale=0.5), x(scale=[0.1], name="b"), x(np.float32), x()
    scales = T(np.float16, (2, 2), data=np.ones((2, 2)))
    extra = [
        x(shape=(2, 4), data=b"\5\6\7", sparsity=sparse([0, 1], [dense(2), csr([0, 1, 3], [2, 0, 3])])),
        T(np.int8, (2, 8), scales, data=np.zeros((2, 8)), type_name="INT4", block_size=4),
        T(object, (1,), data=["hi"], type_name="STRING"),
        T(np.bool_, (3,), data=b"\0\1\2"),
        T(np.int32, (3,), data=np.arange(3), shape_signature=(-1,)),
        x(shape=(2, 4), scale=[1, 2, 3, 4], axis=1, data=np.arange(8).reshape(2, 4)),
    ]
    state, e, f = x(is_variable=True), x(), x()
    nodes = [
        Op("CONV_2D", [a, extra[-1], None], [b], version=3, padding=SAME, stride_w=1, stride_h=1),
        Op("CUSTOM", [b], [c], custom_code="Mine", custom_options=b"\1\2\3"),
        Op("ADD", [b, state], [d]),
        Op("SQUEEZE", [d], [e], squeeze_dims=[0]),
        Op("CALL_ONCE", [], [], init_subgraph_index=1),
        Op("STABLEHLO_SLICE", [e], [f], start_indices=[0], limit_indices=[1], strides=[1]),
    ]
    g, h = x(), x()
    return network(
        nodes,
        [a],
        [c, f],
        signatures={"serve": ({"in": a}, {"out": c})},
        subgraphs=[Graph([Op("RELU", [g], [h])], [g], [h], "init")],
        tensors=extra,
        metadata={"note": b"hello"},
    )


def digest(content: bytes) -> bool:
    """Reads, and touches all that was read; False where the file was refused."""
    try:
        graph = read(content)
    except (ModelError, UnsupportedError):
        return False
    for subgraph in graph.subgraphs:
        for t in subgraph.tensors:
            if t.data is not None:
                t.data.tobytes()
        repr(subgraph.nodes)
        repr(subgraph.tensors)
    return True


def test_rich_model_is_fine() -> None:
    assert digest(rich_model())


def test_truncated_at_every_length() -> None:
    content = rich_model()
    fine = [n for n in range(len(content)) if digest(content[:n])]
    assert len(fine) < len(content) // 4  # the file's end is strings and padding that hold nothing up


@pytest.mark.parametrize("step", [7, *exhaustive(1)])
def test_every_word_replaced(step: int) -> None:
    """Words are four bytes; by default every seventh of them."""
    content = rich_model()
    words = [0, 1, 4, len(content), 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
    for start in range(0, len(content) - 3, 4 * step):
        for word in words:
            digest(content[:start] + struct.pack("<I", word) + content[start + 4 :])
        digest(content[:start] + struct.pack("<I", -start % 2**32) + content[start + 4 :])


def test_random_bytes_replaced() -> None:
    content = np.frombuffer(rich_model(), np.uint8)
    rng = np.random.default_rng(0)
    outcomes = []
    for _ in range(3000):
        changed = content.copy()
        count = rng.integers(1, 5)
        changed[rng.integers(0, len(content), count)] = rng.integers(0, 256, count)
        outcomes.append(digest(changed.tobytes()))
    assert any(outcomes)
    assert not all(outcomes)


def test_random_files_with_a_valid_header() -> None:
    rng = np.random.default_rng(1)
    for size in range(8, 300):
        digest(struct.pack("<I", 8) + b"TFL3" + rng.integers(0, 64, size, np.uint8).tobytes())


def test_a_small_file_cannot_claim_a_huge_tree() -> None:
    """30000 subgraphs that are all the same one, with 30000 tensors that are all the same one."""
    count = 30_000
    model_at, subgraphs_at = 28, 40
    subgraph_at = subgraphs_at + 4 + 4 * count
    tensors_at = subgraph_at + 8
    tensor_at = tensors_at + 4 + 4 * count

    def vector(start: int, target: int) -> bytes:
        return np.array([count, *(target - start - 4 * np.arange(1, count + 1))], "<u4").tobytes()

    content = (
        struct.pack("<I4s", model_at, b"TFL3")
        + struct.pack("<5H", 10, 12, 4, 0, 8)  # Model's vtable, at 8: version and subgraphs
        + struct.pack("<3H", 6, 8, 4)  # SubGraph's, at 18: tensors
        + struct.pack("<2H", 4, 4)  # Tensor's, at 24
        + struct.pack("<iII", model_at - 8, 3, subgraphs_at - model_at - 8)
        + vector(subgraphs_at, subgraph_at)
        + struct.pack("<iI", subgraph_at - 18, tensors_at - subgraph_at - 4)
        + vector(tensors_at, tensor_at)
        + struct.pack("<i", tensor_at - 24)
    )
    started = time.perf_counter()
    with pytest.raises(ModelError, match="expands to far more than it holds"):
        read(content)
    assert time.perf_counter() - started < 10
