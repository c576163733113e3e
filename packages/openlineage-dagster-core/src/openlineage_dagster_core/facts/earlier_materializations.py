"""What each asset's last materialization before a run said of it: read once, then followed."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from dagster import (
    AssetKey,
    AssetMaterialization,
    AssetRecordsFilter,
    DagsterEventType,
    EventLogEntry,
)

from openlineage_dagster_core.event_log.tables import EventTables
from openlineage_dagster_core.facts.materialized import text_of_materialization

if TYPE_CHECKING:
    from dagster import DagsterInstance

ASSETS_REMEMBERED = 20_000
CHARACTERS_REMEMBERED = 20_000_000
"""Text of what materializations said that is kept, of all assets."""

CHANGES_REMEMBERED = 100
"""Changes of one asset that are remembered, the latest ones."""

CLOCKS_DIFFER_SECONDS = 10.0
"""Seconds by which an event may seem older than those that were stored before it."""

PAGE = 100
"""Materializations of one asset that are read where the log has no tables."""


class _History:
    """What the materializations of one asset said over time, without gaps from a time on.

    Args:
        since: from when on it is known, in seconds since the epoch.
        has_first: whether the last materialization before that time is known, or that there is
            none.
    """

    def __init__(self, since: float, *, has_first: bool) -> None:
        self.since = since
        self._has_first = has_first
        self._times: list[float] = []
        self._texts: list[str] = []
        self.characters = 0

    def add(self, timestamp: float, text: str) -> None:
        """Note a materialization; one that says what the one before it said changes nothing."""
        place = bisect_left(self._times, timestamp)
        is_known = place < len(self._times) and self._times[place] == timestamp
        if is_known or (place and self._texts[place - 1] == text):
            return
        self._times.insert(place, timestamp)
        self._texts.insert(place, text)
        self.characters += len(text)

    def shorten(self) -> None:
        """Forget the oldest changes where there are too many."""
        while len(self._times) > CHANGES_REMEMBERED:
            del self._times[0]
            self.characters -= len(self._texts.pop(0))
            # What was before the oldest one that is left is not known any more.
            self.since, self._has_first = max(self.since, self._times[0]), True

    def changes(self) -> Iterable[tuple[float, str]]:
        return zip(self._times, self._texts, strict=True)

    def knows(self, before: float) -> bool:
        return self.since <= before and (
            self._has_first or (bool(self._times) and self._times[0] < before)
        )

    def before(self, timestamp: float) -> str | None:
        place = bisect_left(self._times, timestamp)
        return self._texts[place - 1] if place else None


class EarlierMaterializations:
    """Asks the log once for each asset, and follows what it says after that.

    Args:
        instance: gives the Dagster instance.
        follows_all: whether every event of the log is observed; where only those of some runs are,
            each run asks anew.
    """

    def __init__(self, instance: Callable[[], DagsterInstance], *, follows_all: bool) -> None:
        self._instance = instance
        self._follows_all = follows_all
        self._assets: OrderedDict[AssetKey, _History] = OrderedDict()
        self._characters = 0
        self._asked_for: float | None = None
        self._observing_since: float | None = None

    def of(
        self, keys: Collection[AssetKey], before: float, *, now: float
    ) -> Mapping[AssetKey, str]:
        """Find what assets were said to be.

        Args:
            keys: the assets.
            before: only materializations before then count, in seconds since the epoch.
            now: when the next event happened that is observed.

        Returns:
            The text of the last materialization by asset; an asset that was never made is left out.
        """
        if not self._follows_all and before != self._asked_for:
            self._forget_all()
            self._asked_for = before
        unknown = [
            key
            for key in sorted(keys)
            if (history := self._assets.get(key)) is None or not history.knows(before)
        ]
        if unknown:
            observed = now if self._observing_since is None else self._observing_since
            # Each run that asks anew needs no more than what was before it.
            until = observed + CLOCKS_DIFFER_SECONDS if self._follows_all else before
            self._read(unknown, before, until)
        found = {key: self._assets[key].before(before) for key in keys}
        self._shorten()
        return {key: text for key, text in found.items() if text is not None}

    def observe(self, key: AssetKey, timestamp: float, text: str) -> None:
        """Follow a materialization, the next one of the log.

        Args:
            key: the asset's key.
            timestamp: when it was stored, in seconds since the epoch.
            text: what it says, from `text_of_materialization`.
        """
        if self._observing_since is None:
            self._observing_since = timestamp
        self._add(key, timestamp, text)
        if history := self._assets.get(key):
            self._characters -= history.characters
            history.shorten()
            self._characters += history.characters
        self._shorten()

    def _add(self, key: AssetKey, timestamp: float, text: str) -> None:
        history = self._assets.get(key)
        if history is None:
            if not self._follows_all or self._observing_since is None:
                return
            since = self._observing_since + CLOCKS_DIFFER_SECONDS
            history = self._assets[key] = _History(since, has_first=False)
        before = history.characters
        history.add(timestamp, text)
        self._characters += history.characters - before
        self._assets.move_to_end(key)

    def _shorten(self) -> None:
        while len(self._assets) > 1 and (
            len(self._assets) > ASSETS_REMEMBERED or self._characters > CHARACTERS_REMEMBERED
        ):
            _, history = self._assets.popitem(last=False)
            self._characters -= history.characters
            # Of an asset that comes again, what was between is not known.
            self._observing_since = None

    def _forget_all(self) -> None:
        self._assets.clear()
        self._characters = 0

    def _read(self, keys: Collection[AssetKey], since: float, until: float) -> None:
        instance = self._instance()
        for key in keys:
            known = self._assets.pop(key, None)
            self._assets[key] = _History(since, has_first=True)
            if known is not None:
                # What was observed since is not read again.
                self._characters -= known.characters
                for timestamp, text in known.changes():
                    self._add(key, timestamp, text)
        tables = EventTables.of(instance.event_log_storage)
        if tables is None:
            entries = _asked_one_by_one(instance, keys, since, until)
        else:
            entries = (
                entry
                for event in tables.materializations(keys, since, until)
                if (entry := _decoded(event.entry)) is not None
            )
        for entry in entries:
            made = made_in(entry)
            if made is not None:
                self._add(made.asset_key, entry.timestamp, text_of_materialization(made))


def made_in(entry: EventLogEntry) -> AssetMaterialization | None:
    """Find the materialization that an event holds.

    Args:
        entry: an event of the log.

    Returns:
        The materialization; None for any event but ASSET_MATERIALIZATION.
    """
    event = entry.dagster_event
    if event is None or event.event_type_value != DagsterEventType.ASSET_MATERIALIZATION.value:
        return None
    materialization: AssetMaterialization = event.step_materialization_data.materialization
    return materialization


def _decoded(decode: Callable[[], EventLogEntry]) -> EventLogEntry | None:
    try:
        return decode()
    except Exception:
        # Dagster cannot read it; the engine parks it.
        return None


def _asked_one_by_one(
    instance: DagsterInstance, keys: Collection[AssetKey], since: float, until: float
) -> Iterable[EventLogEntry]:
    """Ask for the latest materializations together, and one by one where those are too new."""
    for record in instance.get_asset_records(list(keys)):
        latest = record.asset_entry.last_materialization
        if latest is None:
            continue
        if latest.timestamp < since:
            yield latest
            continue
        wanted = AssetRecordsFilter(
            record.asset_entry.asset_key, before_timestamp=max(since, until)
        )
        for found in instance.fetch_materializations(wanted, limit=PAGE).records:
            yield found.event_log_entry
            if found.timestamp < since:
                break
