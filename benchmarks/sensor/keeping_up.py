"""How Mechanism B keeps up with the event log on PostgreSQL, beside 0.2.1."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.backends import Behaviour
from benchmarks.deployments import PREDECESSOR_VARIABLE, Database, Deployments, Subject
from benchmarks.sensor.draining import Drain, drain
from benchmarks.sensor.growing import Place, grow
from benchmarks.sensor.in_flight import start_runs
from benchmarks.sensor.report import Findings, for_machines, show
from benchmarks.sensor.ticks import LONGEST_SECONDS, OURS, Setting
from benchmarks.stored_log import Recording, StoredLog

PARTS = ("drain", "growth", "in-flight")
LIMITS = (30, 500, 5000)
"""Of 0.2.1: what it is by default, and what may be faster."""

LARGEST = Setting(Subject.PREDECESSOR, LIMITS[-1])
UNLIMITED = Setting(Subject.PREDECESSOR, 0)
"""It would leave out most of the runs in flight otherwise."""

TICK_SECONDS = 60.0
"""What Dagster gives a tick."""

FEW_RUNS, MANY_RUNS = 4, 16
WIDTH = 180


def main(arguments: Sequence[str]) -> int:
    """Measure and report.

    Args:
        arguments: see `--help`.

    Returns:
        The exit status: 1 where a demand does not hold.
    """
    options = _parser().parse_args(arguments)
    if os.name != "posix":
        sys.stderr.write("processes can be stopped and continued on POSIX only\n")
        return 2
    progress = Console(stderr=True)
    if not options.predecessor:
        progress.print("no interpreter with dagster-openlineage 0.2.1: it is left out")
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(
                prefix="bench_", dir=options.directory, ignore_cleanup_errors=True
            )
        )
        deployments = Deployments(Path(directory), options.predecessor)
        stack.callback(deployments.close)
        deployments.prepare(Database.POSTGRESQL)
        measurement = Measurement(deployments, stack, options, progress)
        if options.only in {None, "drain"}:
            measurement.drain()
        if options.only in {None, "growth"}:
            measurement.grow()
        if options.only in {None, "in-flight"}:
            measurement.start_runs()
    findings = measurement.findings
    if options.json:
        sys.stdout.write(json.dumps(for_machines(findings), indent=2) + "\n")
    else:
        show(findings, Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False))
    return 0 if all(demand.is_met for demand in findings.demands()) else 1


class Measurement:
    """What is measured in one run.

    Args:
        deployments: on a server that is there.
        stack: ends what was begun.
        options: of the command line.
        progress: where to say how far it is.
    """

    def __init__(
        self,
        deployments: Deployments,
        stack: contextlib.ExitStack,
        options: argparse.Namespace,
        progress: Console,
    ) -> None:
        self._deployments = deployments
        self._stack = stack
        self._options = options
        self._progress = progress
        self._say("executing a run of fifty assets")
        self._recording = Recording()
        self._short: Place | None = None
        self.findings = Findings()

    def drain(self) -> None:
        """Send the short log: ours, and in turn with it the predecessor with several settings."""
        place = self._short_log()
        options = self._options
        for behaviour, cap in (
            (Behaviour.FAST, options.cap),
            (Behaviour.SLOW, options.slow_cap),
        ):
            first = self._drain(place, OURS, behaviour)
            if behaviour is Behaviour.FAST:
                place.cursor = first.cursor
            for limit in LIMITS if options.predecessor else ():
                self._drain(place, Setting(Subject.PREDECESSOR, limit), behaviour, cap)
                if behaviour is Behaviour.FAST and limit != LIMITS[0]:
                    # The machine is not the same from minute to minute: ours before and after.
                    self._drain(place, OURS, behaviour)

    def grow(self) -> None:
        """Send the long log, then let both grow and see what a tick costs."""
        options = self._options
        short, long = self._short_log(), self._new_log(options.log)
        if short.cursor is None:
            short.cursor = self._drain(short, OURS, Behaviour.FAST).cursor
        long.cursor = self._drain(long, OURS, Behaviour.FAST).cursor
        beside = []
        if options.predecessor:
            # With a larger limit it would not come to the end.
            self._drain(long, Setting(Subject.PREDECESSOR, LIMITS[1]), Behaviour.FAST, options.cap)
            beside = [LARGEST]
        self._say("new events at the end of both")
        self.findings.growths = grow(
            self._deployments,
            [short, long],
            {FEW_RUNS: [OURS, *beside], MANY_RUNS: [OURS]},
            options.rounds,
        )

    def start_runs(self) -> None:
        """Let many runs start, for each of the two in a log of its own."""
        settings = [OURS, *([UNLIMITED] if self._options.predecessor else [])]
        for setting in settings:
            place = self._new_log(0)
            self._say(f"{self._options.in_flight:,} runs in flight: {setting.subject.value}")
            cap = LONGEST_SECONDS if setting is OURS else TICK_SECONDS
            flight = start_runs(
                self._deployments,
                place.deployment,
                place.log,
                setting,
                self._options.in_flight,
                cap,
            )
            self.findings.flights.append(flight)

    def _drain(
        self, place: Place, setting: Setting, behaviour: Behaviour, cap: float = LONGEST_SECONDS
    ) -> Drain:
        self._say(
            f"draining {place.log.events:,} events: {setting.subject.value}, {setting.name}, "
            f"backend {behaviour.value}"
        )
        found = drain(self._deployments, place.deployment, place.log, setting, behaviour, cap)
        self.findings.drains.append(found)
        return found

    def _short_log(self) -> Place:
        if self._short is None:
            self._short = self._new_log(self._options.events)
        return self._short

    def _new_log(self, events: int) -> Place:
        deployment = self._stack.enter_context(
            self._deployments.new(Database.POSTGRESQL, Subject.BARE)
        )
        log = StoredLog(deployment, self._recording, self._options.at_a_time)
        self._stack.callback(log.close)
        if events:
            self._say(f"storing {events:,} events")
            log.fill(events)
        return Place(deployment, log, None)

    def _say(self, text: str) -> None:
        self._progress.print(text, style="dim", highlight=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks sensor", description=__doc__)
    parser.add_argument("--only", choices=PARTS, help="by default everything is measured")
    extent = parser.add_argument_group("how much is measured (defaults in brackets)")
    for name, default, text in (
        ("--events", 20_000, "in the short log"),
        ("--log", 200_000, "events in the long log"),
        ("--at-a-time", 20, "runs under way next to each other"),
        ("--in-flight", 1000, "runs that have started and not ended"),
        ("--rounds", 3, "of new events"),
    ):
        extent.add_argument(name, type=int, default=default, help=f"{text} [%(default)s]")
    for name, seconds, text in (
        ("--cap", 25.0, "seconds after which a drain of 0.2.1 is ended"),
        ("--slow-cap", 8.0, "the same with the backend that takes 50 ms"),
    ):
        extent.add_argument(name, type=float, default=seconds, help=f"{text} [%(default)s]")
    parser.add_argument(
        "--predecessor",
        metavar="PYTHON",
        default=os.environ.get(PREDECESSOR_VARIABLE),
        help="an interpreter that has dagster-openlineage 0.2.1, which clashes with ours",
    )
    parser.add_argument(
        "--directory", help="on the disk of the database, by default the temporary one"
    )
    parser.add_argument("--json", action="store_true", help="write the result for machines")
    return parser
