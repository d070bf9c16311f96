"""The border between callers and int8rt: whatever is passed, a call succeeds or raises an int8rt error.

``BORDER`` has a row for every public callable, with arguments that are good. Each of them in turn gives way to each
hostile value. The list of callables is derived from the package, so that neither a function nor a parameter is missed.
"""

import dataclasses
import enum
import inspect
import os
import tempfile
import warnings

import ml_dtypes
import numpy as np
import pytest
from writer import Op, T, network

import int8rt
from int8rt import jit, ops
from int8rt.numerics.rules import numerics
from int8rt.plan.sharing import ONE_THREAD
from int8rt.runtime import interpreter
from int8rt.tools.compare import compare
from int8rt.tools.profile import profile


class Raises:
    """An object that raises whatever is asked of it."""

    def fail(self, *args, **kwargs):
        raise RuntimeError("ask somebody else")

    __array__ = __bool__ = __index__ = __int__ = __float__ = __len__ = __iter__ = __fspath__ = __repr__ = __str__ = fail
    __eq__ = __getitem__ = fail
    __hash__ = object.__hash__


class NotAnArray:
    """An object whose ``__array__`` gives something else."""

    def __array__(self, dtype=None, copy=None):
        return "text"


class Unreadable:
    """An object that looks like an open file."""

    def read(self, *args):
        raise RuntimeError("closed")


class Subclass(np.ndarray):
    """An array with a type of its own."""


def hostile():
    """Values by name; made anew for each call, as generators are used up."""
    x = np.arange(3, dtype=np.int8)[None]
    released = memoryview(b"abc")
    released.release()
    return {
        "None": None, "0": 0, "5": 5, "-1": -1, "huge": 10**400, "1.5": 1.5, "nan": float("nan"), "inf": float("inf"),
        "True": True, "complex": 1j, "str": "x", "empty str": "", "surrogate": "\udc80", "NUL": "\0", "bytes": b"x",
        "empty list": [], "ragged": [[1, 2], [3]], "nested": [[[[1]]]], "strings": ["a", "b"], "huge ints": [10**400],
        "None in a list": [None], "tuple": (), "dict": {}, "mixed keys": {1: x, "a": x}, "set": {1}, "object": object(),
        "range": range(3), "generator": (i for i in range(3)), "type": int, "function": len, "lambda": lambda: 1,
        "Raises": Raises(), "list of Raises": [Raises()], "NotAnArray": NotAnArray(), "Unreadable": Unreadable(),
        "released": released, "slice": slice(2), "Ellipsis": ..., "NotImplemented": "NotImplemented",
        "np.int8": np.int8(3), "np.uint64": np.uint64(2**64 - 1), "np.bool": np.True_, "np.float32": np.float32(2.5),
        "np.str": np.str_("x"), "0-d": np.array(3), "0-d object": np.array(None),
        "no elements": np.zeros((0, 3), np.int8),
        "no columns": np.zeros((1, 0), np.int8), "rank 32": np.zeros((1,) * 32, np.int8),
        "structured": np.zeros(3, [("a", "i1"), ("b", "f4")]), "void": np.zeros(3, "V5"), "text": np.array(["a", "b"]),
        "objects": np.array([object()] * 3), "object ints": np.array([[1, 2, 3]], object), "bools": x > 1,
        "float16": x.astype(np.float16), "bfloat16": x.astype(ml_dtypes.bfloat16), "complex64": x.astype(np.complex64),
        "datetime64": np.array(["2020-01-01"], "M8[D]"), "NaT": np.array(["NaT"], "m8[s]"),
        "big-endian": x.astype(">f4"), "longdouble": x.astype(np.longdouble), "int64": x.astype(np.int64),
        "reals": np.array([[np.nan, np.inf, -1e308]]), "subnormal": np.full((1, 3), 1e-45, np.float32),
        "huge reals": np.full((1, 3), 3e38, np.float32),
        "masked": np.ma.masked_array(x, x > 1), "subclass": x.view(Subclass), "matrix": x.view(np.matrix),
        "reversed": x[:, ::-1], "read-only": np.broadcast_to(np.int8(1), (1, 3)), "good": x,
        "bytearray": bytearray(b"abc"), "memoryview": memoryview(x), "Port": int8rt.load(MODEL).inputs[0],
    }  # fmt: skip


def make_model():
    """y = 2 x of int8 [1, 3] and z = 2 w of float32 [1, 3], with a signature ``both``."""
    x, y = (T(np.int8, (1, 3), 0.5, 0, name=name) for name in "xy")
    w, z = (T(np.float32, (1, 3), name=name) for name in "wz")
    nodes = [Op("ADD", [x, x], [y]), Op("ADD", [w, w], [z])]
    return network(nodes, [x, w], [y, z], signatures={"both": ({"x": x, "w": w}, {"y": y, "z": z})})


