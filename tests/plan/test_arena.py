"""arena: tensors alive together never overlap, and the arena is no larger than it must be where that can be said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from int8rt.plan.arena import ALIGN, Block, Plan, aligned, lower_bound, plan


@st.composite
def blocks(draw, max_bytes=5000):
    """Up to 40 blocks over up to 12 steps."""
    found = {}
    for key in range(draw(st.integers(0, 40))):
        first, last = sorted((draw(st.integers(0, 11)), draw(st.integers(0, 11))))
        found[key] = Block(draw(st.integers(0, max_bytes)), first, last)
    return found


def overlaps(blocks_: dict, plan_: Plan) -> list:
    """Pairs that are alive at one step and share a byte."""
    pairs = []
    for a, x in blocks_.items():
        for b, y in blocks_.items():
            together = x.first <= y.last and y.first <= x.last
            begin, end = plan_.offsets[a], plan_.offsets[a] + x.nbytes
            if a < b and together and begin < plan_.offsets[b] + y.nbytes and plan_.offsets[b] < end:
                pairs.append((a, b))
    return pairs


@given(blocks())
def test_blocks_alive_together_never_overlap(blocks_):
    assert overlaps(blocks_, plan(blocks_)) == []


@given(blocks())
def test_offsets_are_aligned_and_inside(blocks_):
    found = plan(blocks_)
    assert set(found.offsets) == set(blocks_)
    assert found.nbytes % ALIGN == 0
    for key, block in blocks_.items():
        assert found.offsets[key] >= 0
        assert found.offsets[key] % ALIGN == 0
        assert found.offsets[key] + block.nbytes <= found.nbytes


@given(blocks())
def test_no_smaller_than_the_bound_nor_larger_than_the_sum(blocks_):
    total = sum(aligned(block.nbytes) for block in blocks_.values())
    assert lower_bound(blocks_) <= plan(blocks_).nbytes <= total


@given(blocks())
def test_bound_is_the_largest_live_set(blocks_):
    alive = [sum(aligned(b.nbytes) for b in blocks_.values() if b.first <= step <= b.last) for step in range(12)]
    assert lower_bound(blocks_) == max(alive)


@given(blocks())
def test_same_lifetimes_and_sizes_give_the_same_size(blocks_):
    """A plan depends on nothing but its blocks: neither on the keys nor on an earlier call."""
    assert plan(blocks_) == plan(dict(blocks_))
    renamed = {f"tensor {key}": block for key, block in blocks_.items()}
    assert list(plan(renamed).offsets.values()) == list(plan(blocks_).offsets.values())


@given(blocks(max_bytes=200))
def test_all_alive_at_once_are_packed(blocks_):
    together = {key: block._replace(first=0, last=11) for key, block in blocks_.items()}
    assert plan(together).nbytes == lower_bound(together)


def test_chain_takes_two_neighbours():
    """Each tensor lives with the next alone: two places take turns."""
    chain = {i: Block(1000, i, i + 1) for i in range(20)}
    assert plan(chain).nbytes == lower_bound(chain) == 2 * aligned(1000)


def test_gap_between_two_is_used():
    blocks_ = {"long": Block(64, 0, 9), "early": Block(640, 0, 4), "late": Block(576, 5, 9), "later": Block(64, 5, 9)}
    assert plan(blocks_).nbytes == lower_bound(blocks_) == 704


def test_tightest_gap_is_taken():
    """At step 1 two gaps are open, of 512 and of 384 bytes, and the small block takes the second."""
    blocks_ = {
        "a": Block(640, 0, 1),
        "wide": Block(512, 0, 0),
        "b": Block(448, 0, 1),
        "narrow": Block(384, 0, 0),
        "c": Block(320, 0, 1),
        "small": Block(320, 1, 1),
    }
    found = plan(blocks_)
    assert found.offsets["small"] == found.offsets["narrow"]
    assert found.nbytes == lower_bound(blocks_)


def test_nothing():
    assert plan({}) == Plan({}, 0)
    assert lower_bound({}) == 0


@pytest.mark.parametrize(("nbytes", "expected"), [(0, 0), (1, 64), (64, 64), (65, 128), (2**40 + 1, 2**40 + 64)])
def test_aligned(nbytes, expected):
    assert aligned(nbytes) == expected
