"""Nested pools: hand-computed trees, the flat case as oracle, and properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.resources import VM, Pool, allocate, divide
from virtlab.resources.pools import ceiling, floor
from virtlab.validate import InvalidInputError


def _parts(capacity: float, *children: VM | Pool) -> dict[str, float]:
    result = divide(capacity, Pool("host", children=children))
    return dict(zip(result.paths, result.allocation, strict=True))


def test_flat_is_allocate() -> None:
    parts = _parts(160, VM("VM1", 1000), VM("VM2", 2000), VM("VM3", 1000))
    assert list(parts.values()) == allocate(160, [1000, 2000, 1000]).allocation.tolist()


def test_shares_compare_siblings_only() -> None:
    rich = Pool("rich", 3000, children=(VM("a", 1000),))
    poor = Pool("poor", 1000, children=(VM("b", 2000), VM("c", 2000)))
    assert _parts(160, rich, poor) == {"rich / a": 120, "poor / b": 20, "poor / c": 20}


def test_what_a_pool_cannot_use_goes_to_its_siblings() -> None:
    idle = Pool("idle", 1000, children=(VM("a", maximum=5), VM("b", maximum=5)))
    assert _parts(100, idle, VM("busy", 1000)) == {"idle / a": 5, "idle / b": 5, "busy": 90}


def test_a_pool_is_given_what_its_children_are_promised() -> None:
    small = Pool("small", 1, children=(VM("a", minimum=30), VM("b", minimum=20)))
    assert _parts(100, small, VM("big", 999)) == {"small / a": 30, "small / b": 20, "big": 50}


def test_a_pools_own_minimum_and_maximum_count() -> None:
    floor_60 = Pool("p", 1, minimum=60, children=(VM("a"), VM("b", 3000)))
    assert _parts(100, floor_60, VM("q", 999)) == {"p / a": 15, "p / b": 45, "q": 40}
    lid_10 = Pool("p", 1000, maximum=10, children=(VM("a"), VM("b")))
    assert _parts(100, lid_10, VM("q", 1)) == {"p / a": 5, "p / b": 5, "q": 90}


def test_three_levels_and_an_empty_pool() -> None:
    inner = Pool("inner", children=(VM("x"), VM("y")))
    outer = Pool("outer", children=(inner, VM("z"), Pool("empty")))
    parts = _parts(80, outer, VM("w"))
    assert parts == {"outer / inner / x": 10, "outer / inner / y": 10, "outer / z": 20, "w": 40}


def test_unused_is_said() -> None:
    result = divide(100, Pool("host", children=(VM("a", maximum=30),)), unit="MB/s")
    assert result.unused == pytest.approx(70)
    assert "70 MB/s are left" in result.explain()
    assert result.summary()["unused"] == pytest.approx(70)
    assert result.to_frame()["percent"].tolist() == [30]
    assert result.to_json()["rows"][0]["vm"] == "a"


def test_explains_each_pool() -> None:
    tree = Pool("host", children=(VM("a"), Pool("p", children=(VM("b"),))))
    assert divide(10, tree).explain().startswith("At the top: 10 are divided as 1000:1000.")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VM("a", shares=-1), "a.shares = -1"),
        (lambda: VM("a", minimum=5, maximum=4), "a.maximum = 4"),
        (lambda: VM(""), "name"),
        (lambda: Pool("p", children=(VM("a"), VM("a"))), "names that all differ"),
        (lambda: Pool("p", maximum=5, children=(VM("a", minimum=6),)), "p.maximum = 5"),
        (lambda: divide(5, Pool("p", children=(VM("a", minimum=6),))), "1 are lacking"),
    ],
)
def test_errors(make: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make()  # type: ignore[operator] # each is a lambda


_leaf = st.builds(
    VM,
    name=st.just("vm"),
    shares=st.sampled_from([0.0, 500.0, 1000.0, 2000.0]),
    minimum=st.floats(0, 5),
    maximum=st.one_of(st.floats(5, 50), st.just(np.inf)),
)


def _pool(children: list[VM | Pool], shares: float) -> Pool:
    named = tuple(
        type(child)(**{**vars(child), "name": f"{child.name}{i}"})
        for i, child in enumerate(children)
    )
    return Pool("pool", shares=shares, children=named)


_trees = st.recursive(
    _leaf,
    lambda node: st.builds(
        _pool, st.lists(node, min_size=1, max_size=4), st.sampled_from([0.0, 500.0, 1000.0])
    ),
    max_leaves=12,
)


@given(st.lists(_trees, min_size=1, max_size=4), st.floats(0, 200))
def test_every_level_is_conserved(children: list[VM | Pool], more: float) -> None:
    root = _pool(children, 1000)
    result = divide(floor(root) + more, root)
    for path, step in result.steps.items():
        assert (step.allocation >= step.minimum).all()
        assert (step.allocation <= step.maximum).all()
        if path:  # below the top nothing is lost: a pool is given no more than it can use
            assert step.unused <= 1e-9 * max(step.capacity, 1)
    usable = min(floor(root) + more, max(ceiling(root), floor(root)))
    assert sum(result.allocation) == pytest.approx(usable, rel=1e-9, abs=1e-9)


@given(st.lists(_leaf, min_size=1, max_size=6), st.floats(0, 100))
def test_a_pool_alone_is_transparent(children: list[VM], more: float) -> None:
    pool = _pool(list(children), 1000)
    capacity = floor(pool) + more
    nested = divide(capacity, Pool("host", children=(pool,))).allocation
    flat = divide(capacity, pool).allocation
    assert nested == pytest.approx(flat, rel=1e-12, abs=1e-12)
