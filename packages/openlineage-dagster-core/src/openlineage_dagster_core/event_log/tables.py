"""The adapter for Dagster's SQL tables, which answer what its public API does not.

Private parts used: the tables of Dagster's `schema`, and the storage's `index_connection` and
`run_connection`. They are the same from Dagster 1.11.6 on. The public calls
decode every row that they return, answer for one event type or one asset at a time, and stop at the
first row that Dagster cannot decode.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from typing import Any, TypeVar

from dagster import AssetKey, DagsterEventType
from dagster._core.storage.event_log import schema
from dagster._core.storage.event_log.base import EventLogStorage
from sqlalchemy import and_, func, literal, or_, select, union_all
from sqlalchemy.engine import Connection
from sqlalchemy.sql import Select

from openlineage_dagster_core.event_log.stored_event import EventId, Page, StoredEvent
from openlineage_dagster_core.families import FOLLOWED_VALUES

KEYS_A_QUERY = 300  # Assets or ids that one query names; an old SQLite allows 999 parameters
LASTS_A_QUERY = 150  # Assets whose last event one query finds: SQLite unites 500 queries at most
TEXTS_A_QUERY = 30  # Likewise where each asset has a dozen of texts to look for as parameters
MATERIALIZATION = DagsterEventType.ASSET_MATERIALIZATION.value

# The only tag of a materialization, except those of partitions, that Dagster keeps in a table
DATA_VERSION_TAG = "dagster/data_version"
LONGEST_PAGE = 4000  # Rows that one query returns at most
PAGE_WITHOUT_WINDOWS = 200  # The same where the database cannot add up how long rows are
PAGE_BYTES = 9_000_000  # Characters of events that one query returns at most, except a single one

_T = TypeVar("_T")

_event = schema.SqlEventLogStorageTable.c
_tag = schema.AssetEventTagsTable.c
_is_followed = _event.dagster_event_type.in_(sorted(FOLLOWED_VALUES))


class EventTables:
    """The tables of an event log storage that keeps them in a SQL database; made by `of`.

    All times are in seconds since the epoch. "Followed" events are those of `FOLLOWED`.
    """

    def __init__(self, storage: EventLogStorage[Any]) -> None:
        self._storage: Any = storage

    @staticmethod
    def of(storage: EventLogStorage[Any]) -> EventTables | None:
        """Return a storage's tables; None for one without, such as the client of Dagster+."""
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

        They come after the storage id `after`, up to `until`, of one run or of all. A page has
        `limit` rows, and fewer where they are longer than `PAGE_BYTES`.
        """
        query = (
            select(_event.id, func.length(_event.event).label("size"))
            .where(_event.id > after, _is_followed)
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
        is_full = len(found) == limit or (bool(found) and found[-1].total >= PAGE_BYTES)
        return Page([_stored_event(*row) for row in found], not is_full)

    def ids(self, after: int, until: int) -> list[int]:
        """List the storage ids, after one and up to another, of followed events of all runs."""
        query = select(_event.id).where(_event.id > after, _event.id <= until, _is_followed)
        with self._connection(None) as connection:
            return [number for (number,) in connection.execute(query)]

    def first_ids(self, run_ids: Collection[str]) -> dict[str, int]:
        """Return the storage id of each run's first followed event, by run id where it has any."""
        query = (
            select(_event.run_id, func.min(_event.id))
            .where(_event.run_id.in_(sorted(run_ids)), _is_followed)
            .group_by(_event.run_id)
        )
        with self._connection(None) as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def versioned(self, keys: Collection[AssetKey], before: float) -> list[StoredEvent]:
        """Read each asset's last event with a data version before a time.

        Every materialization that a step makes of an asset of its own has a data version. Only that
        tag is in a table; the tags that name what an asset was made from are in the event's text.
        """
        return self._chosen(
            [_last_versions(some).where(_tag.event_timestamp < _stored(before))]
            for some in _in_pieces(sorted(keys))
        )

    def last_versioned(self, before: Mapping[AssetKey, int]) -> list[StoredEvent]:
        """Read each asset's last event with a data version before the given storage id."""

        def last(keys: list[AssetKey]) -> Select[Any]:
            is_before = [
                and_(_tag.asset_key == key.to_string(), _tag.event_id < before[key]) for key in keys
            ]
            return _last_versions(keys).where(or_(*is_before))

        return self._chosen([last(some)] for some in _in_pieces(sorted(before)))

    def materializations(
        self, keys: Collection[AssetKey], since: float, until: float
    ) -> list[StoredEvent]:
        """Read each asset's materializations from `since` to `until`, and the last before."""
        return self._chosen(
            [
                # SQLite takes an order within a union only so.
                *(select(_last_materializations(key, since, 1).subquery().c.id) for key in some),
                *([_materializations(some, since, until)] if since < until else []),
            ]
            for some in _in_pieces(sorted(keys), LASTS_A_QUERY)
        )

    def last_with_text(
        self, keys: Collection[AssetKey], before: float, texts: Collection[str], among: int
    ) -> list[StoredEvent]:
        """Read each asset's last materialization before a time whose JSON has one of these texts.

        It is looked for among the last `among` of the asset.
        """

        def last(key: AssetKey) -> Select[Any]:
            found = _last_materializations(key, before, among, _event.event).subquery().c
            has_text = or_(*(found.event.contains(text, autoescape=True) for text in texts))
            of_asset = select(found.id).where(has_text).order_by(found.id.desc()).limit(1)
            return select(of_asset.subquery().c.id)

        return self._chosen(
            [last(key) for key in some] for some in _in_pieces(sorted(keys), TEXTS_A_QUERY)
        )

    def _chosen(self, choices: Iterable[Sequence[Select[Any]]]) -> list[StoredEvent]:
        """Read the events whose ids these queries choose, in the order of their storage ids."""
        found: dict[int, StoredEvent] = {}
        columns = select(_event.id, _event.run_id, _event.event, _event.timestamp)
        for ids in choices:
            with self._connection(None) as connection:
                numbers = [number for (number,) in connection.execute(union_all(*ids))]
                for some in _in_pieces(numbers):
                    for row in connection.execute(columns.where(_event.id.in_(some))):
                        found[row.id] = _stored_event(*row)
        return [found[number] for number in sorted(found)]

    def last_dynamic_partition(self, name: str, before: datetime) -> str | None:
        """Return the key of the dynamic partition that was added last before a time, if any."""
        table = schema.DynamicPartitionsTable.c
        until = before.astimezone(timezone.utc).replace(tzinfo=None)
        query = (
            select(table.partition)
            .where(table.partitions_def_name == name, table.create_timestamp <= until)
            .order_by(table.id.desc())
            .limit(1)
        )
        with self._connection(None) as connection:
            found = connection.execute(query).scalar()
            return None if found is None else str(found)

    @property
    def has_versions(self) -> bool:
        """True if the table of tags exists; an instance that was never migrated lacks it."""
        return bool(self._storage.has_table(schema.AssetEventTagsTable.name))

    def _connection(self, run_id: str | None) -> AbstractContextManager[Connection]:
        storage = self._storage
        is_of_run = run_id is not None and storage.is_run_sharded
        opened: AbstractContextManager[Connection] = (
            storage.run_connection(run_id) if is_of_run else storage.index_connection()
        )
        return opened


def _stored_event(
    number: int, run_id: str | None, text: str, timestamp: datetime | None, *_: Any
) -> StoredEvent:
    at = timestamp.replace(tzinfo=timezone.utc).timestamp() if timestamp is not None else 0.0
    return StoredEvent(EventId(run_id or "", number), text, None, at)


def _has_window_functions(connection: Connection) -> bool:
    """Return False for MySQL before 8; every other database that Dagster runs on has them."""
    dialect: Any = connection.dialect
    is_new = dialect.name != "mysql" or dialect.is_mariadb or dialect.server_version_info >= (8,)
    return bool(is_new)


def _within(ids: Select[Any], *, bounded: bool) -> Select[Any]:
    """Choose the first rows of these ids until they are `PAGE_BYTES` long."""
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


def _last_materializations(key: AssetKey, before: float, limit: int, *columns: Any) -> Select[Any]:
    """Choose the last ones of an asset: the index on assets gives them without reading the rest."""
    return (
        select(_event.id, *columns)
        .where(
            _event.asset_key == key.to_string(),
            _event.dagster_event_type == MATERIALIZATION,
            _event.timestamp < _stored(before),
        )
        .order_by(_event.id.desc())
        .limit(limit)
    )


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
