"""The drop-in: the same script gives the same results as under LiteRT, and equal dictionaries describe the tensors."""

import enum
import inspect
import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module

import numpy as np
import pytest
from engines import assert_shared
from paths import MODELS, SHARED_MODELS
from requirements import shared_model
from writer import SAME, Graph, Op, T, Table, network

import int8rt
from int8rt.errors import InputError, ModelError, UnsupportedError
from int8rt.runtime import interpreter
from int8rt.runtime.interpreter import CallError, Interpreter, OpResolverType, PrepareError
from int8rt.tools import litert

SMALL = (  # models that run here, and under BUILTIN_REF in less than a second
    "ad01_int8",
    "digits_conv_int8",
    "digits_conv_uint8",
    "digits_residual_int8",
    "digits_residual_uint8",
    "ds_cnn_s_int8",
    "hello_world_int8",
    "kws_ref_model",
    "micro_speech_quantized",
)
LARGE = (
    "mcunet_320kb_int8",
    "mobilenet_v1_0.25_128_uint8",
    "mobilenet_v2_1.0_224_int8",
    "mobilenet_v2_1.0_224_uint8",
    "pretrainedResnet_quant",
    "vww_96_int8",
)

FIXED = ("digits_conv_int8", "digits_conv_uint8")  # a RESHAPE to a constant shape allows one batch size

needs_litert = pytest.mark.needs("litert")


def model_path(name):
    path = MODELS / f"{name}.tflite"
    return path if path.exists() else shared_model(path.name)


def model_paths():
    return sorted([*MODELS.glob("*.tflite"), *SHARED_MODELS.rglob("*.tflite")])


def random_input(details, seed=0):
    rng = np.random.default_rng(seed)
    if details["dtype"] is np.float32:
        return rng.standard_normal(details["shape"], np.float32)
    info = np.iinfo(details["dtype"])
    return rng.integers(info.min, info.max, details["shape"], details["dtype"], endpoint=True)


# Models


def ones(*shape):
    return np.ones(shape, np.int8)


def scales(count):
    return np.linspace(0.01, 0.02, count)


def two_convolutions():
    """x int8 [n, 4, 4, 3] -> h int8 [n, 4, 4, 8] -> y int8 [n, 2, 2, 8]; tensors 0 to 5 are x, w1, b, h, w2, y."""
    x = T(np.int8, (1, 4, 4, 3), 0.05, -3, name="x", shape_signature=(-1, 4, 4, 3))
    h = T(np.int8, (1, 4, 4, 8), 0.1, 4, name="h", shape_signature=(-1, 4, 4, 8))
    y = T(np.int8, (1, 2, 2, 8), 0.1, 4, name="y", shape_signature=(-1, 2, 2, 8))
    w1 = T(np.int8, (8, 3, 3, 3), scales(8), 0, data=ones(8, 3, 3, 3), name="w1")
    w2 = T(np.int8, (8, 3, 3, 8), scales(8), 0, data=ones(8, 3, 3, 8), name="w2")
    b = T(np.int32, (8,), scales(8) / 20, 0, data=np.arange(8, dtype=np.int32), name="b")
    fields = {"padding": SAME, "dilation_w_factor": 1, "dilation_h_factor": 1}
    nodes = [
        Op("CONV_2D", [x, w1, b], [h], stride_h=1, stride_w=1, **fields),
        Op("CONV_2D", [h, w2, b], [y], stride_h=2, stride_w=2, **fields),
    ]
    return network(nodes, [x], [y], signatures={"serve": ({"image": x}, {"scores": y})})


def reshape(x, shape, new_shape=None):
    y = T(x.dtype, shape, x.scale, x.zero_point, name=f"{x.name} reshaped")
    return Op("RESHAPE", [x], [y], new_shape=new_shape or shape), y


def with_state():
    """Tensor 0, a variable int8 [2, 2] with zero point 7, goes out as tensor 2; tensor 1, int8 [4], as tensor 3."""
    v = T(np.int8, (2, 2), 0.1, 7, name="v", is_variable=True)
    x = T(np.int8, (4,), 0.1, 7, name="x")
    (first, y1), (second, y2) = reshape(v, (4,)), reshape(x, (2, 2))
    return network([first, second], [x], [y1, y2], tensors=[v, x, y1, y2])


