"""What is demanded of Mechanism B, and whether it holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.backends import Behaviour
from benchmarks.deployments import Subject
from benchmarks.memory import MEGABYTE
from benchmarks.sensor.draining import Drain
from benchmarks.sensor.growing import Growth
from benchmarks.sensor.in_flight import InFlight

IDLE_QUERIES = 2
QUERIES_PER_THOUSAND = 3
TIMES_AS_FAST = {Behaviour.FAST: 2.0, Behaviour.SLOW: 10.0}
LINEAR = 1.5
"""By how much times may differ that should not; with other work on the machine they do."""

CURSOR_BYTES = 4096
MEMORY_MB = 150
"""About what the events of a tick and the facts of some thousand runs may take, however long the
log is; a log of 200,000 events that was held as a whole would take several times as much."""


@dataclass(frozen=True)
class Demand:
    """One figure that has a limit.

    Args:
        what: is measured.
        figure: what was found.
        limit: what is allowed.
        unit: of both.
        predecessor: the same figure of 0.2.1; none where that was not measured.
        is_least: whether the figure must be at least the limit, not at most.
    """

    what: str
    figure: float
    limit: float
    unit: str = ""
    predecessor: float | None = None
    is_least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the figure is within the limit."""
        return self.figure >= self.limit if self.is_least else self.figure <= self.limit


def best(drains: Sequence[Drain], behaviour: Behaviour) -> Drain | None:
    """Choose the setting with which 0.2.1 sent most in a second.

    Args:
        drains: of all.
        behaviour: of the backend.

    Returns:
        The drain; none where it was not measured.
    """
    # The first log is the one that all settings are tried with.
    of_predecessor = [
        each
        for each in drains
        if each.setting.subject is Subject.PREDECESSOR
        and each.behaviour is behaviour
        and each.events == drains[0].events
    ]
    return max(of_predecessor, key=lambda each: each.rate, default=None)


def demands(
    drains: Sequence[Drain], growths: Sequence[Growth], flights: Sequence[InFlight]
) -> Iterator[Demand]:
    """Hold what was measured against the limits.

    Args:
        drains: of logs of any length.
        growths: of logs that were drained.
        flights: with runs under way.

    Yields:
        Every demand that something was measured for.
    """
    ours = [each for each in drains if each.setting.subject is Subject.OURS]
    theirs = [each for each in drains if each.setting.subject is Subject.PREDECESSOR]
    yield from _of_queries(ours, theirs, flights)
    for behaviour, times in TIMES_AS_FAST.items():
        yield from _of_rate(drains, behaviour, times)
    yield from _of_growth(growths)
    yield from _of_cursor(flights)
    yield from _of_memory(ours)
    for length in sorted({each.events for each in ours}):
        whole = [each for each in ours if each.events == length]
        delivered = [
            each.receipt.materializations / each.passed
            for each in theirs
            if each.events == length and each.passed
        ]
        yield Demand(
            f"arrived, log of {length:,}",
            min(each.arrived for each in whole) * 100,
            100,
            " %",
            max(delivered) * 100 if delivered else None,
            is_least=True,
        )


def _of_queries(
    ours: Sequence[Drain], theirs: Sequence[Drain], flights: Sequence[InFlight]
) -> Iterator[Demand]:
    idle = [tick.queries for each in ours for tick in each.idle]
    # Also just after much has happened.
    idle += [
        each.next.queries
        for each in flights
        if each.setting.subject is Subject.OURS and each.next is not None
    ]
    of_predecessor = [tick.queries for each in theirs for tick in each.idle]
    if idle:
        yield Demand(
            "queries of an idle tick",
            max(idle),
            IDLE_QUERIES,
            predecessor=min(of_predecessor, default=None),
        )
    draining = [each.queries_per_thousand for each in ours if each.queries_per_thousand]
    least = [each.queries_per_thousand for each in theirs if each.queries_per_thousand]
    if draining:
        yield Demand(
            "queries for 1,000 events of a log",
            max(draining),
            QUERIES_PER_THOUSAND,
            predecessor=min(least, default=None),
        )


def _of_rate(drains: Sequence[Drain], behaviour: Behaviour, times: float) -> Iterator[Demand]:
    theirs = best(drains, behaviour)
    if theirs is None or not theirs.rate:
        return
    ours = _beside(drains, theirs)
    seconds = sum(each.seconds for each in ours)
    if seconds:
        rate = sum(each.receipt.taken for each in ours) / seconds
        what = f"as fast as 0.2.1, {theirs.setting.name}, backend {behaviour.value}"
        yield Demand(what, rate / theirs.rate, times, "x", 1.0, is_least=True)


def _beside(drains: Sequence[Drain], theirs: Drain) -> list[Drain]:
    """Choose the drains of ours that are the last before one of 0.2.1 and the first after it."""
    at = next(number for number, each in enumerate(drains) if each is theirs)
    alike = [
        (number, each)
        for number, each in enumerate(drains)
        if each.setting.subject is Subject.OURS
        and (each.behaviour, each.events) == (theirs.behaviour, theirs.events)
    ]
    before = [each for number, each in alike if number < at][-1:]
    return before + [each for number, each in alike if number > at][:1]


def _of_growth(growths: Sequence[Growth]) -> Iterator[Demand]:
    ours = {
        (each.length, each.added): each for each in growths if each.setting.subject is Subject.OURS
    }
    theirs = {
        (each.length, each.added): each
        for each in growths
        if each.setting.subject is Subject.PREDECESSOR
    }
    lengths = sorted({length for length, _ in ours})
    sizes = sorted({added for _, added in ours})
    if len(lengths) == 2:
        short, long = lengths
        for added in sizes:
            beside = theirs.get((short, added)), theirs.get((long, added))
            yield Demand(
                f"time of a tick, {added:,} new: log of {long:,} beside {short:,}",
                ours[long, added].seconds / ours[short, added].seconds,
                LINEAR,
                "x",
                beside[1].seconds / beside[0].seconds if beside[0] and beside[1] else None,
            )
            yield Demand(
                f"its queries, {added:,} new: log of {long:,} beside {short:,}",
                ours[long, added].queries / ours[short, added].queries,
                1.0,
                "x",
                beside[1].queries / beside[0].queries if beside[0] and beside[1] else None,
            )
    if len(sizes) == 2:
        few, many = sizes
        for length in lengths:
            each = ours[length, many].seconds / many, ours[length, few].seconds / few
            what = f"time for a new event, log of {length:,}: {many:,} beside {few:,}"
            yield Demand(what, each[0] / each[1], LINEAR, "x")


def _of_cursor(flights: Sequence[InFlight]) -> Iterator[Demand]:
    by_subject = {each.setting.subject: each for each in flights}
    ours, theirs = by_subject.get(Subject.OURS), by_subject.get(Subject.PREDECESSOR)
    if ours is not None and ours.cursor_bytes is not None:
        yield Demand(
            f"cursor with {ours.runs:,} runs in flight",
            ours.cursor_bytes,
            CURSOR_BYTES,
            " bytes",
            theirs.cursor_bytes if theirs else None,
        )


def _of_memory(ours: Sequence[Drain]) -> Iterator[Demand]:
    fast = [each for each in ours if each.behaviour is Behaviour.FAST and each.is_drained]
    lengths = sorted({each.events for each in fast})
    if len(lengths) == 2:
        short, long = lengths
        least = min(each.peak for each in fast if each.events == short)
        most = max(each.peak for each in fast if each.events == long)
        what = f"more memory for a log of {long:,} than of {short:,}"
        yield Demand(what, (most - least) / MEGABYTE, MEMORY_MB, " MB")
