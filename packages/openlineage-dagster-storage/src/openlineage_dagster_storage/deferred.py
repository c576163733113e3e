"""A converter that is made, and its modules imported, by the thread that needs one."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from openlineage_dagster_core.errors import FactsUnavailableError

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from openlineage_dagster_core.delivery.client import Event
    from openlineage_dagster_core.delivery.outbox import Gap, Outbox, Record
    from openlineage_dagster_core.settings import Settings
    from openlineage_dagster_storage.converter import StoredEventConverter


class DeferredConverter:
    """Stands for a `StoredEventConverter`; most processes, such as those of steps, need none.

    Args:
        outbox: holds the definitions.
        settings: the namespaces.
        instance: holds the runs and their logs; kept weakly, as storages keep it.
        page: see `EventLogFacts`.
    """

    def __init__(
        self,
        outbox: Outbox,
        settings: Settings,
        instance: DagsterInstance,
        page: Callable[[int], int] = int,
    ) -> None:
        self._outbox = outbox
        self._settings = settings
        self._instance = weakref.ref(instance)
        self._page = page
        self._made: StoredEventConverter | None = None

    @property
    def is_usable(self) -> bool:
        """Whether the instance still lives."""
        return self._instance() is not None

    def begin_anew(self) -> None:
        """Forget how far every run is."""
        self._made = None

    def ready(
        self, records: Sequence[Record], later_than: Callable[[Record], Sequence[Record]]
    ) -> Sequence[Record]:
        """Find out what can be sent; see `StoredEventConverter.ready`."""
        return self._converter.ready(records, later_than)

    def to_events(self, record: Record) -> Iterable[Event]:
        """Convert a record; see `StoredEventConverter.to_events`."""
        return self._converter.to_events(record)

    def forget(self, record: Record) -> None:
        """Leave a record out; see `StoredEventConverter.forget`."""
        self._converter.forget(record)

    def stand_in(self, gap: Gap) -> Iterable[tuple[str, str]]:
        """Refer to everything that may be missing; see `StoredEventConverter.stand_in`."""
        return self._converter.stand_in(gap)

    @property
    def _converter(self) -> StoredEventConverter:
        if self._made is None:
            self._made = self._make()
        return self._made

    def _make(self) -> StoredEventConverter:
        from openlineage_dagster_storage.converter import StoredEventConverter

        instance = self._instance()
        if instance is None:
            msg = "the instance is gone"
            raise FactsUnavailableError(msg)
        return StoredEventConverter(self._outbox, self._settings, instance, page=self._page)