def two_signatures():
    """Signatures of two subgraphs, names in no order; each reshapes [2, 2] (or [1, 4]) to [4]."""
    a, b, u = (T(np.int8, (2, 2), 0.1, 0, name=name) for name in "abu")
    (first, y), (second, z), (third, v) = (reshape(t, (4,)) for t in (a, b, u))
    signatures = {"zz": ({"q": a, "p": b}, {"z": y, "y": z}), "aa": ({"u": u}, {"v": v}, 1)}
    return network(
        [first, second], [a, b], [y, z], signatures=signatures, subgraphs=[Graph([third], [u], [v], "other")]
    )


def with_tensors(*tensors):
    """Reshape [1, 4] to [4]; the given tensors, which nothing uses, come first."""
    x = T(np.int8, (1, 4), 0.05, -3, name="x")
    node, y = reshape(x, (4,))
    return network([node], [x], [y], tensors=tensors)


# One script, two interpreters


class Log:
    """What each step of a script gave: ("value", it) or ("error", its class)."""

    def __init__(self):
        self.entries = {}

    def add(self, label, function, *args, **kwargs):
        try:
            entry = "value", function(*args, **kwargs)
        except Exception as error:
            entry = "error", error if isinstance(error, int8rt.Error) else type(error)
        assert label not in self.entries
        self.entries[label] = entry


def script(module, model):
    """What users do with two_convolutions, right and wrong; ``module`` is the one import that differs."""
    module = import_module(module)
    log, x = Log(), np.arange(48, dtype=np.int8).reshape(1, 4, 4, 3)
    engine = module.Interpreter(
        model_content=model, num_threads=2, experimental_op_resolver_type=module.OpResolverType.BUILTIN_REF
    )
    log.add("early invoke", engine.invoke)
    log.add("early set", engine.set_tensor, 0, x)
    log.add("early get", engine.get_tensor, 5)
    log.add("early constant", engine.get_tensor, 1)
    log.add("early view", engine.tensor(0))
    log.add("early reset", engine.reset_all_variables)
    log.add("early resize", engine.resize_tensor_input, 0, [2, 4, 4, 3])
    log.add("early details", engine.get_tensor_details)
    log.add("back", engine.resize_tensor_input, 0, (1, 4, 4, 3))
    log.add("allocate", engine.allocate_tensors)
    log.add("set", engine.set_tensor, np.int64(0), x)
    log.add("swapped bytes", engine.set_tensor, 0, x.astype(">i1"))
    log.add("invoke", engine.invoke)
    log.add("get", engine.get_tensor, 5)
    log.add("input stays", engine.get_tensor, 0)
    engine.tensor(0)()[...] = 9
    log.add("view was written", engine.get_tensor, 0)
    log.add("invoke on view", engine.invoke)
    log.add("output view", lambda: engine.tensor(5)().copy())
    log.add("constant view", lambda: engine.tensor(2)().copy())
    for label, value in {
        "float": x.astype(np.float32),
        "uint8": x.view(np.uint8),
        "list": x.tolist(),
        "none": None,
        "short": x[:, :2],
        "rank": x[0],
    }.items():
        log.add(f"set {label}", engine.set_tensor, 0, value)
    for index in (6, -1, "0", 0.0, None):
        log.add(f"get {index!r}", engine.get_tensor, index)
        log.add(f"set at {index!r}", engine.set_tensor, index, x)
        log.add(f"view {index!r}", engine.tensor(index))
    log.add("other subgraph", engine.get_tensor, 0, 1)
    log.add("details of other subgraph", engine.get_tensor_details, 1)
    log.add("negative subgraph", engine.get_tensor_details, subgraph_index=-1)
    for shape in ([2, 4, 4, 3], [1, 5, 4, 3]):
        log.add(f"strict {shape}", engine.resize_tensor_input, 0, shape, strict=True)
    for shape in ([-1, 4, 4, 3], 5, "shape"):
        log.add(f"resize to {shape}", engine.resize_tensor_input, 0, shape)
    log.add("resize what is not there", engine.resize_tensor_input, 6, [1])
    log.add("resize constant", engine.resize_tensor_input, 1, [1, 3, 3, 3])
    log.add("invoke after resize", engine.invoke)
    log.add("set after resize", engine.set_tensor, 0, np.concatenate([x, x]))
    log.add("allocate again", engine.allocate_tensors)
    log.add("details after resize", engine.get_tensor_details)
    log.add("set more", engine.set_tensor, 0, np.concatenate([x, -x]))
    log.add("same shape", engine.resize_tensor_input, 0, [2, 4, 4, 3])
    log.add("invoke more", engine.invoke)
    log.add("get more", engine.get_tensor, 5)
    log.add("contradiction", lambda: (engine.resize_tensor_input(0, [1, 4, 4, 2]), engine.allocate_tensors()))
    log.add("signatures", engine.get_signature_list)
    log.add("indices of signatures", engine._get_full_signature_list)
    log.add("runner without key", engine.get_signature_runner)
    run = engine.get_signature_runner("serve")
    log.add("run", run, image=x)
    log.add("run more", run, image=np.concatenate([x, x, -x]))
    log.add("details of signature", run.get_input_details)
    log.add("details of signature's outputs", run.get_output_details)
    log.add("run without input", run)
    log.add("run with wrong name", run, x=x)
    log.add("run with wrong type", run, image=x.astype(np.float32))
    log.add("run with position", run, x)
    log.add("wrong key", engine.get_signature_runner, "other")
    log.add("empty key", engine.get_signature_runner, "")
    log.add("ops", engine._get_ops_details)
    log.add("op", engine._get_op_details, 1)
    log.add("subgraphs", engine.num_subgraphs)
    log.add("flag", lambda: engine.experimental_compress_quantization_zero_points)
    for index in (0, 6):
        log.add(f"details of {index}", engine._get_tensor_details, index, 0)
    entries = {name: value for name, value in log.entries.items() if name != "runner without key"}
    return entries | constructors(module, model) | interface(module)


