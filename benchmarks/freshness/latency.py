"""How long after an event its lineage reaches the backend, beside 0.2.1."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.backends import Backend, Behaviour, running
from benchmarks.deliverer.running import DelivererProcess, Figures, delivering
from benchmarks.deployments import PREDECESSOR_VARIABLE, Database, Deployment, Deployments, Subject
from benchmarks.freshness.ages import Age, ages_of, percentile
from benchmarks.limits import Limited, limits_for_machines, limits_table
from benchmarks.sixty_assets import ASSETS_VARIABLE, JOB
from benchmarks.tables import NOTHING, new_table

PROJECT = Path(__file__).parents[1] / "sixty_assets.py"

P50_SECONDS = 0.5
P99_SECONDS = 2.0
STARTING_SECONDS = 6.0
"""Seconds within which events arrive where the run has to start a deliverer."""

QUERIES_A_SECOND = 3.0
IDLE_QUERIES_A_SECOND = 0.2

QUIET_SECONDS = 5.0
"""Seconds without a receipt after which nothing more is expected."""

LAST_CHARACTERS = 2000
WIDTH = 140

NOTES = """\
Ages are counted from an event's own time to its receipt. A START of an asset whose schema comes
with the materialization counts from that. 0.2.1 sends no events of runs and steps, sends START when
a run is planned, and makes the run wait for each answer: compare the seconds of the run.
Queries are counted from RUN_START to the last receipt, and in a window that begins when the
deliverer has had nothing to do for a while.
"""


@dataclass(frozen=True)
class Load:
    """What the deliverer asked the database.

    Args:
        queries: the number of queries during the run.
        seconds: from RUN_START to the last receipt.
        idle_queries: the number of queries while nothing happened.
        idle_seconds: how long that was.
    """

    queries: int
    seconds: float
    idle_queries: int
    idle_seconds: float

    @property
    def rate(self) -> float:
        """Queries a second during the run."""
        return self.queries / self.seconds

    @property
    def idle_rate(self) -> float:
        """Queries a second while nothing happened."""
        return self.idle_queries / self.idle_seconds


@dataclass
class Scene:
    """One run.

    Args:
        database: where Dagster keeps it.
        subject: ours or 0.2.1.
        starts_deliverer: whether the run has to start a deliverer.
        expected: the number of events that have to arrive; 0 where that is not known.
        ages: of the events that arrived.
        first: seconds from RUN_START to the first receipt.
        run_seconds: from RUN_START to RUN_SUCCESS.
        load: of the deliverer; None where it was not counted.
    """

    database: Database
    subject: Subject
    starts_deliverer: bool
    expected: int = 0
    ages: list[Age] = field(default_factory=list)
    first: float = 0.0
    run_seconds: float = 0.0
    load: Load | None = None

    @property
    def name(self) -> str:
        """How tables name it."""
        if self.subject is Subject.PREDECESSOR:
            return "0.2.1"
        return "the run starts a deliverer" if self.starts_deliverer else "a deliverer lives"


def main(arguments: Sequence[str]) -> int:
    """Measure and report.

    Args:
        arguments: see `--help`.

    Returns:
        The exit status: 1 where a limit does not hold.
    """
    options = _parser().parse_args(arguments)
    progress = Console(stderr=True)
    if not options.predecessor:
        progress.print("no interpreter with dagster-openlineage 0.2.1: it is left out")
    scenes: list[Scene] = []
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="bench_", ignore_cleanup_errors=True)
        )
        deployments = Deployments(Path(directory), options.predecessor)
        stack.callback(deployments.close)
        for database in [Database(each) for each in options.database or ()] or list(Database):
            deployments.prepare(database)
            for scene in _scenes(database, has_predecessor=bool(options.predecessor)):
                progress.print(f"running: {database.value}, {scene.name}", style="dim")
                _measure(deployments, scene, options)
                scenes.append(scene)
    limits = list(_limits(scenes))
    if options.json:
        sys.stdout.write(json.dumps(_for_machines(scenes, limits), indent=2) + "\n")
    else:
        _show(
            scenes, limits, Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
        )
    return 0 if all(each.is_met for each in limits) else 1


def _scenes(database: Database, *, has_predecessor: bool) -> Iterator[Scene]:
    yield Scene(database, Subject.OURS, starts_deliverer=False)
    yield Scene(database, Subject.OURS, starts_deliverer=True)
    if has_predecessor:
        yield Scene(database, Subject.PREDECESSOR, starts_deliverer=False)


def _measure(deployments: Deployments, scene: Scene, options: argparse.Namespace) -> None:
    with contextlib.ExitStack() as stack:
        deployment = stack.enter_context(
            deployments.new(scene.database, scene.subject, starts_deliverer=scene.starts_deliverer)
        )
        backend = stack.enter_context(running(Behaviour.FAST, keeps_arrivals=True))
        deliverer = None
        if scene.subject is Subject.OURS and not scene.starts_deliverer:
            deliverer = stack.enter_context(delivering(deployment, backend.url))
        before = deliverer.figures() if deliverer else None
        _run(deployment, backend, options.assets)
        backend.wait_until_quiet(QUIET_SECONDS)
        arrivals = backend.arrivals()
        started_at, ended_at = deployment.run_times()
        scene.run_seconds = ended_at - started_at
        scene.ages = ages_of(arrivals)
        if arrivals:
            scene.first = arrivals[0].at - started_at
        if scene.subject is Subject.OURS:
            # START and COMPLETE of the run, and of the step and the asset of each.
            scene.expected = 2 + 4 * options.assets
        if deliverer is not None and before is not None:
            after = deliverer.figures()
            scene.load = _load(deliverer, before, after, started_at, options)


def _load(
    deliverer: DelivererProcess,
    before: Figures,
    after: Figures,
    started_at: float,
    options: argparse.Namespace,
) -> Load:
    """Count the queries during the run, then those while nothing happens."""
    time.sleep(options.settle)
    idle_before = deliverer.figures()
    time.sleep(options.idle)
    idle_after = deliverer.figures()
    return Load(
        after.queries - before.queries,
        # The last receipt was that long before.
        after.at - QUIET_SECONDS - started_at,
        idle_after.queries - idle_before.queries,
        idle_after.at - idle_before.at,
    )


def _run(deployment: Deployment, backend: Backend, assets: int) -> None:
    log = deployment.home / "run.log"
    command = [deployment.python, "-m", "dagster", "job", "execute", "-f", str(PROJECT), "-j", JOB]
    with log.open("w") as output:
        status = subprocess.run(
            command,
            stdout=output,
            stderr=output,
            cwd=deployment.home,
            env={**deployment.environment(backend.url), ASSETS_VARIABLE: str(assets)},
            check=False,
        ).returncode
    if status != 0:
        raise RuntimeError(log.read_text()[-LAST_CHARACTERS:])


def _limits(scenes: Sequence[Scene]) -> Iterator[Limited]:
    predecessors = {
        scene.database: scene for scene in scenes if scene.subject is Subject.PREDECESSOR
    }
    for scene in scenes:
        if scene.subject is not Subject.OURS:
            continue
        name, other = f"{scene.database.value}, {scene.name}", predecessors.get(scene.database)
        of_other = other.ages if other is not None else []
        arrived = len(scene.ages) / scene.expected * 100
        yield Limited(f"{name}: events that arrived", arrived, 100.0, " %", is_least=True)
        if not scene.ages:
            continue
        if scene.starts_deliverer:
            yield Limited(f"{name}: first receipt", scene.first, STARTING_SECONDS, " s")
            figure = percentile(scene.ages, 1.0)
            yield Limited(f"{name}: age, max", figure, STARTING_SECONDS, " s")
            continue
        for label, share, limit in (("p50", 0.5, P50_SECONDS), ("p99", 0.99, P99_SECONDS)):
            yield Limited(
                f"{name}: age, {label}",
                percentile(scene.ages, share),
                limit,
                " s",
                predecessor=percentile(of_other, share) if of_other else None,
            )
        if scene.load is not None:
            yield Limited(f"{name}: queries a second", scene.load.rate, QUERIES_A_SECOND)
            idle = scene.load.idle_rate
            yield Limited(f"{name}: queries a second, idle", idle, IDLE_QUERIES_A_SECOND)


def _show(scenes: Sequence[Scene], limits: Sequence[Limited], console: Console) -> None:
    table = new_table(
        "seconds from an event to its receipt, backend 1ms",
        "what", "database", "events", "number", "p50", "p99", "max",
    )  # fmt: skip
    runs = new_table(
        "the runs",
        "what", "database", "events", "expected", "first receipt, s", "run, s", "queries",
        "queries/s", "idle queries", "idle queries/s",
    )  # fmt: skip
    for scene in scenes:
        table.add_section()
        for kind, ages in _by_kind(scene.ages):
            shown = [f"{percentile(ages, share):.2f}" for share in (0.5, 0.99, 1.0)]
            table.add_row(scene.name, scene.database.value, kind, str(len(ages)), *shown)
        load = scene.load
        runs.add_row(
            scene.name,
            scene.database.value,
            str(len(scene.ages)),
            str(scene.expected or NOTHING),
            f"{scene.first:.2f}",
            f"{scene.run_seconds:.1f}",
            str(load.queries) if load else NOTHING,
            f"{load.rate:.2f}" if load else NOTHING,
            f"{load.idle_queries} in {load.idle_seconds:.0f} s" if load else NOTHING,
            f"{load.idle_rate:.2f}" if load else NOTHING,
        )
    console.print(table)
    console.print(runs)
    console.print(NOTES)
    console.print(limits_table(limits, has_predecessor=True))


def _by_kind(ages: Sequence[Age]) -> Iterator[tuple[str, list[Age]]]:
    kinds = sorted({(age.family, age.event_type) for age in ages}, reverse=True)
    for family, event_type in kinds:
        chosen = [age for age in ages if (age.family, age.event_type) == (family, event_type)]
        yield f"{family} {event_type}", chosen
    if ages:
        yield "all", list(ages)


def _for_machines(scenes: Sequence[Scene], limits: Sequence[Limited]) -> dict[str, Any]:
    return {
        "scenes": [
            {
                **asdict(scene),
                "database": scene.database.value,
                "subject": scene.subject.value,
                "name": scene.name,
            }
            for scene in scenes
        ],
        "limits": limits_for_machines(limits),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks freshness", description=__doc__)
    parser.add_argument("--database", action="append", choices=[each.value for each in Database])
    parser.add_argument("--assets", type=int, default=60, help="of the run [%(default)s]")
    parser.add_argument(
        "--settle", type=float, default=15.0, help="seconds before idling counts [%(default)s]"
    )
    parser.add_argument("--idle", type=float, default=60.0, help="seconds of idling [%(default)s]")
    parser.add_argument(
        "--predecessor",
        metavar="PYTHON",
        default=os.environ.get(PREDECESSOR_VARIABLE),
        help="an interpreter that has dagster-openlineage 0.2.1, which clashes with ours",
    )
    parser.add_argument("--json", action="store_true", help="write the result for machines")
    return parser
