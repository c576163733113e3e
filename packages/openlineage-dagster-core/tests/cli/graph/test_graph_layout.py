"""Where igraph puts things, turned and packed."""

from __future__ import annotations

import itertools
import random

import pytest

pytest.importorskip("igraph", reason="pages are laid out by igraph: the extra `graph`")

from openlineage_dagster_core.cli.graph.layout import Arrangement, arrange

WIDTH, HEIGHT = 100, 40


def arranged(count: int, edges: list[tuple[int, int]]) -> Arrangement:
    return arrange([WIDTH] * count, HEIGHT, edges)


def test_what_is_made_of_something_is_to_its_right() -> None:
    edges = [(0, 2), (1, 2), (2, 3), (0, 3)]
    nodes = arranged(4, edges).nodes
    for source, target in edges:
        assert nodes[source][0] + WIDTH < nodes[target][0]


@pytest.mark.parametrize("seed", [0, 3, 4])
def test_no_two_boxes_overlap_and_none_lies_outside(seed: int) -> None:
    chance = random.Random(seed)
    count = 120
    edges = {(chance.randrange(count), chance.randrange(count)) for _ in range(150)}
    nodes = arranged(count, sorted(edges)).nodes
    assert min(x for x, _ in nodes) >= WIDTH / 2
    assert min(y for _, y in nodes) >= HEIGHT / 2
    for (x, y), (other_x, other_y) in itertools.combinations(nodes, 2):
        assert abs(x - other_x) >= WIDTH or abs(y - other_y) >= HEIGHT


def test_a_long_line_keeps_clear_of_the_boxes_that_it_passes() -> None:
    result = arranged(4, [(0, 1), (1, 2), (2, 3), (0, 3)])
    route = result.routes[3]
    # Level from where it enters a layer to where it leaves it.
    for (enters_at, y), (leaves_at, same_y) in zip(route[1::2], route[2::2], strict=False):
        assert y == same_y
        for x, box_y in result.nodes[1:3]:
            if enters_at <= x <= leaves_at:
                assert abs(y - box_y) >= HEIGHT / 2


def test_lines_in_a_circle_go_back() -> None:
    result = arranged(3, [(0, 1), (1, 2), (2, 0)])
    backward = [route for route in result.routes if route[0][0] > route[-1][0]]
    assert len(backward) == 1


def test_a_line_from_a_node_to_itself_has_no_way() -> None:
    assert not arranged(1, [(0, 0)]).routes[0]


def test_many_loose_nodes_fill_a_screen_instead_of_a_line() -> None:
    nodes = arranged(400, []).nodes
    width, height = (max(side) - min(side) for side in zip(*nodes, strict=True))
    assert 1 < width / height < 3


def test_a_box_without_width_moves_nothing() -> None:
    alone = arrange([WIDTH, WIDTH], HEIGHT, [(0, 1)]).nodes
    beside = arrange([WIDTH, WIDTH, 0], HEIGHT, [(0, 1), (2, 0)]).nodes
    assert [x for x, _ in beside[:2]] == [x for x, _ in alone]


def test_nothing_is_nowhere() -> None:
    assert arranged(0, []) == Arrangement([], [])