def constructors(module, model):
    """Right and wrong arguments of the constructor."""
    log = Log()
    for label, kwargs in {
        "nothing": {},
        "both": {"model_path": "x.tflite", "model_content": model},
        "absent": {"model_path": "absent.tflite"},
        "no model": {"model_content": b"no model"},
        "empty": {"model_content": b""},
        "no threads": {"model_content": model, "num_threads": 0},
        "threads in words": {"model_content": model, "num_threads": "two"},
        "float threads": {"model_content": model, "num_threads": 2.0},
        "resolver by number": {"model_content": model, "experimental_op_resolver_type": 2},
        "unknown argument": {"model_content": model, "fast": True},
        "no delegates": {"model_content": model, "experimental_delegates": []},
        "everything": {
            "model_content": model,
            "num_threads": 1,
            "experimental_op_resolver_type": module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            "experimental_preserve_all_tensors": True,
            "experimental_disable_delegate_clustering": True,
            "experimental_default_delegate_latest_features": True,
            "experimental_compress_quantization_zero_points": True,
            "experimental_disable_delegate_node_fusion": True,
            "experimental_force_delegate_node_profiling": True,
        },
    }.items():
        log.add(f"constructor: {label}", lambda kwargs=kwargs: len(module.Interpreter(**kwargs).get_tensor_details()))
    return log.entries


def interface(module):
    """Names and defaults of the arguments of every public method, and the members of the enumeration."""
    log = Log()
    log.add("resolvers", lambda: {r.name: r.value for r in module.OpResolverType})
    for cls in (module.Interpreter, module.SignatureRunner):
        names = [n for n, f in vars(cls).items() if inspect.isfunction(f) and (n[0] != "_" or n == "__init__")]
        for name in names if cls is module.Interpreter else names[1:]:
            parameters = inspect.signature(getattr(cls, name)).parameters
            defaults = {n: getattr(p.default, "name", p.default) for n, p in parameters.items()}
            log.add(f"{cls.__name__}.{name}", lambda defaults=defaults: {n: str(d) for n, d in defaults.items()})
    return log.entries


def state_script(module, model):
    """What users do with with_state."""
    module = import_module(module)
    log = Log()
    engine = module.Interpreter(model_content=model, experimental_op_resolver_type=module.OpResolverType.BUILTIN_REF)
    engine.allocate_tensors()
    log.add("first", engine.get_tensor, 0)
    engine.set_tensor(1, np.arange(4, dtype=np.int8))
    engine.invoke()
    log.add("first output", engine.get_tensor, 2)
    engine.set_tensor(0, np.array([[1, 2], [3, 4]], np.int8))
    engine.invoke()
    log.add("set", engine.get_tensor, 0)
    log.add("set output", engine.get_tensor, 2)
    log.add("other output", engine.get_tensor, 3)
    engine.reset_all_variables()
    log.add("reset", engine.get_tensor, 0)
    engine.invoke()
    log.add("reset output", engine.get_tensor, 2)
    engine.tensor(0)()[...] = 5
    engine.invoke()
    log.add("view output", engine.get_tensor, 2)
    engine.allocate_tensors()
    log.add("allocate twice", engine.get_tensor, 0)
    return log.entries


