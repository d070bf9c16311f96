"""Files of input data: .npy, .npz, images and raw bytes, as arrays that fit a model's inputs.

What a file holds is taken as follows, by its element type and that of the input:

* the input's own type: stored values, as they are;
* floats: reals, which are quantized where the input is;
* bytes, uint8, as images are: of an 8-bit input the stored values, so that 0 ... 255 is all of its range, whatever the
  scale (int8 takes the byte less 128); of any other the reals 0 ... 255. With ``span`` = (lo, hi), bytes are the reals
  from lo for 0 to hi for 255, in every type.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from int8rt import limits
from int8rt.errors import InputError
from int8rt.format.source import file_bytes
from int8rt.graph import Graph
from int8rt.runtime.model import Port, unique_names

IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff"}
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM", "TIFF")  # Pillow's names of these

Span = tuple[float, float]


def read_inputs(paths: Sequence[Path], graph: Graph, span: Span | None = None) -> list[np.ndarray]:
    """One array per input of a model: from one .npz by name, or from one file per input in order.

    The names in an .npz are those of the tensors or of a signature; where they are neither, it must hold as many
    arrays as the model has inputs. Raises InputError, and OSError where a file cannot be opened.
    """
    ports = [Port(t) for t in graph.main.inputs]
    if len(paths) == 1 and paths[0].suffix.lower() == ".npz":
        arrays = _by_port(paths[0], _load(paths[0]), graph)
        return [as_input(a, p, span) for a, p in zip(arrays, ports, strict=True)]
    if len(paths) != len(ports):
        names = ", ".join(repr(p.name) for p in ports)
        raise InputError(f"{len(paths)} input files given, the model has {len(ports)} inputs: {names}")
    return [_read(path, port, span) for path, port in zip(paths, ports, strict=True)]


def as_input(array: np.ndarray, port: Port, span: Span | None = None) -> np.ndarray:
    """Values as the input stores them, in its shape where they are as many or a batch of such. Raises InputError."""
    return _shaped(_stored(array, port, span), port)


def _stored(array: np.ndarray, port: Port, span: Span | None) -> np.ndarray:
    """The array in the input's type: images by ``span``, real values quantized, integers kept. Raises InputError."""
    if array.dtype == np.uint8 and span is not None:
        return port.quantize(span[0] + array.astype(np.float64) * ((span[1] - span[0]) / 255))
    if array.dtype == port.dtype:
        return array
    if array.dtype == np.uint8 and port.dtype == np.int8:
        return (array ^ np.uint8(0x80)).view(np.int8)
    if array.dtype.kind == "f" or array.dtype == np.uint8 or port.dtype.kind == "f":
        if port.is_quantized or port.dtype.kind == "f":
            return port.quantize(array)
    elif array.dtype.kind in "iub":  # integers whose type NumPy chose: the same values in the input's type
        converted = array.astype(port.dtype)
        if (converted == array).all():
            return converted
    raise InputError(f"input {port.name!r} takes {port.dtype}, found {array.dtype}")


def _shaped(array: np.ndarray, port: Port) -> np.ndarray:
    """The array with the axes of length 1 that it lacks; as it is where more than those differs."""
    shape = port.shape
    if array.size == prod(shape):
        return array.reshape(shape)
    if shape[:1] == (1,) and array.ndim and array.size == len(array) * prod(shape[1:]):  # items, one after another
        return array.reshape(len(array), *shape[1:])
    return array


# .npy and .npz


def _load(path: Path) -> Any:
    """An array, or those of an .npz by name."""
    file = io.BytesIO(file_bytes(path).data)
    try:
        if path.suffix.lower() == ".npz":
            with zipfile.ZipFile(file) as archive:
                _check_sizes(path, archive)
            loaded = np.load(file, allow_pickle=False)
            return {name: _array(loaded[name]) for name in loaded.files}
        return np.asarray(np.load(file, allow_pickle=False)[()])
    except InputError:
        raise
    except Exception:  # whatever is wrong with it
        raise InputError(f"{path} cannot be read: its content is not that of a {path.suffix} file") from None


