"""Runs the shop for real, once by each mechanism, and shows the lineage that comes out.

No servers: two temporary Dagster homes on SQLite, and openlineage-python's file transport.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lineage import END_STATES, Lineage, Name, read_events, read_lineage

EXAMPLES = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent

PARTITION = {"dagster/partition": "2026-01-05"}
RUNS: tuple[tuple[str, dict[str, str], bool], ...] = (
    ("nightly", PARTITION, False),
    ("newsletter", {}, True),
    ("watch_suppliers", {}, True),
)
"""Job, tags, and whether it succeeds: the nightly run has an asset that fails."""

DELIVERY_SECONDS = 120.0

MECHANISM_A = """\
telemetry: {enabled: false}
event_log_storage:
  module: dagster_openlineage
  class: OpenLineageEventLogStorage
  config:
    wrapped:
      module: dagster._core.storage.event_log
      class: SqliteEventLogStorage
      config: {base_dir: HOME/history/runs}
    namespace: shop
"""
MECHANISM_B = "telemetry: {enabled: false}\n"

KINDS = {
    "JOB": "Dagster jobs",
    "STEP": "steps",
    "ASSET": "assets, each writing the dataset of its name",
    "CHECK": "checks",
}
STANDING_FACETS = {"jobType", "processing_engine", "dagster_run", "tags"}
"""Every event has them."""

STATE_COLOURS = {"COMPLETE": "green", "FAIL": "red", "ABORT": "yellow", "RUNNING": "blue"}


@dataclass(frozen=True)
class Demonstration:
    """What one mechanism gave.

    Args:
        mechanism: its name.
        events: the events file.
        seconds: how long it took, the runs themselves included.
    """

    mechanism: str
    events: Path
    seconds: float

    @property
    def lineage(self) -> Lineage:
        """What the events say."""
        return read_lineage(read_events(self.events))


def storage(folder: Path) -> Demonstration:
    """Run the shop with Mechanism A: the wrapped event log storage.

    Args:
        folder: for the Dagster home and the events; must exist.

    Returns:
        What came out.
    """
    begin = time.monotonic()
    environ = _home(folder, MECHANISM_A)
    _run_all(environ)
    _await_delivery(folder / "events.jsonl")
    return Demonstration("A, storage", folder / "events.jsonl", time.monotonic() - begin)


def sensor(folder: Path) -> Demonstration:
    """Run the shop with Mechanism B: a daemon evaluates the sensor.

    Args:
        folder: for the Dagster home and the events; must exist.

    Returns:
        What came out.
    """
    begin = time.monotonic()
    environ = _home(folder, MECHANISM_B)
    # Several processes that set up a new SQLite home at the same time get into each other's way.
    _call([str(BIN / "dagster"), "instance", "info"], environ, folder / "instance.log")
    with _daemon(environ, folder / "daemon.log"):
        _run_all(environ)
        _await_delivery(folder / "events.jsonl")
    return Demonstration("B, sensor", folder / "events.jsonl", time.monotonic() - begin)


def _home(folder: Path, dagster_yaml: str) -> dict[str, str]:
    home = folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(dagster_yaml.replace("HOME", str(home)))
    quiet = {
        name: value for name, value in os.environ.items() if not name.startswith("OPENLINEAGE")
    }
    return {
        **quiet,
        "DAGSTER_HOME": str(home),
        "PYTHONPATH": str(EXAMPLES),
        "PYTHONWARNINGS": "ignore",
        "OPENLINEAGE__TRANSPORT__TYPE": "file",
        "OPENLINEAGE__TRANSPORT__LOG_FILE_PATH": str(folder / "events.jsonl"),
        "OPENLINEAGE__TRANSPORT__APPEND": "true",
    }


def _run_all(environ: dict[str, str]) -> None:
    for job, tags, succeeds in RUNS:
        log = Path(environ["DAGSTER_HOME"]).parent / f"{job}.log"
        command = [str(BIN / "dagster"), "job", "execute", "-m", "shop.definitions", "-j", job]
        status = _call([*command, "--tags", json.dumps(tags)], environ, log)
        if (status == 0) is not succeeds:
            msg = f"{job} ended with exit code {status}; see {log}"
            raise RuntimeError(msg)


def _call(command: list[str], environ: dict[str, str], log: Path) -> int:
    with log.open("w") as output:
        return subprocess.run(
            command, env=environ, stdout=output, stderr=output, check=False
        ).returncode


@contextlib.contextmanager
def _daemon(environ: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("w") as output:
        process = subprocess.Popen(
            [BIN / "dagster-daemon", "run", "-m", "shop.with_sensor"],
            env=environ,
            stdout=output,
            stderr=output,
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await_delivery(events: Path) -> None:
    """Wait until each run's last event is there; it ends whatever happened in the run."""
    deadline = time.monotonic() + DELIVERY_SECONDS
    while True:
        ended = [
            event
            for event in read_events(events)
            if "job" in event
            and event["job"]["name"] in {job for job, _, _ in RUNS}
            and event["eventType"] in END_STATES
        ]
        if len(ended) >= len(RUNS):
            return
        if time.monotonic() > deadline:
            msg = f"{len(ended)} of {len(RUNS)} runs were delivered; see {events.parent}"
            raise RuntimeError(msg)
        time.sleep(0.1)