def signature_script(module, model):
    """What users do with two_signatures."""
    module = import_module(module)
    log = Log()
    engine = module.Interpreter(model_content=model, experimental_op_resolver_type=module.OpResolverType.BUILTIN_REF)
    log.add("list", lambda: [(k, v["inputs"], v["outputs"]) for k, v in engine.get_signature_list().items()])
    log.add("full list", engine._get_full_signature_list)
    log.add("no key", engine.get_signature_runner)
    log.add("subgraphs", engine.num_subgraphs)
    run = engine.get_signature_runner("aa")
    log.add("run", run, u=np.arange(4, dtype=np.int8).reshape(2, 2))
    log.add("other shape", run, u=np.arange(4, dtype=np.int8).reshape(1, 4))
    log.add("tensor of other subgraph", engine.get_tensor, 0, 1)
    log.add("main is not allocated", engine.get_tensor, 0)
    log.add("details", run.get_input_details)
    log.add("all details", engine.get_tensor_details, 1)
    x = np.arange(4, dtype=np.int8).reshape(2, 2)
    log.add("main", engine.get_signature_runner("zz"), p=x, q=-x)
    log.add("ops", engine._get_ops_details)
    return log.entries


def assert_same(ours, theirs, where):
    """Assert equality of values and of all types in them, arrays in type, shape and every element."""
    assert type(ours) is type(theirs), where
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs), where
        for key, value in theirs.items():
            assert_same(ours[key], value, f"{where} {key!r}")
    elif isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs), where
        for i, (our, their) in enumerate(zip(ours, theirs)):
            assert_same(our, their, f"{where} [{i}]")
    elif isinstance(theirs, np.ndarray):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), where
        assert ours.flags.writeable == theirs.flags.writeable, where
        np.testing.assert_array_equal(ours, theirs, where)
    else:
        assert ours == theirs, where


