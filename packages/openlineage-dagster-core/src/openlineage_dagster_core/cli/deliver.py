"""The command `deliver`: the deliverer of Mechanism A as a service in the foreground."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from openlineage_dagster_core.cli.age import in_words
from openlineage_dagster_core.cli.deployment import home_of, instance_at
from openlineage_dagster_core.cli.failure import (
    INCOMPLETE,
    INTERRUPTED,
    OK,
    CommandError,
    cause_of,
    explained,
)
from openlineage_dagster_core.cli.options import home_option
from openlineage_dagster_core.cli.terminal_text import echo, escaped

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from typing_extensions import Self

    from openlineage_dagster_core.engine import Outcome

DEFAULT_PATIENCE_SECONDS = 60.0

REPORT_SECONDS = 60.0
"""Seconds between two lines that say what was delivered."""

RETRY_SECONDS = 5.0
"""Seconds after which a service whose database failed tries again."""

OTHER_SECONDS = 1.0
"""Seconds between two looks at what another deliverer has delivered, with `--once`."""

OWN_LOGGERS = ("openlineage_dagster_core", "openlineage_dagster_storage")
CONSOLE_LOGGER = "openlineage.client.transport.console"


@click.command(
    epilog="""\b
Examples:
  openlineage-dagster deliver
  openlineage-dagster deliver --once
  openlineage-dagster deliver --home /srv/dagster > events.ndjson     (console transport)

\b
Exit status: 0 after SIGTERM, or, with --once, when everything is delivered; 1 with --once where
something is left or was parked; 2 it cannot deliver here; 130 after Ctrl-C.
"""
)
@click.option("--once", is_flag=True, help="End as soon as everything is delivered.")
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=DEFAULT_PATIENCE_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="With --once: give up when nothing could be delivered for so long.",
)
@home_option
def deliver(once: bool, patience: float, home: Path | None) -> int:
    """Deliver the event log to the backend, as a service in the foreground.

    For OpenLineageEventLogStorage (mechanism A). Run it as a sidecar, a systemd unit or a
    Kubernetes Deployment, with the same environment as Dagster; `deliver: external` in dagster.yaml
    says that no other process is to start a deliverer. Of several, one delivers and the others wait
    to take over.

    Messages go to standard error. The console transport writes its events to standard output.
    """
    directory = home_of(home)
    kind = _transport_kind()
    with (
        _logs_shown(),
        instance_at(directory, sends=True) as instance,
        _Signals() as signals,
    ):
        _check_storage(instance)
        service = _Service(instance, signals, patience=patience if once else None)
        echo(
            f"Delivering the event log of {directory} to the transport {kind} (process "
            f"{os.getpid()}).",
            err=True,
        )
        return service.run()


class _Signals:
    """Turns SIGTERM and Ctrl-C into a question that is asked between two passes.

    Attributes:
        received: the signal; None while there was none.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self.received is not None:
            # The user does not want to wait for the end of the pass.
            raise KeyboardInterrupt
        self.received = number


