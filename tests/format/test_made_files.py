"""What tests write, read back by the ``tflite`` package and run by LiteRT, with answers computed by hand."""

import numpy as np
import pytest
import tflite
import writer
from flatbuffers import flexbuffers
from writer import RELU, RELU6, SAME, VALID, Graph, Op, T, Table, model, network

from int8rt.tools import litert

needs_litert = pytest.mark.needs("litert")


def parsed(content):
    return tflite.Model.GetRootAs(content)


def run(content, *inputs, **options):
    return litert.run(content, list(inputs), **options)


def options_of(content, table):
    operator = parsed(content).Subgraphs(0).Operators(0)
    second = "" if hasattr(tflite.BuiltinOptions, table) else "2"
    assert getattr(operator, f"BuiltinOptions{second}Type")() == getattr(
        getattr(tflite, f"BuiltinOptions{second}"), table
    )
    union = getattr(operator, f"BuiltinOptions{second}")()
    options = getattr(tflite, table)()
    options.Init(union.Bytes, union.Pos)
    return options


# What the file says.


def test_tensors_are_described():
    x = T(np.int8, (1, 2, 3), 0.5, -3, name="x", shape_signature=(-1, 2, 3))
    w = T(np.int8, (4, 3), (0.1, 0.2, 0.3, 0.4), 0, data=np.arange(12), axis=0)
    y = T(np.float32, ())
    content = model("FULLY_CONNECTED", [x, w, None], [y])
    graph = parsed(content).Subgraphs(0)
    tensors = [graph.Tensors(i) for i in range(graph.TensorsLength())]
    assert content[4:8] == b"TFL3"
    assert [t.Name() for t in tensors] == [b"x", b"t1", b"t2"]
    assert [t.Type() for t in tensors] == [tflite.TensorType.INT8, tflite.TensorType.INT8, tflite.TensorType.FLOAT32]
    assert tensors[0].ShapeAsNumpy().tolist() == [1, 2, 3]
    assert tensors[0].ShapeSignatureAsNumpy().tolist() == [-1, 2, 3]
    assert tensors[0].Quantization().ScaleAsNumpy().tolist() == [0.5]
    assert tensors[0].Quantization().ZeroPointAsNumpy().tolist() == [-3]
    assert tensors[1].Quantization().ScaleAsNumpy().tolist() == np.float32([0.1, 0.2, 0.3, 0.4]).tolist()
    assert tensors[1].Quantization().ZeroPointAsNumpy().tolist() == [0] * 4
    assert tensors[2].Quantization() is None
    assert tensors[2].ShapeLength() == 0
    assert parsed(content).Buffers(tensors[1].Buffer()).DataAsNumpy().tolist() == list(range(12))
    assert graph.InputsAsNumpy().tolist() == [0]
    assert graph.OutputsAsNumpy().tolist() == [2]
    assert graph.Operators(0).InputsAsNumpy().tolist() == [0, 1, -1]


def test_constants_lie_at_multiples_of_16_bytes():
    data = np.arange(1, 38, dtype=np.int8)
    content = model("ADD", [T(np.int8, (37,)), T(np.int8, (37,), data=data)], [T(np.int8, (37,))])
    assert content.index(data.tobytes()) % 16 == 0


def test_tensors_with_the_same_data_share_a_buffer():
    data = np.zeros(4, np.int8)
    tensors = [T(np.int8, (4,), data=data), T(np.int8, (2, 2), data=data), T(np.int8, (4,), data=data.copy())]
    content = model("CONCATENATION", tensors, [T(np.int8, (12,))])
    graph = parsed(content).Subgraphs(0)
    assert [graph.Tensors(i).Buffer() for i in range(4)] == [1, 1, 2, 0]


@pytest.mark.parametrize(
    ("values", "bits", "expected"),
    [
        ([1, -2, 7, -8], 4, [0xE1, 0x87]),
        ([-1, 1, 3], 4, [0x1F, 0x03]),
        ([1, -2, -1, 0, -1], 2, [0b00_11_10_01, 0b11]),
        ([], 4, []),
    ],
)
def test_small_integers_are_packed_from_the_lowest_bits(values, bits, expected):
    assert list(writer.pack(np.array(values, np.int8), bits)) == expected