@pytest.fixture(scope="module")
def other_process():
    """A process for LiteRT, which may end it."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield pool


@needs_litert
@pytest.mark.parametrize(
    ("steps", "content"),
    [(script, two_convolutions()), (state_script, with_state()), (signature_script, two_signatures())],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_script_needs_one_other_import(other_process, steps, content):
    theirs = other_process.submit(steps, "ai_edge_litert.interpreter", content).result(120)
    ours = steps("int8rt.runtime.interpreter", content)
    assert set(ours) == set(theirs)
    for label, (kind, expected) in theirs.items():
        if kind == "error":
            assert ours[label][0] == "error", f"{label}: {ours[label][1]} where LiteRT raises {expected}"
            found = ours[label][1]
            assert isinstance(found, expected) or found is expected, f"{label}: {found!r}, LiteRT raises {expected}"
        else:
            assert ours[label][0] == "value", f"{label}: {ours[label][1]!r} where LiteRT gives {expected}"
            assert_same(ours[label][1], expected, label)


# Details


def dimension(size=None, segments=None, indices=None):
    if size is not None:
        return Table("DimensionMetadata", format=0, dense_size=size)
    vectors = [Table("Int32Vector", values=values) for values in (segments, indices)]
    return Table(
        "DimensionMetadata",
        format=1,
        array_segments_type=1,
        array_segments=vectors[0],
        array_indices_type=1,
        array_indices=vectors[1],
    )


def sparse_tensors():
    rows = [dimension(4), dimension(segments=[0, 1, 1, 2, 3], indices=[0, 1, 0])]
    blocks = [dimension(4), dimension(segments=[0, 1, 2, 3, 4], indices=[0, 1, 0, 1]), dimension(2)]
    return [
        T(
            np.int8,
            (4, 2),
            0.1,
            data=np.array([1, 2, 3], np.int8),
            sparsity=Table("SparsityParameters", traversal_order=[0, 1], dim_metadata=rows),
        ),
        T(
            np.int8,
            (4, 4),
            0.1,
            data=np.arange(8, dtype=np.int8),
            sparsity=Table("SparsityParameters", traversal_order=[0, 1, 2], block_map=[1], dim_metadata=blocks),
        ),
    ]


def typed_tensors():
    codes = "?bBhHiIqQefdFD"
    numbers = [T(np.dtype(code), (2, 3), data=np.arange(6).reshape(2, 3)) for code in codes]
    small = {"INT4": np.int8, "INT2": np.int8, "UINT4": np.uint8}
    packed = [T(dtype, (3,), 0.5, data=[1, 0, 1], type_name=name, name=name) for name, dtype in small.items()]
    handles = [T(np.int8, (1,), type_name=name, name=name) for name in ("RESOURCE", "VARIANT", "BFLOAT16")]
    return [*numbers, *packed, *handles, T(np.int8, (2,), data=["a", "bc"], type_name="STRING", name="STRING")]


DATA = np.arange(8, dtype=np.int8).reshape(4, 2)
BLOCK_SCALES = T(np.float16, (4, 2), data=np.linspace(1, 2, 8).astype(np.float16), name="scales")
TENSORS = {
    "types": typed_tensors(),
    "sparse": sparse_tensors(),
    "per axis": [
        T(np.int8, (4, 2), [0.1, 0.2], [1, 2], axis=1, data=DATA),
        T(np.int8, (4, 2), scales(4), 0, data=DATA),
    ],
    "same zero points": [
        T(np.int8, (4, 2), [0.1, 0.2], [3, 3], axis=1, data=DATA),
        T(np.int8, (4, 2), 0.1, 3, data=DATA),
    ],
    "one scale along an axis": [T(np.int8, (4, 2), [0.1], [3], axis=1, data=DATA)],
    "only a range": [
        T(np.int8, (2,), quantization=Table("QuantizationParameters", min=[0.0], max=[1.0]), data=DATA[0])
    ],
    "blocks": [
        T(np.int8, (4, 64), BLOCK_SCALES, block_size=32, type_name="INT4", data=np.zeros((4, 64), np.int8)),
        BLOCK_SCALES,
    ],
    "scalars": [T(np.int32, (), data=np.int32(5)), T(np.int32, None, data=np.int32(5)), T(np.float32, ())],
    "empty": [T(np.int32, (0,)), T(np.int32, (2, 0, 3), 0.1), T(np.int32, (0,), shape_signature=(-1,))],
    "names": [T(np.int8, (2,), name=""), T(np.int8, (2,), name="größe"), T(np.int8, (2,), name="twice", data=DATA[0])],
    "variable": [T(np.int8, (2,), 0.1, 7, is_variable=True), T(np.float32, (1, 3), is_variable=True)],
    "signature of a constant": [T(np.int32, (2,), shape_signature=(-1,), data=np.zeros(2, np.int32))],
    "signature": [T(np.int32, (1, 2), shape_signature=(-1, 2))],
}


def our_details(engine):
    return {
        "inputs": engine.get_input_details(),
        "outputs": engine.get_output_details(),
        "tensors": engine.get_tensor_details(),
        "signatures": engine.get_signature_list(),
    }


def assert_same_details(engine, theirs, count):
    """Assert that details are LiteRT's, whose scratch tensors follow the ``count`` tensors of the file."""
    theirs["tensors"] = [d for d in theirs["tensors"] if d["index"] < count]
    assert_same(our_details(engine), theirs, "details")


