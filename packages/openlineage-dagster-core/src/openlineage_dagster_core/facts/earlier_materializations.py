"""What materializations before a run said of each asset: read once, then followed."""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

import dagster as dg

from openlineage_dagster_core.event_log.stored_event import StoredEvent
from openlineage_dagster_core.event_log.tables import EventTables
from openlineage_dagster_core.facts import metadata
from openlineage_dagster_core.facts.materialized import NOTHING, packed_materialization

ASSETS_REMEMBERED = 20_000
BYTES_REMEMBERED = 20_000_000  # Of what is packed of all assets
CHANGES_REMEMBERED = 100  # The latest ones of one asset
CLOCKS_DIFFER_SECONDS = 10.0  # An event may seem that much older than one stored before it
ROUNDS = 20  # How often to ask for an event before one that does not say what is asked for
PAGE = 100  # Materializations of one asset that are looked at for the last one that says something
# What is in the text of an event that a step made, or that describes its asset
SAYING = (
    f'"{metadata.STEP_TAG}"',
    *(f'"label": "{key}"' for key in sorted(metadata.DESCRIBING_KEYS)),
)

Upstream = tuple[dg.AssetKey, ...]
_Said = TypeVar("_Said")


class Made(NamedTuple):
    """A materialization, as far as later events of its asset need it."""

    key: dg.AssetKey
    # From `packed_materialization`; None if no step made it and it says nothing: then what was said
    # before still holds
    packed: bytes | None
    upstream: Upstream | None  # None if it does not say what it was made from


def _packed(made: Made) -> bytes | None:
    return made.packed


def _upstream(made: Made) -> Upstream | None:
    return made.upstream


class _History:
    """What the materializations of one asset said over time, without gaps since a time.

    `has_first` is True if the last materialization before that time is known, or that there is
    none.
    """

    def __init__(self, since: float, *, has_first: bool) -> None:
        self.since = since
        # What the asset was made from before `since`; None until the log was asked
        self.older_upstream: Upstream | None = None
        self.bytes_kept = 0
        self._has_first = has_first
        self.changes: list[tuple[float, Made]] = []  # The oldest first

    def add(self, timestamp: float, made: Made) -> None:
        """Note a materialization, unless it says the same as those before it."""
        place = self._place(timestamp)
        if place < len(self.changes) and self.changes[place][0] == timestamp:
            return
        known = (self._before(timestamp, _packed), self.upstream_before(timestamp))
        if place and made.packed in (None, known[0]) and made.upstream in (None, known[1]):
            return
        self.changes.insert(place, (timestamp, made))
        self.bytes_kept += len(made.packed or b"")

    def shorten(self) -> None:
        """Forget the oldest changes if there are too many."""
        while len(self.changes) > CHANGES_REMEMBERED:
            (_, oldest), (since, first) = self.changes[:2]
            if first.packed is None:
                first = first._replace(packed=oldest.packed)
            else:
                self.bytes_kept -= len(oldest.packed or b"")
            self.changes[:2] = [(since, first)]
            if oldest.upstream is not None:
                self.older_upstream = oldest.upstream
            # What was before the oldest remaining one is not known any more.
            self.since, self._has_first = max(self.since, since), True

    def _place(self, timestamp: float) -> int:
        """Return the number of changes before a time."""
        return bisect_left(self.changes, (timestamp,))

    def knows(self, before: float) -> bool:
        return self.since <= before and (
            self._has_first or (bool(self.changes) and self.changes[0][0] < before)
        )

    def packed_before(self, timestamp: float) -> bytes | None:
        """Return what was said last before a time; None if the asset was not made by then.

        `NOTHING` may also mean that only the log knows it: see `lacks_older`.
        """
        found = self._before(timestamp, _packed)
        return NOTHING if found is None and self._place(timestamp) else found

    def lacks_older(self, timestamp: float) -> bool:
        """Return True if the log must be asked for what was said before all changes."""
        if not self._place(timestamp) or self._before(timestamp, _packed) is not None:
            return False
        return not self._has_first or self.changes[0][0] < self.since

    def says_nothing(self) -> None:
        """Note that nothing was said before all changes, nor by the first of them."""
        timestamp, first = self.changes[0]
        self.changes[0] = (timestamp, first._replace(packed=NOTHING))

    def upstream_before(self, timestamp: float) -> Upstream | None:
        found = self._before(timestamp, _upstream)
        return self.older_upstream if found is None else found

    def _before(self, timestamp: float, said: Callable[[Made], _Said | None]) -> _Said | None:
        for place in range(self._place(timestamp) - 1, -1, -1):
            if (found := said(self.changes[place][1])) is not None:
                return found
        return None


