"""Finds the facts of a run in the instance: its row, and its part of the event log."""

from collections import ChainMap, OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Protocol

from dagster import AssetKey, DagsterEventType, DagsterInstance, DagsterRun, EventLogEntry
from dagster._core.storage.dagster_run import RunRecord

from openlineage_dagster_core.errors import FactsUnavailableError, RunDeletedError
from openlineage_dagster_core.event_log.run_log import events_of_run
from openlineage_dagster_core.event_log.stored_event import StoredEvent, asset_of
from openlineage_dagster_core.event_log.tables import EventTables
from openlineage_dagster_core.facts import earlier_materializations as earlier
from openlineage_dagster_core.facts import metadata
from openlineage_dagster_core.facts.definitions import upstream_of, with_upstream
from openlineage_dagster_core.facts.model import AssetFacts, Definitions, Facts, RunFacts
from openlineage_dagster_core.facts.outside import parent_in_tags
from openlineage_dagster_core.facts.progress import ProgressLog
from openlineage_dagster_core.facts.run_records import run_records
from openlineage_dagster_core.families import ASSET_FAMILY, RUN_ENDS

CODE_LOCATION_TAG = "dagster/code_location"  # Set by Dagster 1.12 and later
# Tags that Dagster adds when a run ends: a replay of the first events must not have them
TAGS_SET_LATER = frozenset(
    {"dagster/failure_reason", "dagster/will_retry", "dagster/auto_retry_run_id"}
)

EVENTS_REMEMBERED = 100_000  # Number of events of unfinished runs in memory: some 100 MB at most
FORGOTTEN_REMEMBERED = 100_000  # Number of unfinished runs whose logs must be read again
ENDED_REMEMBERED = 5000  # Number of runs known to have ended: later events of theirs give nothing
# The events that may end assets which were not materialized
UNFINISHED = RUN_ENDS | {DagsterEventType.STEP_FAILURE, DagsterEventType.STEP_SKIPPED}


class DefinitionsSource(Protocol):
    """Gives the definitions that were valid for a run; times are in seconds since the epoch."""

    def prepare(self, run_ids: Collection[str], keys: Collection[AssetKey]) -> None:
        """Read together the runs that start, and the assets that these and runless events name."""

    def of_run(self, run_id: str, job_name: str, at: float) -> Definitions:
        """Return the definitions of a run that started at this time."""

    def at(self, at: float) -> Definitions:
        """Return the definitions for a runless event at this time."""


