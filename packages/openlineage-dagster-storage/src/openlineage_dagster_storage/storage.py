"""The event log storage of `dagster.yaml`: stores in the wrapped one, and sees to the delivery."""

from __future__ import annotations

import logging
import os
import time
import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dagster import DagsterEventType, DagsterInstance, EventLogEntry
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._serdes import ConfigurableClassData

from openlineage_dagster_core import fault
from openlineage_dagster_core.delivery import transport
from openlineage_dagster_core.families import FOLLOWED_VALUES, RUN_END_VALUES
from openlineage_dagster_core.options import Deliver, StorageOptions, declared, setting
from openlineage_dagster_core.settings import Settings, is_disabled
from openlineage_dagster_core.validation import reject_unknown
from openlineage_dagster_storage.delegation import DelegatingEventLogStorage, wrapped_storage

if TYPE_CHECKING:
    from openlineage_dagster_core.engine import Outcome
    from openlineage_dagster_storage.watching import DelivererWatch

# Dagster events at which the storage looks for a deliverer: before a run starts, too.
MATTERING = FOLLOWED_VALUES | {
    DagsterEventType[f"RUN_{state}"].value for state in ("ENQUEUED", "DEQUEUED", "STARTING")
}
RUN_START = DagsterEventType.RUN_START.value
EXAMPLE = (
    "an event log storage, such as module: dagster_postgres.event_log, class: "
    "PostgresEventLogStorage"
)

logger = logging.getLogger(__name__)


