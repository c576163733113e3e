"""Asks Dagster's SQL tables what its public API does not answer; the adapter for them.

Private parts used: the tables of Dagster's `schema`, and the storage's `index_connection` and
`run_connection`. They are the same from Dagster 1.11.6 on. The public calls
decode every row that they return, answer for one event type or one asset at a time, and stop at the
first row that Dagster cannot decode.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from dagster import AssetKey, DagsterEventType
from dagster._core.storage.event_log.schema import (
    AssetEventTagsTable,
    DynamicPartitionsTable,
    SqlEventLogStorageTable,
)
from sqlalchemy import and_, func, literal, or_, select, union_all

from openlineage_dagster_core.event_log.stored_event import EventId, Page, StoredEvent
from openlineage_dagster_core.families import FOLLOWED_VALUES

if TYPE_CHECKING:
    from dagster._core.storage.event_log.base import EventLogStorage
    from sqlalchemy.engine import Connection
    from sqlalchemy.sql import Select

KEYS_A_QUERY = 300
"""Assets or ids named in one query; an old SQLite allows 999 parameters."""

LASTS_A_QUERY = 150
"""Assets whose last event one query finds: SQLite puts together 500 queries at most."""

MATERIALIZATION = DagsterEventType.ASSET_MATERIALIZATION.value

DATA_VERSION_TAG = "dagster/data_version"
"""The only tag of a materialization that Dagster keeps in a table, beside those of partitions."""

LONGEST_PAGE = 2000
"""Rows that one query returns at most."""

PAGE_BYTES = 9_000_000
"""Characters of events that one query returns: a single event may be longer."""

PAGE_WITHOUT_WINDOWS = 200
"""Rows that one query returns where the database cannot add up how long they are."""

_T = TypeVar("_T")

_FOLLOWED = sorted(FOLLOWED_VALUES)
_event = SqlEventLogStorageTable.c
_tag = AssetEventTagsTable.c


class EventTables:
    """The tables of an event log storage that keeps them in a SQL database.

    Args:
        storage: the storage; `of` says whether it has tables.
    """

    def __init__(self, storage: EventLogStorage[Any]) -> None:
        self._storage: Any = storage

    @staticmethod
    def of(storage: EventLogStorage[Any]) -> EventTables | None:
        """Find the tables of a storage.

        Args:
            storage: any event log storage.

        Returns:
            The tables; None for a storage without, such as the client of Dagster+.
        """
        # A later import: Dagster's SQL storages take a while.
        from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

        return EventTables(storage) if isinstance(storage, SqlEventLogStorage) else None

    def rows(
        self,
        after: int,
        limit: int = LONGEST_PAGE,
        *,
        until: int | None = None,
        run_id: str | None = None,
    ) -> Page:
        """Read followed events in the order of their storage ids, without decoding them.

        Args:
            after: the storage id before the first.
            limit: the most rows to read; fewer are read where they are longer than `PAGE_BYTES`.
            until: the last storage id.
            run_id: only this run's; None for all runs.

        Returns:
            The events.
        """
        query = (
            select(_event.id, func.length(_event.event).label("size"))
            .where(_event.id > after, _event.dagster_event_type.in_(_FOLLOWED))
            .order_by(_event.id)
        )
        if until is not None:
            query = query.where(_event.id <= until)
        if run_id is not None:
            query = query.where(_event.run_id == run_id)
        with self._connection(run_id) as connection:
            bounded = _has_window_functions(connection)
            if not bounded:
                limit = min(limit, PAGE_WITHOUT_WINDOWS)
            found = connection.execute(_within(query.limit(limit), bounded=bounded)).fetchall()
        events = [
            StoredEvent(EventId(run or "", number), text, None, _seconds(timestamp))
            for number, run, text, timestamp, _ in found
        ]
        is_full = len(found) == limit or (bool(found) and found[-1].total >= PAGE_BYTES)
        return Page(events, not is_full)

    def ids(self, after: int, until: int) -> list[int]:
        """List the storage ids of followed events of all runs.

        Args:
            after: the storage id before the first.
            until: the last storage id.

        Returns:
            The ids that are visible now.
        """
        query = select(_event.id).where(
            _event.id > after,
            _event.id <= until,
            _event.dagster_event_type.in_(_FOLLOWED),
        )
        with self._connection(None) as connection:
            return [number for (number,) in connection.execute(query)]

    def first_ids(self, run_ids: Collection[str]) -> dict[str, int]:
        """Find the first followed event of each run.

        Args:
            run_ids: the Dagster run ids.

        Returns:
            Its storage id by run id; a run without any is left out.
        """
        query = (
            select(_event.run_id, func.min(_event.id))
            .where(_event.run_id.in_(sorted(run_ids)), _event.dagster_event_type.in_(_FOLLOWED))
            .group_by(_event.run_id)
        )
        with self._connection(None) as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def versioned(self, keys: Collection[AssetKey], before: float) -> list[StoredEvent]:
        """Read each asset's last event with a data version before a time.

        Every materialization that a step makes of an asset of its own has a data version. Only that
        tag is in a table; the tags that name what an asset was made from are in the event's text.

        Args:
            keys: the assets.
            before: the time, in seconds since the epoch.

        Returns:
            Materializations and observations.
        """
        found: dict[int, StoredEvent] = {}
        for some in _in_pieces(sorted(keys)):
            found.update(
                self._with_ids(_last_versions(some).where(_tag.event_timestamp < _stored(before)))
            )
        return list(found.values())

    def last_versioned(self, before: Mapping[AssetKey, int]) -> list[StoredEvent]:
        """Read each asset's last event with a data version before another event.

        Args:
            before: the storage id of the other event by asset.

        Returns:
            Materializations and observations.
        """
        found: dict[int, StoredEvent] = {}
        for some in _in_pieces(sorted(before)):
            is_before = or_(
                *[
                    and_(_tag.asset_key == key.to_string(), _tag.event_id < before[key])
                    for key in some
                ]
            )
            found.update(self._with_ids(_last_versions(some).where(is_before)))
        return list(found.values())

    def materializations(
        self, keys: Collection[AssetKey], since: float, until: float
    ) -> list[StoredEvent]:
        """Read each asset's last materialization before a time, and those after it.

        Args:
            keys: the assets.
            since: the time, in seconds since the epoch.
            until: what happened at this time and later is left out, in seconds since the epoch.

        Returns:
            Materializations in the order of their storage ids.
        """
        found: dict[int, StoredEvent] = {}
        for some in _in_pieces(sorted(keys), LASTS_A_QUERY):
            wanted = [_last_materialization(key, since) for key in some]
            if since < until:
                wanted.append(_materializations(some, since, until))
            found.update(self._with_ids(*wanted))
        return [found[number] for number in sorted(found)]

    def last_dynamic_partition(self, name: str, before: datetime) -> str | None:
        """Return the dynamic partition that was added last before a time.

        Args:
            name: of the dynamic partitions.
            before: the time, in UTC.

        Returns:
            The partition key; None where none had been added.
        """
        table = DynamicPartitionsTable.c
        query = (
            select(table.partition)
            .where(
                table.partitions_def_name == name,
                table.create_timestamp <= before.astimezone(timezone.utc).replace(tzinfo=None),
            )
            .order_by(table.id.desc())
            .limit(1)
        )
        with self._connection(None) as connection:
            found = connection.execute(query).scalar()
            return None if found is None else str(found)

    def _with_ids(self, *ids: Select[Any]) -> dict[int, StoredEvent]:
        with self._connection(None) as connection:
            numbers = [number for (number,) in connection.execute(union_all(*ids))]
            found = {}
            for some in _in_pieces(numbers):
                query = select(_event.id, _event.run_id, _event.event, _event.timestamp)
                for number, run, text, timestamp in connection.execute(
                    query.where(_event.id.in_(some))
                ):
                    found[number] = StoredEvent(
                        EventId(run or "", number), text, None, _seconds(timestamp)
                    )
        return found

    @property
    def has_versions(self) -> bool:
        """Whether the table of tags is there: the instance may never have been migrated."""
        return bool(self._storage.has_table(AssetEventTagsTable.name))

    def _connection(self, run_id: str | None) -> AbstractContextManager[Connection]:
        connect = self._storage.index_connection
        if run_id is not None and self._storage.is_run_sharded:
            connect = partial(self._storage.run_connection, run_id)
        connection: AbstractContextManager[Connection] = connect()
        return connection


def _has_window_functions(connection: Connection) -> bool:
    """Return False for MySQL before 8, the only database without that Dagster runs on."""
    dialect: Any = connection.dialect
    return bool(
        dialect.name != "mysql" or dialect.is_mariadb or dialect.server_version_info >= (8,)
    )


def _within(ids: Select[Any], *, bounded: bool) -> Select[Any]:
    """Choose the rows of these ids, the first ones until they are `PAGE_BYTES` long."""
    sizes = ids.subquery()
    total = func.sum(sizes.c.size).over(order_by=sizes.c.id) if bounded else literal(0)
    chosen = select(sizes, total.label("total")).subquery()
    query = (
        select(_event.id, _event.run_id, _event.event, _event.timestamp, chosen.c.total)
        .join(chosen, chosen.c.id == _event.id)
        .order_by(_event.id)
    )
    return query.where(chosen.c.total - chosen.c.size < PAGE_BYTES) if bounded else query


def _last_versions(keys: Iterable[AssetKey]) -> Select[Any]:
    """Choose each asset's last event with a data version, of those that the caller selects."""
    return (
        select(func.max(_tag.event_id))
        .where(_tag.asset_key.in_([key.to_string() for key in keys]), _tag.key == DATA_VERSION_TAG)
        .group_by(_tag.asset_key)
    )