def test_strings_are_stored_with_count_and_offsets():
    t = T(str, (2,), data=["ab", "cde"])
    assert t.type == tflite.TensorType.STRING
    assert writer.encode(t) == np.array([2, 16, 18, 21], "<i4").tobytes() + b"abcde"


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (np.int16, "INT16"),
        (bool, "BOOL"),
        (np.dtype("complex64"), "COMPLEX64"),
        ("INT4", "INT4"),
        (np.float16, "FLOAT16"),
    ],
)
def test_tensor_types(dtype, expected):
    assert writer.tensor_type(dtype) == getattr(tflite.TensorType, expected)


def test_types_newer_than_the_tflite_package():
    assert T(np.int8, (4,), type_name="INT2").type == 19
    assert T(np.int8, (4,), type_name="UINT4").type == 20


def _scalar_fields():
    unions = {**vars(tflite.BuiltinOptions), **vars(tflite.BuiltinOptions2)}
    for table in [name for name in unions if name != "NONE" and not name.startswith("_")]:
        for field in writer.fields_of(table):
            if field.scalar is not None:
                yield table, field


def test_every_scalar_field_of_every_options_table_is_read_back():
    checked = 0
    for table, field in _scalar_fields():
        value = 0.5 if field.kind in ("float", "double") else 1
        content = model("CUSTOM", [], [], Table(table, **{field.name: value}))
        options = options_of(content, table)
        accessor = next(name for name in dir(options) if name.lower() == field.name.replace("_", "") != "init")
        assert getattr(options, accessor)() == value, (table, field.name)
        checked += 1
    assert checked > 150


def test_vector_and_string_fields():
    content = model("SQUEEZE", [], [], squeeze_dims=[1, -2])
    assert options_of(content, "SqueezeOptions").SqueezeDimsAsNumpy().tolist() == [1, -2]
    content = model("BUCKETIZE", [], [], boundaries=[0.5, 2.0])
    assert options_of(content, "BucketizeOptions").BoundariesAsNumpy().tolist() == [0.5, 2.0]
    content = model("STABLEHLO_SLICE", [], [], start_indices=[1 << 40])
    assert options_of(content, "StablehloSliceOptions").StartIndicesAsNumpy().tolist() == [1 << 40]
    content = model("VAR_HANDLE", [], [], container="c", shared_name="état")
    assert options_of(content, "VarHandleOptions").SharedName().decode() == "état"


def test_element_types_as_numpy_types():
    options = options_of(model("SHAPE", [], [], out_type=np.int64), "ShapeOptions")
    assert options.OutType() == tflite.TensorType.INT64


def test_fields_left_out_have_the_schema_default():
    options = options_of(model("CONV_2D", [], [], stride_h=2), "Conv2DOptions")
    assert (options.StrideH(), options.StrideW(), options.DilationHFactor()) == (2, 0, 1)


def test_options_can_be_left_out_or_replaced():
    assert parsed(model("ADD", [], [], options=None)).Subgraphs(0).Operators(0).BuiltinOptions() is None
    options_of(model("ADD", [], [], options="SubOptions"), "SubOptions")


def test_unknown_fields_and_operators_are_refused():
    with pytest.raises(TypeError, match="AddOptions has no field stride_h"):
        model("ADD", [], [], stride_h=1)
    with pytest.raises(TypeError, match="RELU has no options table"):
        model("RELU", [], [], alpha=1)
    with pytest.raises(AttributeError):
        model("CONV2D", [], [])


def test_operator_codes_are_shared_and_hold_versions():
    t = T(np.int8, (1,))
    nodes = [Op("ADD", [t, t], [t]), Op("ADD", [t, t], [t], version=2), Op("ADD", [t, t], [t])]
    content = parsed(network(nodes, [t], [t]))
    assert [content.OperatorCodes(i).Version() for i in range(content.OperatorCodesLength())] == [1, 2]
    assert [content.Subgraphs(0).Operators(i).OpcodeIndex() for i in range(3)] == [0, 1, 0]


@pytest.mark.parametrize(("op", "deprecated", "code"), [("RELU", 19, 19), ("GELU", 127, 150)])
def test_operator_codes_old_and_new(op, deprecated, code):
    both = parsed(network([Op(op, [], [])], [], [])).OperatorCodes(0)
    assert (both.DeprecatedBuiltinCode(), both.BuiltinCode()) == (deprecated, code)
    old = parsed(network([Op(op, [], [])], [], [], legacy_codes=True)).OperatorCodes(0)
    assert old.DeprecatedBuiltinCode() == deprecated
    assert old._tab.Offset(10) == 0  # builtin_code, the table's fourth field, is not there