class GivenDefinitions:
    """Gives every run the same definitions, such as those of a code location."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions

    def prepare(self, run_ids: Collection[str], keys: Collection[AssetKey]) -> None:
        """Do nothing: the definitions are complete."""

    def of_run(self, run_id: str, job_name: str, at: float) -> Definitions:  # noqa: ARG002
        """Return the definitions."""
        return self._definitions

    def at(self, at: float) -> Definitions:  # noqa: ARG002
        """Return the definitions."""
        return self._definitions


@dataclass
class _Run:
    facts: RunFacts
    log: ProgressLog
    events: int = 0
    made: dict[AssetKey, bytes] = field(default_factory=dict)
    made_before: dict[AssetKey, bytes] = field(default_factory=dict)
    asked_before: set[AssetKey] = field(default_factory=set)
    started_at: float | None = None
    definitions: Definitions | None = None
    earlier_upstream: dict[AssetKey, tuple[AssetKey, ...]] = field(default_factory=dict)
    assets: Mapping[AssetKey, AssetFacts] = field(default_factory=dict)
    planned: int = -1  # Number of planned assets and checks for which `assets` was chosen
    is_job_like_asset: bool | None = None
    last_partitions: dict[str, str | None] = field(default_factory=dict)
    # The assets for which `last_partitions` was read
    with_last_partitions: Mapping[AssetKey, AssetFacts] | None = None
    asked: int = -1  # The value of `planned` for which `made_before` was read

    def observe(self, entry: EventLogEntry, made: earlier.Made | None) -> None:
        """Follow the run; `made` is read from the event if that is a materialization."""
        self.events += 1
        if _is_start(entry):
            self.start(entry.timestamp)
        if made is not None and made.packed is not None:
            self.made[made.key] = made.packed
        self.log.observe(entry)

    def start(self, timestamp: float) -> None:
        """Note when the run started; what was read for an earlier time is read again."""
        if self.started_at is None:
            self.started_at, self.definitions = timestamp, None
            self.made_before.clear()
            self.asked_before.clear()
            self.asked = -1
            self.is_job_like_asset = None

    @property
    def at(self) -> float:
        """When the run started, else when it was stored, in seconds since the epoch."""
        created_at = self.facts.created_at.timestamp()
        return created_at if self.started_at is None else self.started_at


class EventLogFacts:
    """Finds the facts of events of many runs, in the order of the log.

    A run is read from the instance at its first event; after that, its events tell its progress.
    Runs without an event for a long time are dropped from memory, and read again when needed: at
    most `events_remembered` events of unfinished runs are kept. If `follows_all`, `advance`
    receives every event of the log, otherwise those of some runs only.
    """

    def __init__(
        self,
        instance: Callable[[], DagsterInstance],
        definitions: DefinitionsSource,
        *,
        follows_all: bool = True,
        events_remembered: int = EVENTS_REMEMBERED,
    ) -> None:
        self._instance = instance
        self._definitions = definitions
        self._events_remembered = events_remembered
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._events = 0
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._forgotten: OrderedDict[str, None] = OrderedDict()
        self._earlier = earlier.EarlierMaterializations(instance, follows_all=follows_all)
        self._last_read: tuple[EventLogEntry | None, earlier.Made | None] = (None, None)

    def prepare(
        self,
        entries: Iterable[EventLogEntry],
        complete: Callable[[Sequence[RunRecord]], Collection[str]],
    ) -> None:
        """Read together what the next events need.

        `complete` returns the ids of those runs all of whose events are still to come. Raises
        FactsUnavailableError if the instance cannot be read now.
        """
        entries = list(entries)
        run_ids = {entry.run_id for entry in entries if entry.run_id}
        unknown = sorted(run_ids - self._runs.keys() - self._ended.keys() - self._forgotten.keys())
        try:
            records = run_records(self._instance(), unknown) if unknown else ()
            whole = set(complete(records)) if records else set()
            self._begin([each for each in records if each.dagster_run.run_id in whole])
            starting = {entry.run_id for entry in entries if _is_start(entry)}
            keys: set[AssetKey] = set()
            for entry in entries:
                if not entry.run_id:
                    keys |= _subject(entry)
                elif entry.run_id in starting:
                    keys |= _planned(entry)
            for run_id in starting & self._runs.keys():
                run = self._runs[run_id]
                keys |= {*run.log.progress.planned_keys, AssetKey([run.facts.job_name])}
            if starting or keys:
                self._definitions.prepare(sorted(starting), keys)
            self._prepare_earlier(entries)
        except Exception as error:
            raise _unavailable("runs", error) from error

    def _prepare_earlier(self, entries: Collection[EventLogEntry]) -> None:
        """Read the earlier materializations of all assets that these events name."""
        started = {entry.run_id: entry.timestamp for entry in entries if _is_start(entry)}
        wanted: set[AssetKey] = set()
        by_hand: set[AssetKey] = set()
        before = []
        for entry in entries:
            keys = _read_by(entry) | _subject(entry) | _planned(entry)
            if keys:
                run = self._runs.get(entry.run_id)
                began = entry.timestamp if run is None else run.at
                before.append(min(began, entry.timestamp, started.get(entry.run_id, began)))
                wanted |= keys
                by_hand |= _logged_by_hand(entry)
        for run_id in started.keys() & self._runs.keys():
            wanted.add(AssetKey([self._runs[run_id].facts.job_name]))
            before.append(started[run_id])
        if wanted:
            now = min(each.timestamp for each in entries)
            self._earlier.of(wanted, min(before), now=now)
            if by_hand:
                self._earlier.upstream_of(by_hand, min(before), now=now)

    def deleted(self, run_ids: Collection[str]) -> Collection[str]:
        """Return those of the runs that the instance does not have any more."""
        known = {each.dagster_run.run_id for each in run_records(self._instance(), run_ids)}
        return [run_id for run_id in run_ids if run_id not in known]

    def facts_of(self, event: StoredEvent, entry: EventLogEntry) -> Facts | None:
        """Return the facts of an event; None if the event is not to be delivered.

        Their `progress` is valid until `advance`. Raises FactsUnavailableError if the instance
        cannot be read now, and RunDeletedError if it does not have the run any more.
        """
        try:
            return self._facts_of(event, entry)
        except RunDeletedError:
            raise
        except Exception as error:
            # Any error of a database; the event is not at fault and is tried again.
            raise _unavailable(f"run {entry.run_id}", error) from error

    def _facts_of(self, event: StoredEvent, entry: EventLogEntry) -> Facts | None:
        if not entry.run_id:
            return self._runless(entry)
        if entry.run_id in self._ended and not event.is_again:
            return None
        run = self._runs.get(entry.run_id)
        if run is None:
            run = self._read(event, entry)
            self._remember(entry.run_id, run)
        self._runs.move_to_end(entry.run_id)
        if entry.dagster_event_type is DagsterEventType.RUN_START:
            run.start(entry.timestamp)
        definitions = self._definitions_of(run)
        if definitions.is_disabled:
            return None
        assets = _assets_of_run(run, entry, definitions.assets)
        if run.with_last_partitions is not assets:
            self._add_last_partitions(run.last_partitions, assets, run.facts.created_at)
            run.with_last_partitions = assets
        upstream = self._earlier_upstream(run, entry, assets)
        made_before = self._made_before(run, entry, assets, upstream)
        job = definitions.jobs.get(run.facts.job_name)
        if run.is_job_like_asset is None:
            key = AssetKey([run.facts.job_name])
            known = (definitions.assets, run.log.progress.planned_keys, made_before)
            is_like_asset = job is not None and job.is_like_asset
            run.is_job_like_asset = is_like_asset or any(key in each for each in known)
        return Facts(
            run=run.facts,
            progress=run.log.progress,
            assets=assets,
            job=job,
            environment=definitions.environment,
            is_job_like_asset=run.is_job_like_asset,
            earlier_upstream=upstream,
            made_before=made_before,
            made=self._made_by_now(run.made, entry),
            last_partitions=run.last_partitions,
        )

    def _add_last_partitions(
        self, known: dict[str, str | None], assets: Mapping[AssetKey, AssetFacts], before: datetime
    ) -> Mapping[str, str | None]:
        """Add the last key of each dynamic partitioning that an asset reads only the last of.

        What is known stays: all events of a run name the same key.
        """
        read = (each for asset in assets.values() for each in asset.upstream_partitions.values())
        for name in {each.only_last_of for each in read} - known.keys():
            if name is not None:
                known[name] = last_dynamic_partition(self._instance(), name, before)
        return known

    def _made_before(
        self,
        run: _Run,
        entry: EventLogEntry,
        assets: Mapping[AssetKey, AssetFacts],
        upstream: Mapping[AssetKey, tuple[AssetKey, ...]],
    ) -> Mapping[AssetKey, bytes]:
        """Return the earlier materializations of the assets that an event may name."""
        wanted = _read_by(entry).union(*upstream.values())
        key = asset_of(entry)
        if key is not None:
            wanted |= {key}
            wanted |= upstream_of(assets[key]) if key in assets else set()
        if run.asked != run.planned:
            run.asked = run.planned
            progress = run.log.progress
            wanted |= progress.planned_keys.keys() | progress.planned_checks.keys() | assets.keys()
            wanted |= {AssetKey([run.facts.job_name])}
            for asset in assets.values():
                wanted |= upstream_of(asset)
        wanted -= run.asked_before
        if wanted:
            run.made_before.update(self._earlier.of(wanted, run.at, now=entry.timestamp))
            run.asked_before |= wanted
        return run.made_before

    def _definitions_of(self, run: _Run) -> Definitions:
        if run.definitions is None:
            run.definitions = self._definitions.of_run(run.facts.run_id, run.facts.job_name, run.at)
            run.planned = -1
            parent = run.definitions.parent
            if run.facts.parent is None and parent is not None:
                run.facts = replace(run.facts, parent=parent)
        return run.definitions

    def _runless(self, entry: EventLogEntry) -> Facts:
        event = entry.get_dagster_event()
        key = asset_of(entry)
        assets = with_upstream(self._definitions.at(entry.timestamp).assets, [key] if key else [])
        upstream: Mapping[AssetKey, tuple[AssetKey, ...]] = {}
        if key and _is_made_elsewhere(key, assets) and event.event_type in ASSET_FAMILY:
            # Without inputs, the event would erase the edges of the asset's last run.
            upstream = self._earlier.upstream_of([key], entry.timestamp, now=entry.timestamp)
        about = (_read_by(entry) | _subject(entry) | assets.keys()).union(*upstream.values())
        for asset in assets.values():
            about |= upstream_of(asset)
        run = runless(entry)
        return Facts(
            run=run,
            progress=ProgressLog().progress,
            assets=assets,
            earlier_upstream=upstream,
            made_before=self._earlier.of(about, entry.timestamp, now=entry.timestamp),
            made=self._made_by_now({}, entry),
            last_partitions=self._add_last_partitions({}, assets, run.created_at),
        )

    def _made(self, entry: EventLogEntry) -> earlier.Made | None:
        """Read a materialization once, for its facts and for `advance`."""
        if self._last_read[0] is not entry:
            self._last_read = (entry, earlier.made_by(entry))
        return self._last_read[1]

    def _made_by_now(
        self, before: dict[AssetKey, bytes], entry: EventLogEntry
    ) -> Mapping[AssetKey, bytes]:
        """Add what the event itself says of the asset."""
        made = self._made(entry)
        if made is None or made.packed is None:
            return before
        return ChainMap({made.key: made.packed}, before)

    def _earlier_upstream(
        self, run: _Run, entry: EventLogEntry, assets: Mapping[AssetKey, AssetFacts]
    ) -> dict[AssetKey, tuple[AssetKey, ...]]:
        """Return earlier edges of the event's assets that neither definition nor tags give."""
        if entry.dagster_event_type in UNFINISHED:
            keys = _ended_without_definition(run, entry, assets)
        elif entry.dagster_event_type is DagsterEventType.ASSET_MATERIALIZATION:
            keys = {key for key in _logged_by_hand(entry) if _is_made_elsewhere(key, assets)}
        else:
            return {}
        missing = keys - run.earlier_upstream.keys()
        if missing:
            found = self._earlier.upstream_of(missing, run.at, now=entry.timestamp)
            run.earlier_upstream.update(found)
        return {key: run.earlier_upstream[key] for key in keys}

    def advance(self, entry: EventLogEntry) -> None:
        """Count an event as happened, after its conversion."""
        made = self._made(entry)
        if made is not None:
            self._earlier.observe(made, entry.timestamp)
        run = self._runs.get(entry.run_id)
        if run is None:
            return
        run.observe(entry, made)
        self._events += 1
        if entry.dagster_event_type in RUN_ENDS:
            self.forget(entry.run_id)
            del self._forgotten[entry.run_id]
            self._ended[entry.run_id] = None
            while len(self._ended) > ENDED_REMEMBERED:
                self._ended.popitem(last=False)

    def forget(self, run_id: str) -> None:
        """Drop a run's progress; its log is read again when the run is needed."""
        self._ended.pop(run_id, None)
        run = self._runs.pop(run_id, None)
        if run is not None:
            self._events -= run.events
        # Events of it came before, so it must be read, not begun.
        self._forgotten[run_id] = None
        while len(self._forgotten) > FORGOTTEN_REMEMBERED:
            self._forgotten.popitem(last=False)

    def begin(self, record: RunRecord) -> None:
        """Begin to follow a run all of whose events are still to come: its log is not read."""
        self._begin([record])

    def _begin(self, records: Collection[RunRecord]) -> None:
        for facts in self._run_facts(records):
            self._remember(facts.run_id, _Run(facts, ProgressLog()))

    def _run_facts(self, records: Collection[RunRecord]) -> list[RunFacts]:
        """Return the facts of runs, with when the runs that they retry were stored."""
        retried = [each.dagster_run.parent_run_id or "" for each in records]
        found = run_records(self._instance(), {each for each in retried if each})
        created = {each.dagster_run.run_id: each.create_timestamp for each in found}
        return [
            replace(
                run_facts(each.dagster_run, each.create_timestamp),
                parent_created_at=created.get(each.dagster_run.parent_run_id or ""),
            )
            for each in records
        ]

    def _remember(self, run_id: str, run: _Run) -> None:
        self.forget(run_id)
        del self._forgotten[run_id]
        self._runs[run_id] = run
        self._events += run.events
        while self._events > self._events_remembered and len(self._runs) > 1:
            self.forget(next(iter(self._runs)))

    def _read(self, event: StoredEvent, entry: EventLogEntry) -> _Run:
        instance = self._instance()
        records = run_records(instance, [entry.run_id])
        if not records:
            raise RunDeletedError(entry.run_id)
        run = _Run(self._run_facts(records)[0], ProgressLog())
        until = event.id.storage_id - 1
        for before in events_of_run(instance, entry.run_id, until=until):
            try:
                logged = before.entry()
            except Exception:  # noqa: S112 -- Dagster cannot read it; the engine parked it
                continue
            run.observe(logged, earlier.made_by(logged))
        if run.started_at is not None:
            self._definitions.prepare([entry.run_id], run.log.progress.planned_keys)
        return run


