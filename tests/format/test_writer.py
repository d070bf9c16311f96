"""Files that are read, written and read again say the same, run to the same bits, and are what other readers expect."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import tflite
from conformance_cases import BUILDERS, cases
from engines import run_litert
from equal import difference
from paths import DATA, MODELS, SHARED_MODELS
from sparse import encode
from writer import Graph as Made
from writer import Op, T, Table, model, network

from int8rt.errors import InputError, UnsupportedError
from int8rt.format import archive, reader
from int8rt.format.builder import build
from int8rt.format.sparse import stored
from int8rt.format.writer import pieces, save, write

needs_litert = pytest.mark.needs("litert")
PUBLIC = [*sorted(SHARED_MODELS.rglob("*.tflite")), *sorted((SHARED_MODELS.parent / "models_float").glob("*.tflite"))]


def f32(*shape, **given):
    return T(np.float32, shape, **given)


def added(**given):
    """y = x + c, with a constant that is easily found."""
    x, c, y = f32(4, name="x"), f32(4, data=np.arange(1, 5, dtype=np.float32), name="c"), f32(4, name="y")
    return network([Op("ADD", [x, c], [y])], [x], [y], **given)


def assert_kept(content, **given):
    """Write a file again, in both layouts; returns the one with constants inside."""
    graph = reader.read(content)
    written = write(graph, **given)
    behind = b"".join(pieces(graph, max_inside=-1, **given))
    for again in (written, behind):
        assert difference(graph, reader.read(again)) == ""
    return written


# What is kept


@pytest.mark.parametrize(
    "path", [*sorted(MODELS.glob("*.tflite")), *sorted(DATA.glob("*.tflite"))], ids=lambda p: p.stem
)
def test_models_are_kept(path):
    assert_kept(path.read_bytes())


@pytest.mark.skipif(not PUBLIC, reason="needs the public models in ../shared")
@pytest.mark.parametrize("path", PUBLIC, ids=lambda p: p.stem)
def test_public_models_are_kept(path):
    assert_kept(path.read_bytes())


@pytest.mark.parametrize("op", sorted(BUILDERS))
def test_every_operator_is_kept(op):
    for case in list(cases([op]))[:: max(1, len(list(cases([op]))) // 8)]:
        assert_kept(case.model)


@needs_litert
@pytest.mark.parametrize("name", ["digits_conv_int8", "digits_residual_float32", "digits_conv_int16x8"])
@pytest.mark.parametrize("behind", [False, True])
def test_litert_computes_the_same(name, behind):
    content = (MODELS / f"{name}.tflite").read_bytes()
    written = b"".join(pieces(reader.read(content), max_inside=-1 if behind else 1 << 30))
    t = reader.read(content).main.inputs[0]
    rng = np.random.default_rng(1)
    x = rng.standard_normal(t.shape).astype(t.dtype) if t.dtype.kind == "f" else rng.integers(-99, 99, t.shape, t.dtype)
    for a, b in zip(run_litert(content, x), run_litert(written, x), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_is_said_beside_the_graph():
    x, y, a, b = f32(4), f32(4), f32(2, shape_signature=(-1,)), f32(2)
    content = network(
        [Op("RELU", [x], [y])],
        [x],
        [y],
        subgraphs=[Made([Op("TANH", [a], [b], version=3)], [a], [b], name="other")],
        signatures={"one": ({"in": x}, {"out": y}), "two": ({"a": a}, {"b": b}, 1)},
        metadata={"min_runtime_version": b"1.14.0\0\0", "empty": b"", "note": bytes(range(256))},
        description="état",
    )
    again = reader.read(assert_kept(content))
    assert again.metadata["note"] == bytes(range(256))
    assert (again.description, [s.key for s in again.signatures]) == ("état", ["one", "two"])
    assert again.subgraphs[1].nodes[0].version == 3


def test_ranges_that_training_noted():
    noted = Table("QuantizationParameters", min=[-1.0, 0.0], max=[0.5, np.inf])
    x, y = f32(2, quantization=noted), f32(2, quantization=Table("QuantizationParameters", max=[6.0]))
    again = reader.read(assert_kept(model("RELU", [x], [y]))).main
    assert [r.tolist() for r in again.tensors[0].noted_range] == [[-1, 0], [0.5, np.inf]]
    assert [r.tolist() for r in again.tensors[1].noted_range] == [[], [6]]


def test_metadata_without_names():
    content = b"".join(
        build(
            SimpleNamespace(
                version=3,
                subgraphs=[SimpleNamespace(tensors=[], inputs=[], outputs=[], operators=[])],
                buffers=[SimpleNamespace(), SimpleNamespace(data=b"old")],
                metadata_buffer=[1],
            ),
            "Model",
            b"TFL3",
        )
    )
    assert reader.read(assert_kept(content)).unnamed_metadata == (b"old",)


@pytest.mark.parametrize(
    ("type_name", "values", "nbytes"), [("INT4", [1, -2, 7, -8, 3], 3), ("INT2", [1, -2, -1, 0, 1], 2)]
)
def test_packed_constants(type_name, values, nbytes):
    packed, x = T(np.int8, (5,), type_name=type_name, data=values), f32(5)
    written = assert_kept(model("CAST", [packed], [x]))
    assert tflite.Model.GetRootAs(written).Buffers(1).DataLength() == nbytes


def test_sparse_constants_stay_sparse():
    dense = np.array([[0, 5, 0], [6, 0, 7]], np.float32)
    values, sparsity = encode(dense, [0, 1], {1})
    w = f32(2, 3, data=values, sparsity=sparsity)
    written = assert_kept(model("DENSIFY", [w], [f32(2, 3)]))
    assert tflite.Model.GetRootAs(written).Buffers(1).DataLength() == 12
    t = reader.read(written).main.tensors[0]
    assert t.data.tolist() == dense.tolist()
    assert stored(t.data, t.sparsity).tolist() == [5, 6, 7]


def test_blocks_of_scales():
    scales = T(np.float16, (2, 2), data=np.full((2, 2), 0.5))
    w = T(np.int8, (2, 64), scales, data=np.ones((2, 64)), type_name="INT4", block_size=32)
    again = reader.read(assert_kept(model("FULLY_CONNECTED", [f32(1, 64), w, None], [f32(1, 2)])))
    assert again.main.tensors[1].quantization.block_tensors == (3, -1)


def test_custom_operators_and_operators_of_later_schemas():
    x, y, z = f32(2), f32(2), f32(2)
    nodes = [
        Op("CUSTOM", [x], [y], custom_code="Mine", custom_options=b"\1\2\3", version=2),
        Op(999, [y], [z], version=5),
    ]
    again = reader.read(assert_kept(network(nodes, [x], [z]))).main
    assert [node.op for node in again.nodes] == ["Mine", "BUILTIN_999"]
    assert again.nodes[0].options.custom_options == b"\1\2\3"


# What the file is like


def test_constants_with_equal_bytes_share_a_buffer_at_a_multiple_of_16_bytes():
    values = np.arange(7, dtype=np.int8)
    tensors = [T(np.int8, (7,), data=values.copy()) for _ in range(2)]
    node = Op("CONCATENATION", tensors, [T(np.int8, (14,))])
    written = assert_kept(network([node], [], [], metadata={"same": values.tobytes()}))
    assert written.count(values.tobytes()) == 1
    assert written.index(values.tobytes()) % 16 == 0
    parsed = tflite.Model.GetRootAs(written)
    assert {parsed.Subgraphs(0).Tensors(i).Buffer() for i in range(2)} == {parsed.Metadata(0).Buffer()}


def test_operator_codes_for_old_and_new_readers():
    parsed = tflite.Model.GetRootAs(assert_kept(network([Op("RELU", [], []), Op("GELU", [], [])], [], [])))
    codes = [parsed.OperatorCodes(i) for i in range(2)]
    assert [(c.DeprecatedBuiltinCode(), c.BuiltinCode()) for c in codes] == [(19, 19), (127, 150)]


def test_constants_beyond_the_limit_lie_behind_and_are_not_copied():
    graph = reader.read(added())
    found = pieces(graph, max_inside=15)
    data = graph.main.tensors[1].data
    assert sum(np.shares_memory(np.frombuffer(piece, np.uint8), data) for piece in found if len(piece)) == 1
    buffer = tflite.Model.GetRootAs(b"".join(found)).Buffers(1)
    assert (buffer.DataLength(), buffer.Size(), buffer.Offset() % 16) == (0, 16, 0)


def test_numbers_that_tensors_state_must_be_theirs():
    graph = reader.read(added())
    tensors = (*graph.main.tensors[1:], graph.main.tensors[0])
    with pytest.raises(InputError, match="states number 1, but is tensor 0"):
        write(dataclasses.replace(graph, subgraphs=(dataclasses.replace(graph.main, tensors=tensors),)))


# What a graph does not hold


def later_field():
    """A file whose Model table has a field in slot 12, of which this schema knows nothing."""
    content = bytearray(added())
    root = int.from_bytes(content[:4], "little")
    vtable = root - int.from_bytes(content[root : root + 4], "little", signed=True)
    size = int.from_bytes(content[vtable : vtable + 2], "little")
    grown = (30).to_bytes(2, "little") + content[vtable + 2 : vtable + size] + bytes(26 - size) + b"\0\0\4\0"
    content[root : root + 4] = (root - len(content)).to_bytes(4, "little", signed=True)
    return bytes(content + grown)


def test_fields_of_later_schemas_are_refused_or_dropped():
    content = later_field()
    graph = reader.read(content)
    assert graph.unread == ("Model, slot 12",)
    with pytest.raises(UnsupportedError, match="would be lost: Model, slot 12"):
        write(graph)
    assert reader.read(assert_kept(content, drop=True)).unread == ()


def test_what_else_has_no_place_in_a_graph():
    custom = Table("CustomQuantization", custom=b"mine")
    noted = Table("QuantizationParameters", scale=[0.5], zero_point=[0], details_type=1, details=custom)
    assert reader.read(model("RELU", [f32(1, quantization=noted)], [f32(1)])).unread == ("CustomQuantization",)
    assert reader.read(model("RELU", [f32(1)], [f32(1)], custom_options=b"x")).unread == ("custom options of RELU",)
    ignored = model("ADD", [f32(1), f32(1)], [f32(1)], options=Table("SubOptions", fused_activation_function=1))
    assert reader.read(ignored).unread == ("BuiltinOptions of ADD",)


# The archive behind a model


def with_archive(content, comment=b""):
    file = io.BytesIO(content)
    file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(file, "a") as archived:
        archived.writestr("labels.txt", "zero\none\n")
        archived.writestr("vocabulary.txt", "a\n" * 999, zipfile.ZIP_DEFLATED)
        archived.comment = comment
    return file.getvalue()


@pytest.mark.parametrize("comment", [b"", b"by hand"])
def test_an_archive_moves_along(comment):
    graph = reader.read(with_archive(added(), comment))
    longer = dataclasses.replace(graph, description="x" * 1000)
    for written in (assert_kept(with_archive(added(), comment)), write(longer)):
        start = written.index(b"PK\3\4")
        assert written[start : start + 40] == graph.archive[:40]
        with zipfile.ZipFile(io.BytesIO(written)) as archived:
            assert archived.testzip() is None
            assert archived.read("labels.txt") == b"zero\none\n"
            assert archived.infolist()[0].header_offset == start
            assert archived.comment == comment
    assert zipfile.ZipFile(io.BytesIO(graph.archive)).namelist() == ["labels.txt", "vocabulary.txt"]


@pytest.mark.parametrize("tail", [b"PK\5\6", b"PK\5\6" + bytes(18), b"PK\5\6" + b"\xff" * 18, bytes(99)])
def test_what_only_looks_like_an_archive(tail):
    found = reader.read(bytes(added()) + tail).archive
    assert found in (b"", b"PK\5\6" + bytes(18))
    if found:  # an empty archive
        assert zipfile.ZipFile(io.BytesIO(write(reader.read(bytes(added()) + tail)))).namelist() == []


def test_offsets_that_lead_out_of_an_archive():
    """One that counts from its own start, and of whose two files one lies at the end of 32 bits."""
    content = bytearray(with_archive(b""))
    second = content.rindex(b"PK\1\2")
    content[second + 42 : second + 46] = b"\xff" * 4
    assert reader.read(assert_kept(bytes(added()) + bytes(content))).archive == b""


def test_an_archive_beyond_4_gb_is_refused():
    with pytest.raises(UnsupportedError, match="beyond 4294967295"):
        archive.moved(reader.read(with_archive(added())).archive, 2**32 - 100)


# Files


def test_a_file_is_replaced_as_a_whole(tmp_path, monkeypatch):
    path = tmp_path / "m.tflite"
    save(reader.read(added()), path)
    path.chmod(0o640)
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("no space")))
    with pytest.raises(OSError, match="no space"):
        save(reader.read(added(description="other")), path)
    assert (path.read_bytes(), [p.name for p in tmp_path.iterdir()]) == (before, ["m.tflite"])
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError) as found:
        save(reader.read(added()), tmp_path / "none" / "m.tflite")
    assert found.value.filename == str(tmp_path / "none" / "m.tflite")
    save(reader.read(added(description="other")), path)
    assert reader.read(path).description == "other"
    assert path.stat().st_mode & 0o777 == 0o640