class _Service:
    """Runs the storage's deliverer and reports what it does.

    Args:
        instance: whose log is delivered.
        signals: end it.
        patience: seconds without any delivery after which it gives up; None for a service, which
            goes on.
    """

    def __init__(
        self, instance: DagsterInstance, signals: _Signals, *, patience: float | None
    ) -> None:
        self._instance = instance
        self._storage: Any = instance.event_log_storage
        self._signals = signals
        self._patience = patience
        self._moved_at = self._reported_at = time.monotonic()
        self._read = self._sent = 0
        self._parked = 0
        self._trouble_since: float | None = None
        self._has_led = False
        self._place = (0, 0, 0)
        """What was read, sent and parked when a deliverer was last looked at."""

    def run(self) -> int:
        """Deliver until a signal comes or, with a patience, everything is delivered.

        Returns:
            The exit status.
        """
        self._report_other()
        while True:
            has_led = self._run_deliverer()
            if self._signals.received is not None:
                self._report()
                return INTERRUPTED if self._signals.received == signal.SIGINT else OK
            if self._patience is None:
                # It lost the database, and with it the lead.
                self._sleep(RETRY_SECONDS)
            elif has_led or self._is_out_of_patience or not self._count_waiting():
                return self._conclude()
            else:
                self._sleep(OTHER_SECONDS)

    def _run_deliverer(self) -> bool:
        try:
            led: bool = self._storage.run_deliverer(
                once=self._patience is not None,
                should_stop=lambda: self._signals.received is not None or self._is_out_of_patience,
                on_pass=self._on_pass,
            )
        except Exception as error:
            if self._patience is not None or not self._has_led:
                raise CommandError(
                    f"The deliverer cannot work: {cause_of(error)}.",
                    "`openlineage-dagster doctor` says what is wrong.",
                ) from error
            echo(f"The deliverer stopped, will retry: {cause_of(error)}.", err=True)
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
            echo(f"The delivery goes on after {lasted} of trouble.", err=True)
            self._trouble_since = None
        if now - self._reported_at >= REPORT_SECONDS:
            self._report(outcome)

    def _report(self, outcome: Outcome | None = None) -> None:
        """Print what was delivered since the last report."""
        if self._read or self._sent:
            behind = ""
            if outcome is not None and outcome.waiting:
                behind = f"; {outcome.waiting} events wait"
            echo(
                f"Delivered {self._read} events of the log as {self._sent} OpenLineage events"
                f"{behind}.",
                err=True,
            )
        self._reported_at = time.monotonic()
        self._read = self._sent = 0

    def _report_other(self) -> None:
        from openlineage_dagster_core.deliverer_state import read_state
        from openlineage_dagster_core.key_values import KeyValues

        with explained("The instance cannot be read", "Check that its database answers."):
            heartbeat = read_state(KeyValues(self._instance)).heartbeat
        if heartbeat is not None and heartbeat.is_alive(time.time()):
            echo(
                f"Process {heartbeat.pid} on {heartbeat.host} delivers already; waiting for it.",
                err=True,
            )

    def _count_waiting(self) -> int:
        """Count what is not delivered, and note whether another deliverer gets on."""
        from openlineage_dagster_core.cli.delivery_status import delivery_of_storage, waiting_after

        with explained("The instance cannot be read", "Check that its database answers."):
            found = delivery_of_storage(self._instance)
            cursor, waiting = found.cursor, found.waiting
            if cursor is not None and found.is_delivering:
                # Its own figures do not count what it has not read.
                waiting = waiting_after(self._instance, cursor)
        place = (cursor.read, cursor.sent, cursor.parked) if cursor is not None else (0, 0, 0)
        if place != self._place:
            self._place, self._moved_at = place, time.monotonic()
        return waiting.events

    def _conclude(self) -> int:
        """Print what is left, and choose the exit status."""
        self._report()
        waiting = self._count_waiting()
        if waiting:
            echo(f"Error: {waiting} events of the log are not delivered.", err=True)
        if self._parked:
            echo(
                f"Error: {self._parked} events were parked; see `openlineage-dagster parked list`.",
                err=True,
            )
        return INCOMPLETE if waiting or self._parked else OK

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._signals.received is None and time.monotonic() < until:
            time.sleep(min(0.2, seconds))


def _check_storage(instance: DagsterInstance) -> None:
    storage: Any = instance.event_log_storage
    if getattr(storage, "run_deliverer", None) is None:
        raise CommandError(
            "This instance's event log storage is not OpenLineageEventLogStorage, and only that "
            "has a deliverer.",
            "Wrap the storage in dagster.yaml. With the sensor, dagster-daemon delivers.",
        )


def _transport_kind() -> str:
    """Check that a transport is configured; return its type."""
    from openlineage_dagster_core.cli.doctor.configured import ConfigFileError
    from openlineage_dagster_core.cli.doctor.configured import transport as configured
    from openlineage_dagster_core.delivery import transport
    from openlineage_dagster_core.errors import ConfigurationError
    from openlineage_dagster_core.settings import ENV_DISABLED, is_disabled

    if is_disabled(os.environ):
        raise CommandError(f"{ENV_DISABLED} is set: nothing is sent.", f"Unset {ENV_DISABLED}.")
    try:
        found = configured(os.environ)
        transport.check(os.environ)
    except (ConfigFileError, ConfigurationError) as error:
        raise CommandError(f"{error}.", "Correct the configuration.") from error
    if found is None:
        raise CommandError(
            "No transport is configured, so there is nowhere to send to.",
            f"To configure one, {transport.HOW_TO_CONFIGURE}.",
        )
    return found.kind


class _EscapedFormatter(logging.Formatter):
    """Writes a record as one line that is safe to print."""

    def format(self, record: logging.LogRecord) -> str:
        return escaped(super().format(record))


@contextlib.contextmanager
def _logs_shown() -> Iterator[None]:
    """Print our own warnings to standard error, the console transport's events to standard output.

    Yields:
        Nothing; they are printed until the block ends.
    """
    own = logging.StreamHandler(sys.stderr)
    own.setFormatter(_EscapedFormatter("%(asctime)s %(levelname)s %(message)s"))
    events = logging.StreamHandler(sys.stdout)
    events.setFormatter(logging.Formatter("%(message)s"))
    shown = [(name, own, logging.WARNING) for name in OWN_LOGGERS]
    before = []
    for name, handler, level in [*shown, (CONSOLE_LOGGER, events, logging.INFO)]:
        log = logging.getLogger(name)
        before.append((log, handler, log.level, log.propagate))
        log.addHandler(handler)
        log.setLevel(level)
        log.propagate = False
    try:
        yield
    finally:
        for log, handler, level, propagates in before:
            log.removeHandler(handler)
            log.setLevel(level)
            log.propagate = propagates