def _last_materialization(key: AssetKey, before: float) -> Select[Any]:
    """Choose the last one of an asset: the index on assets gives it without reading the others."""
    of_asset = (
        select(_event.id)
        .where(
            _event.asset_key == key.to_string(),
            _event.dagster_event_type == MATERIALIZATION,
            _event.timestamp < _stored(before),
        )
        .order_by(_event.id.desc())
        .limit(1)
    )
    # SQLite takes an order within a union only so.
    return select(of_asset.subquery().c.id)


def _materializations(keys: Iterable[AssetKey], since: float, until: float) -> Select[Any]:
    return select(_event.id).where(
        _event.asset_key.in_([key.to_string() for key in keys]),
        _event.dagster_event_type == MATERIALIZATION,
        _event.timestamp >= _stored(since),
        _event.timestamp < _stored(until),
    )


def _in_pieces(items: list[_T], length: int = KEYS_A_QUERY) -> Iterator[list[_T]]:
    for first in range(0, len(items), length):
        yield items[first : first + length]


def _stored(seconds: float) -> datetime:
    """Convert a time to what Dagster stores: UTC without a zone."""
    return datetime.fromtimestamp(seconds, timezone.utc).replace(tzinfo=None)


def _seconds(timestamp: datetime | None) -> float:
    return timestamp.replace(tzinfo=timezone.utc).timestamp() if timestamp is not None else 0.0
