"""Comparison with LiteRT: what is equal, what differs, and where a difference arose."""

import io

import numpy as np
import pytest
from writer import Op, T, network

from int8rt.errors import InputError, ModelError, UnsupportedError
from int8rt.tools import compare as module
from int8rt.tools import litert
from int8rt.tools.compare import compare

pytestmark = pytest.mark.needs("litert")


def chain():
    """y = relu(x + x) - c, and z = x + c beside it."""
    x, h, r, y, z = (T(np.int8, (1, 4), 0.5, 0, name=name) for name in "xhryz")
    c = T(np.int8, (1, 4), 0.5, 0, data=[[1, 2, 3, 4]], name="c")
    nodes = [Op("ADD", [x, x], [h]), Op("RELU", [h], [r]), Op("ADD", [x, c], [z]), Op("SUB", [r, c], [y])]
    return network(nodes, [x], [y, z], tensors=[x, h, r, c, y, z])


@pytest.fixture
def altered(monkeypatch):
    """Makes LiteRT's answers differ: {tensor index: function of the array}."""
    honest = litert.run

    def alter(changes):
        def run(*args, **options):
            tensors = honest(*args, **options)
            return {
                i: changes[i](a) if i in changes else a for i, a in tensors.items() if changes.get(i, 0) is not None
            }

        monkeypatch.setattr(module.litert, "run", run)

    return alter


def test_equal(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(chain())
    for source in (chain(), path, str(path), io.BytesIO(chain())):
        result = compare(source, runs=2)
        assert result.equal
        assert (result.tensors, result.runs, result.resolver, result.version) == (4, 2, "reference", litert.version())
        assert (result.differences, result.not_compared) == ([], [])


def test_a_difference_is_described_where_it_arises(altered):
    altered({1: lambda a: a + np.int8([[0, 0, 3, -1]]), 4: lambda a: a + np.int8(1)})
    result = compare(chain(), [[np.int8([[1, 2, 3, 4]])]])
    assert not result.equal
    first, second = result.differences
    assert (first.op, first.node, first.tensor, first.index) == ("ADD", 0, "h", 1)
    assert (first.differing, first.size, first.largest, first.at) == (2, 4, 3.0, (0, 2))
    assert (first.ours, first.theirs, first.is_origin, first.run) == (6.0, 9.0, True, 0)
    assert str(first) == (
        "ADD (node 0), tensor 'h': 2 of 4 elements differ, by up to 3; first at [0, 2]: int8rt 6, LiteRT 9"
    )
    assert (second.tensor, second.is_origin) == ("y", True)  # what lies between, r, is equal
    assert result.origins == [first, second]


def test_a_difference_that_follows_from_another_is_no_origin(altered):
    altered({1: lambda a: a + np.int8(1), 2: lambda a: a + np.int8(1), 4: lambda a: a + np.int8(1)})
    result = compare(chain())
    assert [(d.tensor, d.is_origin) for d in result.differences] == [("h", True), ("r", False), ("y", False)]


def test_a_difference_behind_a_tensor_that_litert_does_not_give(altered):
    altered({1: lambda a: a + np.int8(1), 2: None, 4: lambda a: a + np.int8(1), 5: lambda a: a + np.int8(1)})
    result = compare(chain())
    assert [(d.tensor, d.is_origin) for d in result.differences] == [("h", True), ("z", True), ("y", False)]
    assert (result.tensors, result.not_compared) == (3, ["r"])


def test_another_shape_or_type_is_a_difference(altered):
    altered({1: lambda a: a[:, :2], 4: lambda a: a.astype(np.int16)})
    first, second = compare(chain()).differences
    assert str(first) == "ADD (node 0), tensor 'h': int8rt int8[1, 4], LiteRT int8[1, 2]"
    assert str(second) == "SUB (node 3), tensor 'y': int8rt int8[1, 4], LiteRT int16[1, 4]"


def test_floats_are_compared_by_their_bits():
    nan, zero = np.float32([np.nan, 0.0, 1.0]), np.float32([np.nan, -0.0, 1.5])
    where = module._where(nan, zero)
    assert (where["differing"], where["largest"], where["at"]) == (2, 0.5, (1,))


def test_a_batch_is_as_many_runs():
    result = compare(chain(), [[np.arange(12, dtype=np.int8).reshape(3, 4)], [np.zeros((1, 4), np.int8)]])
    assert result.equal
    assert result.runs == 4


def test_sizes_that_the_signature_leaves_open():
    x, y = (T(np.int8, (1, 4), 0.5, 0, shape_signature=(1, -1)) for _ in range(2))
    assert compare(network([Op("ADD", [x, x], [y])], [x], [y]), [[np.ones((1, 9), np.int8)]]).equal


@pytest.mark.parametrize("resolver", ["builtin", "xnnpack"])
def test_other_resolvers(resolver):
    result = compare(chain(), resolver=resolver)
    assert result.resolver == resolver
    assert result.tensors == (4 if resolver == "builtin" else 2)


def test_errors():
    with pytest.raises(ModelError):
        compare(b"nothing of the kind")
    with pytest.raises(InputError, match="known are reference, builtin, xnnpack"):
        compare(chain(), resolver="fastest")
    with pytest.raises(InputError, match="has shape"):
        compare(chain(), [[np.zeros((1, 5), np.int8)]])
    x, y = T(np.int8, (1, 4), 0.5, 0), T(np.int8, (1, 4), 0.5, 0)
    with pytest.raises(UnsupportedError, match="MULTINOMIAL"):
        compare(network([Op("MULTINOMIAL", [x], [y], None)], [x], [y]))
