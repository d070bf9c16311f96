"""Files of input data become arrays that fit the model, or errors that say what does not."""

import numpy as np
import pytest
from requirements import need
from writer import Op, T, model, network

from int8rt.data import files
from int8rt.errors import InputError
from int8rt.format import reader
from int8rt.runtime.model import Port


def graph_of(dtype, shape, scale=None, zero_point=0, name="x"):
    x = T(dtype, shape, scale, zero_point, name=name)
    return reader.read(
        model("RESHAPE", [x, T(np.int32, (1,), data=[-1])], [T(dtype, (int(np.prod(shape)),), scale, zero_point)])
    )


def port_of(dtype, shape, scale=None, zero_point=0):
    return Port(graph_of(dtype, shape, scale, zero_point).main.inputs[0])


def two_inputs():
    a, b, y = T(np.int8, (1, 2), 1.0, 0, name="t_a"), T(np.int8, (1, 2), 1.0, 0, name="t_b"), T(np.int8, (1, 2), 1.0, 0)
    return reader.read(network([Op("ADD", [a, b], [y])], [a, b], [y], signatures={"s": ({"b": b, "a": a}, {"y": y})}))


# Values


BYTES = np.array([[0, 1, 128, 255]], np.uint8)


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point", "expected"),
    [
        (np.uint8, 1.0, 0, [0, 1, 128, 255]),
        (np.uint8, 1 / 128, 128, [0, 1, 128, 255]),
        (np.int8, 1.0, -128, [-128, -127, 0, 127]),  # as quantize() has it
        (np.int8, 1 / 127.5, -1, [-128, -127, 0, 127]),  # and where the model wants -1 ... 1
        (np.int16, 255 / 32767, 0, [0, 128, 16448, 32767]),
        (np.float32, None, 0, [0, 1, 128, 255]),
    ],
)
def test_bytes_span_the_range_of_an_8_bit_input_and_are_reals_to_any_other(dtype, scale, zero_point, expected):
    stored = files.as_input(BYTES, port_of(dtype, (1, 4), scale, zero_point))
    assert stored.dtype == dtype
    assert stored.tolist() == [expected]


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point", "expected"),
    [
        (np.int8, 1 / 64, 0, [-64, -63, 0, 64]),
        (np.uint8, 1 / 64, 128, [64, 65, 128, 192]),
        (np.float32, None, 0, [-1, -1 + 2 / 255, -1 + 256 / 255, 1]),
    ],
)
def test_a_span_says_which_reals_bytes_stand_for(dtype, scale, zero_point, expected):
    stored = files.as_input(BYTES, port_of(dtype, (1, 4), scale, zero_point), (-1, 1))
    np.testing.assert_array_equal(stored, np.array([expected], dtype))


def test_floats_are_reals_and_the_inputs_type_is_taken_as_it_is():
    port = port_of(np.int8, (1, 2), 0.5, 1)
    assert files.as_input(np.array([[1.0, -0.5]]), port).tolist() == [[3, 0]]
    assert files.as_input(np.array([[5, 6]], np.int8), port).tolist() == [[5, 6]]


def test_integers_of_another_type_keep_their_values_or_are_refused():
    port = port_of(np.int32, (1, 2))
    assert files.as_input(np.array([[5, 6]]), port).dtype == np.int32
    for array in (np.array([[5, 2**40]]), np.array([[0.5, 1]]), np.array([["a", "b"]])):
        with pytest.raises(InputError, match="takes int32"):
            files.as_input(array, port)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((8, 8), (1, 8, 8, 1)),
        ((1, 64), (1, 8, 8, 1)),
        ((5, 8, 8), (5, 8, 8, 1)),
        ((5, 8, 8, 1), (5, 8, 8, 1)),
        ((7, 7), (7, 7)),
    ],
)
def test_axes_of_length_one_may_be_missing(given, expected):
    assert files.as_input(np.zeros(given, np.uint8), port_of(np.uint8, (1, 8, 8, 1), 1.0)).shape == expected


# .npy, .npz and raw bytes


def test_npy(tmp_path):
    np.save(tmp_path / "x.npy", np.array([1.0, 2.0]))
    (array,) = files.read_inputs([tmp_path / "x.npy"], graph_of(np.int8, (1, 2), 0.5))
    assert array.tolist() == [[2, 4]]


@pytest.mark.parametrize("names", [("t_a", "t_b"), ("a", "b"), ("first", "second")])
def test_npz_by_the_names_of_tensors_or_of_a_signature_or_in_order(tmp_path, names):
    np.savez(tmp_path / "x.npz", **{names[0]: np.int8([[1, 2]]), names[1]: np.int8([[3, 4]])})
    arrays = files.read_inputs([tmp_path / "x.npz"], two_inputs())
    assert [a.tolist() for a in arrays] == [[[1, 2]], [[3, 4]]]


def test_npz_with_more_than_the_inputs_goes_by_name(tmp_path):
    np.savez(tmp_path / "x.npz", other=np.zeros(3), b=np.int8([[3, 4]]), a=np.int8([[1, 2]]))
    assert [a.tolist() for a in files.read_inputs([tmp_path / "x.npz"], two_inputs())] == [[[1, 2]], [[3, 4]]]
    np.savez(tmp_path / "y.npz", a=np.int8([[1, 2]]))
    with pytest.raises(InputError, match=r"holds \['a'\], expected \['a', 'b'\] or \['t_a', 't_b'\]"):
        files.read_inputs([tmp_path / "y.npz"], two_inputs())


