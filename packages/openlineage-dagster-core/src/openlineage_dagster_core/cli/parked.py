"""The command `parked`: lists, retries, drops and exports parked events."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING

import click

from openlineage_dagster_core.cli import terminal
from openlineage_dagster_core.cli.deployment import Deployment, deployment_options
from openlineage_dagster_core.cli.terminal import OK, CommandError, echo, explained

if TYPE_CHECKING:
    from openlineage_dagster_core.cli.delivery_status import DeliveryStatus
    from openlineage_dagster_core.event_log.cursor import ParkedEvent

LIST_STEP = "`openlineage-dagster parked list` shows the names."
WITHIN_SECONDS = 20  # Seconds within which a living deliverer answers a request


@click.group(
    epilog="""\b
Examples:
  openlineage-dagster parked list
  openlineage-dagster parked retry 6f1c…:17
  openlineage-dagster parked drop --all
  openlineage-dagster parked export > parked.ndjson
"""
)
def parked() -> None:
    """List, retry, drop or export the events that were set aside.

    An event of the log is parked where the backend refuses it, where it keeps failing although
    others are delivered, or where it cannot be converted. Its name is RUN_ID:STORAGE_ID.
    """


@parked.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one event a line.")
@deployment_options
def list_(deployment: Deployment, as_json: bool) -> int:
    """List the parked events: name, Dagster event, time, reason."""
    found = _delivery_of(deployment)
    for each in found.parked:
        if as_json:
            parts = ("name", "run_id", "storage_id", "event_type", "at", "reason")
            click.echo(json.dumps({part: getattr(each, part) for part in parts}))
        else:
            when = datetime.fromtimestamp(each.at).astimezone().isoformat(" ", "seconds")
            echo(f"{each.name}  {each.event_type or '-'}  {when}  {each.reason}")
    if not as_json:
        if not found.parked:
            echo("Nothing is parked.")
        total = found.cursor.parked if found.cursor is not None else 0
        if total > len(found.parked):
            terminal.report(f"{total} events were parked in all; only the latest are kept by name.")
    return OK


_NAMES = click.argument("names", nargs=-1, metavar="[NAME]...")
_ALL = click.option("--all", "takes_all", is_flag=True, help="All parked events.")


@parked.command()
@_NAMES
@_ALL
@deployment_options
def retry(deployment: Deployment, names: tuple[str, ...], takes_all: bool) -> int:
    """Deliver parked events again, and what depends on them after them.

    With the storage (mechanism A) the deliverer does it. With the sensor (mechanism B) this command
    replays their runs: name the sensor's definitions with -m or -f.
    """
    found = _delivery_of(deployment)
    chosen = _chosen(found.parked, names, takes_all=takes_all)
    if chosen and found.sensor is not None:
        return _replay(deployment, chosen)
    return _ask_deliverer(deployment, found, retried=[each.name for each in chosen])


@parked.command()
@_NAMES
@_ALL
@deployment_options
def drop(deployment: Deployment, names: tuple[str, ...], takes_all: bool) -> int:
    """Take parked events off the list. They stay in the event log: `replay` can send them."""
    found = _delivery_of(deployment)
    if found.sensor is not None:
        raise CommandError(
            "The sensor keeps the list of parked events in its own cursor, which only the sensor "
            "writes: nothing can be dropped from it.",
            "Leave them: the latest events replace the older ones.",
        )
    chosen = _chosen(found.parked, names, takes_all=takes_all)
    return _ask_deliverer(deployment, found, dropped=[each.name for each in chosen])


@parked.command()
@deployment_options
def export(deployment: Deployment) -> int:
    """Print the OpenLineage events of parked events, one JSON object a line.

    They are converted once more from the event log, as `show` does it.
    """
    from openlineage_dagster_core.serialisation import to_object

    status = OK
    conversion = deployment.conversion()
    for run_id, storage_ids in _by_run(_delivery_of(deployment).parked).items():
        with explained("The event log cannot be read"):
            record = deployment.instance.get_run_record_by_id(run_id) if run_id else None
            if run_id and record is None:
                terminal.report(f"Run {run_id} was deleted: its events are left out.")
                status = terminal.INCOMPLETE
                continue
            for event in conversion.events_at(record, storage_ids):
                click.echo(json.dumps(to_object(event)))
    return status


def _delivery_of(deployment: Deployment) -> DeliveryStatus:
    from openlineage_dagster_core.cli.delivery_status import deliveries

    with explained("The parked events cannot be read"):
        found = deliveries(deployment)
    # Several sensors are a mistake that doctor names; the first one that parked something counts.
    return next((each for each in found if each.parked), found[0])


def _chosen(
    events: Collection[ParkedEvent], names: Collection[str], *, takes_all: bool
) -> list[ParkedEvent]:
    if takes_all == bool(names):
        raise CommandError("Name parked events, or give --all.", LIST_STEP)
    if takes_all:
        return list(events)
    unknown = sorted(set(names) - {each.name for each in events})
    if unknown:
        raise CommandError(f"No event {unknown[0]} is parked.", LIST_STEP)
    return [each for each in events if each.name in names]


def _ask_deliverer(
    deployment: Deployment,
    status: DeliveryStatus,
    *,
    retried: Collection[str] = (),
    dropped: Collection[str] = (),
) -> int:
    """Store requests for the deliverer, together with those that it has not read yet."""
    if not retried and not dropped:
        echo("Nothing is parked.")
        return OK
    from openlineage_dagster_core.deliverer_state import REQUESTS_ROW, Requests
    from openlineage_dagster_core.key_values import KeyValues

    with explained("The request cannot be stored"):
        key_values = KeyValues(deployment.instance)
        before = Requests.from_text(key_values.get([REQUESTS_ROW]).get(REQUESTS_ROW))
        requests = Requests(
            retry=tuple(sorted({*before.retry, *retried} - {*dropped})),
            drop=tuple(sorted({*before.drop, *dropped} - {*retried})),
        )
        key_values.put({REQUESTS_ROW: requests.to_text()})
    what = "delivered again" if retried else "dropped"
    by_whom = (
        f"the deliverer does it within {WITHIN_SECONDS} s."
        if status.is_delivering
        else "no deliverer is alive; the next one does it (`openlineage-dagster deliver`)."
    )
    echo(f"{len(retried) + len(dropped)} events are to be {what}: {by_whom}")
    return OK


def _replay(deployment: Deployment, chosen: Collection[ParkedEvent]) -> int:
    from openlineage_dagster_core.cli.replay import check_destination, print_result, replay_runs
    from openlineage_dagster_core.event_log.run_log import events_of_run
    from openlineage_dagster_core.replay.selection import Selection

    check_destination(None, is_sent=True)
    by_run = _by_run(chosen)
    # A replay selects events outside any run by their times.
    with explained("The event log cannot be read"):
        times = {
            event.timestamp or event.entry().timestamp
            for each in by_run.pop("", ())
            for event in events_of_run(deployment.instance, "", after=each - 1, until=each)
        }
    echo(f"Replaying {len(by_run)} runs and {len(times)} events reported from outside any run.")
    runs = Selection(run_ids=tuple(sorted(by_run))).runs(deployment.instance) if by_run else ()
    runless = times.__contains__ if times else None
    progress, stopped_by = replay_runs(deployment, runs, runless, total=len(by_run))
    return print_result(progress, stopped_by)


def _by_run(events: Collection[ParkedEvent]) -> dict[str, set[int]]:
    """Return storage ids by run id; that of events outside any run is empty."""
    found: dict[str, set[int]] = {}
    for each in events:
        found.setdefault(each.run_id, set()).add(each.storage_id)
    return found
