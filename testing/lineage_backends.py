"""Every backend that events can be sent to in tests: how to reach it, and the graph it shows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from data_rentgen_server import DataRentgen
from graph_of_data_rentgen import graph_of_data_rentgen, without_jobs
from graph_of_events import graph_of_events
from graph_of_marquez import graph_of_marquez
from kafka_server import Topic, make_topic
from lineage import read_events
from lineage_graph import LineageGraph, together
from marquez import Marquez
from receiver import Receiver

Json = dict[str, Any]


@dataclass(frozen=True)
class Deployed:
    """What a backend is for.

    Args:
        request: finds servers, and skips where one is missing.
        folder: for files; must exist.
        namespaces: of jobs and datasets; a server may hold others too.
        stack: is closed when nobody asks any more.
    """

    request: pytest.FixtureRequest
    folder: Path
    namespaces: list[str]
    stack: contextlib.ExitStack


@dataclass(frozen=True)
class Backend:
    """Where the events of one deployment go.

    Args:
        transport: of openlineage-python, as its configuration has it.
        graph: tells what it shows, when it has read what it was sent.
        events: tells what it was sent; None where it cannot.
        shown: tells what it can show of a graph.
    """

    transport: Mapping[str, Any]
    graph: Callable[[], LineageGraph]
    events: Callable[[], list[Json]] | None = None
    shown: Callable[[LineageGraph], LineageGraph] = lambda graph: graph


def _file(deployed: Deployed) -> Backend:
    path = deployed.folder / "events.jsonl"
    transport = {"type": "file", "log_file_path": str(path), "append": True}
    return _of_events("the events file", transport, lambda: read_events(path))


def _http(deployed: Deployed) -> Backend:
    receiver = Receiver()
    deployed.stack.callback(receiver.close)
    transport = {"type": "http", "url": receiver.url}
    return _of_events("the HTTP receiver", transport, lambda: list(receiver.events))


def _kafka(deployed: Deployed) -> Backend:
    topic = make_topic(deployed.request.getfixturevalue("kafka_server"))
    return _of_events("Kafka", _to_topic(topic), topic.events)


def _data_rentgen(deployed: Deployed) -> Backend:
    client: DataRentgen = deployed.request.getfixturevalue("data_rentgen")

    def graph() -> LineageGraph:
        client.wait_until_all_is_read()
        found = [graph_of_data_rentgen(client, namespace) for namespace in deployed.namespaces]
        return replace(together("Data.Rentgen", found), assertions=None)

    def shown(graph: LineageGraph) -> LineageGraph:
        # The run ids of Dagster jobs are Dagster's, and steps name one as their parent's: random
        # ones, which Data.Rentgen refuses.
        return without_jobs(graph, {job for job in graph.runs or () if "/" not in job[1]})

    return Backend(_to_topic(client.topic), graph, shown=shown)


def _marquez(deployed: Deployed) -> Backend:
    marquez: Marquez = deployed.request.getfixturevalue("marquez")

    def delete() -> None:
        for namespace in {*marquez.namespaces()} & {*deployed.namespaces}:
            marquez.delete_namespace(namespace)

    deployed.stack.callback(delete)
    transport = {"type": "http", "url": marquez.url}
    return Backend(transport, lambda: graph_of_marquez(marquez, deployed.namespaces))


BACKENDS: Mapping[str, Callable[[Deployed], Backend]] = {
    "file": _file,
    "http": _http,
    "kafka": _kafka,
    "data_rentgen": _data_rentgen,
    "marquez": _marquez,
}
"""By name; one that is not there skips."""


def _to_topic(topic: Topic) -> Json:
    return {"type": "kafka", "topic": topic.name, "config": {"bootstrap.servers": topic.servers}}


def _of_events(system: str, transport: Json, events: Callable[[], list[Json]]) -> Backend:
    return Backend(transport, lambda: graph_of_events(system, events()), events)
