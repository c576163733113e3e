"""Makes an event that is too large smaller by dropping facets.

All inputs, or all outputs, lose a facet or keep it: a backend that sees half of the schemas shows
differences between datasets that do not exist.
"""

import bisect
import copy
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import attr
from openlineage.client.event_v2 import DatasetEvent, RunEvent
from openlineage.client.generated.base import RunFacet

from openlineage_dagster_core.serialisation import FACETS, Event, facet_holders, facet_text, to_json
from openlineage_dagster_core.version import PRODUCER, SCHEMAS_URL

DROPPED_FACETS = "dagster_droppedFacets"
DROPPED_FACETS_SCHEMA = (
    f"{SCHEMAS_URL}/1-0-0/DagsterDroppedFacetsRunFacet.json#/$defs/DagsterDroppedFacetsRunFacet"
)
# Facets by which backends tell runs and jobs apart, and without which Marquez lists no sources
NEVER_DROPPED = frozenset(
    {"jobType", "processing_engine", "dagster_run", "parent", "dataSource", DROPPED_FACETS}
)


@attr.define
class DagsterDroppedFacetsRunFacet(RunFacet):
    """`dagster_droppedFacets`: docs/schemas, DagsterDroppedFacetsRunFacet 1-0-0.

    `facets` are names of dropped groups, such as `run.facets.errorMessage`,
    `outputs[0].facets.columnLineage`, or `inputs[*].facets.schema` for several inputs.
    """

    facets: list[str]

    @staticmethod
    def _get_schema() -> str:
        return DROPPED_FACETS_SCHEMA


@dataclass(frozen=True)
class _Place:
    """A mapping of facets in an event: `run.facets`, `outputs[0].outputFacets`."""

    holder: str
    index: int | None
    attribute: str

    def __str__(self) -> str:
        index = "" if self.index is None else f"[{self.index}]"
        return f"{self.holder}{index}.{self.attribute}"


@dataclass(frozen=True)
class _Group:
    """Facets that are dropped together: those of one key in all datasets of one side.

    The name appears in the event and the log. The weight is the bytes of the keys and texts; the
    gain is what dropping this group alone saves, the bytes of its name deducted.
    """

    name: str
    key: str
    places: tuple[_Place, ...]
    weight: int
    gain: int


def within(event: Event, text: str, limit: int) -> tuple[Event, str, tuple[str, ...]]:
    """Make an event, given with its text as `to_json` writes it, fit into a limit of bytes.

    Return the event, its text, and the names of the facets it has lost, the heaviest first. A
    RunEvent names them itself, in `dagster_droppedFacets`. An event that does not fit without all
    facets that may be dropped is as small as it gets. The given event stays as it is.

    Raises ValueError or TypeError where the event holds what JSON does not have.
    """
    # `to_json` writes ASCII: as many bytes as characters.
    if len(text) <= limit:
        return event, text, ()
    groups = _groups(event)
    if not groups:
        return event, text, ()
    need = len(to_json(_without(event, ()))) - limit
    if isinstance(event, RunEvent) and not _dropped_before(event):
        # The first name comes without a comma.
        need -= len(",")
    while True:
        dropped = sorted(_fewest(groups, need), key=lambda group: -group.weight)
        smaller = _without(event, dropped)
        smaller_text = to_json(smaller)
        if len(smaller_text) <= limit or len(dropped) == len(groups):
            break
        # Each facet counted a comma, but a mapping that loses all of them has one comma less.
        need += len(smaller_text) - limit
    if not dropped or len(smaller_text) >= len(text):
        return event, text, ()
    return smaller, smaller_text, tuple(group.name for group in dropped)


