"""What an event costs from object to answer: openlineage-python alone, compared with ours."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from time import perf_counter, process_time

from openlineage.client import OpenLineageClient
from openlineage.client.serde import Serde
from openlineage.client.transport import http
from openlineage.client.transport.http import HttpConfig, HttpTransport
from rich.console import Console

from benchmarks.backends import Behaviour, running
from benchmarks.tables import new_table
from openlineage_dagster_core.conversion.envelope import Event
from openlineage_dagster_core.delivery import posting
from openlineage_dagster_core.delivery.client import LineageClient
from openlineage_dagster_core.delivery.posting import Poster
from openlineage_dagster_core.serialisation import to_json

TIMEOUT_SECONDS = 5.0
TURNS = 10
"""Turns of each way: within seconds the same machine is a tenth faster or slower."""

NOTES = """\
One thread sends one event after the other to a backend in another process that answers at once.
Serde + emit: HttpTransport.emit of openlineage-python. bounded: with the adapter that limits the
whole request in time. Poster: delivery/posting.py, bounded as well. to_json: serialisation.py.
client: prepare and send of delivery/client.py, which also completes and filters the event.
"""

Way = Callable[[Event], object]


@dataclass
class Taken:
    """What one way took for the events of each turn.

    Args:
        case: which events.
        way: its name.
        wall: microseconds an event, by turn.
        cpu: microseconds of processor time an event, by turn.
    """

    case: str
    way: str
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


class _OurSerde:
    """Takes the place of `Serde` in openlineage-python's HTTP transport."""

    to_json = staticmethod(to_json)


def measure(cases: Mapping[str, Sequence[Event]]) -> list[Taken]:
    """Send the events of each case, in every way by turns.

    Args:
        cases: the events by name.

    Returns:
        What each way took.
    """
    found: list[Taken] = []
    with running(Behaviour.INSTANT) as backend:
        for case, events in cases.items():
            ways = _ways(backend.url)
            of_case = {name: Taken(case, name) for name in ways}
            # Events of its own for each: the text of a shared facet is kept.
            size = len(events) // (TURNS * len(ways))
            for number, name in enumerate(list(ways) * TURNS):
                _time(ways[name], events[number * size : (number + 1) * size], of_case[name])
            found += of_case.values()
    return found


def _time(way: Way, events: Sequence[Event], taken: Taken) -> None:
    wall, cpu = perf_counter(), process_time()
    for event in events:
        way(event)
    taken.wall.append((perf_counter() - wall) / len(events) * 1e6)
    taken.cpu.append((process_time() - cpu) / len(events) * 1e6)


def _ways(url: str) -> dict[str, Way]:
    plain, bounded, ours = (_transport(url) for _ in range(3))
    for transport in (bounded, ours):
        posting.bound(transport, TIMEOUT_SECONDS)
    poster = Poster(ours)
    client = LineageClient(TIMEOUT_SECONDS, OpenLineageClient(transport=_transport(url)))

    def emit_our_text(event: Event) -> None:
        serde = vars(http)["Serde"]
        vars(http)["Serde"] = _OurSerde
        try:
            bounded.emit(event)
        finally:
            vars(http)["Serde"] = serde

    return {
        "Serde alone": Serde.to_json,
        "to_json alone": to_json,
        "Serde + emit": plain.emit,
        "Serde + emit, bounded": bounded.emit,
        "to_json + emit, bounded": emit_our_text,
        "Serde + Poster": lambda event: poster.post(Serde.to_json(event)),
        "to_json + Poster": lambda event: poster.post(to_json(event)),
        "client": client.emit,
    }


def _transport(url: str) -> HttpTransport:
    return HttpTransport(HttpConfig.from_dict({"url": url}))


def report(found: Sequence[Taken], *, as_json: bool) -> None:
    """Print what was measured.

    Args:
        found: from `measure`.
        as_json: whether machines read it.
    """
    if as_json:
        sys.stdout.write(json.dumps([asdict(each) for each in found], indent=2) + "\n")
        return
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    table = new_table("microseconds an event, medians of the turns", "events", "way", "wall", "cpu")
    for position, each in enumerate(found):
        if position and found[position - 1].case != each.case:
            table.add_section()
        table.add_row(each.case, each.way, f"{median(each.wall):,.0f}", f"{median(each.cpu):,.0f}")
    console.print(table)
    console.print(NOTES)