def _unavailable(what: str, error: Exception) -> FactsUnavailableError:
    if isinstance(error, FactsUnavailableError):
        return error
    return FactsUnavailableError(f"{what} cannot be read: {type(error).__name__}")


def last_dynamic_partition(instance: DagsterInstance, name: str, before: datetime) -> str | None:
    """Return the dynamic partition that was added last before a time.

    On Dagster+ it is the last one of now: no call returns when a partition was added.
    """
    tables = EventTables.of(instance.event_log_storage)
    if tables is not None:
        return tables.last_dynamic_partition(name, before)
    return next(reversed(instance.get_dynamic_partitions(name)), None)


def _is_start(entry: EventLogEntry) -> bool:
    event = entry.dagster_event
    return event is not None and event.event_type_value == DagsterEventType.RUN_START.value


def _read_by(entry: EventLogEntry) -> set[AssetKey]:
    """Return the assets that a materialization itself names."""
    made = earlier.made_in(entry)
    if made is None:
        return set()
    added = metadata.additions(made.metadata)
    found = {*metadata.upstream_in_tags(made.tags or {}), *metadata.named_assets(added)}
    lineage = metadata.column_lineage(made.metadata)
    for deps in lineage.deps_by_column.values() if lineage is not None else ():
        found.update(dep.asset_key for dep in deps)
    return found


