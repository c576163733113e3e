"""The command `deliver`: the deliverer of Mechanism A as a service in the foreground."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from openlineage_dagster_core.cli import deployment, terminal
from openlineage_dagster_core.cli.logs import console_events_shown
from openlineage_dagster_core.cli.times import in_words

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from openlineage_dagster_core.engine import Outcome

REPORT_SECONDS = 60.0  # Seconds between two lines that report what was delivered
RETRY_SECONDS = 5.0  # Seconds until a service whose database failed tries again
OTHER_SECONDS = 1.0  # Seconds between two checks of another deliverer's progress, with `--once`


@click.command(
    epilog="""\b
Examples:
  openlineage-dagster deliver
  openlineage-dagster deliver --once
  openlineage-dagster deliver --home /srv/dagster > events.ndjson     (console transport)

\b
Exit status: 0 after SIGTERM, or, with --once, when everything is delivered; 1 with --once where
something is left or was parked; 2 where it cannot deliver; 130 after Ctrl-C.
"""
)
@click.option("--once", is_flag=True, help="End as soon as everything is delivered.")
@deployment.patience_option("With --once: give up when nothing was delivered for so long.")
@deployment.home_option
def deliver(once: bool, patience: float, home: Path | None) -> int:
    """Deliver the event log to the backend, as a service in the foreground.

    For OpenLineageEventLogStorage (mechanism A). Run it as a sidecar, a systemd unit or a
    Kubernetes Deployment, with the same environment as Dagster; with `deliver: external` in
    dagster.yaml no other process starts a deliverer. Of several, one delivers and the others wait
    to take over.

    Messages go to standard error. The console transport writes its events to standard output.
    """
    directory, kind = deployment.home_of(home), _transport_kind()
    with (
        console_events_shown(),
        deployment.instance_at(directory, sends=True) as instance,
        _signals_recorded() as signals,
    ):
        if getattr(instance.event_log_storage, "run_deliverer", None) is None:
            raise terminal.CommandError(
                "This instance's event log storage is not OpenLineageEventLogStorage, and only "
                "that has a deliverer.",
                "Wrap the storage in dagster.yaml. With the sensor, dagster-daemon delivers.",
            )
        service = _Service(instance, signals, patience=patience if once else None)
        target = f"the transport {kind} (process {os.getpid()})"
        terminal.report(f"Delivering the event log of {directory} to {target}.")
        return service.run()


@contextlib.contextmanager
def _signals_recorded() -> Iterator[list[int]]:
    """Record SIGTERM and Ctrl-C in a list, which the deliverer reads between two passes."""
    received: list[int] = []

    def receive(number: int, _: FrameType | None) -> None:
        if received:
            # The user does not wait for the end of the pass.
            raise KeyboardInterrupt
        received.append(number)

    before = {each: signal.signal(each, receive) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Service:
    """Runs the storage's deliverer and reports what it does.

    It gives up after `patience` seconds without any delivery; with None, as a service, it goes on.
    """

    def __init__(
        self, instance: DagsterInstance, signals: list[int], *, patience: float | None
    ) -> None:
        self._instance = instance
        self._signals = signals
        self._patience = patience
        self._moved_at = self._reported_at = time.monotonic()
        self._read = self._sent = self._parked = 0
        self._trouble_since: float | None = None
        self._has_led = False
        self._progress = (0, 0, 0)  # Events read, sent and parked at the last look at the cursor

    def run(self) -> int:
        """Deliver until a signal comes or, with `--once`, the end; return the exit status."""
        self._report_other()
        while True:
            has_led = self._run_deliverer()
            if self._signals:
                self._report()
                return terminal.INTERRUPTED if signal.SIGINT in self._signals else terminal.OK
            if self._patience is None:
                # The deliverer has lost the database, and with it the lead.
                self._sleep(RETRY_SECONDS)
            elif has_led or self._is_out_of_patience or not self._count_waiting():
                return self._conclude()
            else:
                self._sleep(OTHER_SECONDS)

    def _run_deliverer(self) -> bool:
        """Return True if this process led; raise CommandError where it can never lead."""
        storage: Any = self._instance.event_log_storage
        try:
            led: bool = storage.run_deliverer(
                once=self._patience is not None,
                should_stop=lambda: bool(self._signals) or self._is_out_of_patience,
                on_pass=self._on_pass,
            )
        except Exception as error:
            if self._patience is not None or not self._has_led:
                raise terminal.CommandError(
                    f"The deliverer cannot work: {terminal.cause_of(error)}.",
                    "Run `openlineage-dagster doctor` to find the cause.",
                ) from error
            terminal.report(f"The deliverer stopped, will retry: {terminal.cause_of(error)}.")
            return False
        return led

    @property
    def _is_out_of_patience(self) -> bool:
        return self._patience is not None and time.monotonic() - self._moved_at > self._patience

    def _on_pass(self, outcome: Outcome) -> None:
        from openlineage_dagster_core.engine import REST_FOLLOWS

        self._has_led = True
        self._read += outcome.read
        self._sent += outcome.sent
        self._parked += outcome.parked
        now = time.monotonic()
        if outcome.read or outcome.sent or outcome.parked:
            self._moved_at = now
        is_stopped = outcome.stopped_by is not None and outcome.stopped_by != REST_FOLLOWS
        if is_stopped and not outcome.sent:
            # The deliverer logs why.
            self._trouble_since = self._trouble_since or now
        elif self._trouble_since is not None and outcome.sent:
            lasted = in_words(now - self._trouble_since)
            terminal.report(f"The delivery goes on after {lasted} of trouble.")
            self._trouble_since = None
        if now - self._reported_at >= REPORT_SECONDS:
            self._report(outcome)

    def _report(self, outcome: Outcome | None = None) -> None:
        """Print what was delivered since the last report."""
        if self._read or self._sent:
            waiting = outcome.waiting if outcome is not None else 0
            behind = f"; {waiting} events wait" if waiting else ""
            events = f"{self._read} events of the log as {self._sent} OpenLineage events"
            terminal.report(f"Delivered {events}{behind}.")
        self._reported_at = time.monotonic()
        self._read = self._sent = 0

    def _report_other(self) -> None:
        from openlineage_dagster_core.deliverer_state import read_state
        from openlineage_dagster_core.key_values import KeyValues

        with terminal.explained("The instance cannot be read"):
            heartbeat = read_state(KeyValues(self._instance)).heartbeat
        if heartbeat is not None and heartbeat.is_alive(time.time()):
            process = f"Process {heartbeat.pid} on {heartbeat.host}"
            terminal.report(f"{process} delivers already; waiting for it.")

    def _count_waiting(self) -> int:
        """Count what is not delivered, and record whether another deliverer makes progress."""
        from openlineage_dagster_core.cli.delivery_status import delivery_of_storage, waiting_after

        with terminal.explained("The instance cannot be read"):
            found = delivery_of_storage(self._instance)
            cursor, waiting = found.cursor, found.waiting
            if cursor is not None and found.is_delivering:
                # The cursor's own figures lack the events that the deliverer has not read.
                waiting = waiting_after(self._instance, cursor)
        progress = (cursor.read, cursor.sent, cursor.parked) if cursor is not None else (0, 0, 0)
        if progress != self._progress:
            self._progress, self._moved_at = progress, time.monotonic()
        return waiting.events

    def _conclude(self) -> int:
        """Print what is left; return the exit status."""
        self._report()
        waiting = self._count_waiting()
        if waiting:
            terminal.report(f"Error: {waiting} events of the log are not delivered.")
        if self._parked:
            hint = "see `openlineage-dagster parked list`"
            terminal.report(f"Error: {self._parked} events were parked; {hint}.")
        return terminal.INCOMPLETE if waiting or self._parked else terminal.OK

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._signals and time.monotonic() < until:
            time.sleep(min(0.2, seconds))


def _transport_kind() -> str:
    """Check that a transport is configured; return its type."""
    from openlineage_dagster_core.delivery import configured, transport
    from openlineage_dagster_core.errors import ConfigurationError
    from openlineage_dagster_core.settings import ENV_DISABLED, is_disabled

    if is_disabled(os.environ):
        problem = f"{ENV_DISABLED} is set: nothing is sent."
        raise terminal.CommandError(problem, f"Unset {ENV_DISABLED}.")
    try:
        found = configured.transport(os.environ)
        transport.check(os.environ)
    except (configured.ConfigFileError, ConfigurationError) as error:
        raise terminal.CommandError(f"{error}.", "Correct the configuration.") from error
    if found is None:
        raise terminal.CommandError(
            "No transport is configured, so there is nowhere to send to.",
            f"To configure one, {transport.HOW_TO_CONFIGURE}.",
        )
    return found.kind
