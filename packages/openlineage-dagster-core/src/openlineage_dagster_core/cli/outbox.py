"""The command `outbox`: what waits to be sent, and what was set aside."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openlineage_dagster_core.cli.age import in_words
from openlineage_dagster_core.cli.code import CodeTarget
from openlineage_dagster_core.cli.deployment import (
    STORAGE,
    Deployment,
    deployment_of,
    home_of,
    instance_at,
    opened,
)
from openlineage_dagster_core.cli.failure import INCOMPLETE, OK, CommandError, explained
from openlineage_dagster_core.cli.options import home_option

if TYPE_CHECKING:
    from openlineage_dagster_core.delivery.outbox import Outbox, OutboxStatus, Record

WATCH_SECONDS = 1.0
DEFAULT_PATIENCE_SECONDS = 30.0
SHOWN = 20

_NO_OUTBOX = (
    "There is no outbox: OpenLineageEventLogStorage is not this instance's event log storage."
)
_WITH_THE_SENSOR = "With the sensor, the reason of its ticks tells how far it is."


@click.group(
    epilog="""\b
Examples:
  openlineage-dagster outbox status --watch
  openlineage-dagster outbox flush
  openlineage-dagster outbox retry --id 17
  openlineage-dagster outbox export --parked > parked.ndjson
