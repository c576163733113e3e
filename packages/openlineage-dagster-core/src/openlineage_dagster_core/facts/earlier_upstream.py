"""What assets without a definition were made from before: the edges that an event keeps."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from dagster import AssetKey, AssetRecordsFilter, DagsterEventType, EventLogEntry

from openlineage_dagster_core.event_log.reader import CLOCKS_DIFFER_SECONDS
from openlineage_dagster_core.event_log.tables import EventTables
from openlineage_dagster_core.facts.upstream import tells_upstream, upstream_in_tags

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from openlineage_dagster_core.event_log.stored_event import StoredEvent

ASSETS_REMEMBERED = 20_000

CHANGES_REMEMBERED = 100
"""Materializations of one asset that are remembered, the latest ones."""

ROUNDS = 20
"""How often an asset is asked for an event before one that does not name its upstream assets."""

PAGE = 100
"""Materializations of one asset that are read where the log has no tables."""

Upstream = tuple[AssetKey, ...]


class _History:
    """What one asset was made from over time, without gaps from a certain time on.

    Args:
        since: from when on it is known, in seconds since the epoch.
    """

    def __init__(self, since: float) -> None:
        self.since = since
        self._times: list[float] = []
        self._upstream: list[Upstream] = []

    def add(self, timestamp: float, upstream: Upstream) -> None:
        """Note a materialization; one that is known already changes nothing."""
        place = bisect_left(self._times, timestamp)
        if place == len(self._times) or self._times[place] != timestamp:
            self._times.insert(place, timestamp)
            self._upstream.insert(place, upstream)

    def shorten(self) -> None:
        """Forget the oldest materializations where there are too many."""
        surplus = len(self._times) - CHANGES_REMEMBERED
        if surplus > 0:
            del self._times[:surplus], self._upstream[:surplus]
            # What was before the oldest one that is left is not known any more.
            self.since = max(self.since, self._times[0])

    def before(self, timestamp: float) -> Upstream:
        place = bisect_left(self._times, timestamp)
        return self._upstream[place - 1] if place else ()


class EarlierUpstream:
    """Asks the log once for each asset, and follows what it says after that.

    Args:
        instance: gives the Dagster instance.
    """

    def __init__(self, instance: Callable[[], DagsterInstance]) -> None:
        self._instance = instance
        self._assets: OrderedDict[AssetKey, _History] = OrderedDict()
        self._has_versions = False

    def of(
        self, keys: Collection[AssetKey], before: float, *, now: float = 0.0
    ) -> Mapping[AssetKey, Upstream]:
        """Find what assets were made from.

        Args:
            keys: the assets.
            before: only materializations before then count, in seconds since the epoch.
            now: when the event happened that the log is read up to; later ones are observed.

        Returns:
            The upstream keys by asset; empty where nothing is known.
        """
        unknown = [key for key in keys if not self._knows(key, before)]
        if unknown:
            self._read(unknown, before, max(before, now) + CLOCKS_DIFFER_SECONDS)
        found = {key: self._assets[key].before(before) for key in keys}
        while len(self._assets) > ASSETS_REMEMBERED:
            self._assets.popitem(last=False)
        return found

    def observe(self, entry: EventLogEntry) -> None:
        """Follow a materialization that says what it was made from.

        Args:
            entry: the next event of the log.
        """
        if self._add(entry):
            self._assets[_asset_of(entry)].shorten()

    def _add(self, entry: EventLogEntry) -> bool:
        """Note a materialization; return False where it does not say what it was made from."""
        event = entry.dagster_event
        if event is None or event.event_type_value != DagsterEventType.ASSET_MATERIALIZATION.value:
            return False
        made = event.step_materialization_data.materialization
        history = self._assets.get(made.asset_key)
        if history is None or not tells_upstream(made.tags or {}):
            return False
        history.add(entry.timestamp, upstream_in_tags(made.tags or {}))
        return True

    def _knows(self, key: AssetKey, before: float) -> bool:
        history = self._assets.get(key)
        return history is not None and history.since <= before

    def _read(self, keys: Collection[AssetKey], since: float, until: float) -> None:
        instance = self._instance()
        for key in keys:
            self._assets[key] = _History(since)
            self._assets.move_to_end(key)
        tables = EventTables.of(instance.event_log_storage)
        if tables is None:
            self._read_one_by_one(instance, keys, until)
            return
        self._has_versions = self._has_versions or tables.has_versions
        if not self._has_versions:
            return
        events = tables.versioned(keys, since, until)
        for _ in range(ROUNDS):
            silent = self._add_all(events, since)
            if not silent:
                return
            events = tables.last_versioned(silent)

    def _add_all(self, events: Iterable[StoredEvent], since: float) -> Mapping[AssetKey, int]:
        """Note events; return the first one of each asset whose upstream before `since` is open."""
        first: dict[AssetKey, int] = {}
        for event in events:
            try:
                entry = event.entry()
            except Exception:  # noqa: S112 -- Dagster cannot read it; the engine parked it
                continue
            key = _asset_of(entry)
            first[key] = min(first.get(key, event.id.storage_id), event.id.storage_id)
            if self._add(entry) and entry.timestamp < since:
                first[key] = 0
        return {key: number for key, number in first.items() if number}

    def _read_one_by_one(
        self, instance: DagsterInstance, keys: Iterable[AssetKey], until: float
    ) -> None:
        for key in keys:
            wanted = AssetRecordsFilter(asset_key=key, before_timestamp=until)
            for record in instance.fetch_materializations(wanted, limit=PAGE).records:
                self._add(record.event_log_entry)


def _asset_of(entry: EventLogEntry) -> AssetKey:
    key = entry.get_dagster_event().asset_key
    assert key is not None, "only events of assets have data versions"  # noqa: S101
    return key
