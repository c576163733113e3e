"""The command `parked`: the events that were set aside, and what to do about them."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openlineage_dagster_core.cli.code import CodeTarget
from openlineage_dagster_core.cli.deployment import Deployment, opened
from openlineage_dagster_core.cli.failure import INCOMPLETE, OK, CommandError, explained
from openlineage_dagster_core.cli.options import code_options, home_option
from openlineage_dagster_core.cli.terminal_text import echo

if TYPE_CHECKING:
    from openlineage_dagster_core.cli.delivery_status import DeliveryStatus
    from openlineage_dagster_core.event_log.cursor import ParkedEvent

LIST = "`openlineage-dagster parked list` shows the names."

WITHIN_SECONDS = 20
"""Seconds within which a living deliverer does what is asked of it."""


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
@home_option
@code_options
def list_(as_json: bool, home: Path | None, code: CodeTarget) -> int:
    """List the parked events: name, Dagster event, time, reason."""
    with opened(home, code) as deployment:
        found = _delivery_of(deployment)
    for each in found.parked:
        if as_json:
            click.echo(json.dumps(_as_object(each)))
        else:
            when = datetime.fromtimestamp(each.at).astimezone().isoformat(" ", "seconds")
            echo(f"{each.name}  {each.event_type or '-'}  {when}  {each.reason}")
    cursor = found.cursor
    if not as_json:
        if not found.parked:
            echo("Nothing is parked.")
        if cursor is not None and cursor.parked > len(found.parked):
            echo(
                f"{cursor.parked} events were parked since the delivery began; only the latest are "
                "kept by name.",
                err=True,
            )
    return OK


_NAMES = click.argument("names", nargs=-1, metavar="[NAME]...")
_ALL = click.option("--all", "takes_all", is_flag=True, help="All parked events.")


@parked.command()
@_NAMES
@_ALL
@home_option
@code_options
def retry(names: tuple[str, ...], takes_all: bool, home: Path | None, code: CodeTarget) -> int:
    """Deliver parked events again, and what depends on them after them.

    With the storage (mechanism A) the deliverer does it. With the sensor (mechanism B) their runs
    are replayed by this command: name the sensor's definitions with -m or -f.
    """
    with opened(home, code) as deployment:
        found = _delivery_of(deployment)
        chosen = _chosen(found.parked, names, takes_all=takes_all)
        if not chosen:
            echo("Nothing is parked.")
            return OK
        if found.sensor is not None:
            return _replay(deployment, chosen)
        _ask_deliverer(deployment, retried=chosen)
        echo(f"{len(chosen)} events are to be delivered again{_by_whom(found)}")
    return OK


@parked.command()
@_NAMES
@_ALL
@home_option
@code_options
def drop(names: tuple[str, ...], takes_all: bool, home: Path | None, code: CodeTarget) -> int:
    """Take parked events off the list. They stay in the event log: `replay` can send them."""
    with opened(home, code) as deployment:
        found = _delivery_of(deployment)
        if found.sensor is not None:
            raise CommandError(
                "The sensor keeps the list of parked events in its own cursor, which only the "
                "sensor writes: nothing can be dropped from it.",
                "Leave them: the latest events replace the older ones.",
            )
        chosen = _chosen(found.parked, names, takes_all=takes_all)
        if not chosen:
            echo("Nothing is parked.")
            return OK
        _ask_deliverer(deployment, dropped=chosen)
        echo(f"{len(chosen)} events are to be dropped{_by_whom(found)}")
    return OK


@parked.command()
@home_option
@code_options
def export(home: Path | None, code: CodeTarget) -> int:
    """Print the OpenLineage events of parked events, one JSON object a line.

    They are converted once more from the event log, as `show` does it.
    """
    from openlineage_dagster_core.serialisation import to_object

    left_out = 0
    with opened(home, code) as deployment:
        conversion = deployment.conversion()
        for run_id, storage_ids in _by_run(_delivery_of(deployment).parked).items():
            with explained("The event log cannot be read", "Check that the database answers."):
                record = _record(deployment, run_id)
                if run_id and record is None:
                    echo(f"Run {run_id} was deleted: its events are left out.", err=True)
                    left_out += 1
                    continue
                for event in conversion.events_at(record, storage_ids):
                    click.echo(json.dumps(to_object(event)))
    return INCOMPLETE if left_out else OK


def _delivery_of(deployment: Deployment) -> DeliveryStatus:
    from openlineage_dagster_core.cli.delivery_status import deliveries

    with explained("The parked events cannot be read", "Check that the database answers."):
        found = deliveries(deployment)
    # Several sensors are a mistake that doctor names; the first one that parked something counts.
    return next((each for each in found if each.parked), found[0])


def _chosen(
    events: Collection[ParkedEvent], names: Collection[str], *, takes_all: bool
) -> list[ParkedEvent]:
    if takes_all == bool(names):
        raise CommandError("Name parked events, or give --all.", LIST)
    if takes_all:
        return list(events)
    unknown = sorted(set(names) - {each.name for each in events})
    if unknown:
        raise CommandError(f"No event {unknown[0]} is parked.", LIST)
    return [each for each in events if each.name in names]


def _ask_deliverer(
    deployment: Deployment,
    *,
    retried: Collection[ParkedEvent] = (),
    dropped: Collection[ParkedEvent] = (),
) -> None:
    """Leave requests for the deliverer, together with those that it has not seen yet."""
    from openlineage_dagster_core.deliverer_state import REQUESTS_ROW, Requests
    from openlineage_dagster_core.key_values import KeyValues

    retry_names, drop_names = ({each.name for each in some} for some in (retried, dropped))
    with explained("The request cannot be stored", "Check that the database answers."):
        key_values = KeyValues(deployment.instance)
        before = Requests.from_text(key_values.get([REQUESTS_ROW]).get(REQUESTS_ROW))
        requests = Requests(
            retry=tuple(sorted((set(before.retry) - drop_names) | retry_names)),
            drop=tuple(sorted((set(before.drop) - retry_names) | drop_names)),
        )
        key_values.put({REQUESTS_ROW: requests.to_text()})


def _by_whom(status: DeliveryStatus) -> str:
    if status.is_delivering:
        return f": the deliverer does it within {WITHIN_SECONDS} s."
    return ": no deliverer is alive; the next one does it (`openlineage-dagster deliver`)."


def _replay(deployment: Deployment, chosen: Collection[ParkedEvent]) -> int:
    from openlineage_dagster_core.cli.replay import (
        DEFAULT_PATIENCE_SECONDS,
        ReplayCommand,
        check_destination,
    )
    from openlineage_dagster_core.replay.selection import Selection

    check_destination(None, is_sent=True)
    runs = sorted(each for each in _by_run(chosen) if each)
    times = _times(deployment, _by_run(chosen).get("", set()))
    echo(f"Replaying {len(runs)} runs and {len(times)} events reported from outside any run.")
    command = ReplayCommand(deployment, patience=DEFAULT_PATIENCE_SECONDS)
    selected = Selection(run_ids=tuple(runs)).runs(deployment.instance) if runs else iter(())
    progress, stopped_by = command.run(
        selected, times.__contains__ if times else None, total=len(runs)
    )
    return command.report(progress, stopped_by)


def _times(deployment: Deployment, storage_ids: Collection[int]) -> set[float]:
    """Find when events outside any run happened, by which a replay selects them."""
    from openlineage_dagster_core.event_log.run_log import events_of_run

    with explained("The event log cannot be read", "Check that the database answers."):
        return {
            event.timestamp or event.entry().timestamp
            for each in storage_ids
            for event in events_of_run(deployment.instance, "", after=each - 1, until=each)
        }


def _by_run(events: Collection[ParkedEvent]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for each in events:
        found.setdefault(each.run_id, set()).add(each.storage_id)
    return found


def _record(deployment: Deployment, run_id: str) -> Any:
    from dagster import RunsFilter

    if not run_id:
        return None
    records = deployment.instance.get_run_records(RunsFilter(run_ids=[run_id]), limit=1)
    return records[0] if records else None


def _as_object(event: ParkedEvent) -> dict[str, object]:
    return {
        "name": event.name,
        "run_id": event.run_id,
        "storage_id": event.storage_id,
        "event_type": event.event_type,
        "at": event.at,
        "reason": event.reason,
    }