def _subject(entry: EventLogEntry) -> set[AssetKey]:
    key = asset_of(entry)
    return {key} if key is not None else set()


def _planned(entry: EventLogEntry) -> set[AssetKey]:
    event = entry.dagster_event
    kind = event.event_type_value if event is not None else None
    if event is not None and kind == DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value:
        return {event.asset_materialization_planned_data.asset_key}
    if event is not None and kind == DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value:
        return {event.asset_check_planned_data.asset_key}
    return set()


def _assets_of_run(
    run: _Run, entry: EventLogEntry, assets: Mapping[AssetKey, AssetFacts]
) -> Mapping[AssetKey, AssetFacts]:
    """Choose the definitions of what the run plans and of what that depends on.

    Mechanism A has the definitions of the job, B those of the code location: both must give the
    same. An event of an unplanned asset gets that asset's definition as well.
    """
    progress = run.log.progress
    planned, checked = progress.planned_keys, progress.planned_checks
    if len(planned) + len(checked) != run.planned:
        run.planned = len(planned) + len(checked)
        chosen = with_upstream(assets, planned.keys() | checked.keys())
        # The run makes the asset, so an external definition here is only a reference to it.
        run.assets = {
            key: asset
            for key, asset in chosen.items()
            if not (asset.is_external and key in planned)
        }
    key = asset_of(entry)
    if key is None or key in planned or key in checked or key not in assets:
        return run.assets
    made = earlier.made_in(entry)
    if assets[key].is_external and made is not None and metadata.tells_upstream(made.tags or {}):
        return run.assets
    return {**run.assets, **with_upstream(assets, [key])}


