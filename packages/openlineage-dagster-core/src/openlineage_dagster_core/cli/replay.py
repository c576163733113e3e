"""The command `replay`: what the event log holds, sent once more."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openlineage_dagster_core.cli.code import CodeTarget
from openlineage_dagster_core.cli.deployment import (
    STORAGE,
    Deployment,
    opened,
    tell_whose_settings,
)
from openlineage_dagster_core.cli.failure import (
    INCOMPLETE,
    OK,
    CommandError,
    explained,
)
from openlineage_dagster_core.cli.options import code_options, home_option
from openlineage_dagster_core.cli.progress import shown
from openlineage_dagster_core.cli.replay_processes import (
    Task,
    processes_of,
    replay_in_processes,
    replay_of,
)
from openlineage_dagster_core.cli.times import Moment, Time

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from dagster._core.storage.dagster_run import RunRecord

    from openlineage_dagster_core.delivery.client import LineageClient
    from openlineage_dagster_core.delivery.outbox import Gap
    from openlineage_dagster_core.replay.replay import Progress
    from openlineage_dagster_core.replay.selection import Selection

STATUSES = ("success", "failure", "canceled", "started", "queued", "not_started")
REFUSALS_SHOWN = 10

DEFAULT_PATIENCE_SECONDS = 60.0


@click.command(
    epilog="""\b
Examples:
  openlineage-dagster replay --since 24h
  openlineage-dagster replay --run 6f1c… -m my_project.definitions
  openlineage-dagster replay --asset 'raw/*' --since 2026-01-01 --dry-run
  openlineage-dagster replay --gaps
  openlineage-dagster replay --to file:events.ndjson
"""
)
@click.option("--run", "run_ids", multiple=True, metavar="RUN_ID", help="This run; repeatable.")
@click.option("--from-run", metavar="RUN_ID", help="The runs that were stored since this one.")
@click.option("--to-run", metavar="RUN_ID", help="And until this one.")
@click.option("--since", type=Time(), help="Runs of which anything happened since then.")
@click.option("--until", type=Time(), help="Runs that were stored before then.")
@click.option(
    "--asset", "assets", multiple=True, metavar="GLOB", help="Events of these assets alone."
)
@click.option(
    "--status", "statuses", multiple=True, type=click.Choice(STATUSES), help="Runs in this state."
)
@click.option("--gaps", is_flag=True, help="What the outbox could not hold, and nothing else.")
@click.option(
    "--to",
    "destination",
    metavar="DESTINATION",
    help="file:PATH or an http address, instead of the configured backend.",
)
@click.option("--dry-run", is_flag=True, help="Convert and count; send nothing.")
@click.option("--restart", is_flag=True, help="Also what a replay that was stopped has sent.")
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=DEFAULT_PATIENCE_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a backend that takes nothing.",
)
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
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
    gaps: bool,
    destination: str | None,
    dry_run: bool,
    restart: bool,
    patience: float,
    as_json: bool,
    home: Path | None,
    code: CodeTarget,
) -> int:
    """Send what the event log holds once more.

    Whole runs are sent, in order, several at a time; everything where nothing is chosen. The events
    are those that were sent first, with the same ids, so that sending them again changes nothing.
    A replay that was stopped goes on where it was when the same command is given again.

    With the sensor (mechanism B), name its definitions with -m or -f: names and namespaces come
    from there.
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
    if gaps and selection != Selection():
        raise CommandError("--gaps says itself what is missing.", "Leave the other choices out.")
    _check_destination(destination, is_sent=not dry_run)
    with opened(home, code) as deployment:
        tell_whose_settings(deployment)
        _check_runs(deployment, [*run_ids, *filter(None, (from_run, to_run))])
        task = Task(deployment.home, code, assets, destination, patience)
        command = _Command(deployment, task, dry_run=dry_run, as_json=as_json)
        if gaps:
            return command.fill_gaps()
        # The user's words: the moment of `24h` is another each time.
        times = [moment and moment.words for moment in (since, until)]
        chosen = [run_ids, from_run, to_run, times, assets, statuses]
        key = [*chosen, destination or os.environ.get(ENV_URL)]
        return command.send(selection, key, restart=restart)