MODEL = make_model()
FLOATS = bytes(network([Op("ABS", [x := T(np.float32, (1, 3))], [y := T(np.float32, (1, 3))])], [x], [y]))
X, W = np.array([[1, 2, 3]], np.int8), np.array([[1, 2, 3]], np.float32)


def loaded():
    return int8rt.load(MODEL)


def ready():
    found = int8rt.Interpreter(model_content=MODEL)
    found.allocate_tensors()
    return found


class Softsign:
    """An operator as callers register them."""

    @staticmethod
    def shapes(node):
        return [node.inputs[0].shape]

    @staticmethod
    def reference(node, x):
        return x


def plain(x):
    return x


# Public callables: how to get each, and good arguments. A name with a star is one of *args or **kwargs.
FAKE = {"num_bits": 8, "narrow_range": False, "axis": None}
BORDER = {
    "load": (lambda: int8rt.load, {
        "source": MODEL, "numerics": "reference", "hybrid": "dynamic", "threads": 1, "progress": None,
        "max_memory": None, "max_iterations": None, "timeout": None}),
    "fake_quant": (lambda: int8rt.fake_quant, {"x": W, "min": -1.0, "max": 1.0, **FAKE}),
    "quantize_and_dequantize": (lambda: int8rt.quantize_and_dequantize, {
        "x": W, "input_min": -1.0, "input_max": 1.0, "signed_input": True, "range_given": True,
        "round_mode": "HALF_UP", **FAKE}),
    "quantize": (lambda: int8rt.quantize, {
        "model": FLOATS, "data": W, "scheme": "int8", "inputs": "int8", "outputs": None, "allow_float": False,
        "like": None, "span": None, "max_memory": None, "progress": None}),
    "Quantized.save": (lambda: lambda path: int8rt.quantize(FLOATS, W).save(path), {
        "path": os.path.join(tempfile.gettempdir(), "border.tflite")}),
    "Model.__init__": (lambda: int8rt.Model, {
        "graph": loaded().graph, "rules": numerics("reference"), "sharing": ONE_THREAD, "progress": None,
        "subgraph": 0, "budget": None}),
    "Model.__call__": (loaded, {"*inputs": (X, W)}),
    "Model.run": (lambda: loaded().run, {"inputs": {"x": X, "w": W}}),
    "Model.trace": (lambda: loaded().trace, {"*inputs": (X, W)}),
    "Model.session": (lambda: loaded().session, {"shapes": [(1, 3), (1, 3)], "preserve": False}),
    "Model.names": (lambda: loaded().names, {"inputs": {"x": X, "w": W}}),
    "Model.checked": (lambda: loaded().checked, {"inputs": (X, W)}),
    "Model.reset": (lambda: loaded().reset, {}),
    "Port.quantize": (lambda: loaded().inputs[0].quantize, {"real": W}),
    "Port.dequantize": (lambda: loaded().inputs[0].dequantize, {"stored": X}),
    "Trace.__contains__": (lambda: loaded().trace(X, W).__contains__, {"key": "x"}),
    "Trace.__getitem__": (lambda: loaded().trace(X, W).__getitem__, {"key": "x"}),
    "Interpreter.__init__": (lambda: int8rt.Interpreter, {
        "model_path": None, "model_content": MODEL, "experimental_delegates": None, "num_threads": 1,
        "experimental_op_resolver_type": int8rt.OpResolverType.AUTO, "experimental_preserve_all_tensors": False,
        "experimental_disable_delegate_clustering": False, "experimental_default_delegate_latest_features": False,
        "experimental_compress_quantization_zero_points": False, "experimental_disable_delegate_node_fusion": False,
        "experimental_force_delegate_node_profiling": False}),
    "Interpreter.allocate_tensors": (lambda: ready().allocate_tensors, {}),
    "Interpreter.invoke": (lambda: ready().invoke, {}),
    "Interpreter.resize_tensor_input": (lambda: ready().resize_tensor_input, {
        "input_index": 0, "tensor_size": [2, 3], "strict": False}),
    "Interpreter.reset_all_variables": (lambda: ready().reset_all_variables, {}),
    "Interpreter.set_tensor": (lambda: ready().set_tensor, {"tensor_index": 0, "value": X}),
    "Interpreter.get_tensor": (lambda: ready().get_tensor, {"tensor_index": 0, "subgraph_index": 0}),
    "Interpreter.tensor": (lambda: lambda tensor_index: ready().tensor(tensor_index)(), {"tensor_index": 0}),
    "Interpreter.get_input_details": (lambda: ready().get_input_details, {}),
    "Interpreter.get_output_details": (lambda: ready().get_output_details, {}),
    "Interpreter.get_tensor_details": (lambda: ready().get_tensor_details, {"subgraph_index": 0}),
    "Interpreter.num_subgraphs": (lambda: ready().num_subgraphs, {}),
    "Interpreter.get_signature_list": (lambda: ready().get_signature_list, {}),
    "Interpreter.get_signature_runner": (lambda: ready().get_signature_runner, {"signature_key": "both"}),
    "SignatureRunner.__call__": (lambda: ready().get_signature_runner("both"), {"**inputs": {"x": X, "w": W}}),
    "SignatureRunner.get_input_details": (lambda: ready().get_signature_runner().get_input_details, {}),
    "SignatureRunner.get_output_details": (lambda: ready().get_signature_runner().get_output_details, {}),
    "load_delegate": (lambda: interpreter.load_delegate, {"library": "x", "options": None}),
    "kernel": (lambda: jit.kernel, {"function": plain}),
    "kernel_factory": (lambda: jit.kernel_factory, {"make": plain}),
    "inline": (lambda: jit.inline, {"function": plain}),
    "register": (lambda: ops.register, {"name": "BorderSoftsign", "operator": Softsign}),
    "compare": (lambda: compare, {
        "source": MODEL, "inputs": [[X, W]], "runs": 1, "seed": 0, "resolver": "reference", "numerics": "reference",
        "threads": 1, "progress": None}),
    "profile": (lambda: profile, {"model": loaded(), "inputs": [X, W], "repeat": 1}),
}  # fmt: skip