def _groups(event: Event) -> list[_Group]:
    """Group the facets that may be dropped."""
    counts: Counter[_Place] = Counter()  # The facets of each mapping
    members: dict[tuple[str, str, str], list[_Place]] = {}
    weights: Counter[tuple[str, str, str]] = Counter()
    for place, mapping in _places(event):
        for key, facet in mapping.items():
            if facet is None:
                continue
            counts[place] += 1
            if isinstance(key, str) and key not in NEVER_DROPPED:
                group = (place.holder, place.attribute, key)
                members.setdefault(group, []).append(place)
                weights[group] += len(json.dumps(key)) + len(":") + len(facet_text(facet))
    if isinstance(event, RunEvent) and (event.run.facets or {}).get(DROPPED_FACETS) is None:
        # The facet that names what was dropped.
        counts[_Place("run", None, "facets")] += 1
    groups = []
    for (holder, attribute, key), places in members.items():
        where = f"{holder}[*].{attribute}" if len(places) > 1 else str(places[0])
        name = f"{where}.{key}"
        weight = weights[holder, attribute, key]
        commas = sum(counts[place] > 1 for place in places)
        cost = len(json.dumps(name)) + len(",") if isinstance(event, RunEvent) else 0
        # The name of a group may be longer than its facets.
        if weight + commas > cost:
            groups.append(_Group(name, key, tuple(places), weight, weight + commas - cost))
    return groups


def _fewest(groups: list[_Group], need: int) -> list[_Group]:
    """Choose as few groups as save enough, and light ones among those that do.

    The heaviest groups give the number. Then each of them, from the lightest on, is exchanged for
    the lightest group with which the choice still saves enough.
    """
    left = sorted(groups, key=lambda group: group.gain)
    chosen: list[_Group] = []
    while need > 0 and left:
        chosen.append(left.pop())
        need -= chosen[-1].gain
    if need > 0:
        return chosen
    for index, group in reversed(list(enumerate(chosen))):
        at = bisect.bisect_left(left, group.gain + need, key=lambda other: other.gain)
        if at < len(left) and left[at].gain < group.gain:
            chosen[index] = left.pop(at)
            bisect.insort(left, group, key=lambda other: other.gain)
            need += group.gain - chosen[index].gain
    return chosen


def _dropped_before(event: Event) -> list[str]:
    facets = (event.run.facets or {}) if isinstance(event, RunEvent) else {}
    facet = facets.get(DROPPED_FACETS)
    return facet.facets if isinstance(facet, DagsterDroppedFacetsRunFacet) else []


def _places(event: Event) -> Iterator[tuple[_Place, dict[str, Any]]]:
    """List the mappings of facets in an event."""
    for name, index, part in facet_holders(event):
        for attribute in FACETS:
            facets = getattr(part, attribute, None)
            if isinstance(facets, dict):
                yield _Place(name, index, attribute), facets


def _without(event: Event, dropped: Iterable[_Group]) -> Event:
    """Copy an event without the dropped facets; the copy shares what does not change."""
    by_place: dict[_Place, set[str]] = {}
    for group in dropped:
        for place in group.places:
            by_place.setdefault(place, set()).add(group.key)
    smaller = copy.copy(event)
    if isinstance(smaller, RunEvent):
        smaller.run = copy.copy(smaller.run)
        names = [*_dropped_before(event), *(group.name for group in dropped)]
        facet = DagsterDroppedFacetsRunFacet(facets=names, producer=PRODUCER)
        smaller.run.facets = {**(smaller.run.facets or {}), DROPPED_FACETS: facet}
    if not isinstance(smaller, DatasetEvent):
        smaller.inputs = smaller.inputs and list(smaller.inputs)
        smaller.outputs = smaller.outputs and list(smaller.outputs)
    for place, keys in by_place.items():
        holder: Any = getattr(smaller, place.holder)
        changed = copy.copy(holder if place.index is None else holder[place.index])
        facets = getattr(changed, place.attribute)
        setattr(changed, place.attribute, {key: facets[key] for key in facets if key not in keys})
        if place.index is None:
            setattr(smaller, place.holder, changed)
        else:
            holder[place.index] = changed
    return smaller