def test_one_file_per_input(tmp_path):
    for name, value in (("a", 1), ("b", 2)):
        np.save(tmp_path / f"{name}.npy", np.full((1, 2), value, np.int8))
    arrays = files.read_inputs([tmp_path / "a.npy", tmp_path / "b.npy"], two_inputs())
    assert [a.tolist() for a in arrays] == [[[1, 1]], [[2, 2]]]
    with pytest.raises(InputError, match="1 input files given, the model has 2 inputs: 't_a', 't_b'"):
        files.read_inputs([tmp_path / "a.npy"], two_inputs())


@pytest.mark.parametrize("runs", [1, 3])
def test_raw_bytes(tmp_path, runs):
    values = np.arange(2 * runs, dtype="<i2")
    (tmp_path / "x.bin").write_bytes(values.tobytes())
    (array,) = files.read_inputs([tmp_path / "x.bin"], graph_of(np.int16, (1, 2), 1.0))
    np.testing.assert_array_equal(array, values.reshape(runs, 2))


@pytest.mark.parametrize("size", [0, 3, 5])
def test_raw_bytes_of_the_wrong_number(tmp_path, size):
    (tmp_path / "x.raw").write_bytes(bytes(size))
    with pytest.raises(InputError, match=rf"has {size} bytes; input 'x' takes 4, int16\[1, 2\]"):
        files.read_inputs([tmp_path / "x.raw"], graph_of(np.int16, (1, 2), 1.0))


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.png"])
@pytest.mark.parametrize("content", [b"", b"something else"])
def test_a_file_that_is_not_what_its_name_says(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name} cannot be read"):
        files.read_inputs([tmp_path / name], graph_of(np.uint8, (1, 2, 2, 3), 1.0))


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.png", "x.bin"])
def test_a_missing_file_is_an_os_error(tmp_path, name):
    with pytest.raises(FileNotFoundError):
        files.read_inputs([tmp_path / name], graph_of(np.uint8, (1, 2, 2, 3), 1.0))


def test_pickles_are_not_opened(tmp_path):
    np.save(tmp_path / "x.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(InputError, match="cannot be read"):
        files.read_inputs([tmp_path / "x.npy"], graph_of(np.uint8, (1, 1), 1.0))


# Images


@pytest.fixture
def picture(tmp_path):
    """Saves pixels as an image and gives its path."""
    need("pillow")
    from PIL import Image

    def save(pixels, name="x.png"):
        Image.fromarray(pixels).save(tmp_path / name)
        return tmp_path / name

    return save


COLOURS = np.random.default_rng(0).integers(0, 256, (2, 4, 3)).astype(np.uint8)


def test_a_colour_image(picture):
    (array,) = files.read_inputs([picture(COLOURS)], graph_of(np.uint8, (1, 2, 4, 3), 1.0))
    np.testing.assert_array_equal(array, COLOURS[None])


def test_a_colour_image_for_a_model_with_channels_first(picture):
    (array,) = files.read_inputs([picture(COLOURS)], graph_of(np.int8, (1, 3, 2, 4), 1.0, -128))
    np.testing.assert_array_equal(array[0].transpose(1, 2, 0).astype(int), COLOURS.astype(int) - 128)


def test_an_image_with_transparency_loses_it(picture):
    with_alpha = np.concatenate([COLOURS, np.full((2, 4, 1), 200, np.uint8)], axis=2)
    (array,) = files.read_inputs([picture(with_alpha)], graph_of(np.uint8, (1, 2, 4, 3), 1.0))
    np.testing.assert_array_equal(array, COLOURS[None])


def test_a_grey_image_for_a_colour_model_and_the_other_way_round(picture):
    grey = np.full((4, 4), 77, np.uint8)
    (array,) = files.read_inputs([picture(grey)], graph_of(np.uint8, (1, 4, 4, 3), 1.0))
    assert (array == 77).all()
    (array,) = files.read_inputs([picture(np.full((4, 4, 3), 77, np.uint8))], graph_of(np.uint8, (1, 4, 4, 1), 1.0))
    assert (array == 77).all()


def test_16_bits_become_8(picture):
    (array,) = files.read_inputs([picture(np.full((4, 4), 0xABCD, np.uint16))], graph_of(np.uint8, (1, 4, 4, 1), 1.0))
    assert (array == 0xAB).all()


def test_an_image_of_another_size_is_resized(picture):
    (array,) = files.read_inputs([picture(np.full((9, 5, 3), 60, np.uint8))], graph_of(np.float32, (1, 2, 4, 3)))
    assert array.shape == (1, 2, 4, 3)
    assert (array == 60).all()


def test_a_model_that_takes_no_images(picture):
    with pytest.raises(InputError, match=r"shape \[1, 490\], expected that of an image"):
        files.read_inputs([picture(COLOURS)], graph_of(np.uint8, (1, 490), 1.0))