class EarlierMaterializations:
    """Asks the log once for each asset, and follows what it says after that.

    If `follows_all`, every event of the log is observed; otherwise only those of some runs are, and
    each run asks anew. All times are in seconds since the epoch; `now` is that of the next event
    that is observed.
    """

    def __init__(self, instance: Callable[[], dg.DagsterInstance], *, follows_all: bool) -> None:
        self._instance = instance
        self._follows_all = follows_all
        self._assets: OrderedDict[dg.AssetKey, _History] = OrderedDict()
        self._bytes_kept = 0
        self._asked_for: float | None = None
        self._observing_since: float | None = None
        self._has_versions = False

    def of(
        self, keys: Collection[dg.AssetKey], before: float, *, now: float
    ) -> Mapping[dg.AssetKey, bytes]:
        """Return what the last materialization before a time said, of assets that have one."""
        self._prepare(keys, before, now)
        silent = [key for key in keys if self._assets[key].lacks_older(before)]
        said = self._last_that_say(_packed, silent, before) if silent else {}
        for key in silent:
            if key in said:
                timestamp, made = said[key]
                self._add(made._replace(upstream=None), timestamp)
            else:
                self._assets[key].says_nothing()
        found = {key: self._assets[key].packed_before(before) for key in keys}
        self._shorten()
        return {key: packed for key, packed in found.items() if packed is not None}

    def upstream_of(
        self, keys: Collection[dg.AssetKey], before: float, *, now: float
    ) -> Mapping[dg.AssetKey, Upstream]:
        """Return what each asset was made from before a time; empty if nothing says so."""
        self._prepare(keys, before, now)
        found = {key: self._assets[key].upstream_before(before) for key in keys}
        silent = [key for key, upstream in found.items() if upstream is None]
        said = self._last_that_say(_upstream, silent, before) if silent else {}
        for key in silent:
            found[key] = (said[key][1].upstream if key in said else None) or ()
            self._assets[key].older_upstream = found[key]
        self._shorten()
        return {key: upstream or () for key, upstream in found.items()}

    def observe(self, made: Made, timestamp: float) -> None:
        """Follow the next materialization of the log, stored at this time."""
        if self._observing_since is None:
            self._observing_since = timestamp
        self._add(made, timestamp)
        if history := self._assets.get(made.key):
            self._bytes_kept -= history.bytes_kept
            history.shorten()
            self._bytes_kept += history.bytes_kept
        self._shorten()

    def _add(self, made: Made, timestamp: float) -> None:
        history = self._assets.get(made.key)
        if history is None:
            if not self._follows_all or self._observing_since is None:
                return
            since = self._observing_since + CLOCKS_DIFFER_SECONDS
            history = self._assets[made.key] = _History(since, has_first=False)
        before = history.bytes_kept
        history.add(timestamp, made)
        self._bytes_kept += history.bytes_kept - before
        self._assets.move_to_end(made.key)

    def _shorten(self) -> None:
        while len(self._assets) > 1 and (
            len(self._assets) > ASSETS_REMEMBERED or self._bytes_kept > BYTES_REMEMBERED
        ):
            _, history = self._assets.popitem(last=False)
            self._bytes_kept -= history.bytes_kept
            # If the asset comes again, what was in between is not known.
            self._observing_since = None

    def _prepare(self, keys: Collection[dg.AssetKey], before: float, now: float) -> None:
        if not self._follows_all and before != self._asked_for:
            self._assets.clear()
            self._bytes_kept = 0
            self._asked_for = before
        unknown = [
            key
            for key in sorted(keys)
            if (history := self._assets.get(key)) is None or not history.knows(before)
        ]
        if unknown:
            observed = now if self._observing_since is None else self._observing_since
            # A run that asks anew only needs what was before it.
            until = observed + CLOCKS_DIFFER_SECONDS if self._follows_all else before
            self._read(unknown, before, until)

    def _read(self, keys: Collection[dg.AssetKey], since: float, until: float) -> None:
        instance = self._instance()
        tables = EventTables.of(instance.event_log_storage)
        entries = (
            _asked_one_by_one(instance, keys, since, until)
            if tables is None
            else (entry for _, entry in _decoded(tables.materializations(keys, since, until)))
        )
        # Read first: where the log could not be read, the next attempt asks again.
        found = [(made, entry.timestamp) for entry in entries if (made := made_by(entry))]
        for key in keys:
            known = self._assets.pop(key, None)
            self._assets[key] = _History(since, has_first=True)
            if known is not None:
                # Keep what was observed since, instead of reading it again.
                self._bytes_kept -= known.bytes_kept
                for timestamp, observed in known.changes:
                    self._add(observed, timestamp)
        for made, timestamp in found:
            self._add(made, timestamp)

    def _last_that_say(
        self, what: Callable[[Made], object], keys: Collection[dg.AssetKey], before: float
    ) -> Mapping[dg.AssetKey, tuple[float, Made]]:
        """Look further back: return the last materialization of each asset that says this, if any.

        It comes with its time. Where the log cannot be read, the next attempt asks again.
        """
        found: dict[dg.AssetKey, tuple[float, Made]] = {}

        def says(entry: dg.EventLogEntry) -> bool:
            made = made_by(entry)
            if made is None or what(made) is None:
                return False
            found[made.key] = (entry.timestamp, made)
            return True

        instance = self._instance()
        tables = EventTables.of(instance.event_log_storage)
        if tables is None:
            for key in keys:
                wanted = dg.AssetRecordsFilter(key, before_timestamp=before)
                records = instance.fetch_materializations(wanted, limit=PAGE).records
                any(says(record.event_log_entry) for record in records)
            return found
        if what is _packed:
            for _, entry in _decoded(tables.last_with_text(keys, before, SAYING, PAGE)):
                says(entry)
        self._has_versions = self._has_versions or tables.has_versions
        missing = set(keys) - found.keys()
        if missing and self._has_versions:
            _ask_for_versions(tables, missing, before, says)
        return found