# What Python itself says of a mapping without such a key, and what opening a file says.
CUSTOM = {
    "Trace.__getitem__": (KeyError, TypeError, ValueError),
    "Trace.__contains__": (TypeError, ValueError),
    "load": (OSError,),
    "quantize": (OSError,),
    "Quantized.save": (OSError,),
    "compare": (OSError,),
}
NEEDS_LITERT = {"compare"}
MADE_FOR_CALLERS = {"Port", "Quantized", "Trace", "SignatureRunner"}  # not by them
METHODS = {"__init__", "__call__", "__getitem__", "__contains__"}


def public():
    """Every public callable: functions by name, methods as Class.method."""
    found = {"register": ops.register, "compare": compare, "profile": profile}
    named = {name: getattr(int8rt, name) for name in int8rt.__all__} | {n: getattr(jit, n) for n in jit.__all__}
    here = {n: v for n, v in vars(interpreter).items() if getattr(v, "__module__", "") == interpreter.__name__}
    named |= {n: v for n, v in here.items() if not n.startswith("_")}
    for name, value in named.items():
        if not inspect.isclass(value):
            found |= {name: value} if callable(value) else {}
        elif not issubclass(value, (Exception, jit.Kernel)) and not issubclass(value, enum.Enum):
            methods = {n: m for n, m in vars(value).items() if inspect.isfunction(m)}
            shown = {n for n in methods if not n.startswith("_")} | (METHODS - {"__init__"})
            shown |= set() if name in MADE_FOR_CALLERS else {"__init__"}
            found |= {f"{name}.{n}": m for n, m in methods.items() if n in shown}
    return found


def parameters(function):
    """The names of what a caller passes; starred where it takes any number."""
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return {stars.get(p.kind, "") + n for n, p in inspect.signature(function).parameters.items() if n != "self"}


def test_no_public_callable_and_no_parameter_is_left_out():
    wanted = {name: parameters(function) for name, function in public().items()}
    assert {name: set(good) for name, (_, good) in BORDER.items()} == wanted


def call(name, arguments):
    """Call a public callable; warnings are errors, as a caller may have them."""
    function = BORDER[name][0]()
    given = dict(arguments)
    args, more = given.pop("*inputs", ()), given.pop("**inputs", {})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return function(*args, **given, **more)


def replaced(name, parameter, value):
    """The good arguments with one of them replaced: of starred ones, the first."""
    good = BORDER[name][1]
    if parameter == "*inputs":
        return {**good, parameter: (value, *good[parameter][1:])}
    if parameter == "**inputs":
        return {**good, parameter: {**good[parameter], "x": value}}
    return {**good, parameter: value}


CASES = [(name, parameter) for name, (_, good) in BORDER.items() for parameter in good]


@pytest.fixture(autouse=True)
def _unregistered(monkeypatch):
    monkeypatch.setattr(ops, "_registered", dict(ops._registered))


@pytest.mark.parametrize("name", [name for name in BORDER if name not in NEEDS_LITERT | {"load_delegate"}])
def test_good_arguments_are_taken(name):
    call(name, BORDER[name][1])