def show(console: Console, demonstration: Demonstration) -> None:
    """Print what a mechanism gave.

    Args:
        console: where to.
        demonstration: the events.
    """
    lineage = demonstration.lineage
    table = Table(title=f"Mechanism {demonstration.mechanism}", title_justify="left")
    for column in ("job", "runs", "reads", "facets"):
        table.add_column(column, overflow="fold")
    for kind, title in KINDS.items():
        table.add_section()
        table.add_row(f"[bold]{title}[/]")
        for (_, name), job in sorted(lineage.jobs.items()):
            if job.kind == kind:
                runs = ", ".join(
                    f"[{STATE_COLOURS[state]}]{count} {state}[/]"
                    for state, count in job.ends.items()
                )
                own = ", ".join(sorted(job.facets - STANDING_FACETS))
                table.add_row(name, runs, _names(job.inputs), own)
    if lineage.observed:
        table.add_section()
        table.add_row("[bold]datasets observed[/]")
        table.add_row(_names(lineage.observed))
    console.print(table)
    count_of_runs = sum(len(job.runs) for job in lineage.jobs.values())
    console.print(
        f"{len(lineage.jobs)} jobs, {count_of_runs} runs, {len(lineage.datasets)} datasets, "
        f"{len(lineage.edges)} edges from {lineage.events} events "
        f"in {demonstration.seconds:.0f} s (the Dagster runs included)\n"
        f"events: {demonstration.events}\n",
        highlight=False,
        soft_wrap=True,
    )


def _names(datasets: set[Name]) -> str:
    return "\n".join(sorted(name for _, name in datasets))


def main() -> int:
    """Run the demo.

    Returns:
        The exit code: 0 where both mechanisms tell the same lineage.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, help="folder for the events (default: a new one)")
    output = parser.parse_args().output or Path(tempfile.mkdtemp(prefix="openlineage-dagster-"))
    console = Console()
    demonstrations = []
    for name, demonstrate in (("storage", storage), ("sensor", sensor)):
        folder = output / name
        folder.mkdir(parents=True)
        with console.status(f"running the shop's jobs with Mechanism {name} …"):
            demonstrations.append(demonstrate(folder))
        show(console, demonstrations[-1])
    by_a, by_b = (demonstration.lineage for demonstration in demonstrations)
    is_same = by_a.jobs.keys() == by_b.jobs.keys() and by_a.edges == by_b.edges
    console.print(
        "Both mechanisms tell the same lineage."
        if is_same
        else "[red]The two mechanisms tell different lineages.[/]"
    )
    return 0 if is_same else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\ninterrupted")
