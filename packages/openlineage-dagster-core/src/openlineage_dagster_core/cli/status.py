"""The command `status`: shows what delivers, how far behind it is, and what is parked."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from openlineage_dagster_core.cli.deployment import Deployment, deployment_options
from openlineage_dagster_core.cli.terminal import INCOMPLETE, OK, echo, explained
from openlineage_dagster_core.cli.times import in_words

if TYPE_CHECKING:
    from openlineage_dagster_core.cli.delivery_status import DeliveryStatus

WATCH_SECONDS = 1.0  # Seconds between two readings with `--watch`


@click.command(
    epilog="""\b
Examples:
  openlineage-dagster status
  openlineage-dagster status --watch
  openlineage-dagster status --json | jq .waiting.events

\b
Exit status: 0 all is well; 1 events are parked, delivery is in trouble, or events wait and nothing
delivers them; 2 the status cannot be read.
"""
)
@click.option("--watch", is_flag=True, help="Read the status again every second, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
@deployment_options
def status(deployment: Deployment, watch: bool, as_json: bool) -> int:
    """Show what delivers the event log, how far behind it is, and what is parked.

    Works for both mechanisms. If your sensor has another name than openlineage_sensor, name its
    definitions with -m or -f.
    """
    from openlineage_dagster_core.cli.delivery_status import deliveries

    is_first = True
    while True:
        with explained("The status cannot be read"):
            found = deliveries(deployment)
        if not (is_first or as_json):
            click.clear()
        is_first = False
        for each in found:
            if as_json:
                click.echo(json.dumps(_as_object(each)))
            else:
                _print(each)
        if not watch:
            return OK if all(each.is_well for each in found) else INCOMPLETE
        time.sleep(WATCH_SECONDS)


def _as_object(found: DeliveryStatus) -> dict[str, Any]:
    """Return what `--json` prints."""
    cursor, heartbeat = found.cursor, found.heartbeat
    return {
        "mechanism": "storage" if found.sensor is None else "sensor",
        "is_well": found.is_well,
        "is_delivering": found.is_delivering,
        "deliverer": heartbeat
        and {
            "host": heartbeat.host,
            "pid": heartbeat.pid,
            "started_at": heartbeat.started_at,
            "heartbeat_at": heartbeat.at,
            "version": heartbeat.version,
            "is_service": heartbeat.is_service,
            "last_sent_at": heartbeat.last_sent_at or None,
        },
        "sensor": found.sensor
        and {
            "name": found.sensor,
            "is_running": found.is_running,
            "evaluated_at": found.evaluated_at or None,
        },
        "waiting": {
            "events": found.waiting.events,
            "is_at_least": found.waiting.is_at_least,
            "since": found.waiting.since or None,
            "seconds": round(found.waiting.seconds, 1),
        },
        "events_read": cursor.read if cursor is not None else 0,
        "events_sent": cursor.sent if cursor is not None else 0,
        "trouble": {"reason": found.trouble, "since": found.trouble_since or None}
        if found.trouble
        else None,
        "parked": len(found.parked),
        "parked_in_total": cursor.parked if cursor is not None else 0,
        "requests": asdict(found.requests),
        "differing_parts": found.differing_parts,
        "configurations": [
            {"host": each.host, "first_at": each.first_at, "last_at": each.last_at}
            for each in found.configurations
        ],
    }


def _print(found: DeliveryStatus) -> None:
    _line("deliverer" if found.sensor is None else "sensor", _describe_driver(found))
    waiting = str(found.waiting)
    if found.waiting.since:
        waiting += f", {in_words(found.waiting.seconds)}"
    _line("behind", waiting)
    cursor = found.cursor
    if cursor is None:
        _line("delivered", "nothing yet")
    else:
        last = found.heartbeat.last_sent_at if found.heartbeat is not None else 0.0
        ago = f"; the last {_age(last)} ago" if last else ""
        done = f"{cursor.read:,} events of the log as {cursor.sent:,} OpenLineage events"
        _line("delivered", f"{done}{ago}")
    if found.trouble:
        since = found.trouble_since
        _line("trouble", found.trouble + (f" (for {_age(since)})" if since else ""))
    if found.parked:
        _line("parked", f"{len(found.parked)} events: see `openlineage-dagster parked list`")
    requests = found.requests
    if requests.retry or requests.drop:
        _line("requests", f"{len(requests.retry)} to retry, {len(requests.drop)} to drop")
    if found.differing_parts:
        _line("differences", f"processes differ in {found.differences}")


def _line(heading: str, text: str) -> None:
    echo(f"{heading:<12}{text}")


def _describe_driver(found: DeliveryStatus) -> str:
    """Describe the process or sensor that delivers, or why none does."""
    if found.sensor is not None:
        if not found.is_running:
            return f"{found.sensor} is stopped; start it in the Dagster UI, under Automation"
        evaluated = f"{_age(found.evaluated_at)} ago" if found.evaluated_at else "never"
        silent = "" if found.is_delivering else "; check that dagster-daemon runs"
        return f"{found.sensor} runs; last evaluated: {evaluated}{silent}"
    heartbeat = found.heartbeat
    how = (
        "start `openlineage-dagster deliver`: the configuration has `deliver: external`"
        if found.is_external
        else "the next process of Dagster that stores an event starts one"
    )
    if heartbeat is None:
        return f"none has been started yet; {how}"
    process = f"process {heartbeat.pid} on {heartbeat.host}"
    if not found.is_delivering:
        end = "ended" if heartbeat.has_ended else "was last seen"
        return f"none is alive; the last one, {process}, {end} {_age(heartbeat.at)} ago; {how}"
    kind = "a service" if heartbeat.is_service else "started by a process of Dagster"
    return f"{process}, {kind}, for {_age(heartbeat.started_at)}, version {heartbeat.version}"


def _age(moment: float) -> str:
    return in_words(max(0.0, time.time() - moment))
