"""Positions nodes in layers from left to right (Sugiyama), with igraph."""

import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from openlineage_dagster_core.cli.terminal import CommandError

Point = tuple[float, float]  # In the page's pixels at zoom 1, from the left and from the top
LAYER_GAP, ROW_GAP, COMPONENT_GAP = 50, 22, 60  # Pixels between layers, boxes, components
WIDTH_TO_HEIGHT = 1.7  # The shape of all components together, as of screens
MOST_ITERATIONS = 100  # Of the search for fewer crossings, which ends earlier without progress


@dataclass(frozen=True)
class Arrangement:
    """The centre of each node's box, and the route of each edge.

    A route has the points where the edge leaves a layer and where it reaches the next one, in turn;
    past the boxes of a layer it is level.
    """

    nodes: Sequence[Point]
    routes: Sequence[Sequence[Point]]


def arrange(widths: Sequence[int], height: int, edges: Sequence[tuple[int, int]]) -> Arrangement:
    """Place each node to the right of the nodes that have edges to it.

    Boxes have a width each, which may be 0, and one height, in pixels. Edges are distinct pairs of
    nodes' numbers, from source to target. Without igraph, this raises CommandError.
    """
    try:
        igraph = importlib.import_module("igraph")
    except ModuleNotFoundError as error:
        if error.name != "igraph":
            raise
        step = 'Install it: pip install "openlineage-dagster-core[graph]".'
        raise CommandError("igraph, which lays out the page, is not installed.", step) from None
    graph = igraph.Graph(n=len(widths), edges=edges, directed=True)
    graph.vs["number"] = range(len(widths))
    graph.vs["width"] = widths
    graph.es["number"] = range(len(edges))
    nodes: list[Point] = [(0, 0)] * len(widths)
    routes: list[Sequence[Point]] = [()] * len(edges)
    components = [_lay_out(each, height) for each in graph.decompose(mode="weak")]
    components.sort(key=lambda each: (-each.height, -each.width))
    for component, (left, top) in zip(components, _pack(components), strict=True):
        for number, (x, y) in component.nodes:
            nodes[number] = (x + left, y + top)
        for number, route in component.routes:
            routes[number] = [(x + left, y + top) for x, y in route]
    return Arrangement(nodes, routes)


@dataclass(frozen=True)
class _Component:
    width: float
    height: float
    nodes: list[tuple[int, Point]]
    routes: list[tuple[int, list[Point]]]


def _lay_out(graph: Any, height: int) -> _Component:
    # igraph's layers run downwards: its x is our y, and its y numbers the layers.
    layout = graph.layout_sugiyama(hgap=height + ROW_GAP, vgap=1, maxiter=MOST_ITERATIONS)
    places = [_Place(round(layer), row) for row, layer in layout.coords]
    bends = [
        [_Place(round(layer), row) for row, layer in route]
        for route in layout.edge_routing or [[]] * graph.ecount()
    ]
    everything = [*places, *(bend for route in bends for bend in route)]
    _separate(everything, height + ROW_GAP)
    top = min(place.row for place in everything) - height / 2
    sides = _sides([place.layer for place in places], graph.vs["width"])

    def route(edge: Any) -> list[Point]:
        crossed: list[Point] = []
        for one, other in pairwise([places[edge.source], *bends[edge.index], places[edge.target]]):
            (left, right), (next_left, next_right) = sides[one.layer], sides[other.layer]
            if one.layer < other.layer:
                crossed += [(right, one.row - top), (next_left, other.row - top)]
            elif one.layer > other.layer:
                crossed += [(left, one.row - top), (next_right, other.row - top)]
        return crossed

    return _Component(
        max(right for _, right in sides),
        max(place.row for place in everything) + height / 2 - top,
        [
            (vertex["number"], (sum(sides[place.layer]) / 2, place.row - top))
            for vertex, place in zip(graph.vs, places, strict=True)
        ],
        [(edge["number"], route(edge)) for edge in graph.es],
    )


@dataclass
class _Place:
    layer: int
    row: float


def _separate(places: Sequence[_Place], gap: float) -> None:
    """Separate boxes that igraph 1.0 now and then puts at the same place."""
    for one, other in pairwise(sorted(places, key=lambda place: (place.layer, place.row))):
        if one.layer == other.layer:
            other.row = max(other.row, one.row + gap)


def _sides(layers: Sequence[int], widths: Sequence[int]) -> list[tuple[float, float]]:
    """Return the left and right side of each layer, which is as wide as its widest box."""
    widest = [0] * (max(layers) + 1)
    for layer, width in zip(layers, widths, strict=True):
        widest[layer] = max(widest[layer], width)
    sides = []
    left = 0.0
    for width in widest:
        sides.append((left, left + width))
        left += width + LAYER_GAP if width else 0
    return sides


def _pack(components: Sequence[_Component]) -> list[Point]:
    """Place components in rows, like lines of text."""
    area = sum((each.width + COMPONENT_GAP) * (each.height + COMPONENT_GAP) for each in components)
    widest = max((each.width for each in components), default=0.0)
    line = max(widest, math.sqrt(area * WIDTH_TO_HEIGHT))
    places: list[Point] = []
    left = top = below = 0.0
    for each in components:
        if left and left + each.width > line:
            left, top = 0.0, below
        places.append((left, top))
        left += each.width + COMPONENT_GAP
        below = max(below, top + each.height + COMPONENT_GAP)
    return places
