"""frozen: what it makes is used as a frozen dataclass is."""

import copy
import dataclasses
import functools
from dataclasses import FrozenInstanceError, field

import pytest

from int8rt.frozen import frozen


@frozen
class Point:
    """Two numbers and what belongs to them."""

    x: int
    y: int = 7
    more: list = field(default_factory=list)

    @functools.cached_property
    def total(self):
        return self.x + self.y


@frozen
class Named(Point):
    name: str = ""

    def __repr__(self):
        return self.name


def test_fields_come_by_position_or_by_name():
    assert [vars(p) for p in (Point(1), Point(x=1), Point(1, 7, []), Point(more=[], x=1))] == [
        {"x": 1, "y": 7, "more": []}
    ] * 4
    assert vars(Named(1, name="n")) == {"x": 1, "y": 7, "more": [], "name": "n"}
    assert Point(1).more is not Point(1).more


@pytest.mark.parametrize(
    ("args", "given"),
    [((), {}), ((), {"y": 1}), ((1, 2, [], 4), {}), ((1,), {"x": 1}), ((1,), {"z": 1}), ((), {"z": 1})],
)
def test_fields_that_are_missing_or_unknown(args, given):
    with pytest.raises(TypeError, match="Point"):
        Point(*args, **given)


def test_nothing_changes():
    for point in (Point(1), Named(1)):
        with pytest.raises(FrozenInstanceError, match="'x' of"):
            point.x = 2
        with pytest.raises(FrozenInstanceError):
            del point.x
        with pytest.raises(FrozenInstanceError):
            point.other = 2
    assert Point(1).total == 8


def test_what_dataclasses_offers_works():
    point = Point(1, more=[3])
    moved = dataclasses.replace(point, y=2)
    assert (moved.x, moved.y, moved.more, moved.total) == (1, 2, [3], 3)
    assert dataclasses.asdict(point) == {"x": 1, "y": 7, "more": [3]}
    assert vars(copy.copy(point)) == vars(point)


def test_instances_are_equal_to_themselves_alone():
    assert Point(1) != Point(1)
    assert len({Point(1), Point(1)}) == 2


def test_how_they_are_shown():
    assert repr(Point(1)) == "Point(x=1, y=7, more=[])"
    assert repr(Named(1, name="mine")) == "mine"
