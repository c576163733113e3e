"""How fast the deliverer of Mechanism A delivers a log on PostgreSQL, and what that costs."""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.backends import Behaviour, Receipt, running
from benchmarks.deliverer import logs
from benchmarks.deliverer.running import Figures, delivering
from benchmarks.deployments import FILE, ROOT, Database, Deployment, Deployments, Subject
from benchmarks.limits import Limited, limits_for_machines, limits_table
from benchmarks.memory import MEGABYTE
from benchmarks.stored_log import Recording, StoredLog
from benchmarks.tables import NOTHING, new_table

LEAST_SHARE = 0.6
"""Share of the rate of posting alone that the deliverer must reach."""

QUERIES_PER_THOUSAND = 3.0
MEMORY_MB = 250.0
DECODED_A_ROW = 1.5

AT_A_TIME = 16
POSTED_EVENTS = 20_000
"""Events of the log whose OpenLineage events are posted alone, for comparison."""

QUIET_SECONDS = 3.0
LIVE_RATE = 28.0
MARKS = 20
WIDTH = 150

PLAIN, WIDE, MANY, BY_HAND, LIVE = "plain", "wide", "many", "by-hand", "live"


@dataclass(frozen=True)
class Delivery:
    """What one deliverer did with one log.

    Args:
        name: of the log.
        events: the number of events of the log.
        followed: the number of those that the engine reads.
        expected: the number of OpenLineage events that the log gives; 0 where that is not known.
        read: events of the log that were delivered, as the cursor counts them.
        parked: events of the log that were set aside.
        figures: of the process.
        receipt: what the backend took.
        posted: what it took where the same events were only posted.
    """

    name: str
    events: int
    followed: int
    expected: int
    read: int
    parked: int
    figures: Figures
    receipt: Receipt
    posted: Receipt | None = None

    @property
    def rate(self) -> float:
        """OpenLineage events a second."""
        return self.receipt.taken / self.receipt.span if self.receipt.span else 0.0

    @property
    def posted_rate(self) -> float | None:
        """The same where they were only posted."""
        return self.posted.taken / self.posted.span if self.posted else None

    @property
    def share(self) -> float | None:
        """The one rate as a share of the other."""
        return self.rate / self.posted_rate if self.posted_rate else None

    @property
    def queries_per_thousand(self) -> float:
        """Queries for 1,000 events of the log."""
        return self.figures.queries * 1000 / self.events

    @property
    def decoded_a_row(self) -> float:
        """How often an event that the engine reads was decoded."""
        return self.figures.decoded / self.followed

    @property
    def peak_mb(self) -> float:
        """The most memory of the process, in megabytes."""
        return self.figures.peak / MEGABYTE

    @property
    def is_complete(self) -> bool:
        """True if all events of the log were delivered."""
        arrived = self.receipt.distinct >= self.expected
        return arrived and self.read >= self.followed and not self.parked


def main(arguments: Sequence[str]) -> int:
    """Measure and report.

    Args:
        arguments: see `--help`.

    Returns:
        The exit status: 1 where a limit does not hold.
    """
    options = _parser().parse_args(arguments)
    progress = Console(stderr=True)
    with contextlib.ExitStack() as stack:
        directory = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="bench_", ignore_cleanup_errors=True)
            )
        )
        deployments = Deployments(directory, None)
        stack.callback(deployments.close)
        deployments.prepare(Database.POSTGRESQL)
        measurement = Measurement(deployments, directory, options, progress)
        found = [measurement.measure(name) for name in _chosen(options)]
    limits = [each for delivery in found for each in _limits(delivery)]
    if options.json:
        sys.stdout.write(json.dumps(_for_machines(found, limits), indent=2) + "\n")
    else:
        _show(found, limits, Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False))
    return 0 if all(each.is_met for each in limits) else 1