@needs_litert
@pytest.mark.parametrize("allocate", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("tensors", TENSORS.values(), ids=TENSORS)
def test_details(tensors, allocate):
    content = with_tensors(*tensors)
    engine = Interpreter(model_content=content)
    if allocate:
        engine.allocate_tensors()
    assert_same_details(engine, litert.details(content, allocate=allocate), 10**6)


@needs_litert
@pytest.mark.parametrize("path", model_paths(), ids=lambda path: path.stem)
def test_details_of_files_before_allocation(path):
    assert_same_details(Interpreter(os.fspath(path)), litert.details(path, allocate=False), 10**6)


@needs_litert
@pytest.mark.parametrize("name", [*SMALL, *LARGE])
def test_details_of_files(name):
    path = model_path(name)
    engine = Interpreter(path)
    count = len(engine.get_tensor_details())
    engine.allocate_tensors()
    assert_same_details(engine, litert.details(path), count)


@needs_litert
@pytest.mark.parametrize("name", [name for name in SMALL if name not in FIXED])
def test_details_of_files_after_resize(name):
    path = model_path(name)
    engine = Interpreter(path)
    count = len(engine.get_tensor_details())
    x = engine.get_input_details()[0]
    shape = [2, *x["shape"][1:].tolist()]
    engine.resize_tensor_input(x["index"], shape)
    engine.allocate_tensors()
    assert_same_details(engine, litert.details(path, resize=[shape]), count)


@needs_litert
@pytest.mark.parametrize("name", FIXED)
def test_batch_that_litert_refuses_is_refused(name):
    path = model_path(name)
    engine = Interpreter(path)
    x = engine.get_input_details()[0]
    shape = [2, *x["shape"][1:].tolist()]
    with pytest.raises(litert.LiteRTError, match="RuntimeError"):
        litert.details(path, resize=[shape])
    engine.resize_tensor_input(x["index"], shape)
    with pytest.raises(PrepareError, match="RESHAPE"):
        engine.allocate_tensors()


@pytest.mark.parametrize("compress", [False, True])
def test_equal_zero_points_are_compressed_on_demand(compress):
    tensors = TENSORS["per axis"] + TENSORS["same zero points"]
    engine = Interpreter(model_content=with_tensors(*tensors), experimental_compress_quantization_zero_points=compress)
    found = [d["quantization_parameters"]["zero_points"].tolist() for d in engine.get_tensor_details()[:4]]
    assert found == ([[1, 2], [0], [3], [3]] if compress else [[1, 2], [0, 0, 0, 0], [3, 3], [3]])


def test_details_are_copies():
    engine = Interpreter(model_content=two_convolutions())
    engine.get_input_details()[0]["shape"][0] = 7
    engine.get_tensor_details()[1]["quantization_parameters"]["scales"][0] = 7
    assert engine.get_input_details()[0]["shape"][0] == 1
    assert engine.get_tensor_details()[1]["quantization_parameters"]["scales"][0] == np.float32(0.01)


# Values


@needs_litert
@pytest.mark.parametrize("name", SMALL)
def test_outputs_of_files(name):
    path = model_path(name)
    engine = Interpreter(model_path=path)
    engine.allocate_tensors()
    inputs = [random_input(d) for d in engine.get_input_details()]
    for detail, x in zip(engine.get_input_details(), inputs):
        engine.set_tensor(detail["index"], x)
    engine.invoke()
    outputs = [engine.get_tensor(d["index"]) for d in engine.get_output_details()]
    assert_same(outputs, litert.run(path, inputs), name)


@needs_litert
@pytest.mark.parametrize("name", ["digits_conv_int8", "digits_residual_uint8", "kws_ref_model"])
def test_preserved_tensors(name):
    path = model_path(name)
    engine = Interpreter(model_path=path, experimental_preserve_all_tensors=True)
    engine.allocate_tensors()
    detail = engine.get_input_details()[0]
    x = random_input(detail)
    engine.set_tensor(detail["index"], x)
    engine.invoke()
    for index, expected in litert.run(path, [x], tensors="all").items():
        if index < len(engine.get_tensor_details()):
            assert_same(engine.get_tensor(index), expected, f"tensor {index}")


def test_preserving_changes_no_output():
    outputs = []
    for preserve in (False, True):
        engine = Interpreter(model_content=two_convolutions(), experimental_preserve_all_tensors=preserve)
        outputs.append(engine.get_signature_runner()(image=random_input(engine.get_input_details()[0]))["scores"])
    assert_same(outputs[0], outputs[1], "scores")


def test_intermediate_tensors_are_read_only_with_preserve_all_tensors():
    engine = Interpreter(model_content=two_convolutions())
    engine.allocate_tensors()
    engine.invoke()
    for read in (lambda: engine.get_tensor(3), engine.tensor(3)):
        with pytest.raises(CallError, match=r"tensor 3 'h'.*experimental_preserve_all_tensors=True"):
            read()
    with pytest.raises(CallError, match="computed by the model, expected an input or a variable"):
        engine.set_tensor(3, np.zeros((1, 4, 4, 8), np.int8))


def test_views_may_be_kept():
    engine = Interpreter(model_content=two_convolutions(), experimental_preserve_all_tensors=True)
    engine.allocate_tensors()
    x, h, y = (engine.tensor(index)() for index in (0, 3, 5))
    for seed in range(3):
        x[...] = random_input(engine.get_input_details()[0], seed)
        engine.invoke()
        for index, view in ((0, x), (3, h), (5, y)):
            np.testing.assert_array_equal(view, engine.get_tensor(index))
    before = y.copy()
    engine.resize_tensor_input(0, [2, 4, 4, 3])
    engine.allocate_tensors()
    engine.invoke()
    np.testing.assert_array_equal(y, before)
    assert engine.tensor(5)().shape == (2, 2, 2, 8)


def test_copies_are_copies():
    engine = Interpreter(model_content=two_convolutions())
    engine.allocate_tensors()
    x = np.ones((1, 4, 4, 3), np.int8)
    engine.set_tensor(0, x)
    x[...] = 2
    engine.get_tensor(0)[...] = 3
    engine.get_tensor(1)[...] = 3
    assert engine.get_tensor(0).max() == 1
    assert engine.get_tensor(1).max() == 1


def test_constants():
    tensors = typed_tensors()
    engine = Interpreter(model_content=with_tensors(*tensors))
    for index, t in enumerate(tensors):
        if t.data is None or t.type_name == "STRING":
            continue
        value = engine.get_tensor(index)
        assert value.dtype == t.dtype
        np.testing.assert_array_equal(value, np.asarray(t.data).astype(t.dtype))
        with pytest.raises(ValueError, match="read-only"):
            engine.tensor(index)()[...] = 0
    with pytest.raises(UnsupportedError, match="STRING, expected numbers"):
        engine.get_tensor(len(tensors) - 1)
    with pytest.raises(CallError, match="constant, expected an input or a variable"):
        engine.set_tensor(0, np.zeros((2, 3), np.bool_))


def test_tensors_that_nothing_uses_have_no_value():
    engine = Interpreter(
        model_content=with_tensors(T(np.int8, (2,), name="unused")), experimental_preserve_all_tensors=True
    )
    engine.allocate_tensors()
    with pytest.raises(CallError, match="tensor 0 'unused' has no value"):
        engine.get_tensor(0)


def test_input_that_keeps_its_shape_keeps_its_value():
    a, b = (T(np.int8, (1, 4), 0.1, 0, name=name) for name in "ab")
    (first, y), (second, z) = (reshape(t, (4,), new_shape=[-1]) for t in (a, b))
    engine = Interpreter(model_content=network([first, second], [a, b], [y, z], tensors=[a, b, y, z]))
    engine.allocate_tensors()
    engine.set_tensor(0, np.full((1, 4), 5, np.int8))
    engine.set_tensor(1, np.full((1, 4), 6, np.int8))
    engine.resize_tensor_input(1, [2, 4])
    engine.allocate_tensors()
    engine.invoke()
    assert engine.get_tensor(2).tolist() == [5] * 4
    assert engine.get_tensor(3).tolist() == [0] * 8


def test_state_is_kept_while_views_of_it_exist():
    engine = Interpreter(model_content=with_state())
    engine.allocate_tensors()
    state = engine.tensor(0)()
    assert state.tolist() == [[7, 7], [7, 7]]
    state[0] = 1
    engine.invoke()
    assert engine.get_tensor(2).tolist() == [1, 1, 7, 7]
    engine.reset_all_variables()
    assert state.tolist() == [[7, 7], [7, 7]]


def test_batch_of_none():
    run = Interpreter(model_content=two_convolutions()).get_signature_runner()
    assert run(image=np.zeros((0, 4, 4, 3), np.int8))["scores"].shape == (0, 2, 2, 8)


# Threads


def test_number_of_threads_does_not_change_results():
    runners = [Interpreter(model_content=two_convolutions(), num_threads=n).get_signature_runner() for n in (1, 2, 64)]
    x = np.random.default_rng(0).integers(-128, 128, (500, 4, 4, 3), np.int8)  # which is worth sharing
    outputs = [run(image=x)["scores"] for run in runners]
    if os.cpu_count() > 1:
        assert_shared(runners[1]._interpreter._states[0]._session)
    for output in outputs[1:]:
        np.testing.assert_array_equal(output, outputs[0])


def test_threads_wait_for_one_another():
    engine = Interpreter(model_content=two_convolutions())
    run = engine.get_signature_runner()
    inputs = [np.full((1 + n % 2, 4, 4, 3), n, np.int8) for n in range(8)]
    expected = [run(image=x)["scores"] for x in inputs]
    found = {}

    def work(n):
        found[n] = [run(image=inputs[n])["scores"] for _ in range(20)]

    threads = [threading.Thread(target=work, args=[n]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n, outputs in found.items():
        for output in outputs:
            np.testing.assert_array_equal(output, expected[n])
    assert len(found) == 8


# Errors


def test_exports():
    assert int8rt.Interpreter is Interpreter
    assert int8rt.OpResolverType is OpResolverType


@pytest.mark.parametrize("kind", [OpResolverType.AUTO, OpResolverType.BUILTIN, OpResolverType.BUILTIN_REF])
def test_every_resolver_computes_the_same(kind):
    run = Interpreter(model_content=two_convolutions(), experimental_op_resolver_type=kind).get_signature_runner()
    expected = Interpreter(model_content=two_convolutions()).get_signature_runner()
    x = random_input(run.get_input_details()["image"])
    np.testing.assert_array_equal(run(image=x)["scores"], expected(image=x)["scores"])


def test_messages_say_what_was_found_and_expected():
    content = two_convolutions()
    engine = Interpreter(model_content=content)
    with pytest.raises(CallError, match=r"invoke\(\).*not ready, expected allocate_tensors\(\)"):
        engine.invoke()
    engine.allocate_tensors()
    with pytest.raises(CallError, match="tensor 0 'x': found float32, expected int8"):
        engine.set_tensor(0, np.zeros((1, 4, 4, 3), np.float32))
    with pytest.raises(CallError, match=r"found shape \(2, 4, 4, 3\), expected \(1, 4, 4, 3\); resize_tensor_input"):
        engine.set_tensor(0, np.zeros((2, 4, 4, 3), np.int8))
    with pytest.raises(CallError, match=r"tensor 9 does not exist, expected 0 to 5"):
        engine.get_tensor(9)
    with pytest.raises(CallError, match=r"found \(1, 5, 4, 3\).*strict=True.*\(-1, 4, 4, 3\)"):
        engine.resize_tensor_input(0, [1, 5, 4, 3], strict=True)
    with pytest.raises(CallError, match=r"tensor 3 'h' is not an input, expected one of \[0\]"):
        engine.resize_tensor_input(3, [1])
    with pytest.raises(CallError, match=r"shape is \[1.5\], expected a list of sizes"):
        engine.resize_tensor_input(0, [1.5])
    with pytest.raises(CallError, match=r"expected at most 32 axes and 2147483647 elements"):
        engine.resize_tensor_input(0, [2**16, 2**16])
    with pytest.raises(CallError, match=r"inputs are named \['x'\], expected \['image'\]"):
        engine.get_signature_runner()(x=0)
    with pytest.raises(CallError, match="'other'; the model has 'serve'"):
        engine.get_signature_runner("other")
    with pytest.raises(PrepareError, match=r"\[\(1, 4, 4, 2\)\].*CONV_2D"):
        engine.get_signature_runner()(image=np.zeros((1, 4, 4, 2), np.int8))
    with pytest.raises(CallError, match=r"could not open 'absent.tflite': No such file"):
        Interpreter("absent.tflite")
    with pytest.raises(UnsupportedError, match=r"delegates given: .*expected none"):
        Interpreter(model_content=content, experimental_delegates=[object()])
    with pytest.raises(
        ValueError, match=r"cannot load delegate 'tpu\.so'"
    ):  # what scripts catch to fall back to the CPU
        interpreter.load_delegate("tpu.so", {"device": "usb"})


def test_errors_are_those_of_int8rt_and_of_litert():
    assert all(issubclass(CallError, base) for base in (InputError, ValueError, RuntimeError))
    assert all(issubclass(PrepareError, base) for base in (ModelError, ValueError, RuntimeError))
    assert issubclass(UnsupportedError, RuntimeError)


def test_missing_operators_are_named_when_tensors_are_allocated():
    x, y = T(np.int8, (1,), name="x"), T(np.int8, (1,))
    engine = Interpreter(model_content=network([Op("CUSTOM", [x], [y], custom_code="Mine")], [x], [y]))
    assert engine.get_input_details()[0]["name"] == "x"
    assert engine._get_ops_details()[0]["op_name"] == "Mine"
    with pytest.raises(UnsupportedError, match="Mine"):
        engine.allocate_tensors()


def test_inputs_without_numbers_are_refused():
    x = T(np.int8, (2,), type_name="STRING", name="x")
    node = Op("RESHAPE", [x], [y := T(np.int8, (1, 2), type_name="STRING")], new_shape=[1, 2])
    engine = Interpreter(model_content=network([node], [x], [y]))
    with pytest.raises(UnsupportedError, match="tensor 0 'x' is STRING, expected numbers"):
        engine.allocate_tensors()


def test_litert_s_own_enumeration_is_accepted():
    theirs = enum.Enum("OpResolverType", {r.name: r.value for r in OpResolverType})
    Interpreter(model_content=two_convolutions(), experimental_op_resolver_type=theirs.BUILTIN_REF)
