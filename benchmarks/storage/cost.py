"""What Mechanism A costs a process that stores events, compared with bare storages and 0.2.1."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from enum import Enum
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from benchmarks.backends import STATES, Behaviour
from benchmarks.deployments import PREDECESSOR_VARIABLE, Database, Deployments, Subject
from benchmarks.storage.importing import time_imports
from benchmarks.storage.report import Findings, for_machines, show
from benchmarks.storage.running import Variant, run
from benchmarks.storage.storing import Extent, store

PARTS = ("store", "run", "import")
EXECUTORS = ("in_process", "multiprocess")
WIDTH = 140

E = TypeVar("E", bound=Enum)


def main(arguments: Sequence[str]) -> int:
    """Measure and report.

    Args:
        arguments: see `--help`.

    Returns:
        The exit status: 1 where something is over its limit.
    """
    options = _parser().parse_args(arguments)
    findings = Findings()
    progress = Console(stderr=True)
    if not options.predecessor:
        progress.print("no interpreter with dagster-openlineage 0.2.1: it is left out")
    with contextlib.ExitStack() as stack:
        directory = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(
                    prefix="bench_", dir=options.directory, ignore_cleanup_errors=True
                )
            )
        )
        deployments = Deployments(directory, options.predecessor)
        stack.callback(deployments.close)
        if options.only in {None, "store", "run"}:
            for database in _chosen(Database, options.database):
                deployments.prepare(database)
        if options.only in {None, "import"}:
            progress.print("importing", style="dim")
            findings.imports = time_imports(options.predecessor, options.imports)
        if options.only in {None, "run"}:
            _measure_runs(findings, deployments, options, progress)
        if options.only in {None, "store"}:
            _measure_storing(findings, deployments, options, progress)
    if options.json:
        sys.stdout.write(json.dumps(for_machines(findings), indent=2) + "\n")
    else:
        show(findings, Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False))
    return 0 if all(demand.is_met for demand in findings.demands()) else 1


def _measure_storing(
    findings: Findings, deployments: Deployments, options: argparse.Namespace, progress: Console
) -> None:
    extent = Extent(
        rounds=options.rounds,
        events=options.events,
        batches={
            Database.POSTGRESQL: options.batches,
            # Dagster stores there one event after the other, for ten seconds and more.
            Database.SQLITE: min(options.batches, options.sqlite_batches),
        },
        warm_up=options.warm_up,
        predecessor_seconds=options.predecessor_seconds,
        cap=options.cap,
    )
    databases = _chosen(Database, options.database)
    for database in databases:
        for behaviour in _states(options):
            progress.print(f"storing: {database.value}, backend {behaviour.value}", style="dim")
            subjects = [Subject.BARE, Subject.OURS, Subject.BARE_AGAIN]
            # What a dead backend costs it has nothing to do with the database.
            if options.predecessor and (behaviour.answers or database is databases[0]):
                subjects.append(Subject.PREDECESSOR)
            findings.scenes.append(store(deployments, database, behaviour, subjects, extent))


def _measure_runs(
    findings: Findings, deployments: Deployments, options: argparse.Namespace, progress: Console
) -> None:
    databases = _chosen(Database, options.database)
    for database in databases:
        for executor in options.executor or EXECUTORS[:1]:
            progress.print(f"running 50 assets: {database.value}, {executor}", style="dim")
            variants: dict[Variant, int] = {}
            for behaviour in _states(options):
                variants[Subject.OURS, behaviour] = options.runs
            variants[Subject.BARE_AGAIN, None] = options.runs
            for behaviour in _states(options) if options.predecessor else ():
                # Without an answer it takes many minutes.
                if behaviour.answers:
                    variants[Subject.PREDECESSOR, behaviour] = 1
            findings.runs.append(run(deployments, database, executor, variants, options.run_cap))


def _states(options: argparse.Namespace) -> list[Behaviour]:
    return _chosen(Behaviour, options.backend) if options.backend else list(STATES)


def _chosen(kind: type[E], names: Iterable[str] | None) -> list[E]:
    return [kind(name) for name in names] if names else list(kind)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks storage", description=__doc__)
    choose = parser.add_argument_group("what is measured; everything, where nothing is chosen")
    choose.add_argument("--only", choices=PARTS)
    choose.add_argument("--database", action="append", choices=[each.value for each in Database])
    choose.add_argument("--backend", action="append", choices=[each.value for each in STATES])
    choose.add_argument(
        "--executor", action="append", choices=EXECUTORS, help="of the runs (default: in_process)"
    )
    extent = parser.add_argument_group("how much is measured (defaults in brackets)")
    for name, default, text in (
        ("--rounds", 96, "of storing"),
        # Turns are short: within seconds the same machine is a tenth faster or slower.
        ("--events", 10, "of each kind in a round"),
        ("--batches", 12, "of 1,000"),
        ("--sqlite-batches", 6, "the same with SQLite, where they take long"),
        ("--runs", 24, "of 50 assets"),
        ("--imports", 5, "interpreters"),
    ):
        extent.add_argument(name, type=int, default=default, help=f"{text} [%(default)s]")
    for name, seconds, text in (
        # Ours looks for a deliverer every fifteen seconds.
        ("--warm-up", 20.0, "seconds before the first round"),
        ("--predecessor-seconds", 5.0, "what 0.2.1 may take for the events of a kind"),
        ("--cap", 20.0, "seconds after which one request to 0.2.1 is given up"),
        ("--run-cap", 30.0, "seconds after which a run of 0.2.1 is given up"),
    ):
        extent.add_argument(name, type=float, default=seconds, help=f"{text} [%(default)s]")
    parser.add_argument(
        "--predecessor",
        metavar="PYTHON",
        default=os.environ.get(PREDECESSOR_VARIABLE),
        help="an interpreter that has dagster-openlineage 0.2.1, which clashes with ours",
    )
    parser.add_argument(
        "--directory", help="on the disk to be measured, by default the temporary one"
    )
    parser.add_argument("--json", action="store_true", help="write the result for machines")
    return parser
