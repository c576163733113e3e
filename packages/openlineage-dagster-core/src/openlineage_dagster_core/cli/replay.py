"""The command `replay`: sends the lineage of past runs from the event log."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from openlineage_dagster_core.cli import terminal
from openlineage_dagster_core.cli.code import CodeTarget, code_options
from openlineage_dagster_core.cli.deployment import (
    DEFAULT_PATIENCE,
    Deployment,
    home_option,
    opened,
    patience_option,
    warn_without_mechanism,
)
from openlineage_dagster_core.cli.logs import console_events_shown
from openlineage_dagster_core.cli.progress import progress_bar
from openlineage_dagster_core.cli.times import Moment, Time

if TYPE_CHECKING:
    from dagster._core.storage.dagster_run import RunRecord

    from openlineage_dagster_core.replay.finished_runs import FinishedRuns
    from openlineage_dagster_core.replay.replay import Progress

STATUSES = ("success", "failure", "canceled", "started", "queued", "not_started")
REFUSALS_SHOWN = 10
OWN_FOLDER = "openlineage"  # The folder in the instance's directory with the lists of finished runs
CONTINUES = "The same command continues from there."

T = TypeVar("T")


@click.command(
    epilog="""\b
Examples:
  openlineage-dagster replay --since 24h
  openlineage-dagster replay --run 6f1c… -m my_project.definitions
  openlineage-dagster replay --asset 'raw/*' --since 2026-01-01 --dry-run
  openlineage-dagster replay --to file:events.ndjson

