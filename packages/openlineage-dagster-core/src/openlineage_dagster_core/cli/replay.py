"""The command `replay`: delivers what the event log holds once more."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openlineage_dagster_core.cli.code import CodeTarget
from openlineage_dagster_core.cli.deployment import Deployment, opened, tell_whose_settings
from openlineage_dagster_core.cli.failure import INCOMPLETE, OK, CommandError, cause_of, explained
from openlineage_dagster_core.cli.options import code_options, home_option
from openlineage_dagster_core.cli.progress import shown
from openlineage_dagster_core.cli.terminal_text import echo
from openlineage_dagster_core.cli.times import Moment, Time

if TYPE_CHECKING:
    from dagster._core.storage.dagster_run import RunRecord

    from openlineage_dagster_core.delivery.client import LineageClient
    from openlineage_dagster_core.replay.finished_runs import FinishedRuns
    from openlineage_dagster_core.replay.replay import Progress

STATUSES = ("success", "failure", "canceled", "started", "queued", "not_started")
REFUSALS_SHOWN = 10

DEFAULT_PATIENCE_SECONDS = 60.0


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
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=DEFAULT_PATIENCE_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="Give up when the backend took nothing for so long.",
)
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

    Sends whole runs in the order of the log; without any choice, all runs. The events have the same
    ids and the same content each time, so sending them again changes nothing at the backend. After
    an interruption, the same command goes on with the runs that were not finished.

    With the sensor (mechanism B), name its definitions with -m or -f: they hold the namespace and
    the other options.
    """
    from dagster import DagsterRunStatus

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
        tell_whose_settings(deployment)
        _check_runs(deployment, [*run_ids, *filter(None, (from_run, to_run))])
        command = ReplayCommand(
            deployment,
            assets=assets,
            destination=destination,
            patience=patience,
            dry_run=dry_run,
            as_json=as_json,
        )
        # The user's words: `24h` is another moment at each call.
        times = [moment and moment.words for moment in (since, until)]
        chosen = [run_ids, from_run, to_run, times, assets, statuses]
        finished = _Finished(
            deployment, [*chosen, destination or os.environ.get(ENV_URL)], is_used=not dry_run
        )
        done = finished.begin(restart=restart)
        instance = deployment.instance
        with explained("The runs cannot be counted", "Check that the database answers."):
            total = selection.count(instance)
        try:
            progress, stopped_by = command.run(
                (run for run in selection.runs(instance) if run.dagster_run.run_id not in done),
                selection.holds if selection.takes_runless else None,
                total=None if total is None else max(0, total - len(done)),
                on_finished=finished.add,
            )
        finally:
            finished.close()
        if stopped_by is None:
            finished.forget()
        return command.report(progress, stopped_by, skipped=len(done))


class ReplayCommand:
    """Replays runs and reports what came of it.

    Args:
        deployment: what is replayed.
        assets: shell patterns of the assets that are sent; none sends all.
        destination: where to send to; None is the configured backend.
        patience: how long a backend that takes nothing is tried again, in seconds.
        dry_run: whether nothing is sent.
        as_json: whether the result is printed as JSON.
    """

    def __init__(
        self,
        deployment: Deployment,
        *,
        patience: float,
        assets: tuple[str, ...] = (),
        destination: str | None = None,
        dry_run: bool = False,
        as_json: bool = False,
    ) -> None:
        self._deployment = deployment
        self._assets = assets
        self._destination = destination
        self._patience = patience
        self._dry_run = dry_run
        self._as_json = as_json

    def run(
        self,
        runs: Iterable[RunRecord],
        runless: Callable[[float], bool] | None,
        *,
        total: int | None = None,
        on_finished: Callable[[str], None] = lambda _: None,
    ) -> tuple[Progress, str | None]:
        """Replay runs, with a progress bar on a terminal.

        Args:
            runs: their rows, in the order in which they were stored.
            runless: tells by its time whether an event outside any run is sent; None sends none.
            total: the number of runs; None where it is not known.
            on_finished: told of each run that has ended and is delivered.

        Returns:
            What was done, and why it ended early; None where it did not.

        Raises:
            CommandError: the transport cannot be made, or the event log cannot be read.
        """
        from openlineage_dagster_core.replay.conversion import narrowed
        from openlineage_dagster_core.replay.replay import Replay

        clients = [] if self._dry_run else self._connect()
        replay = Replay(
            self._deployment.instance,
            narrowed(self._deployment.settings, self._assets),
            self._deployment.definitions_source(),
            clients,
            patience=self._patience,
            on_finished=on_finished,
        )
        try:
            with (
                explained(
                    "The event log cannot be read",
                    "Check that the database answers; the same command goes on from there.",
                ),
                shown(lambda: replay.progress, total),
            ):
                stopped_by = replay.run(runs, runless)
        except KeyboardInterrupt:
            progress = replay.progress
            echo(
                f"Stopped after {progress.runs} runs and {sum(progress.by_type.values())} events; "
                "the same command goes on from there.",
                err=True,
            )
            raise
        finally:
            for client in clients:
                client.close()
        return replay.progress, stopped_by

    def _connect(self) -> list[LineageClient]:
        from openlineage_dagster_core.replay.destination import clients_to

        with explained(
            "The transport cannot be made", "`openlineage-dagster doctor` says what is configured."
        ):
            return clients_to(self._destination, self._deployment.settings)

    def report(self, progress: Progress, stopped_by: str | None, skipped: int = 0) -> int:
        """Print the result.

        Args:
            progress: what was done.
            stopped_by: why it ended early; None where it did not.
            skipped: the number of runs that an interrupted replay had sent.

        Returns:
            The exit status.
        """
        result = {
            "runs": progress.runs,
            "runs_sent_before": skipped,
            "entries": progress.entries,
            "events": progress.sent,
            "by_type": dict(sorted(progress.by_type.items())),
            "refused": [
                {
                    "run": each.run_id,
                    "storage_id": each.storage_id,
                    "event": each.event_type,
                    "reason": each.reason,
                }
                for each in progress.refusals
            ],
            "is_dry_run": self._dry_run,
            "stopped_by": stopped_by,
        }
        if self._as_json:
            click.echo(json.dumps(result, indent=2))
        else:
            _print(result)
        if stopped_by is not None:
            echo(f"Error: {stopped_by}. The same command goes on from there.", err=True)
        return OK if stopped_by is None and not progress.refusals else INCOMPLETE


