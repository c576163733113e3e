"""Makes an event that is too large smaller, by leaving out the heaviest facets."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import attr
from openlineage.client.event_v2 import DatasetEvent, RunEvent
from openlineage.client.generated.base import RunFacet

from openlineage_dagster_core.serialisation import Event, facet_text, to_json
from openlineage_dagster_core.version import PRODUCER, REPOSITORY_URL, __version__

DROPPED_FACETS = "dagster_dropped_facets"

DROPPED_FACETS_SCHEMA = (
    f"{REPOSITORY_URL}/blob/v{__version__}/docs/schemas/1-0-0/DagsterDroppedFacetsRunFacet.json"
    "#/$defs/DagsterDroppedFacetsRunFacet"
)

NEVER_DROPPED = frozenset({"jobType", "processing_engine", "dagster_run", "parent", DROPPED_FACETS})
"""What backends tell runs and jobs apart by."""


@attr.define
class DagsterDroppedFacetsRunFacet(RunFacet):
    """`dagster_dropped_facets`: docs/schemas, DagsterDroppedFacetsRunFacet 1-0-0.

    Args:
        facets: what was left out, such as `outputs[0].facets.columnLineage`.
    """

    facets: list[str]

    @staticmethod
    def _get_schema() -> str:
        return DROPPED_FACETS_SCHEMA


@dataclass(frozen=True)
class _Place:
    """Where a mapping of facets is: `run.facets`, `outputs[0].outputFacets`."""

    holder: str
    index: int | None
    attribute: str

    def __str__(self) -> str:
        index = "" if self.index is None else f"[{self.index}]"
        return f"{self.holder}{index}.{self.attribute}"


@dataclass(frozen=True)
class _Facet:
    """A facet that may be dropped; its weight is that of its key and its text, in bytes."""

    place: _Place
    key: str
    weight: int

    @property
    def name(self) -> str:
        return f"{self.place}.{self.key}"


def within(event: Event, text: str, limit: int) -> tuple[Event, str, tuple[str, ...]]:
    """Make an event fit.

    Args:
        event: stays as it is.
        text: what `to_json` made of it.
        limit: of the text, in bytes.

    Returns:
        The event, its text, and which facets it has lost, the heaviest first. A RunEvent names
        them itself, in `dagster_dropped_facets`. Where it does not fit without all that may be
        dropped, it is as small as it gets.

    Raises:
        ValueError: there is a number in it that JSON does not have, such as NaN.
        TypeError: there is a mapping in it whose keys JSON does not have.
    """
    # What `to_json` writes is ASCII: as many bytes as characters.
    if len(text) <= limit:
        return event, text, ()
    dropped, size = _choose(event, len(text), limit)
    if not dropped or size >= len(text):
        return event, text, ()
    smaller = _without(event, dropped)
    return smaller, to_json(smaller), tuple(facet.name for facet in dropped)


def _choose(event: Event, size: int, limit: int) -> tuple[list[_Facet], int]:
    """Choose what to drop, and foretell the size of what remains: writing it each time is slow."""
    facets = []
    remaining: Counter[_Place] = Counter()
    for place, mapping in _places(event):
        for key, facet in mapping.items():
            if facet is None:
                continue
            remaining[place] += 1
            if isinstance(key, str) and key not in NEVER_DROPPED:
                weight = len(json.dumps(key)) + len(":") + len(facet_text(facet))
                facets.append(_Facet(place, key, weight))
    has_names = isinstance(event, RunEvent)
    if isinstance(event, RunEvent):
        size += _size_of_names(event)
        remaining[_Place("run", None, "facets")] += 1
    dropped: list[_Facet] = []
    is_first = has_names and not _dropped_before(event)
    for facet in sorted(facets, key=lambda facet: -facet.weight):
        if size <= limit:
            break
        cost = len(json.dumps(facet.name)) if has_names else 0
        if facet.weight <= cost:
            # To name it takes more than it takes itself.
            continue
        size += cost + (len(",") if has_names and not is_first else 0)
        is_first = False
        size -= facet.weight + (len(",") if remaining[facet.place] > 1 else 0)
        remaining[facet.place] -= 1
        dropped.append(facet)
    return dropped, size


def _size_of_names(event: RunEvent) -> int:
    """Give what the event grows by to name what was dropped, without the names."""
    before = (event.run.facets or {}).get(DROPPED_FACETS)
    named = len(facet_text(_dropped_facets(_dropped_before(event))))
    if before is not None:
        return named - len(facet_text(before))
    others = sum(facet is not None for facet in (event.run.facets or {}).values())
    key = len(f'"{DROPPED_FACETS}":') + (len(",") if others else 0)
    return key + named + (len(',"facets":{}') if event.run.facets is None else 0)


def _dropped_before(event: Event) -> list[str]:
    facets = (event.run.facets or {}) if isinstance(event, RunEvent) else {}
    facet = facets.get(DROPPED_FACETS)
    return facet.facets if isinstance(facet, DagsterDroppedFacetsRunFacet) else []


def _dropped_facets(names: Iterable[str]) -> DagsterDroppedFacetsRunFacet:
    return DagsterDroppedFacetsRunFacet(facets=list(names), producer=PRODUCER)


def _places(event: Event) -> Iterator[tuple[_Place, dict[str, Any]]]:
    for place, holder in _holders(event):
        facets = getattr(holder, place.attribute, None)
        if isinstance(facets, dict):
            yield place, facets


def _holders(event: Event) -> Iterator[tuple[_Place, object]]:
    if isinstance(event, DatasetEvent):
        yield _Place("dataset", None, "facets"), event.dataset
        return
    if isinstance(event, RunEvent):
        yield _Place("run", None, "facets"), event.run
    yield _Place("job", None, "facets"), event.job
    for index, dataset in enumerate(event.inputs or ()):
        yield _Place("inputs", index, "facets"), dataset
        yield _Place("inputs", index, "inputFacets"), dataset
    for index, output in enumerate(event.outputs or ()):
        yield _Place("outputs", index, "facets"), output
        yield _Place("outputs", index, "outputFacets"), output


def _without(event: Event, dropped: Iterable[_Facet]) -> Event:
    """Copy what leads to a change; all else is shared with the event."""
    by_place: dict[_Place, set[str]] = {}
    for facet in dropped:
        by_place.setdefault(facet.place, set()).add(facet.key)
    smaller = copy.copy(event)
    if isinstance(smaller, RunEvent):
        smaller.run = copy.copy(smaller.run)
        names = [*_dropped_before(event), *(facet.name for facet in dropped)]
        smaller.run.facets = {**(smaller.run.facets or {}), DROPPED_FACETS: _dropped_facets(names)}
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
