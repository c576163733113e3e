"""The lineage graph that every backend's answers are turned into, and its parts put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import graph_message

Json = dict[str, Any]
Name = tuple[str, str]
"""Namespace and name of a job or a dataset."""
Column = tuple[Name, str]
"""A dataset and its column."""

END_STATES = ("COMPLETE", "FAIL", "ABORT")


@dataclass(frozen=True)
class LineageGraph:
    """What a system says of jobs, runs and datasets; an aspect that it cannot tell is None.

    Args:
        system: its name, for messages.
        reads: from dataset to job.
        writes: from job to dataset.
        runs: by job, how many runs are in which state: COMPLETE, FAIL or ABORT, and RUNNING for
            those that have not ended.
        without_duration: job and run id of those that have ended and have no start or no end.
        columns: from column to column.
        assertions: by dataset, those that were made last, and whether they passed.
    """

    system: str
    reads: frozenset[tuple[Name, Name]] | None = None
    writes: frozenset[tuple[Name, Name]] | None = None
    runs: Mapping[Name, Counter[str]] | None = None
    without_duration: frozenset[tuple[Name, str]] | None = None
    columns: frozenset[tuple[Column, Column]] | None = None
    assertions: Mapping[Name, Mapping[str, bool]] | None = None


def together(system: str, parts: Iterable[LineageGraph]) -> LineageGraph:
    """Make one graph of several that know every aspect.

    Args:
        system: the name of the whole.
        parts: in order: runs are added up, but of a dataset's assertions the last count.

    Returns:
        The whole.
    """
    reads: set[tuple[Name, Name]] = set()
    writes: set[tuple[Name, Name]] = set()
    runs: dict[Name, Counter[str]] = {}
    without_duration: set[tuple[Name, str]] = set()
    columns: set[tuple[Column, Column]] = set()
    assertions: dict[Name, Mapping[str, bool]] = {}
    for part in parts:
        reads.update(part.reads or ())
        writes.update(part.writes or ())
        for job, states in (part.runs or {}).items():
            runs[job] = runs.get(job, Counter()) + states
        without_duration.update(part.without_duration or ())
        columns.update(part.columns or ())
        assertions.update(part.assertions or {})
    return LineageGraph(
        system,
        frozenset(reads),
        frozenset(writes),
        runs,
        frozenset(without_duration),
        frozenset(columns),
        assertions,
    )


def check_graph(found: LineageGraph, expected: LineageGraph, events: Iterable[Json] = ()) -> None:
    """Compare the aspects that both can tell.

    Args:
        found: what a system says.
        expected: what it should say.
        events: what it was sent, or what the event log gives.

    Raises:
        AssertionError: they differ. The message fits on a screen: the system, what is missing and
            what is not expected, and the events of the jobs that this concerns.
    """
    __tracebackhide__ = True
    message = graph_message.compare(found, expected, list(events))
    if message:
        raise AssertionError(message)