"""
)
def outbox() -> None:
    """Look after the outbox of OpenLineageEventLogStorage: what waits, what was refused."""


@outbox.command()
@click.option("--watch", is_flag=True, help="Again every second, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one object a line.")
@home_option
def status(watch: bool, as_json: bool, home: Path | None) -> int:
    """Tell what waits, for how long, what was set aside, and what is missing.

    The exit status is 1 where something was set aside or is missing, or the backend takes nothing.
    """
    with opened(home, CodeTarget()) as deployment:
        directory = _directory(deployment)
    before: tuple[float, OutboxStatus] | None = None
    while True:
        found = _status(directory)
        now = time.monotonic()
        rate = _rate(before, (now, found))
        if as_json:
            click.echo(json.dumps({**asdict(found), "removed_per_second": rate}))
        else:
            if watch and before is not None:
                click.clear()
            _print_status(directory, found, rate)
        if not watch:
            return INCOMPLETE if found.parked or found.gaps or found.last_error else OK
        before = (now, found)
        time.sleep(WATCH_SECONDS)


@outbox.command()
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=DEFAULT_PATIENCE_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long nothing may get sent before it is given up.",
)
@home_option
def flush(patience: float, home: Path | None) -> int:
    """Send all that waits, now, from this process."""
    directory = home_of(home)
    with instance_at(directory, sends=True) as instance:
        deployment = deployment_of(directory, instance, None)
        folder = _directory(deployment)
        _check_transport()
        before = _status(folder).depth
        storage: Any = instance.event_log_storage
        is_sent = storage.work_off(patience)
    left = _status(folder)
    click.echo(f"{before - left.depth} of {before} records were sent; {left.depth} wait.")
    if is_sent:
        return OK
    why = f": {left.last_error}" if left.last_error else ""
    click.echo(f"Error: the backend did not take all of it{why}. It is tried again.", err=True)
    return INCOMPLETE


@outbox.command()
@click.option("--id", "ids", type=int, multiple=True, help="This record alone; repeatable.")
@home_option
def retry(ids: tuple[int, ...], home: Path | None) -> int:
    """Let what was set aside be sent again, by whoever sends next."""
    with _outbox_at(home) as box:
        chosen = _chosen_parked(box, ids)
        box.retry([record for record, _ in chosen])
    click.echo(f"{len(chosen)} records wait again; `openlineage-dagster outbox flush` sends them.")
    return OK


@outbox.command()
@click.option("--id", "ids", type=int, multiple=True, help="This record alone; repeatable.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@home_option
def drop(ids: tuple[int, ...], yes: bool, home: Path | None) -> int:
    """Forget what was set aside. The event log keeps what it stands for: `replay` can send it."""
    with _outbox_at(home) as box:
        chosen = _chosen_parked(box, ids)
        if not chosen:
            click.echo("Nothing was set aside.")
            return OK
        for record, reason in chosen[:SHOWN]:
            click.echo(f"  {record.id}  {record.ordering_key}  {reason}")
        if len(chosen) > SHOWN:
            click.echo(f"  and {len(chosen) - SHOWN} more")
        if not yes:
            click.confirm(f"Forget these {len(chosen)} records?", abort=True)
        box.drop_parked([record for record, _ in chosen])
    click.echo(f"{len(chosen)} records are forgotten.")
    return OK


@outbox.command()
@click.option("--parked/--waiting", default=True, help="What was set aside, or what waits.")
@home_option
def export(parked: bool, home: Path | None) -> int:
    """Write records with their OpenLineage events, as JSON, one record a line."""
    from openlineage_dagster_core.serialisation import to_object

    with opened(home, CodeTarget()) as deployment:
        folder = _directory(deployment)
        with explained(*_unusable(folder)), _opened_outbox(folder) as box:
            found = _records(box, is_parked=parked)
        storage: Any = deployment.instance.event_log_storage
        for record, reason in found:
            events = [to_object(event) for event in storage.events_of(record)]
            described = {
                "id": record.id,
                "ordering_key": record.ordering_key,
                "reason": reason,
                "events": events,
            }
            click.echo(json.dumps(described))
    return OK


def _records(box: Outbox, *, is_parked: bool) -> list[tuple[Record, str | None]]:
    if is_parked:
        return list(box.parked())
    return [(record, None) for record in box.pending(box.depth())]


@contextlib.contextmanager
def _outbox_at(home: Path | None) -> Iterator[Outbox]:
    with opened(home, CodeTarget()) as deployment:
        folder = _directory(deployment)
    with explained(*_unusable(folder)), _opened_outbox(folder) as box:
        yield box


@contextlib.contextmanager
def _opened_outbox(folder: Path) -> Iterator[Outbox]:
    from openlineage_dagster_core.delivery.outbox import Outbox
    from openlineage_dagster_core.delivery.outbox_file import FILE_NAME

    if not (folder / FILE_NAME).exists():
        raise CommandError(f"There is no outbox in {folder} yet.", "A first event makes it.")
    with contextlib.closing(Outbox(folder)) as box:
        yield box


def _unusable(folder: Path) -> tuple[str, str]:
    return f"The outbox in {folder} cannot be used", "Use the account that Dagster runs under."


def _directory(deployment: Deployment) -> Path:
    if STORAGE not in deployment.mechanisms:
        raise CommandError(_NO_OUTBOX, _WITH_THE_SENSOR)
    return deployment.outbox_directory


def _status(folder: Path) -> OutboxStatus:
    from openlineage_dagster_core.delivery.outbox import read_status

    with explained(*_unusable(folder)):
        return read_status(folder)


def _chosen_parked(box: Outbox, ids: tuple[int, ...]) -> list[tuple[Record, str]]:
    found = box.parked()
    unknown = set(ids) - {record.id for record, _ in found}
    if unknown:
        raise CommandError(
            f"No record {min(unknown)} was set aside.",
            "`openlineage-dagster outbox export` shows those that were.",
        )
    return [each for each in found if not ids or each[0].id in ids]


def _rate(
    before: tuple[float, OutboxStatus] | None, now: tuple[float, OutboxStatus]
) -> float | None:
    """Tell how many records left in a second; what came meanwhile is not known."""
    if before is None or now[0] <= before[0]:
        return None
    return max(0.0, (before[1].depth - now[1].depth) / (now[0] - before[0]))


def _print_status(folder: Path, found: OutboxStatus, rate: float | None) -> None:
    click.echo(f"outbox    {folder}")
    waits = (
        "" if found.oldest_seconds is None else f", the oldest for {in_words(found.oldest_seconds)}"
    )
    click.echo(f"waiting   {found.depth} records{waits}")
    if rate is not None:
        click.echo(f"rate      {rate:.1f} records/s leave")
    click.echo(f"set aside {found.parked} records")
    click.echo(f"gaps      {len(found.gaps)}")
    for gap in found.gaps[:SHOWN]:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(gap.since))
        click.echo(f"          since {since} of {gap.ordering_key or 'any run'}: {gap.reason}")
    if found.last_sent_at is not None:
        click.echo(f"last sent {in_words(max(0.0, time.time() - found.last_sent_at))} ago")
    if found.last_error is not None:
        since = in_words(max(0.0, time.time() - (found.last_error_at or time.time())))
        click.echo(f"problem   {found.last_error} (for {since})")


def _check_transport() -> None:
    import os

    from openlineage_dagster_core.delivery import transport

    if not transport.is_configured(os.environ):
        raise CommandError(
            "There is nowhere to send to.", f"To name one, {transport.HOW_TO_CONFIGURE}."
        )
