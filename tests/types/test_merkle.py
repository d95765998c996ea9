"""Paths and multiproofs prove membership, and nothing else leads to the root."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbeard.types.ids import Digest
from dropbeard.types.merkle import EMPTY_ROOT, Path, Tree, leaf, path_root, paths_from_multiproof

LEAVES = [leaf(bytes([number])) for number in range(40)]
COUNTS = range(1, 18)


@pytest.mark.parametrize("count", COUNTS)
def test_the_path_of_every_leaf_leads_to_the_root(count: int) -> None:
    tree = Tree(LEAVES[:count])
    assert [path_root(LEAVES[i], tree.path(i)) for i in range(count)] == [tree.root] * count


@pytest.mark.parametrize("count", COUNTS)
def test_no_path_proves_a_leaf_at_another_index_or_in_another_count(count: int) -> None:
    tree = Tree(LEAVES[:count])
    wrong = [
        (index, other, total)
        for index in range(count)
        for other in range(20)
        for total in range(20)
        if (other, total) != (index, count)
        and path_root(LEAVES[index], replace(tree.path(index), index=other, count=total)) == tree.root
    ]
    assert wrong == []


@pytest.mark.parametrize("count", COUNTS)
def test_a_path_with_a_sibling_too_few_or_too_many_leads_nowhere(count: int) -> None:
    for index in range(count):
        path = Tree(LEAVES[:count]).path(index)
        assert path_root(LEAVES[index], replace(path, siblings=(*path.siblings, LEAVES[0]))) is None
        if path.siblings:
            assert path_root(LEAVES[index], replace(path, siblings=path.siblings[:-1])) is None


def test_the_number_of_leaves_is_part_of_the_root() -> None:
    # Carried up unchanged, a lone third leaf would else give the root of a tree of two.
    inner = Tree(LEAVES[:2]).levels[-1][0]
    assert Tree([inner, LEAVES[2]]).root != Tree(LEAVES[:3]).root
    assert Tree([]).root == EMPTY_ROOT


@pytest.mark.parametrize("path", [Path(0, 0, ()), Path(-1, 3, ()), Path(3, 3, ()), Path(1 << 31, 1, ())])
def test_an_index_outside_of_the_tree_leads_nowhere(path: Path) -> None:
    assert path_root(LEAVES[0], path) is None


def test_a_path_of_the_largest_count_ends() -> None:
    assert path_root(LEAVES[0], Path(0, (1 << 32) - 1, tuple(LEAVES[:32]))) is not None


@st.composite
def chosen(draw: st.DrawFn) -> tuple[int, list[int]]:
    """A count and some of its indices."""
    count = draw(st.integers(1, len(LEAVES)))
    return count, sorted(draw(st.sets(st.integers(0, count - 1), min_size=1)))


@given(chosen())
def test_a_multiproof_gives_the_root_and_the_single_paths(choice: tuple[int, list[int]]) -> None:
    count, indices = choice
    tree = Tree(LEAVES[:count])
    rows = [(index, LEAVES[index]) for index in indices]
    proved = paths_from_multiproof(count, rows, tree.multiproof(indices))
    assert proved == (tree.root, [tree.path(index) for index in indices])


@given(chosen(), st.integers(0, 39))
def test_a_multiproof_with_another_leaf_gives_another_root(choice: tuple[int, list[int]], other: int) -> None:
    count, indices = choice
    tree = Tree(LEAVES[:count])
    rows = [(index, LEAVES[index]) for index in indices]
    rows[0] = indices[0], leaf(b"other" + bytes([other]))
    proved = paths_from_multiproof(count, rows, tree.multiproof(indices))
    assert proved is not None
    assert proved[0] != tree.root


@pytest.mark.parametrize(
    ("rows", "proof"),
    [
        ([], ()),
        ([(1, LEAVES[1]), (0, LEAVES[0])], ()),
        ([(0, LEAVES[0]), (0, LEAVES[0])], (LEAVES[1],)),
        ([(-1, LEAVES[0])], (LEAVES[1],)),
        ([(4, LEAVES[0])], (LEAVES[1],)),
        ([(0, LEAVES[0])], (LEAVES[1],)),
        ([(0, LEAVES[0])], (LEAVES[1], LEAVES[2], LEAVES[3])),
    ],
    ids=["no leaf", "descending", "twice", "negative", "beyond", "a digest too few", "a digest too many"],
)
def test_a_multiproof_that_does_not_fit_is_refused(rows: list[tuple[int, Digest]], proof: tuple[Digest, ...]) -> None:
    assert paths_from_multiproof(4, rows, proof) is None