def test_custom_operators():
    content = model("CUSTOM", [], [], custom_code="Mine", custom_options={"max": 3, "rate": 0.5})
    assert parsed(content).OperatorCodes(0).CustomCode() == b"Mine"
    raw = parsed(content).Subgraphs(0).Operators(0).CustomOptionsAsNumpy().tobytes()
    assert flexbuffers.Loads(raw) == {"max": 3, "rate": 0.5}


def test_subgraphs_signatures_and_metadata():
    x, y, a, b = (T(np.float32, (1,)) for _ in range(4))
    content = parsed(
        network(
            [Op("RELU", [x], [y])],
            [x],
            [y],
            subgraphs=[Graph([Op("TANH", [a], [b])], [a], [b], name="other")],
            signatures={"main": ({"x": x}, {"y": y}), "other": ({"a": a}, {"b": b}, 1)},
            metadata={"note": b"hello"},
            description="two",
        )
    )
    assert (content.SubgraphsLength(), content.Subgraphs(1).Name(), content.Description()) == (2, b"other", b"two")
    signature = content.SignatureDefs(1)
    assert (signature.SignatureKey(), signature.SubgraphIndex()) == (b"other", 1)
    assert (signature.Outputs(0).Name(), signature.Outputs(0).TensorIndex()) == (b"b", 1)
    assert content.Metadata(0).Name() == b"note"
    assert content.Buffers(content.Metadata(0).Buffer()).DataAsNumpy().tobytes() == b"hello"


def test_buffers_at_the_end_are_found_by_offset():
    data = np.arange(5, dtype=np.int32)
    x, y, c = T(np.int32, (5,)), T(np.int32, (5,)), T(np.int32, (5,), data=data)
    content = network([Op("ADD", [x, c], [y])], [x], [y], buffers_at_end=True)
    buffer = parsed(content).Buffers(1)
    assert buffer.DataIsNone()
    assert buffer.Offset() % 16 == 0
    assert content[buffer.Offset() :][: buffer.Size()] == data.tobytes()


def test_sparsity_with_its_unions():
    levels = [
        Table("DimensionMetadata", format=0, dense_size=2),
        Table(
            "DimensionMetadata",
            format=1,
            array_segments_type=1,
            array_segments=Table("Int32Vector", values=[0, 1, 2]),
            array_indices_type=3,
            array_indices=Table("Uint8Vector", values=[1, 0]),
        ),
    ]
    sparsity = Table("SparsityParameters", traversal_order=[0, 1], dim_metadata=levels)
    content = model("DENSIFY", [T(np.float32, (2, 2), data=np.ones(2), sparsity=sparsity)], [T(np.float32, (2, 2))])
    read = parsed(content).Subgraphs(0).Tensors(0).Sparsity()
    assert read.TraversalOrderAsNumpy().tolist() == [0, 1]
    assert read.DimMetadata(0).DenseSize() == 2
    segments = tflite.Int32Vector()
    segments.Init(read.DimMetadata(1).ArraySegments().Bytes, read.DimMetadata(1).ArraySegments().Pos)
    assert segments.ValuesAsNumpy().tolist() == [0, 1, 2]


def test_malformed_values_are_written_as_given():
    t = T(np.int8, (2, 2), (0.5, 0.25, 0.125), [1, 2], data=b"\1\2\3", axis=7)
    content = parsed(network([Op(999, [t], [t])], [], [t], version=9, identifier=b"NOPE"))
    quantization = content.Subgraphs(0).Tensors(0).Quantization()
    assert (content.Version(), quantization.QuantizedDimension()) == (9, 7)
    assert (quantization.ScaleLength(), quantization.ZeroPointLength()) == (3, 2)
    assert content.Buffers(1).DataLength() == 3
    assert content.OperatorCodes(0).BuiltinCode() == 999


# What LiteRT makes of it.


