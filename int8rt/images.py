"""Files of input data: .npy, .npz, images and raw bytes, as arrays that fit a model's inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from int8rt.errors import InputError
from int8rt.model import Port

IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff"}


def read_inputs(paths: Sequence[Path], ports: Sequence[Port]) -> list[np.ndarray]:
    """One array per input: from one .npz by name (or in order), or from one file per input. Raises InputError."""
    if len(paths) == 1 and paths[0].suffix == ".npz":
        return _from_npz(paths[0], ports)
    if len(paths) != len(ports):
        names = ", ".join(repr(p.name) for p in ports)
        raise InputError(f"{len(paths)} input files given; the model has {len(ports)} inputs: {names}")
    return [_read(path, port) for path, port in zip(paths, ports, strict=True)]


def _from_npz(path: Path, ports: Sequence[Port]) -> list[np.ndarray]:
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as .npz: {error}") from error
    if all(p.name in arrays for p in ports):
        return [as_input(arrays[p.name], p) for p in ports]
    if len(arrays) == len(ports):
        return [as_input(a, p) for a, p in zip(arrays.values(), ports, strict=True)]
    raise InputError(f"{path} holds {sorted(arrays)}; {[p.name for p in ports]} were expected")


def _read(path: Path, port: Port) -> np.ndarray:
    if path.suffix == ".npy":
        try:
            return as_input(np.load(path), port)
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path} cannot be read as .npy: {error}") from error
    if path.suffix.lower() in IMAGES:
        return as_input(_read_image(path, port), port)
    return _read_raw(path, port)


def as_input(array: np.ndarray, port: Port) -> np.ndarray:
    """The array in the input's type and shape: floats and 0 ... 255 bytes are quantized where the model is not of their type."""
    if array.dtype != port.dtype:
        if not port.is_quantized and port.dtype.kind != "f":
            raise InputError(f"input {port.name!r} has type {array.dtype}; {port.dtype} was expected")
        array = port.quantize(array)
    if array.size == int(np.prod(port.shape)):
        return array.reshape(port.shape)
    return array


def _read_image(path: Path, port: Port) -> np.ndarray:
    """An image, resized to the input's height and width: uint8 [1, h, w, c], or [1, c, h, w] where the model wants that."""
    try:
        from PIL import Image
    except ImportError:
        raise InputError("reading images needs Pillow: pip install int8rt[image]") from None
    shape = port.shape
    if len(shape) != 4 or (shape[3] not in (1, 3) and shape[1] not in (1, 3)):
        raise InputError(f"input {port.name!r} has shape {list(shape)}, which is not that of an image")
    channels_last = shape[3] in (1, 3)
    height, width, channels = shape[1:] if channels_last else (shape[2], shape[3], shape[1])
    try:
        with Image.open(path) as image:
            image = image.convert("L" if channels == 1 else "RGB")
            if image.size != (width, height):
                image = image.resize((width, height), Image.Resampling.BILINEAR)
            pixels = np.asarray(image, np.uint8).reshape(1, height, width, channels)
    except OSError as error:
        raise InputError(f"{path} cannot be read as an image: {error}") from error
    return pixels if channels_last else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def _read_raw(path: Path, port: Port) -> np.ndarray:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    item = int(np.prod(port.shape)) * port.dtype.itemsize
    if not content or len(content) % item:
        raise InputError(
            f"{path} has {len(content)} bytes; input {port.name!r} takes {item}, {port.dtype}{list(port.shape)}"
        )
    runs = len(content) // item
    shape = port.shape if runs == 1 else (runs * port.shape[0], *port.shape[1:])
    return np.frombuffer(content, port.dtype).reshape(shape)
