"""The event log storage of `dagster.yaml`: stores in the wrapped one, and fills the outbox."""

from __future__ import annotations

import contextlib
import logging
import os
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import DagsterEventType, EventLogEntry
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._serdes import ConfigurableClass

from openlineage_dagster_core import fault
from openlineage_dagster_core.delivery import transport
from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.settings import (
    STORAGE_OPTIONS,
    Settings,
    is_disabled,
    storage_config_schema,
)
from openlineage_dagster_core.validation import reject_unknown, seconds
from openlineage_dagster_storage.deferred import DeferredConverter
from openlineage_dagster_storage.delegation import DelegatingEventLogStorage
from openlineage_dagster_storage.references import is_converted
from openlineage_dagster_storage.shipping import Delivery, delivery_of, let_go_of
from openlineage_dagster_storage.surroundings import surroundings_of
from openlineage_dagster_storage.wrapped import wrapped_event_log_storage

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from dagster._serdes import ConfigurableClassData

    from openlineage_dagster_core.delivery.client import Event
    from openlineage_dagster_core.delivery.outbox import Record
    from openlineage_dagster_core.delivery.shipper import Shipper

SLOW_SECONDS = 60.0
"""A write that takes longer may have been given up by whoever looks for its event."""

JOIN_SECONDS = 1.0
"""For the thread to end once there is nothing left to send; otherwise it may be in a request."""

logger = logging.getLogger(__name__)