@needs_litert
def test_convolution_by_hand():
    x = T(np.int8, (1, 2, 2, 1), 1.0, 0)
    w = T(np.int8, (2, 2, 2, 1), (1.0, 0.5), 0, data=[1, 2, 3, 4, -1, 0, 0, 1])
    b = T(np.int32, (2,), (1.0, 0.5), 0, data=[1, 0])
    y = T(np.int8, (1, 1, 1, 2), 1.0, -10)
    fields = {"padding": VALID, "stride_h": 1, "stride_w": 1, "fused_activation_function": RELU}
    (out,) = run(model("CONV_2D", [x, w, b], [y], **fields), np.array([[[[1], [2]], [[3], [9]]]], np.int8))
    # 1*1 + 2*2 + 3*3 + 4*9 + 1 = 51; (-1 + 9) / 2 = 4
    assert out.reshape(-1).tolist() == [41, -6]


@needs_litert
def test_same_padding_and_activation_by_hand():
    x, y = T(np.float32, (1, 1, 3, 1)), T(np.float32, (1, 1, 2, 1))
    fields = {"stride_h": 2, "stride_w": 2, "filter_height": 1, "filter_width": 2, "fused_activation_function": RELU6}
    content = model("MAX_POOL_2D", [x], [y], padding=SAME, **fields)
    (out,) = run(content, np.array([-2, -1, 9], np.float32).reshape(1, 1, 3, 1))
    assert out.reshape(-1).tolist() == [0, 6]


@needs_litert
@pytest.mark.parametrize("buffers_at_end", [False, True])
def test_network_by_hand(buffers_at_end):
    x, h, y = (T(np.int32, (3,)) for _ in range(3))
    c = T(np.int32, (1,), data=[10])
    nodes = [Op("ADD", [x, x], [h]), Op("MUL", [h, c], [y])]
    (out,) = run(network(nodes, [x], [y], buffers_at_end=buffers_at_end), np.array([1, 2, 3], np.int32))
    assert out.tolist() == [20, 40, 60]


@needs_litert
@pytest.mark.parametrize(("type_name", "values"), [("INT4", [1, -2, 7, -8, 3]), ("INT2", [1, -2, -1, 0, 1])])
def test_packed_constants_by_hand(type_name, values):
    packed = T(np.int8, (5,), type_name=type_name, data=values)
    x, h, y = T(np.float32, (5,)), T(np.float32, (5,)), T(np.float32, (5,))
    nodes = [Op("CAST", [packed], [h], version=8), Op("ADD", [h, x], [y])]
    (out,) = run(network(nodes, [x], [y]), np.zeros(5, np.float32), resolver="builtin")
    assert out.tolist() == values


@needs_litert
def test_while_over_subgraphs_by_hand():
    x, y, i, j, k = (T(np.int32, (1,)) for _ in range(5))
    less = T(bool, (1,))
    condition = Graph([Op("LESS", [i, T(np.int32, (1,), data=[10])], [less])], [i], [less], name="condition")
    body = Graph([Op("ADD", [j, T(np.int32, (1,), data=[3])], [k])], [j], [k], name="body")
    loop = Op("WHILE", [x], [y], cond_subgraph_index=1, body_subgraph_index=2)
    (out,) = run(network([loop], [x], [y], subgraphs=[condition, body]), np.array([2], np.int32))
    assert out.tolist() == [11]


@needs_litert
def test_litert_reads_signatures_and_quantization():
    x = T(np.int8, (2, 2), (0.5, 0.25), (0, 0), axis=1, name="x")
    y = T(np.int8, (2, 2), 0.125, 7, name="y")
    details = litert.details(
        network([Op("RELU", [x], [y])], [x], [y], signatures={"go": ({"in": x}, {"out": y})}), allocate=False
    )
    assert details["signatures"] == {"go": {"inputs": ["in"], "outputs": ["out"]}}
    assert details["inputs"][0]["quantization_parameters"]["scales"].tolist() == [0.5, 0.25]
    assert details["inputs"][0]["quantization_parameters"]["quantized_dimension"] == 1
    assert details["outputs"][0]["quantization"] == (0.125, 7)


@needs_litert
def test_litert_reads_blocks():
    scales = T(np.float16, (2, 2), data=np.full((2, 2), 0.5))
    x, y = T(np.float32, (1, 64)), T(np.float32, (1, 2))
    w = T(np.int8, (2, 64), scales, data=np.ones((2, 64)), type_name="INT4", block_size=32)
    details = litert.details(model("FULLY_CONNECTED", [x, w, None], [y]), allocate=False)
    assert details["tensors"][1]["quantization_parameters"]["block_size"] == 32