\b
Exit status: 0 everything was sent; 1 events were refused, or the backend took nothing for too long;
2 the replay could not begin, or the event log cannot be read; 130 after Ctrl-C.
"""
)
@click.option("--run", "run_ids", multiple=True, metavar="RUN_ID", help="This run; repeatable.")
@click.option("--from-run", metavar="RUN_ID", help="This run and the runs stored after it.")
@click.option("--to-run", metavar="RUN_ID", help="This run and the runs stored before it.")
@click.option("--since", type=Time(), help="Runs that had any event since then.")
@click.option("--until", type=Time(), help="Runs stored before then.")
@click.option(
    "--asset", "assets", multiple=True, metavar="GLOB", help="Only events of these assets."
)
@click.option(
    "--status", "statuses", multiple=True, type=click.Choice(STATUSES), help="Runs in this state."
)
@click.option(
    "--to",
    "destination",
    metavar="DESTINATION",
    help="file:PATH or an http address, instead of the configured backend.",
)
@click.option("--dry-run", is_flag=True, help="Convert and count; send nothing.")
@click.option("--restart", is_flag=True, help="Send again what an interrupted replay has sent.")
@patience_option("Give up when the backend took nothing for so long.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@home_option
@code_options
def replay(
    run_ids: tuple[str, ...],
    from_run: str | None,
    to_run: str | None,
    since: Moment | None,
    until: Moment | None,
    assets: tuple[str, ...],
    statuses: tuple[str, ...],
    destination: str | None,
    dry_run: bool,
    restart: bool,
    patience: float,
    as_json: bool,
    home: Path | None,
    code: CodeTarget,
) -> int:
    """Send the lineage of past runs from the event log.

    Sends whole runs in the order of the log; by default all runs. The events have the same ids and
    the same content each time, so sending them again changes nothing at the backend. After an
    interruption, the same command continues with the runs that were not finished.

    With the sensor (mechanism B), name its definitions with -m or -f: they hold the namespace and
    the other options.
    """
    from dagster import DagsterRunStatus

    from openlineage_dagster_core.replay.finished_runs import FinishedRuns
    from openlineage_dagster_core.replay.selection import Selection
    from openlineage_dagster_core.settings import ENV_URL

    selection = Selection(
        run_ids=run_ids,
        first_run=from_run,
        last_run=to_run,
        since=since.at if since else None,
        until=until.at if until else None,
        statuses=tuple(DagsterRunStatus[status.upper()] for status in statuses),
    )
    check_destination(destination, is_sent=not dry_run)
    with opened(home, code) as deployment:
        warn_without_mechanism(deployment)
        for run_id in (*run_ids, *filter(None, (from_run, to_run))):
            if not deployment.instance.has_run(run_id):
                raise deployment.unknown_run(run_id)
        # The user's words: `24h` is another moment at each call.
        times = [moment and moment.words for moment in (since, until)]
        backend = destination or os.environ.get(ENV_URL)
        key = [run_ids, from_run, to_run, times, assets, statuses, backend]
        # A dry run neither reads nor writes the file.
        finished = _Finished(None if dry_run else FinishedRuns(deployment.home / OWN_FOLDER, key))
        if restart:
            finished.use(FinishedRuns.forget, None)
        done = finished.use(FinishedRuns.read, frozenset[str]())
        with terminal.explained("The runs cannot be counted"):
            total = selection.count(deployment.instance)
        records = selection.runs(deployment.instance)
        try:
            progress, stopped_by = replay_runs(
                deployment,
                (record for record in records if record.dagster_run.run_id not in done),
                selection.holds if selection.takes_runless else None,
                total=None if total is None else max(0, total - len(done)),
                patience=patience,
                assets=assets,
                destination=destination,
                dry_run=dry_run,
                as_json=as_json,
                on_finished=lambda run_id: finished.use(lambda runs: runs.add(run_id), None),
            )
        finally:
            finished.close()
        if stopped_by is None:
            finished.use(FinishedRuns.forget, None)
    return print_result(progress, stopped_by, skipped=len(done), dry_run=dry_run, as_json=as_json)


def replay_runs(
    deployment: Deployment,
    runs: Iterable[RunRecord],
    runless: Callable[[float], bool] | None,
    *,
    total: int | None,
    patience: float = DEFAULT_PATIENCE,
    assets: tuple[str, ...] = (),
    destination: str | None = None,
    dry_run: bool = False,
    as_json: bool = False,
    on_finished: Callable[[str], None] = lambda _: None,
) -> tuple[Progress, str | None]:
    """Replay runs, with a progress bar; return what was done and why it ended early, if it did.

    The runs come in the order in which they were stored. `runless` selects events outside any run
    by their time. `on_finished` gets the id of each run that has ended and is delivered. With
    `as_json`, standard output is left to the result.
    """
    from openlineage_dagster_core.replay.conversion import narrowed
    from openlineage_dagster_core.replay.destination import clients_to
    from openlineage_dagster_core.replay.replay import Replay

    with terminal.explained("The transport cannot be made", "See `openlineage-dagster doctor`."):
        clients = [] if dry_run else clients_to(destination, deployment.settings)
    replay = Replay(
        deployment.instance,
        narrowed(deployment.settings, assets),
        deployment.definitions_source(),
        clients,
        patience=patience,
        on_finished=on_finished,
    )
    next_step = f"{terminal.DATABASE_STEP} {CONTINUES}"
    try:
        with (
            console_events_shown(on_stderr=as_json),
            terminal.explained("The event log cannot be read", next_step),
            progress_bar(lambda: replay.progress, total),
        ):
            stopped_by = replay.run(runs, runless)
    except KeyboardInterrupt:
        done = replay.progress
        events = sum(done.by_type.values())
        terminal.report(f"Stopped after {done.runs} runs and {events} events. {CONTINUES}")
        raise
    finally:
        for client in clients:
            client.close()
    return replay.progress, stopped_by


def print_result(
    progress: Progress,
    stopped_by: str | None,
    *,
    skipped: int = 0,
    dry_run: bool = False,
    as_json: bool = False,
) -> int:
    """Print what `replay_runs` returns; return the exit status.

    `skipped` is the number of runs that an interrupted replay had sent.
    """
    refused = [
        {
            "run": each.run_id,
            "storage_id": each.storage_id,
            "event": each.event_type,
            "reason": each.reason,
        }
        for each in progress.refusals
    ]
    by_type = dict(sorted(progress.by_type.items()))
    if as_json:
        result = {
            "runs": progress.runs,
            "runs_sent_before": skipped,
            "entries": progress.entries,
            "events": progress.sent,
            "by_type": by_type,
            "refused": refused,
            "is_dry_run": dry_run,
            "stopped_by": stopped_by,
        }
        click.echo(json.dumps(result, indent=2))
    else:
        from openlineage_dagster_core.delivery.transport import names_console

        # The events of the console transport have standard output to themselves.
        say = terminal.report if names_console(os.environ) else terminal.echo
        verb = "would be sent" if dry_run else "sent"
        runs = f"{progress.runs} run{'' if progress.runs == 1 else 's'}"
        say(f"{progress.sent} events of {runs} {verb}.")
        for name, count in by_type.items():
            say(f"  {count:>8}  {name}")
        if skipped:
            say(f"{skipped} runs had been sent before the replay was interrupted.")
        if refused:
            say(f"{len(refused)} events of the log were refused:")
        for each in refused[:REFUSALS_SHOWN]:
            say(f"  {each['event'] or 'an event'} of run {each['run'] or '-'}: {each['reason']}")
        if len(refused) > REFUSALS_SHOWN:
            say(f"  and {len(refused) - REFUSALS_SHOWN} more; --json prints all of them.")
    if stopped_by is not None:
        terminal.report(f"Error: {stopped_by}. {CONTINUES}")
    return terminal.OK if stopped_by is None and not refused else terminal.INCOMPLETE


class _Finished:
    """The file of finished runs; where it fails, the replay goes on without it after one note."""

    def __init__(self, runs: FinishedRuns | None) -> None:
        self._runs = runs

    def use(self, action: Callable[[FinishedRuns], T], otherwise: T) -> T:
        if self._runs is None:
            return otherwise
        try:
            return action(self._runs)
        except OSError as error:
            self._runs = None
            terminal.report(
                "Note: the list of finished runs cannot be used, so after an interruption this "
                f"replay would start again from the beginning: {terminal.cause_of(error)}."
            )
            return otherwise

    def close(self) -> None:
        if self._runs is not None:
            self._runs.close()


def check_destination(destination: str | None, *, is_sent: bool) -> None:
    """Raise CommandError where there is nowhere to send to; None is the configured backend."""
    from openlineage_dagster_core.delivery import transport
    from openlineage_dagster_core.errors import ConfigurationError
    from openlineage_dagster_core.replay.destination import check
    from openlineage_dagster_core.settings import is_disabled

    try:
        if destination is not None:
            check(destination)
        elif is_sent:
            transport.check(os.environ)
    except ConfigurationError as error:
        raise terminal.CommandError(f"{error}.", "See `openlineage-dagster doctor`.") from error
    if destination is None and is_sent and not transport.is_configured(os.environ):
        is_off = is_disabled(os.environ)
        how = "OPENLINEAGE_DISABLED is set" if is_off else "no transport is configured"
        raise terminal.CommandError(
            f"There is nowhere to send to: {how}.",
            f"To configure a transport, {transport.HOW_TO_CONFIGURE}; or use --to or --dry-run.",
        )
