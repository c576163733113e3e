"""Shows what was measured, for people and for machines."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.backends import Behaviour
from benchmarks.memory import MEGABYTE
from benchmarks.sensor.demands import Demand, best, demands
from benchmarks.sensor.draining import Drain
from benchmarks.sensor.growing import Growth
from benchmarks.sensor.in_flight import InFlight
from benchmarks.tables import NOTHING, new_table

NOTES = """\
cpu, backend cpu: seconds of the processor in each second. A process of Python that has 1.0 cannot
go faster, however quickly it is answered; what it is short of that it waits, for the backend above
all. > means that it was ended in the middle of a tick; its rate is then what the backend saw.
of the log: the share of the materializations before its cursor that arrived. That is what 0.2.1 is
shown with among the demands; of ours everything that the log should give has to arrive.
idle: queries of ticks that found nothing new.
in flight: the tick after the first finds nothing new; sent again: what a new process sends that has
nothing but the cursor, where what is done with of the last minute was too much for its text.
"""


@dataclass
class Findings:
    """All that was measured.

    Args:
        drains: of logs from their beginning.
        growths: of logs that were drained.
        flights: with runs under way.
    """

    drains: list[Drain] = field(default_factory=list)
    growths: list[Growth] = field(default_factory=list)
    flights: list[InFlight] = field(default_factory=list)

    def demands(self) -> list[Demand]:
        """Hold it against the limits.

        Returns:
            Every demand that something was measured for.
        """
        return list(demands(self.drains, self.growths, self.flights))


def show(findings: Findings, console: Console) -> None:
    """Print tables; the last is that of the demands.

    Args:
        findings: what was measured.
        console: where to.
    """
    versions = {f"{each.setting.subject.value}: dagster {each.dagster}" for each in findings.drains}
    console.print(", ".join([f"python {platform.python_version()}", *sorted(versions)]))
    if findings.drains:
        console.print(_drains(findings.drains))
    if findings.growths:
        console.print(_growths(findings.growths))
    if findings.flights:
        console.print(_flights(findings.flights))
    console.print(NOTES)
    console.print(_demands(findings.demands()))


def for_machines(findings: Findings) -> dict[str, Any]:
    """Give the same as plain data.

    Args:
        findings: what was measured.

    Returns:
        What can be written as JSON.
    """
    return {
        "python": platform.python_version(),
        "drains": [
            {
                **_who(each),
                "backend": each.behaviour.value,
                "dagster": each.dagster,
                "events": each.events,
                "expected": each.expected,
                "seconds": each.seconds,
                "rate": each.rate,
                "cpu_share": each.cpu_share,
                "cpu_of_event": each.cpu_of_event,
                "backend_cpu_share": each.backend_cpu_share,
                "queries_per_thousand": each.queries_per_thousand,
                "idle_queries": [tick.queries for tick in each.idle],
                "materializations_passed": each.passed,
                "receipt": asdict(each.receipt),
                "ticks": len(each.ticks),
                "is_drained": each.is_drained,
                "peak": each.peak if each.ticks else None,
            }
            for each in findings.drains
        ],
        "growths": [
            {
                **_who(each),
                "length": each.length,
                "added": each.added,
                "seconds": [tick.seconds for tick in each.ticks],
                "queries": [tick.queries for tick in each.ticks],
            }
            for each in findings.growths
        ],
        "in_flight": [
            {
                **_who(each),
                "runs": each.runs,
                "events": each.events,
                "cursor_bytes": each.cursor_bytes,
                "seconds": [tick.seconds for tick in (each.first, each.next) if tick],
                "queries": [tick.queries for tick in (each.first, each.next) if tick],
                "sent": each.sent,
                "sent_again": each.sent_again,
            }
            for each in findings.flights
        ],
        "demands": [{**asdict(demand), "is_met": demand.is_met} for demand in findings.demands()],
    }


def _who(found: Drain | Growth | InFlight) -> dict[str, str]:
    return {"subject": found.setting.subject.value, "setting": found.setting.name}


def _drains(drains: Sequence[Drain]) -> Table:
    table = new_table(
        "a log, from its beginning", "who", "setting", "backend", "events", "ticks", "seconds",
        "sent", "distinct", "events/s", "cpu", "cpu ms/event", "backend cpu", "queries/1,000",
        "idle", "of the log", "MB",
    )  # fmt: skip
    chosen = [best(drains, behaviour) for behaviour in Behaviour]
    for each in drains:
        is_best = any(each is drain for drain in chosen)
        table.add_row(
            each.setting.subject.value,
            each.setting.name + (" (best)" if is_best else ""),
            each.behaviour.value,
            f"{each.events:,}",
            f"{len(each.ticks):,}",
            f"{'> ' if each.is_cut_off else ''}{each.seconds:.1f}",
            f"{each.receipt.taken:,}",
            f"{each.receipt.distinct:,}",
            f"{each.rate:,.0f}",
            _decimal(each.cpu_share),
            NOTHING if each.cpu_of_event is None else f"{each.cpu_of_event * 1000:.2f}",
            _decimal(each.backend_cpu_share),
            _decimal(each.queries_per_thousand),
            _range([tick.queries for tick in each.idle]),
            f"{each.receipt.materializations / each.passed:.1%}" if each.passed else NOTHING,
            f"{each.peak / MEGABYTE:,.0f}" if each.ticks else NOTHING,
        )
    return table


def _growths(growths: Sequence[Growth]) -> Table:
    table = new_table(
        "new events at the end of a log: one tick, medians",
        "who", "setting", "log of", "new", "ticks", "milliseconds", "a new event", "queries",
    )  # fmt: skip
    for each in growths:
        table.add_row(
            each.setting.subject.value,
            each.setting.name,
            f"{each.length:,}",
            f"{each.added:,}",
            str(len(each.ticks)),
            f"{each.seconds * 1000:,.0f}",
            f"{each.seconds * 1000 / each.added:.3f}",
            f"{each.queries:.0f}",
        )
    return table


def _flights(flights: Sequence[InFlight]) -> Table:
    table = new_table(
        "runs in flight, begun within the last seconds",
        "who", "setting", "runs", "events", "seconds", "sent", "queries", "next tick, seconds",
        "its queries", "cursor, bytes", "sent again",
    )  # fmt: skip
    for each in flights:
        table.add_row(
            each.setting.subject.value,
            each.setting.name,
            f"{each.runs:,}",
            f"{each.events:,}",
            f"{each.first.seconds:.1f}" if each.first else NOTHING,
            f"{each.sent:,}",
            f"{each.first.queries:,}" if each.first else NOTHING,
            f"{each.next.seconds:.2f}" if each.next else NOTHING,
            f"{each.next.queries:,}" if each.next else NOTHING,
            f"{each.cursor_bytes:,}" if each.cursor_bytes is not None else NOTHING,
            f"{each.sent_again:,}" if each.sent_again is not None else NOTHING,
        )
    return table


def _demands(found: Sequence[Demand]) -> Table:
    table = new_table("demands", "what", "limit", "ours", "0.2.1", "verdict")
    for demand in found:
        table.add_row(
            demand.what,
            f"{'≥' if demand.is_least else '≤'} {_figure(demand.limit, demand.unit)}",
            _figure(demand.figure, demand.unit),
            NOTHING if demand.predecessor is None else _figure(demand.predecessor, demand.unit),
            "ok" if demand.is_met else "[red]over[/red]",
        )
    return table


def _figure(figure: float, unit: str) -> str:
    if unit == " bytes":
        return f"{figure:,.0f}{unit}"
    return f"{figure:,.2f}{unit}"


def _decimal(figure: float | None) -> str:
    return NOTHING if figure is None else f"{figure:.2f}"


def _range(figures: Sequence[int]) -> str:
    if not figures:
        return NOTHING
    least, most = min(figures), max(figures)
    return str(least) if least == most else f"{least} to {most}"