class OpenLineageEventLogStorage(DelegatingEventLogStorage, ConfigurableClass):
    """Wraps an event log storage and emits each stored event to OpenLineage, in the background.

    Storing is the wrapped storage's. What is ours never raises and never waits for the network: a
    reference to the event is appended to a file, and a thread of one process reads the event from
    the log and sends it.

    Args:
        inner: the storage that keeps the event log.
        settings: namespaces and timeouts.
        flush_timeout: how long `dispose` waits for the sending, in seconds; None to start a process
            that goes on, and wait for none.
        outbox_directory: where events wait; by default under the instance's directory.
        inst_data: where in `dagster.yaml` this came from.
    """

    openlineage_mechanism = "storage"
    """The sensor looks for it: of the two mechanisms, one may run."""

    def __init__(
        self,
        inner: EventLogStorage,
        settings: Settings | None = None,
        *,
        flush_timeout: float | None = None,
        outbox_directory: Path | None = None,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        super().__init__(inner)
        self._settings = settings or Settings()
        self._flush_timeout = flush_timeout
        self._outbox_directory = outbox_directory
        self._inst_data = inst_data
        self._converter: DeferredConverter | None = None
        self._attached_to: Delivery | None = None
        self._failures: Counter[str] = Counter()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """Where in `dagster.yaml` this came from."""
        return self._inst_data

    @property
    def settings(self) -> Settings:
        """How names are made and what is sent."""
        return self._settings

    @property
    def outbox_directory(self) -> Path:
        """Where events wait."""
        return self._outbox_directory or Path(self._instance.root_directory, "openlineage")

    @classmethod
    def config_type(cls) -> Any:
        """Describe the configuration.

        Returns:
            The schema of `config:`.
        """
        return storage_config_schema()

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> OpenLineageEventLogStorage:
        """Make the storage that `dagster.yaml` describes.

        Args:
            inst_data: where it stands.
            config_value: the value of `config:`.

        Returns:
            The storage.

        Raises:
            ConfigurationError: an option is unknown or wrong.
        """
        reject_unknown(config_value.keys(), STORAGE_OPTIONS)
        inner = wrapped_event_log_storage(config_value.get("wrapped"))
        return cls.around(inner, config_value, inst_data)

    @classmethod
    def around(
        cls,
        inner: EventLogStorage,
        options: Mapping[str, Any],
        inst_data: ConfigurableClassData | None,
    ) -> OpenLineageEventLogStorage:
        """Wrap a storage.

        Args:
            inner: the storage that keeps the event log.
            options: those of `STORAGE_OPTIONS`, without `wrapped`, from `dagster.yaml`.
            inst_data: where they stand.

        Returns:
            The wrapper.

        Raises:
            ConfigurationError: a value is wrong.
        """
        transport.check(os.environ)
        settings = Settings.from_options(
            # As in 0.2: storages did not know the run's tags.
            {**options, "resolve_run_tags": options.get("resolve_run_tags") or False}
        )
        flush_timeout = options.get("flush_timeout")
        directory = options.get("outbox_directory")
        return cls(
            inner,
            settings,
            flush_timeout=(
                None
                if flush_timeout is None
                else seconds("flush_timeout", flush_timeout, zero=True)
            ),
            outbox_directory=_absolute(directory) if directory else None,
            inst_data=inst_data,
        )

    def register_instance(self, instance: DagsterInstance) -> None:
        """Learn which instance this storage belongs to, and send what earlier processes left.

        Args:
            instance: the Dagster instance.
        """
        if not self._inner.has_instance:
            self._inner.register_instance(instance)
        self._guarded("left by earlier processes", self._resume)

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event, and refer to it for OpenLineage.

        Args:
            event: the event.
        """
        with self._referred_to((event,)):
            self._inner.store_event(event)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events in one batch of the wrapped storage, and refer to them.

        Args:
            events: the events.
        """
        with self._referred_to(events):
            self._inner.store_event_batch(events)

    def work_off(self, patience: float) -> bool:
        """Send all that waits; for a process that does nothing else.

        Args:
            patience: how long nothing may get sent, in seconds.

        Returns:
            Whether nothing is left.
        """
        return self._delivery().shipper.work_off(patience)

    def events_of(self, record: Record) -> Iterator[Event]:
        """Convert what a record of the outbox stands for; nothing is sent.

        Args:
            record: from the outbox in `outbox_directory`.

        Yields:
            The OpenLineage events; none where what it stands for is not in the event log.

        Raises:
            FactsUnavailableError: the event log cannot be read.
        """
        # Whoever stores events has no use for it.
        from openlineage_dagster_core.delivery.outbox import Outbox
        from openlineage_dagster_storage.converter import StoredEventConverter

        with contextlib.closing(Outbox(self.outbox_directory)) as outbox:
            converter = StoredEventConverter(
                outbox, self._settings, self._instance, is_only_looking=True
            )
            for each in converter.ready([record]):
                yield from converter.to_events(each)

    def dispose(self) -> None:
        """Send what waits, or see that it is sent, and dispose of the wrapped storage."""
        self._guarded("at dispose", self._finish)
        self._inner.dispose()

    @contextlib.contextmanager
    def _referred_to(self, events: Sequence[EventLogEntry]) -> Iterator[None]:
        """Append references before the events are stored: no death can come in between."""
        pending = _Pending([])
        self._guarded(events, self._refer, events, pending)
        began = time.monotonic()
        try:
            yield
        except BaseException:
            # Dagster's own; some of it may have been stored all the same.
            self._guarded(events, self._give_up, pending)
            raise
        if pending.entries:
            if time.monotonic() - began > SLOW_SECONDS:
                # Somebody may have given up on them.
                self._guarded(events, self._append, pending)
            self._guarded(events, self._notify, pending)

    def _refer(self, events: Sequence[EventLogEntry], pending: _Pending) -> None:
        entries = [event for event in events if is_converted(event)]
        if not entries:
            return
        if not self._emits:
            if not is_disabled(os.environ) and any(map(_begins_something, entries)):
                _warn_once(f"OpenLineage: nothing is emitted; {transport.HOW_TO_CONFIGURE}")
            return
        pending.entries = entries
        pending.shipper = self._delivery().shipper
        pending.shipper.begin_to_store()
        self._append(pending)

    def _append(self, pending: _Pending) -> None:
        surroundings: dict[str, str] = {}
        # What goes wrong with the definitions must not cost the event.
        self._guarded(pending.entries, self._look_around, pending.entries, surroundings)
        pending.records = self._delivery().recorder.append(pending.entries, surroundings)

    def _look_around(self, entries: Sequence[EventLogEntry], surroundings: dict[str, str]) -> None:
        surroundings.update(surroundings_of(entries, self._settings))

    def _give_up(self, pending: _Pending) -> None:
        if pending.shipper is not None:
            pending.shipper.end_to_store()
        if pending.records:
            self._delivery().recorder.release(pending.records)

    def _notify(self, pending: _Pending) -> None:
        if pending.shipper is not None:
            pending.shipper.end_to_store()
        self._delivery().shipper.notify()

    def _resume(self) -> None:
        if self._emits:
            delivery = self._delivery()
            if delivery.outbox.has_work():
                delivery.shipper.notify()

    def _finish(self) -> None:
        if self._converter is not None:
            delivery = self._delivery()
            has_sent_all = False
            try:
                self._guarded("at dispose", delivery.recorder.close)
                has_sent_all = delivery.finish()
            finally:
                # Dagster may dispose and go on: the next event attaches a converter again.
                wait = JOIN_SECONDS if has_sent_all else 0
                is_last = delivery.shipper.detach(self._converter, wait)
                self._converter = self._attached_to = None
                if is_last:
                    let_go_of(delivery)

    @cached_property
    def _emits(self) -> bool:
        return transport.is_configured(os.environ)

    def _delivery(self) -> Delivery:
        attached = self._attached_to
        # Asked for each event that is stored.
        if attached is not None and attached.is_of_use:
            return attached
        return self._attach()

    def _attach(self) -> Delivery:
        """Join the others: at the first use, or, after a fork or another's dispose, anew."""
        directory = self.outbox_directory
        instance = weakref.ref(self._instance)
        delivery = delivery_of(directory, self._settings, self._flush_timeout, instance)
        outbox = delivery.shipper.outbox
        self._converter = DeferredConverter(
            outbox, self._settings, self._instance, delivery.shipper.page
        )
        delivery.shipper.attach(self._converter)
        self._attached_to = delivery
        return delivery

    def _guarded(
        self, about: str | Sequence[EventLogEntry], action: Callable[..., None], *args: object
    ) -> None:
        """The boundary that guards the host: nothing of ours reaches the user's run."""
        try:
            action(*args)
        except Exception as error:
            kind = f"{type(error).__name__} in {action.__name__}"
            self._failures[kind] += 1
            if self._failures[kind] == 1:
                logger.error(  # noqa: TRY400 -- its text may hold what the event says
                    "OpenLineage: lineage may be late or missing (%s; %s); no impact on your run. "
                    "The next %s are only counted.",
                    about if isinstance(about, str) else _identity_of(about),
                    fault.described(error),
                    kind,
                )


@dataclass
class _Pending:
    """References to events that are being stored.

    Args:
        entries: the events.
        records: the references.
        shipper: knows that this process is busy with them.
    """

    entries: Sequence[EventLogEntry]
    records: Sequence[tuple[str, str]] = ()
    shipper: Shipper | None = None


def _begins_something(entry: EventLogEntry) -> bool:
    """Tell whether an event is one of few in its run, and all its processes need not speak."""
    event = entry.get_dagster_event()
    return not entry.run_id or event.event_type_value == DagsterEventType.RUN_START.value


def _identity_of(events: Sequence[EventLogEntry]) -> str:
    event = events[0]
    kind = getattr(event.dagster_event, "event_type_value", "a log line")
    return f"{kind} of run {event.run_id}, {len(events)} in all"


_warned: set[str] = set()


def _warn_once(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        logger.warning(message)


def _absolute(directory: str) -> Path:
    path = Path(directory).expanduser()
    if not path.is_absolute():
        # Every process would have its own, wherever it happens to stand.
        raise ConfigurationError("outbox_directory", directory, "an absolute path")
    return path