class _Finished:
    """Keeps which runs are sent, so that the same command goes on after an interruption.

    Where the file cannot be used, the replay works without it, after one note.

    Args:
        deployment: its directory holds the file.
        key: what is replayed, and where to.
        is_used: False for a dry run, which neither reads nor writes the file.
    """

    def __init__(self, deployment: Deployment, key: Sequence[object], *, is_used: bool) -> None:
        from openlineage_dagster_core.replay.finished_runs import FinishedRuns

        self._runs: FinishedRuns | None = (
            FinishedRuns(deployment.own_folder, key) if is_used else None
        )

    def begin(self, *, restart: bool) -> frozenset[str]:
        """Read which runs an interrupted replay has sent.

        Args:
            restart: whether to forget them.

        Returns:
            Their run ids.
        """
        done = frozenset[str]()
        if self._runs is not None:
            try:
                if restart:
                    self._runs.forget()
                done = self._runs.read()
            except OSError as error:
                self._do_without(error)
        return done

    def add(self, run_id: str) -> None:
        """Note that a run is sent.

        Args:
            run_id: the Dagster run id.
        """
        if self._runs is not None:
            try:
                self._runs.add(run_id)
            except OSError as error:
                self._do_without(error)

    def forget(self) -> None:
        """Remove the file: everything is sent."""
        if self._runs is not None:
            try:
                self._runs.forget()
            except OSError as error:
                self._do_without(error)

    def close(self) -> None:
        """Close the file."""
        if self._runs is not None:
            self._runs.close()

    def _do_without(self, error: OSError) -> None:
        self._runs = None
        echo(
            f"Note: after an interruption this replay would begin anew: {cause_of(error)}.",
            err=True,
        )


def _print(result: dict[str, Any]) -> None:
    verb = "would be sent" if result["is_dry_run"] else "sent"
    echo(f"{result['events']} events of {result['runs']} runs {verb}.")
    for name, count in result["by_type"].items():
        echo(f"  {count:>8}  {name}")
    if result["runs_sent_before"]:
        echo(f"{result['runs_sent_before']} runs had been sent before the replay was interrupted.")
    refused = result["refused"]
    if refused:
        echo(f"{len(refused)} events of the log were refused:")
        for each in refused[:REFUSALS_SHOWN]:
            echo(f"  {each['event'] or 'an event'} of run {each['run'] or '-'}: {each['reason']}")
        if len(refused) > REFUSALS_SHOWN:
            echo(f"  and {len(refused) - REFUSALS_SHOWN} more; --json prints all of them.")


def check_destination(destination: str | None, *, is_sent: bool) -> None:
    """Check that there is somewhere to send to.

    Args:
        destination: with `--to`; None is the configured backend.
        is_sent: whether anything is sent at all.

    Raises:
        CommandError: the destination is wrong, or no transport is configured.
    """
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
        raise CommandError(
            f"{error}.", "`openlineage-dagster doctor` shows where it is set."
        ) from error
    if destination is None and is_sent and not transport.is_configured(os.environ):
        how = (
            "OPENLINEAGE_DISABLED is set"
            if is_disabled(os.environ)
            else "no transport is configured"
        )
        raise CommandError(
            f"There is nowhere to send to: {how}.",
            f"To configure a transport, {transport.HOW_TO_CONFIGURE}; or use --to or --dry-run.",
        )


def _check_runs(deployment: Deployment, run_ids: Sequence[str]) -> None:
    for run_id in run_ids:
        if not deployment.instance.has_run(run_id):
            raise CommandError(
                f"There is no run {run_id} in {deployment.home}.",
                "`dagster run list` shows the runs.",
            )