class _Command:
    """One call of `replay`.

    Args:
        deployment: what is replayed.
        task: what is done with every run.
        dry_run: whether nothing is sent.
        as_json: whether the result is for machines.
    """

    def __init__(self, deployment: Deployment, task: Task, *, dry_run: bool, as_json: bool) -> None:
        self._deployment = deployment
        self._task = task
        self._dry_run = dry_run
        self._as_json = as_json

    def send(self, selection: Selection, key: Sequence[object], *, restart: bool) -> int:
        """Replay what was selected.

        Args:
            selection: the user's choice.
            key: tells this replay from others.
            restart: whether to forget what an earlier one has sent.

        Returns:
            The exit status.
        """
        from openlineage_dagster_core.replay.finished_runs import FinishedRuns

        instance = self._deployment.instance
        finished = FinishedRuns(self._deployment.outbox_directory, key)
        done = frozenset[str]()
        if not self._dry_run:
            with explained(
                f"What an earlier replay has sent is in {finished.path}, which cannot be used",
                "Use the account that Dagster runs under.",
            ):
                if restart:
                    finished.forget()
                done = finished.read()
        total = selection.count(instance)
        try:
            progress, stopped_by = self._run(
                (run for run in selection.runs(instance) if run.dagster_run.run_id not in done),
                selection.holds if selection.takes_runless else None,
                total=None if total is None else max(0, total - len(done)),
                on_finished=finished.add,
            )
        finally:
            finished.close()
        if stopped_by is None and not self._dry_run:
            finished.forget()
        return self._report(progress, stopped_by, skipped=len(done))

    def fill_gaps(self) -> int:
        """Replay what the outbox could not hold, and cross the gaps off.

        Returns:
            The exit status.
        """
        from openlineage_dagster_core.delivery.outbox import Outbox

        if STORAGE not in self._deployment.mechanisms:
            raise CommandError(
                "Only OpenLineageEventLogStorage records gaps, and this instance is without it.",
                "With the sensor, use --since.",
            )
        outbox = Outbox(self._deployment.outbox_directory)
        with (
            explained(
                f"The outbox in {outbox.directory} cannot be used",
                "Use the account that Dagster runs under.",
            ),
            contextlib.closing(outbox),
        ):
            found = outbox.gaps() if outbox.path.exists() else []
            progress, stopped_by = self._run(*_of_gaps(self._deployment.instance, found))
            if stopped_by is None and not self._dry_run:
                for gap in found:
                    outbox.heal(gap, ())
        return self._report(progress, stopped_by)

    def _run(
        self,
        runs: Iterator[RunRecord],
        runless: Callable[[float], bool] | None,
        *,
        total: int | None = None,
        on_finished: Callable[[str], None] | None = None,
    ) -> tuple[Progress, str | None]:
        """Replay runs in processes where that is faster, and what is left here."""
        from openlineage_dagster_core.replay.replay import Counts, Progress

        clients = [] if self._dry_run else self._connected()
        of_processes, stopped_by = Progress(), None
        replay = replay_of(
            self._task,
            self._deployment,
            sinks=clients or [Counts()],
            on_finished=None if self._dry_run else on_finished,
        )

        def far() -> Progress:
            return of_processes + replay.progress

        def learn(progress: Progress) -> None:
            nonlocal of_processes
            of_processes = progress

        try:
            with shown(far, total):
                # Only an address takes what several processes send.
                count = processes_of(total) if clients and clients[0].is_http else 1
                if count > 1:
                    stopped_by = replay_in_processes(
                        self._task,
                        (run.dagster_run.run_id for run in runs),
                        count,
                        on_progress=learn,
                        on_finished=on_finished or (lambda _: None),
                    )
                    runs = iter(())
                if stopped_by is None:
                    stopped_by = replay.run(runs, runless)
        except KeyboardInterrupt:
            click.echo(
                f"Stopped after {far().runs} runs and {far().sent} events; the same command goes "
                "on from there.",
                err=True,
            )
            raise
        finally:
            for client in clients:
                client.close()
        return far(), stopped_by

    def _connected(self) -> list[LineageClient]:
        from openlineage_dagster_core.replay.destination import clients_to

        with explained(
            "The transport cannot be made", "`openlineage-dagster doctor` tells what is configured."
        ):
            return clients_to(self._task.destination, self._deployment.settings)

    def _report(self, progress: Progress, stopped_by: str | None, skipped: int = 0) -> int:
        result = {
            "runs": progress.runs,
            "runs_sent_before": skipped,
            "entries": progress.entries,
            "events": progress.sent,
            "by_type": dict(sorted(progress.by_type.items())),
            "refused": [
                {"run": each.run_id, "event": each.event_type, "reason": each.reason}
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
            click.echo(f"Error: {stopped_by}. The same command goes on from there.", err=True)
        return OK if stopped_by is None and not progress.refusals else INCOMPLETE


def _of_gaps(
    instance: DagsterInstance, gaps: Sequence[Gap]
) -> tuple[Iterator[RunRecord], Callable[[float], bool] | None]:
    """Find what gaps stand for: runs, and the time since which events of no run are missing."""
    from openlineage_dagster_core.ordering import run_id_of
    from openlineage_dagster_core.replay.selection import UNFINISHED, Selection

    run_ids = {run_id_of(gap.ordering_key) for gap in gaps if gap.ordering_key is not None}
    since = min((gap.since for gap in gaps if gap.ordering_key is None), default=None)
    runless = [
        gap.since for gap in gaps if gap.ordering_key is None or not run_id_of(gap.ordering_key)
    ]
    selections = [Selection(run_ids=(run_id,)) for run_id in sorted(run_ids - {""})]
    if since is not None:
        selections += [Selection(since=since), Selection(statuses=UNFINISHED)]

    def runs() -> Iterator[RunRecord]:
        seen: set[str] = set()
        for selection in selections:
            for record in selection.runs(instance):
                if record.dagster_run.run_id not in seen:
                    seen.add(record.dagster_run.run_id)
                    yield record

    return runs(), Selection(since=min(runless)).holds if runless else None


def _print(result: dict[str, object]) -> None:
    verb = "would be sent" if result["is_dry_run"] else "sent"
    click.echo(f"{result['events']} events of {result['runs']} runs {verb}.")
    by_type = result["by_type"]
    if isinstance(by_type, dict):
        for name, count in by_type.items():
            click.echo(f"  {count:>8}  {name}")
    if result["runs_sent_before"]:
        click.echo(
            f"{result['runs_sent_before']} runs had been sent before the replay was stopped."
        )
    refused = result["refused"]
    if isinstance(refused, list) and refused:
        click.echo(f"{len(refused)} entries of the event log were refused:")
        for each in refused[:REFUSALS_SHOWN]:
            click.echo(f"  {each['event']} of run {each['run'] or '-'}: {each['reason']}")
        if len(refused) > REFUSALS_SHOWN:
            click.echo(f"  and {len(refused) - REFUSALS_SHOWN} more; --json shows them all.")


def _check_destination(destination: str | None, *, is_sent: bool) -> None:
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
            f"To name one, {transport.HOW_TO_CONFIGURE}; or use --to or --dry-run.",
        )


def _check_runs(deployment: Deployment, run_ids: Sequence[str]) -> None:
    for run_id in run_ids:
        if not deployment.instance.has_run(run_id):
            raise CommandError(
                f"There is no run {run_id} in {deployment.home}.",
                "`dagster run list` shows those that there are.",
            )