def _is_made_elsewhere(key: AssetKey, assets: Mapping[AssetKey, AssetFacts]) -> bool:
    """Return True if the definitions do not say what an asset is made from."""
    return key not in assets or (assets[key].is_external and not assets[key].upstream)


def _ended_without_definition(
    run: _Run, entry: EventLogEntry, assets: Mapping[AssetKey, AssetFacts]
) -> set[AssetKey]:
    progress = run.log.progress
    steps = progress.planned if entry.step_key is None else (entry.step_key,)
    return {
        key
        for step_key in steps
        if step_key not in progress.ended
        for key, partitions in progress.planned.get(step_key, {}).items()
        if key not in assets and not partitions <= progress.materialized.get(key, {}).keys()
    }


def _logged_by_hand(entry: EventLogEntry) -> set[AssetKey]:
    """Return the asset of a materialization that does not say what it was made from."""
    made = earlier.made_in(entry)
    return set() if made is None or metadata.tells_upstream(made.tags or {}) else {made.asset_key}


def runless(entry: EventLogEntry) -> RunFacts:
    """Return a run for a runless event, without id and name; its ids belong to this event alone."""
    return RunFacts("", "", created_at=datetime.fromtimestamp(entry.timestamp, timezone.utc))


def run_facts(run: DagsterRun, created_at: datetime) -> RunFacts:
    """Return the facts of a run whose row was stored at `created_at`."""
    origin = run.remote_job_origin
    return RunFacts(
        run_id=run.run_id,
        job_name=run.job_name,
        created_at=created_at,
        tags={key: value for key, value in run.tags.items() if key not in TAGS_SET_LATER},
        config=run.run_config,
        code_location=origin.location_name if origin else run.tags.get(CODE_LOCATION_TAG),
        repository=origin.repository_origin.repository_name if origin else None,
        parent_run_id=run.parent_run_id,
        root_run_id=run.root_run_id,
        parent=parent_in_tags(run.tags),
    )
