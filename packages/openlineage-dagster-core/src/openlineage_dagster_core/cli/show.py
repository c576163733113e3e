"""The command `show`: the OpenLineage events of a run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openlineage_dagster_core.cli.code import CodeTarget
from openlineage_dagster_core.cli.deployment import Deployment, opened, tell_whose_settings
from openlineage_dagster_core.cli.failure import INCOMPLETE, OK, CommandError, explained
from openlineage_dagster_core.cli.options import code_options, home_option
from openlineage_dagster_core.cli.terminal_text import echo, escaped

if TYPE_CHECKING:
    from rich.console import RenderableType


Json = dict[str, Any]

DATASETS_SHOWN = 3
WIDTH = 200


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
@home_option
@code_options
def show(
    run_id: str,
    as_json: bool,
    other: str | None,
    home: Path | None,
    code: CodeTarget,
) -> int:
    """Show the OpenLineage events of a Dagster run, without sending them.

    With --diff the exit status is 1 if an event is missing or different.
    """
    with opened(home, code) as deployment:
        tell_whose_settings(deployment)
        events = _events_of(deployment, run_id)
    if other is not None:
        return _compare(events, other, as_json=as_json)
    if as_json:
        for event in events:
            click.echo(json.dumps(event))
    else:
        _print(_table(run_id, events))
    return OK


def _events_of(deployment: Deployment, run_id: str) -> list[Json]:
    from dagster import RunsFilter

    from openlineage_dagster_core.serialisation import to_object

    with explained("The runs cannot be read", "Check that the instance's database answers."):
        records = deployment.instance.get_run_records(RunsFilter(run_ids=[run_id]), limit=1)
    if not records:
        raise CommandError(
            f"There is no run {run_id} in {deployment.home}.",
            "`dagster run list` shows the runs.",
        )
    conversion = deployment.conversion()
    with explained(f"The log of run {run_id} cannot be read", "Check that the database answers."):
        return [to_object(event) for event in conversion.events_of_run(records[0])]


def _table(run_id: str, events: list[Json]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    title = Text(escaped(f"{len(events)} events of run {run_id}"))
    table = Table(title=title, title_justify="left")
    for heading in ("time", "event", "type", "job", "inputs", "outputs"):
        table.add_column(heading, overflow="fold")
    for event in events:
        job = event.get("job", {})
        kind = job.get("facets", {}).get("jobType", {}).get("jobType", "DATASET")
        outputs = event.get("outputs") or [event[name] for name in ("dataset",) if name in event]
        # Text: names may look like rich's markup.
        cells = (
            event["eventTime"][11:23],
            event.get("eventType", ""),
            kind.lower(),
            job.get("name", ""),
            _datasets(event.get("inputs") or []),
            _datasets(outputs),
        )
        table.add_row(*[Text(escaped(cell)) for cell in cells], style=_STYLES.get(cells[1], ""))
    return table


_STYLES = {"COMPLETE": "green", "FAIL": "red", "ABORT": "yellow"}


def _datasets(datasets: list[Json]) -> str:
    names = [each["name"] for each in datasets]
    more = len(names) - DATASETS_SHOWN
    return ", ".join(names[:DATASETS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _compare(events: list[Json], other: str, *, as_json: bool) -> int:
    from openlineage_dagster_core.cli.comparison import differences_to
    from openlineage_dagster_core.cli.graph.source import is_address

    differences = differences_to(events, other)
    if as_json:
        click.echo(json.dumps([each.as_json() for each in differences], indent=2))
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


def _print(what: RenderableType) -> None:
    from rich.console import Console

    # A pipe has no width of its own.
    width = None if sys.stdout.isatty() else WIDTH
    Console(highlight=False, width=width).print(what)
