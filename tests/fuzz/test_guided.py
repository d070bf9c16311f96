"""What the coverage-guided runs make and are given; atheris, which steers them, is no dependency of the tests."""

from __future__ import annotations

import random

import guided
import mutants
import pytest

FILES = 150


def made(number):
    """A file that has been changed a few times."""
    content = mutants.source(number)
    for step in range(1 + number % 4):
        content = guided.changed(content, guided.LARGEST, 7 * number + step)
    return content


@pytest.mark.parametrize("kind", guided.INSTRUMENTED)
def test_what_is_given_files_raises_nothing(kind):
    run = guided.target(kind)
    for number in range(FILES):
        run(made(number))


def test_what_is_raised_is_not_lost(monkeypatch):
    from int8rt.format import reader

    def broken(content):
        raise KeyError("not of ours")

    monkeypatch.setattr(reader, "read", broken)
    with pytest.raises(KeyError, match="not of ours"):
        guided.target("read")(b"")


def test_changes():
    """Follow from the seed, change something, and keep to the size."""
    assert [made(n) for n in range(20)] == [made(n) for n in range(20)]
    content = mutants.source(1)
    assert sum(guided.changed(content, len(content) + 100, seed) != content for seed in range(50)) > 40
    assert all(len(guided.changed(content, 64, seed)) <= 64 for seed in range(50))
    assert all(guided.flipped(content, random.Random(seed)) != content for seed in range(5))


def test_beginnings(tmp_path):
    guided.beginnings(tmp_path)
    names = {path.name.split("-")[0] for path in tmp_path.iterdir()}
    assert names >= {"CONV_2D", "IF", "UNIDIRECTIONAL_SEQUENCE_LSTM", "graph"}