class OpenLineageEventLogStorage(DelegatingEventLogStorage):
    """Wraps an event log storage, and sees that a deliverer sends what it stores to OpenLineage.

    The wrapped storage stores. What is ours never raises, never touches the network and starts no
    thread: it keeps the definitions of a run that starts, and looks now and then for a living
    deliverer, and starts one if none lives.

    Args:
        wrapped: the storage that keeps the event log.
        settings: namespaces, what is emitted, and the limit of a request.
        deliver: who starts the deliverer.
        flush_timeout: seconds that the end of a run in a container waits for its lineage.
        inst_data: where in `dagster.yaml` this came from.
        options: as `dagster.yaml` has them (`namespace`, `timeout`, …), in place of `settings`; 0.2
            had some of them as arguments.

    Raises:
        ConfigurationError: an option is unknown or wrong.
    """

    def __init__(
        self,
        wrapped: EventLogStorage,
        settings: Settings | None = None,
        *,
        deliver: Deliver = Deliver.AUTOMATIC,
        flush_timeout: float | None = None,
        inst_data: ConfigurableClassData | None = None,
        **options: Any,
    ) -> None:
        super().__init__(wrapped)
        reject_unknown(options.keys(), declared(StorageOptions))
        self.settings = settings or _settings(options)
        self.deliver_option = deliver
        self._flush_timeout = flush_timeout
        self._inst_data = inst_data
        self._failures: Counter[str] = Counter()
        self._ended_run_id: str | None = None
        self._next_look = float("inf")

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> OpenLineageEventLogStorage:
        """Return the storage that `dagster.yaml` describes, or raise ConfigurationError."""
        reject_unknown(config_value.keys(), declared(StorageOptions))
        inner = wrapped_storage(config_value.get("wrapped"), EventLogStorage, EXAMPLE)
        return cls.around(inner, config_value, inst_data)

    @classmethod
    def around(
        cls,
        inner: EventLogStorage,
        options: Mapping[str, Any],
        inst_data: ConfigurableClassData | None,
    ) -> OpenLineageEventLogStorage:
        """Wrap `inner` with the options of `dagster.yaml`, or raise ConfigurationError."""
        transport.check(os.environ)
        return cls(
            inner,
            _settings(options),
            deliver=setting("deliver", {"deliver": options.get("deliver") or None}),
            flush_timeout=setting("flush_timeout", options),
            inst_data=inst_data,
        )

    def register_instance(self, instance: DagsterInstance) -> None:
        """Tell the wrapped storage which instance it belongs to."""
        if not self._inner.has_instance:
            self._inner.register_instance(instance)
        if self._watches:
            # At the first call: the instance has no run storage yet.
            self._next_look = 0.0

    def store_event(self, event: EventLogEntry) -> None:
        """Keep what a starting run knows, look for a deliverer, and store the event."""
        if event.dagster_event is not None:
            self._guarded(event, self._before, (event,))
        self._inner.store_event(event)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events in one batch of the wrapped storage."""
        if events:
            self._guarded(events[0], self._before, events)
        self._inner.store_event_batch(events)

    def run_deliverer(
        self, *, once: bool, should_stop: Callable[[], bool], on_pass: Callable[[Outcome], None]
    ) -> bool:
        """Deliver in this process; return False where another one leads and `once` is set.

        `once` ends as soon as all is delivered; `should_stop` is asked between two passes;
        `on_pass` gets the outcome of each pass.
        """
        # It brings openlineage-python's client along, which nothing else here does.
        from openlineage_dagster_storage.deliverer import Deliverer

        # This process need not start another deliverer.
        self._next_look = float("inf")
        return Deliverer(
            self._instance,
            self.settings,
            is_service=not once,
            once=once,
            should_stop=should_stop,
            on_pass=on_pass,
        ).run()

    def dispose(self) -> None:
        """Wait for the lineage of a run that ended in a container, then dispose of the inner."""
        if self._ended_run_id is not None:
            self._guarded(None, self._flush)
        self._inner.dispose()

    def before_forwarding(self) -> None:
        """Look for a deliverer in a process that only reads, such as an idle daemon."""
        if time.monotonic() >= self._next_look:
            self._guarded(None, self._look)

    def _before(self, events: Sequence[EventLogEntry]) -> None:
        for event in events:
            found = event.dagster_event
            kind = found.event_type_value if found is not None else ""
            if kind not in MATTERING:
                continue
            if kind == RUN_START:
                self._guarded(event, self._keep_snapshot, event)
            elif kind in RUN_END_VALUES:
                self._ended_run_id = event.run_id
            if self._watches:
                if self._watch.is_due:
                    self._look()
            elif kind == RUN_START and not is_disabled(os.environ):
                _warn_once(f"OpenLineage: nothing is emitted; {transport.HOW_TO_CONFIGURE}")

    def _keep_snapshot(self, event: EventLogEntry) -> None:
        # Once a run; most processes, such as those of steps, never do.
        from openlineage_dagster_core.snapshots.writing import keep_snapshot

        keep_snapshot(self._instance, event, self.settings)

    def _look(self) -> None:
        from openlineage_dagster_storage.watching import CHECK_SECONDS

        # A process that only reads looks more rarely.
        self._next_look = time.monotonic() + 4 * CHECK_SECONDS
        self._watch.check()

    def _flush(self) -> None:
        from openlineage_dagster_storage.flushing import wait_for_delivery

        run_id, self._ended_run_id = self._ended_run_id, None
        if self._watches and run_id is not None:
            self._watch.check(at_end=True)
        # Without a deliverer of its own the run has nothing to wait for, unless that is asked for.
        waits = self._starts or self._flush_timeout is not None
        if self._emits and run_id is not None and waits:
            wait_for_delivery(self._instance, run_id, self._flush_timeout)

    @cached_property
    def _emits(self) -> bool:
        return transport.is_configured(os.environ)

    @cached_property
    def _watches(self) -> bool:
        """Whether this process has part in the delivery; a service has its own transport."""
        is_external = self.deliver_option is Deliver.EXTERNAL
        return self._emits or (is_external and not is_disabled(os.environ))

    @cached_property
    def _starts(self) -> bool:
        # A deliverer that is started here has no console: what it prints would be lost.
        is_automatic = self.deliver_option is Deliver.AUTOMATIC
        return is_automatic and not transport.is_console(os.environ)

    @cached_property
    def _watch(self) -> DelivererWatch:
        from openlineage_dagster_storage.watching import DelivererWatch

        storage = weakref.ref(self)

        def instance() -> DagsterInstance | None:
            found = storage()
            return found._instance if found is not None else None  # noqa: SLF001 -- its own

        if self.deliver_option is Deliver.AUTOMATIC and not self._starts:
            _warn_once(
                "OpenLineage: the console transport prints where the deliverer runs. Run "
                "`openlineage-dagster deliver` in a terminal to see the events; until then they "
                "wait in the event log"
            )
        return DelivererWatch(instance, self.settings, starts=self._starts)

    def _guarded(
        self, event: EventLogEntry | None, action: Callable[..., None], *args: object
    ) -> None:
        """The boundary that guards the host: nothing of ours reaches the user's run."""
        try:
            action(*args)
        except Exception as error:
            kind = f"{type(error).__name__} in {action.__name__}"
            self._failures[kind] += 1
            if self._failures[kind] == 1:
                logger.error(  # noqa: TRY400 -- its text may hold what the event says
                    "OpenLineage: lineage may be late or incomplete (%s; %s); no impact on your "
                    "run. Further failures of this kind (%s) are only counted.",
                    _identity_of(event),
                    fault.described(error),
                    kind,
                )


def _settings(options: Mapping[str, Any]) -> Settings:
    # As in 0.2: storages did not know the run's tags.
    resolves = options.get("resolve_run_tags") or False
    return Settings.from_options({**options, "resolve_run_tags": resolves})


def _identity_of(event: EventLogEntry | None) -> str:
    if event is None:
        return "outside any event"
    kind = getattr(event.dagster_event, "event_type_value", "a log line")
    return f"{kind} of run {event.run_id or '-'}"


_warned: set[str] = set()


def _warn_once(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        logger.warning(message)