@pytest.mark.parametrize(("name", "parameter"), CASES)
def test_hostile_values_raise_errors_of_int8rt(name, parameter, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("int8rt.tools.compare._litert_tensors", lambda *args: {})
    foreign = []
    for what, value in hostile().items():
        try:
            call(name, replaced(name, parameter, value))
        except (int8rt.Error, *CUSTOM.get(name, ())) as error:
            if isinstance(error, int8rt.Error) and (not str(error) or "\n" in str(error)):
                foreign.append(f"{what}: message {str(error)!r}")
        except Exception as error:
            foreign.append(f"{what}: {type(error).__name__}: {str(error)[:200]}")
    assert not foreign, "\n".join(foreign)


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.uint8, np.float32, np.bool_, object])
def test_values_in_ports_that_are_not_quantized(kind):
    """``quantize`` and ``dequantize`` where values are what they are."""
    port = int8rt.Port(dataclasses.replace(loaded().inputs[1].tensor, dtype=np.dtype(kind)))
    foreign = []
    for what, value in hostile().items():
        for method in (port.quantize, port.dequantize):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    method(value)
            except int8rt.Error:
                pass
            except Exception as error:
                foreign.append(f"{what}: {type(error).__name__}: {error}")
    assert not foreign, "\n".join(foreign)


# What is taken, and what messages say


def test_arrays_of_every_layout_give_the_same_results():
    model, plain_results = loaded(), [[[2, 4, 6]], [[2, 4, 6]]]
    wide = np.zeros((1, 6), np.float32)
    wide[:, ::2] = W
    frozen = X.copy()
    frozen.flags.writeable = False
    unaligned = np.frombuffer(b"\0" + W.tobytes(), np.uint8)[1:].view(np.float32).reshape(1, 3)
    layouts = [(X[:, ::-1][:, ::-1], wide[:, ::2]), (X.view(Subclass), W.view(np.matrix)),
               (frozen, np.asfortranarray(W)),
               (memoryview(X), unaligned), (np.ma.masked_array(X), W.T.copy().T)]  # fmt: skip
    for inputs in layouts:
        for result, expected in zip(model(*inputs), plain_results, strict=True):
            np.testing.assert_array_equal(result, expected)


def test_an_object_is_made_an_array_once():
    class Changes:
        asked = 0

        def __array__(self, dtype=None, copy=None):
            self.asked += 1
            return X if self.asked == 1 else np.zeros((7, 9), np.int8)

    changing = Changes()
    np.testing.assert_array_equal(loaded()(changing, W)[0], [[2, 4, 6]])
    assert changing.asked == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: loaded()([[1, 2], [3]], W), r"input 'x' is \[\[1, 2\], \[3\]\], expected an array"),
        (lambda: loaded()(X, Raises()), "input 'w' is <Raises instance at .*>, expected an array: RuntimeError"),
        (lambda: loaded()(np.ma.masked_array(X, X > 1), W), "input 'x' is a masked array"),
        (lambda: loaded().run(5), "inputs is 5, expected a mapping of names to arrays"),
        (lambda: loaded().run({1: X, "w": W}), r"inputs are named \['w', 1\]; expected \['w', 'x'\]"),
        (lambda: int8rt.load(MODEL, numerics=None), "numerics is None; known are reference"),
        (lambda: int8rt.load(MODEL, threads="2"), "threads is .2., expected a number"),
        (lambda: int8rt.load(MODEL, threads=10**400), "threads is 1000.*, expected a number from 1 to 64"),
        (lambda: int8rt.load(MODEL, progress=3), "progress is 3, expected a function"),
        (lambda: int8rt.Interpreter(model_path=3), "model_path is 3, expected a path"),
        (lambda: ready().get_tensor("x"), "the index of a tensor is 'x', expected an integer"),
        (lambda: ready().get_signature_runner([]), r"Invalid signature_key provided: \[\]; the model has 'both'"),
        (lambda: loaded().session([(1,)]), r"shapes is \[\(1,\)\], expected a shape for each of 2 inputs"),
        (lambda: loaded().inputs[0].quantize("x"), "what is quantized for 'x' is of type <U1, expected numbers"),
        (lambda: jit.kernel(5), "kernel takes a function defined in Python, found 5"),
        (lambda: profile(loaded(), [X]), "1 inputs given, 2 expected"),
    ],
)
def test_messages_say_what_was_given_and_what_is_expected(wrong, message):
    with pytest.raises(int8rt.InputError, match=message):
        wrong()


def test_a_profile_is_of_inputs_that_fit():
    """Smaller arrays would be read beyond their ends."""
    with pytest.raises(int8rt.InputError, match=r"has shape \[1, 2\]"):
        profile(loaded(), [X[:, :2], W])