class Measurement:
    """What is measured in one run of the benchmark.

    Args:
        deployments: on a server that is there.
        directory: for files.
        options: of the command line.
        progress: where to say how far it is.
    """

    def __init__(
        self,
        deployments: Deployments,
        directory: Path,
        options: argparse.Namespace,
        progress: Console,
    ) -> None:
        self._deployments = deployments
        self._directory = directory
        self._options = options
        self._progress = progress

    def measure(self, name: str) -> Delivery:
        """Fill a log and deliver it.

        Args:
            name: of the log.

        Returns:
            What was measured.
        """
        with self._deployments.new(Database.POSTGRESQL, Subject.OURS) as deployment:
            measure = {
                PLAIN: self._plain,
                WIDE: self._wide,
                MANY: self._many,
                BY_HAND: self._by_hand,
                LIVE: self._live,
            }[name]
            return measure(deployment)

    def _plain(self, deployment: Deployment) -> Delivery:
        recording = Recording()
        logs.keep(deployment, recording)
        events = self._options.events
        with self._log(deployment, recording) as log:
            file = self._directory / "events.ndjson"
            self._say(PLAIN, f"writing what {min(events, POSTED_EVENTS):,} events give to a file")
            log.fill(min(events, POSTED_EVENTS))
            logs.begin(deployment)
            with delivering(deployment, f"{FILE}{file}", once=True) as deliverer:
                deliverer.wait()
            log.fill(events)
            posted = [self._posted(deployment, file)]
            found = self._delivered(deployment, log, PLAIN, log.lineage_events)
            # The machine is not as fast at all times: posting before and after.
            posted.append(self._posted(deployment, file))
        return Delivery(**{**vars(found), "posted": _together(posted)})

    def _wide(self, deployment: Deployment) -> Delivery:
        recording = logs.wide()
        logs.keep(deployment, recording)
        runs = -(-self._options.wide_materializations // logs.WIDE_ASSETS)
        with self._log(deployment, recording, marks=runs) as log:
            log.add(runs)
            return self._delivered(deployment, log, WIDE, log.lineage_events)

    def _many(self, deployment: Deployment) -> Delivery:
        recording = logs.many(self._options.assets)
        logs.keep(deployment, recording)
        with self._log(deployment, recording) as log:
            log.add(self._options.runs)
            return self._delivered(deployment, log, MANY, log.lineage_events)

    def _by_hand(self, deployment: Deployment) -> Delivery:
        with self._log(deployment, logs.logged_by_hand(), marks=MARKS) as log:
            materializations = self._options.by_hand_materializations
            runs = materializations // 2 // logs.LOGGED_A_RUN
            log.add(-(-runs // 2))
            log.add_reported(logs.reported(), materializations // 2 // logs.REPORTED)
            log.add(runs // 2)
            return self._delivered(deployment, log, BY_HAND, log.lineage_events)

    def _live(self, deployment: Deployment) -> Delivery:
        recording = Recording(lines_a_step=0)
        logs.keep(deployment, recording)
        seconds = self._options.live_seconds
        self._say(LIVE, f"storing {LIVE_RATE:g} events a second for {seconds:g} s")
        with running(Behaviour.FAST) as backend, delivering(deployment, backend.url) as deliverer:
            before = deliverer.figures()
            stored = logs.store_live(deployment, recording, LIVE_RATE, seconds)
            backend.wait_until_quiet(QUIET_SECONDS)
            after = deliverer.stop()
            receipt = backend.receipt()
        cursor = logs.cursor_of(deployment)
        figures = Figures(
            **{
                **vars(after),
                "queries": after.queries - before.queries,
                "decoded": after.decoded - before.decoded,
                "cpu": after.cpu - before.cpu,
            }
        )
        return Delivery(LIVE, stored, stored, 0, cursor.read, cursor.parked, figures, receipt)

    @contextlib.contextmanager
    def _log(
        self, deployment: Deployment, recording: Recording, *, marks: int = 0
    ) -> Iterator[StoredLog]:
        with contextlib.closing(StoredLog(deployment, recording, AT_A_TIME, marks=marks)) as log:
            yield log

    def _delivered(
        self, deployment: Deployment, log: StoredLog, name: str, expected: int
    ) -> Delivery:
        self._say(name, f"delivering {log.events:,} events")
        logs.begin(deployment)
        profile = self._options.profile and Path(f"{self._options.profile}.{name}")
        with (
            running(Behaviour.FAST) as backend,
            delivering(deployment, backend.url, once=True, profile=profile) as deliverer,
        ):
            figures = deliverer.wait()
            receipt = backend.receipt()
        cursor = logs.cursor_of(deployment)
        return Delivery(
            name, log.events, log.followed, expected, cursor.read, cursor.parked, figures, receipt
        )

    def _posted(self, deployment: Deployment, file: Path) -> Receipt:
        with running(Behaviour.FAST) as backend:
            subprocess.run(
                [deployment.python, "-m", "benchmarks.replay.posting", str(file), backend.url],
                env=deployment.environment(None),
                cwd=ROOT,
                check=True,
                stdout=subprocess.DEVNULL,
            )
            return backend.receipt()

    def _say(self, name: str, text: str) -> None:
        self._progress.print(f"{name}: {text}", style="dim", highlight=False)


def _together(receipts: Sequence[Receipt]) -> Receipt:
    return Receipt(
        taken=sum(each.taken for each in receipts),
        distinct=sum(each.distinct for each in receipts),
        span=sum(each.span for each in receipts),
    )


def _limits(delivery: Delivery) -> Iterator[Limited]:
    name = delivery.name
    yield Limited(f"{name}: delivered", 100.0 * delivery.is_complete, 100.0, " %", is_least=True)
    if delivery.share is not None:
        yield Limited(
            f"{name}: share of the rate of posting", delivery.share, LEAST_SHARE, is_least=True
        )
    yield Limited(f"{name}: decoded rows per row", delivery.decoded_a_row, DECODED_A_ROW)
    yield Limited(f"{name}: memory", delivery.peak_mb, MEMORY_MB, " MB")
    if name in (PLAIN, MANY, BY_HAND):
        figure = delivery.queries_per_thousand
        yield Limited(f"{name}: queries per 1,000 events", figure, QUERIES_PER_THOUSAND)


def _show(found: Sequence[Delivery], limits: Sequence[Limited], console: Console) -> None:
    table = new_table(
        "a log delivered, backend 1ms",
        "log", "events", "followed", "OpenLineage", "seconds", "events/s", "only posted", "share",
        "queries/1,000", "decoded/row", "cpu, ms/event", "MB",
    )  # fmt: skip
    for each in found:
        cpu = each.figures.cpu / each.receipt.taken * 1000 if each.receipt.taken else 0.0
        table.add_row(
            each.name,
            f"{each.events:,}",
            f"{each.followed:,}",
            f"{each.receipt.taken:,}",
            f"{each.receipt.span:.1f}",
            f"{each.rate:,.0f}",
            f"{each.posted_rate:,.0f}" if each.posted_rate else NOTHING,
            f"{each.share:.0%}" if each.share else NOTHING,
            f"{each.queries_per_thousand:.2f}",
            f"{each.decoded_a_row:.2f}",
            f"{cpu:.2f}",
            f"{each.peak_mb:,.0f}",
        )
    console.print(table)
    console.print(
        "Rates are the backend's, from the first event to the last. Processor time and memory are "
        "those of the whole process, imports included."
    )
    console.print(limits_table(limits))


def _for_machines(found: Sequence[Delivery], limits: Sequence[Limited]) -> dict[str, Any]:
    return {
        "deliveries": [asdict(each) for each in found],
        "limits": limits_for_machines(limits),
    }


def _chosen(options: argparse.Namespace) -> list[str]:
    variants = {
        WIDE: options.wide,
        MANY: options.many,
        BY_HAND: options.by_hand,
        LIVE: options.live,
    }
    if options.all:
        return [PLAIN, *variants]
    return [name for name, is_chosen in variants.items() if is_chosen] or [PLAIN]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks deliverer", description=__doc__)
    choose = parser.add_argument_group("other logs; without any of these the plain one")
    for name, text in (
        ("--wide", f"materializations of {logs.WIDE_COLUMNS:,} columns"),
        ("--many", "many runs of many assets"),
        ("--by-hand", "materializations logged by hand and reported from outside"),
        ("--live", f"{LIVE_RATE:g} events a second, stored while the deliverer runs"),
        ("--all", "all of them, and the plain one"),
    ):
        choose.add_argument(name, action="store_true", help=text)
    extent = parser.add_argument_group("how much is measured (defaults in brackets)")
    for name, default, text in (
        ("--events", 200_000, "events of the plain log"),
        ("--wide-materializations", 800, "materializations of the wide log"),
        ("--runs", 100, "runs of the log of many assets; 2,000 is what must hold"),
        ("--assets", 500, "assets of each of these runs"),
        ("--by-hand-materializations", 20_000, "half of them logged, half of them reported"),
        ("--live-seconds", 60, "how long events are stored live"),
    ):
        extent.add_argument(name, type=int, default=default, help=f"{text} [%(default)s]")
    parser.add_argument(
        "--profile", metavar="FILE", help="write a profile of each deliverer to FILE.log"
    )
    parser.add_argument("--json", action="store_true", help="write the result for machines")
    return parser
