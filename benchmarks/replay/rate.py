"""How fast a log on PostgreSQL is replayed, beside the same events that are only posted."""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks.backends import Behaviour, Receipt, running
from benchmarks.deployments import ROOT, Database, Deployment, Deployments, Subject
from benchmarks.stored_log import Recording, StoredLog
from benchmarks.tables import new_table

LEAST_SHARE = 0.6
"""Of the rate of posting, what a replay must reach."""

AT_A_TIME = 16
WIDTH = 120

REPLAY = ("-m", "openlineage_dagster_core.cli", "replay", "-m", "benchmarks.fifty_assets")


@dataclass
class Rates:
    """What the rounds came to.

    Args:
        events: how many OpenLineage events there are.
        log: how many events of the log that is.
        replayed: what the backend took of each replay.
        posted: what it took of what was only posted.
        seconds: how long each replay took as a process.
    """

    events: int
    log: int
    replayed: list[Receipt] = field(default_factory=list)
    posted: list[Receipt] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def replay_rate(self) -> float:
        """OpenLineage events a second, the median of the rounds."""
        return median(each.taken / each.span for each in self.replayed)

    @property
    def post_rate(self) -> float:
        """The same where they are only posted."""
        return median(each.taken / each.span for each in self.posted)

    @property
    def share(self) -> float:
        """Of the one rate in the other."""
        return self.replay_rate / self.post_rate

    @property
    def is_complete(self) -> bool:
        """Whether all events arrived each time."""
        return all(each.distinct == self.events for each in [*self.replayed, *self.posted])


def main(arguments: Sequence[str]) -> int:
    """Measure and report.

    Args:
        arguments: see `--help`.

    Returns:
        The exit status: 1 where the demand does not hold.
    """
    options = _parser().parse_args(arguments)
    with contextlib.ExitStack() as stack:
        directory = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="bench_", ignore_cleanup_errors=True)
            )
        )
        deployments = Deployments(directory, None)
        stack.callback(deployments.close)
        deployments.prepare(Database.POSTGRESQL)
        deployment = stack.enter_context(deployments.new(Database.POSTGRESQL, Subject.BARE))
        log = StoredLog(deployment, Recording(), AT_A_TIME)
        stack.callback(log.close)
        log.fill(options.events)
        rates = _measure(deployment, log, options.rounds, directory / "events.ndjson")
    if options.json:
        sys.stdout.write(json.dumps(_for_machines(rates), indent=2) + "\n")
    else:
        _show(rates, Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False))
    return 0 if rates.is_complete and rates.share >= LEAST_SHARE else 1


def _measure(deployment: Deployment, log: StoredLog, rounds: int, file: Path) -> Rates:
    rates = Rates(log.lineage_events, log.events)
    _run(deployment, None, *REPLAY, "--to", f"file:{file}")
    for _ in range(rounds):
        with running(Behaviour.FAST) as backend:
            began = time.monotonic()
            _run(deployment, backend.url, *REPLAY)
            rates.seconds.append(time.monotonic() - began)
            rates.replayed.append(backend.receipt())
        with running(Behaviour.FAST) as backend:
            _run(deployment, None, "-m", "benchmarks.replay.posting", str(file), backend.url)
            rates.posted.append(backend.receipt())
    return rates


def _run(deployment: Deployment, url: str | None, *arguments: str) -> None:
    subprocess.run(
        [deployment.python, *arguments],
        env=deployment.environment(url),
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _for_machines(rates: Rates) -> dict[str, object]:
    return {
        "log_events": rates.log,
        "events": rates.events,
        "replay_rate": rates.replay_rate,
        "post_rate": rates.post_rate,
        "share": rates.share,
        "limit": LEAST_SHARE,
        "is_complete": rates.is_complete,
        "process_seconds": rates.seconds,
    }


def _show(rates: Rates, console: Console) -> None:
    title = f"{rates.log} events of the log, {rates.events} OpenLineage events, backend 1ms"
    table = new_table(title, "what", "events/s", "slowest", "fastest", "verdict")
    for name, receipts in (("replayed", rates.replayed), ("only posted", rates.posted)):
        each = [receipt.taken / receipt.span for receipt in receipts]
        cells = [f"{rate:,.0f}" for rate in (median(each), min(each), max(each))]
        table.add_row(name, *cells, "all arrived" if rates.is_complete else "not all arrived")
    is_met = rates.share >= LEAST_SHARE
    verdict = f"{'ok' if is_met else 'under'} (at least {LEAST_SHARE:.0%})"
    table.add_row("share", f"{rates.share:.0%}", "", "", verdict)
    console.print(table)
    console.print(
        f"A replay takes {median(rates.seconds):.1f} s as a process, with all that it imports. "
        "Rates are the backend's: from the first event to the last."
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks replay", description=__doc__)
    parser.add_argument("--events", type=int, default=20_000, help="of the log [%(default)s]")
    parser.add_argument("--rounds", type=int, default=3, help="[%(default)s]")
    parser.add_argument("--json", action="store_true", help="write the result for machines")
    return parser
