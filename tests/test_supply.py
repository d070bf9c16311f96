"""What tests rest on is what it was: data have known hashes, and nobody can hide in an archive."""

import hashlib

import numpy as np
import pytest
from paths import MODELS, TESTS

FOLDERS = [MODELS, TESTS / "data"]
BINARY = {".tflite", ".npz", ".png", ".npy"}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_data_have_the_hashes_that_are_written_down(folder):
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    written = {name: digest for digest, name in (line.split("  ") for line in lines)}
    found = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in written}
    assert found == written
    assert {p.name for p in folder.iterdir() if p.suffix in BINARY} <= set(written)


def test_archives_of_arrays_hold_no_python_objects():
    for path in (TESTS / "data").glob("*.npz"):
        with np.load(path, allow_pickle=False) as held:
            assert all(held[name].dtype != object for name in held)
