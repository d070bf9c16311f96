"""The committed files of models/: small, complete, described in the README, and loadable by LiteRT."""

import subprocess
import sys

import numpy as np
import pytest
from paths import MODELS

FILES = sorted(MODELS.glob("*.tflite"))
FORMS = ("float32", "dynamic_range", "int8", "uint8", "int16x8")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def committed():
    return [path for path in MODELS.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def test_every_form_of_both_networks_is_there():
    assert {path.stem for path in FILES} == {f"digits_{net}_{form}" for net in ("conv", "residual") for form in FORMS}


def test_all_files_together_stay_under_one_megabyte():
    assert sum(path.stat().st_size for path in committed()) < 1_000_000


def test_readme_gives_every_model_with_its_size():
    readme = (MODELS / "README.md").read_text(encoding="utf-8")
    for path in FILES:
        assert f"| `{path.name}` | {path.stat().st_size:,} |" in readme


def test_test_split_and_labels():
    with np.load(MODELS / "samples" / "test.npz") as split:
        images, labels = split["images"], split["labels"]
    assert (images.shape, images.dtype) == ((360, 8, 8, 1), np.uint8)
    assert (labels.shape, labels.dtype) == ((360,), np.uint8)
    assert (MODELS / "labels.txt").read_text(encoding="utf-8").split() == [str(digit) for digit in range(10)]


@pytest.mark.needs("pillow")
def test_samples_are_of_the_test_split():
    from PIL import Image

    with np.load(MODELS / "samples" / "test.npz") as split:
        images, labels = split["images"][..., 0], split["labels"]
    for digit, name in enumerate(DIGITS):
        with Image.open(MODELS / "samples" / f"{name}.png") as picture:
            pixels = np.asarray(picture)
        same = (images == pixels).all(axis=(1, 2))
        assert labels[same].tolist() == [digit], name


@pytest.mark.needs("litert")
def test_litert_reaches_the_accuracy_of_the_readme():
    """Loads and runs every file under BUILTIN_REF; LiteRT can abort, so it has a process of its own."""
    command = [sys.executable, str(MODELS / "measure.py")]
    lines = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.splitlines()
    measured = dict(line.split() for line in lines)
    readme = (MODELS / "README.md").read_text(encoding="utf-8")
    assert sorted(measured) == [path.name for path in FILES]
    for name, accuracy in measured.items():
        row = next(line for line in readme.splitlines() if line.startswith(f"| `{name}` |"))
        assert row.endswith(f"| {accuracy} |")
        assert float(accuracy.rstrip("%")) >= 97