def _array(value: Any) -> np.ndarray:
    """The value, if it is an array and not what else an archive may hold. Raises TypeError."""
    if not isinstance(value, np.ndarray):
        raise TypeError("not an array")
    return value


def _check_sizes(path: Path, archive: zipfile.ZipFile) -> None:
    """Raise InputError where what is compressed would take more memory than a model may."""
    needed, limit = sum(entry.file_size for entry in archive.infolist()), limits.default_memory()
    if needed > limit:
        raise InputError(f"{path} holds {needed:,} bytes when it is unpacked, expected at most {limit:,}")


def _by_port(path: Path, arrays: Mapping[str, np.ndarray], graph: Graph) -> list[np.ndarray]:
    """Arrays in the order of the inputs, by the names of a signature or of the tensors. Raises InputError."""
    expected = []
    for names in (*_signature_names(graph), list(unique_names(graph.main.inputs).values())):
        if set(names) <= set(arrays):
            return [arrays[name] for name in names]
        expected.append(names)
    if len(arrays) == len(graph.main.inputs):
        return list(arrays.values())
    raise InputError(f"{path} holds {sorted(arrays)}, expected {' or '.join(map(str, expected))}")


def _signature_names(graph: Graph) -> list[list[str]]:
    """Per signature of the main subgraph, its names of the inputs in their order."""
    signatures = [{t: name for name, t in s.inputs.items()} for s in graph.signatures if s.subgraph == 0]
    return [[names[t] for t in graph.main.inputs] for names in signatures if set(names) == set(graph.main.inputs)]


# One file for one input


def _read(path: Path, port: Port, span: Span | None) -> np.ndarray:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return as_input(_load(path), port, span)
    if suffix in IMAGES:
        return as_input(_read_image(path, port), port, span)
    return _read_raw(path, port)


def _read_image(path: Path, port: Port) -> np.ndarray:
    """An image, upright and resized to the input: uint8 [1, height, width, channels], or channels before height."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise InputError("reading images needs Pillow: pip install int8rt[image]") from None
    height, width, channels, is_channels_last = _image_shape(port)
    file = io.BytesIO(file_bytes(path).data)
    Image.init()
    formats = [name for name in FORMATS if name in Image.OPEN]  # others may start programs, as EPS does Ghostscript
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = ImageOps.exif_transpose(Image.open(file, formats=formats))
            if image.mode.startswith("I"):  # 16 bits
                image = Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
            image = image.convert("L" if channels == 1 else "RGB")
            if image.size != (width, height):
                image = image.resize((width, height), Image.Resampling.BILINEAR)
        except Exception as error:  # whatever is wrong with it, down to what Pillow forgot to look at
            reason = str(error).replace(repr(file), "its content")
            raise InputError(f"{path} cannot be read as an image: {reason}") from None
    pixels = np.asarray(image, np.uint8).reshape(1, height, width, channels)
    return pixels if is_channels_last else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def _image_shape(port: Port) -> tuple[int, int, int, bool]:
    """Height, width, channels, and whether the channels are the last axis."""
    shape = port.shape
    if len(shape) == 4 and shape[0] == 1:
        if shape[3] in (1, 3):
            return shape[1], shape[2], shape[3], True
        if shape[1] in (1, 3):
            return shape[2], shape[3], shape[1], False
    raise InputError(
        f"input {port.name!r} has shape {list(shape)}, expected that of an image, such as [1, 224, 224, 3]"
    )


def _read_raw(path: Path, port: Port) -> np.ndarray:
    """The stored values of one run or several, as they are in memory: little-endian, in C order."""
    found = file_bytes(path)
    one = prod(port.shape) * port.dtype.itemsize
    if not found.size or not one or found.size % one:
        raise InputError(
            f"{path} has {found.size} bytes; input {port.name!r} takes {one}, {port.dtype}{list(port.shape)}"
        )
    runs = found.size // one
    shape = port.shape if runs == 1 else (runs * port.shape[0], *port.shape[1:])
    return found.view(port.dtype.newbyteorder("<")).astype(port.dtype).reshape(shape)