def _ask_for_versions(
    tables: EventTables,
    keys: Collection[dg.AssetKey],
    before: float,
    says: Callable[[dg.EventLogEntry], bool],
) -> None:
    """Read each asset's last event with a data version, and earlier ones until one says enough."""
    events = tables.versioned(keys, before)
    for _ in range(ROUNDS):
        silent = {}
        for number, entry in _decoded(events):
            asset = entry.get_dagster_event().asset_key
            if asset is not None and not says(entry):
                silent[asset] = number
        if not silent:
            break
        events = tables.last_versioned(silent)


def made_by(entry: dg.EventLogEntry) -> Made | None:
    """Return what an event says of the asset it materialized; None for any other event."""
    materialization = made_in(entry)
    if materialization is None:
        return None
    tags = materialization.tags or {}
    packed = packed_materialization(materialization)
    return Made(
        materialization.asset_key,
        packed if packed != NOTHING or metadata.STEP_TAG in tags else None,
        metadata.upstream_in_tags(tags) if metadata.tells_upstream(tags) else None,
    )


def made_in(entry: dg.EventLogEntry) -> dg.AssetMaterialization | None:
    """Return the materialization that an event holds; None for any other event."""
    event = entry.dagster_event
    if event is None or event.event_type_value != dg.DagsterEventType.ASSET_MATERIALIZATION.value:
        return None
    materialization: dg.AssetMaterialization = event.step_materialization_data.materialization
    return materialization


def _decoded(events: Iterable[StoredEvent]) -> Iterator[tuple[int, dg.EventLogEntry]]:
    for event in events:
        try:
            yield event.id.storage_id, event.entry()
        except Exception:  # noqa: S112 -- Dagster cannot read it; the engine parks it
            continue


def _asked_one_by_one(
    instance: dg.DagsterInstance, keys: Collection[dg.AssetKey], since: float, until: float
) -> Iterable[dg.EventLogEntry]:
    """Yield the latest materializations, and for those that are too new earlier ones."""
    for record in instance.get_asset_records(list(keys)):
        latest = record.asset_entry.last_materialization
        if latest is None:
            continue
        if latest.timestamp < since:
            yield latest
            continue
        key = record.asset_entry.asset_key
        wanted = dg.AssetRecordsFilter(key, before_timestamp=max(since, until))
        for found in instance.fetch_materializations(wanted, limit=PAGE).records:
            yield found.event_log_entry
            if found.timestamp < since:
                break
