"""The command `show`: prints the OpenLineage events of a run, or compares them."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from openlineage_dagster_core.cli.deployment import (
    Deployment,
    deployment_options,
    warn_without_mechanism,
)
from openlineage_dagster_core.cli.foreign_json import Json, is_address, mapping, text
from openlineage_dagster_core.cli.terminal import INCOMPLETE, OK, echo, escaped, explained

if TYPE_CHECKING:
    from rich.table import Table

DATASETS_SHOWN = 3
WIDTH = 200  # Characters in a line of the table where standard output is not a terminal
_STYLES = {"COMPLETE": "green", "FAIL": "red", "ABORT": "yellow"}


@click.command(
    epilog="""\b
Examples:
  openlineage-dagster show 6f1c… -m my_project.definitions
  openlineage-dagster show 6f1c… --json | jq .job.name
  openlineage-dagster show 6f1c… --diff events.ndjson
  openlineage-dagster show 6f1c… --diff http://marquez:5000
"""
)
@click.argument("run_id", metavar="RUN_ID")
@click.option("--json", "as_json", is_flag=True, help="Print the events as JSON, one a line.")
@click.option(
    "--diff",
    "other",
    metavar="SOURCE",
    help="Compare with an events file, or with the Marquez at an http address.",
)
@deployment_options
def show(deployment: Deployment, run_id: str, as_json: bool, other: str | None) -> int:
    """Show the OpenLineage events of a Dagster run, without sending them.

    With --diff the exit status is 1 if an event is missing or different.
    """
    warn_without_mechanism(deployment)
    events = _events_of(deployment, run_id)
    if other is not None:
        return _compare(events, other, as_json=as_json)
    if as_json:
        for event in events:
            click.echo(json.dumps(event))
    else:
        from rich.console import Console

        # A pipe has no width of its own.
        width = None if sys.stdout.isatty() else WIDTH
        Console(highlight=False, width=width).print(_table(run_id, events))
    return OK


def _events_of(deployment: Deployment, run_id: str) -> list[Json]:
    from openlineage_dagster_core.serialisation import to_object

    with explained(f"Run {run_id} cannot be read"):
        record = deployment.instance.get_run_record_by_id(run_id)
        if record is None:
            raise deployment.unknown_run(run_id)
        return [to_object(event) for event in deployment.conversion().events_of_run(record)]


def _table(run_id: str, events: list[Json]) -> Table:
    from rich.table import Table
    from rich.text import Text

    title = Text(escaped(f"{len(events)} events of run {run_id}"))
    table = Table(title=title, title_justify="left")
    for heading in ("time", "event", "type", "job", "inputs", "outputs"):
        table.add_column(heading, overflow="fold")
    for event in events:
        kind = text(mapping(event, "job", "facets", "jobType"), "jobType") or "DATASET"
        outputs = event.get("outputs") or [event[name] for name in ("dataset",) if name in event]
        # Text: names may look like rich's markup.
        cells = (
            event["eventTime"][11:23],
            text(event, "eventType"),
            kind.lower(),
            text(mapping(event, "job"), "name"),
            _datasets(event.get("inputs") or []),
            _datasets(outputs),
        )
        table.add_row(*[Text(escaped(cell)) for cell in cells], style=_STYLES.get(cells[1], ""))
    return table


def _datasets(datasets: list[Json]) -> str:
    names = [each["name"] for each in datasets]
    more = len(names) - DATASETS_SHOWN
    return ", ".join(names[:DATASETS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _compare(events: list[Json], other: str, *, as_json: bool) -> int:
    from openlineage_dagster_core.cli.comparison import differences_to_file, differences_to_marquez

    compare = differences_to_marquez if is_address(other) else differences_to_file
    differences = list(compare(events, other))
    if as_json:
        click.echo(json.dumps([asdict(each) for each in differences], indent=2))
    elif not differences:
        runs = len({event["run"]["runId"] for event in events if "run" in event})
        # Marquez does not keep events, only the run that they describe.
        what = f"{runs} runs" if is_address(other) else f"{len(events)} events"
        echo(f"All {what} are there, and none differs.")
    else:
        for each in differences:
            echo(f"{each.kind}: {each.event}")
            for place in each.what:
                echo(f"  {place}")
    return INCOMPLETE if differences else OK
