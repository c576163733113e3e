"""Finds the facts of a run in the instance: its row, and what the event log says of it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from dagster import AssetKey, AssetRecordsFilter, DagsterEventType, EventLogEntry, RunsFilter

from openlineage_dagster_core.errors import FactsUnavailableError
from openlineage_dagster_core.facts.definitions import with_upstream
from openlineage_dagster_core.facts.model import (
    AssetFacts,
    Definitions,
    Facts,
    RunFacts,
    RunProgress,
)
from openlineage_dagster_core.facts.outside import parent_in_tags
from openlineage_dagster_core.facts.progress import FOLLOWED, ProgressLog
from openlineage_dagster_core.facts.upstream import tells_upstream, upstream_in_tags
from openlineage_dagster_core.families import (
    ASSET_FAMILY,
    CHECK_FAMILY,
    OBSERVATION_FAMILY,
    RUN_ENDS,
)

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun
    from dagster._core.storage.dagster_run import RunRecord

CODE_LOCATION_TAG = "dagster/code_location"
"""Set by Dagster 1.12 and later."""

TAGS_SET_LATER = frozenset(
    {"dagster/failure_reason", "dagster/will_retry", "dagster/auto_retry_run_id"}
)
"""Tags that Dagster adds when a run ends: its first events, told again, must not have them."""

RUNS_REMEMBERED = 256
PAGE = 1000

REPORTED_AT_MOST = 100
"""How many materializations that say nothing of their upstream are passed over."""

_BEGINNING = datetime.fromtimestamp(0, timezone.utc)


OF_AN_ASSET = ASSET_FAMILY | CHECK_FAMILY | OBSERVATION_FAMILY

UNFINISHED = RUN_ENDS | {DagsterEventType.STEP_FAILURE, DagsterEventType.STEP_SKIPPED}
"""The events that may end assets which were not materialized."""


@dataclass
class _Run:
    facts: RunFacts
    log: ProgressLog
    earlier_upstream: dict[AssetKey, tuple[AssetKey, ...]] = field(default_factory=dict)
    assets: Mapping[AssetKey, AssetFacts] = field(default_factory=dict)
    planned: int = -1
    """How much was planned when the assets were chosen."""


class EventLogFacts:
    """Gives each event its facts, for events of many runs that come in order per run.

    A run is read from the instance when its first event comes; after that the events themselves
    tell how far it is. Runs that have not been heard of for long are forgotten and, if need be,
    read again. Threads may ask at the same time, each about other runs.

    Args:
        instance: gives the Dagster instance to read from.
        rereads_ended: whether a run is read once more when it ends, because events of it may have
            gone another way.
        runs_remembered: how many runs at most.
        page: asked before events are read, and given how many at most; tells how many, and may
            wait.
    """

    def __init__(
        self,
        instance: Callable[[], DagsterInstance],
        *,
        rereads_ended: bool = True,
        runs_remembered: int = RUNS_REMEMBERED,
        page: Callable[[int], int] = int,
    ) -> None:
        self._instance = instance
        self._rereads_ended = rereads_ended
        self._runs_remembered = runs_remembered
        self._page = page
        self._lock = threading.Lock()
        self._runs: OrderedDict[str, _Run] = OrderedDict()

    def facts_of(self, entry: EventLogEntry, definitions: Definitions) -> Facts:
        """Find the facts of an event.

        Args:
            entry: the event.
            definitions: what is at hand of them.

        Returns:
            The run, how far it was before this event, and the definitions. The progress is valid
            until `advance`. An event reported from outside any run stands for itself.

        Raises:
            FactsUnavailableError: the instance cannot be read now.
        """
        try:
            return self._facts_of(entry, definitions)
        except Exception as error:
            # Whatever a database raises; it says nothing of the event, which is tried again.
            msg = f"run {entry.run_id} cannot be read: {type(error).__name__}"
            raise FactsUnavailableError(msg) from error

    def _facts_of(self, entry: EventLogEntry, definitions: Definitions) -> Facts:
        if not entry.run_id:
            return self._runless(entry, definitions)
        if self._rereads_ended and entry.dagster_event_type in RUN_ENDS:
            # The end is told from the log alone: steps may have run on machines whose events did
            # not come this way.
            self.forget(entry.run_id)
        run = self._remembered(entry.run_id)
        if run is None:
            run = self._read(entry, definitions)
            self._remember(entry.run_id, run)
        assets = _assets_of_run(run, entry, definitions.assets)
        return Facts(
            run=run.facts,
            progress=run.log.progress,
            assets=assets,
            job=definitions.jobs.get(run.facts.job_name),
            environment=definitions.environment,
            earlier_upstream=self._earlier_upstream(run, entry, assets),
        )

    def _runless(self, entry: EventLogEntry, definitions: Definitions) -> Facts:
        event = entry.get_dagster_event()
        key = _asset_of(entry)
        assets = with_upstream(definitions.assets, [key] if key else [])
        upstream = {}
        if key and key not in assets and event.event_type in ASSET_FAMILY:
            # Its edges are those of the asset's last run: an event without inputs erases them.
            upstream[key] = self._upstream_before(key, entry.timestamp)
        return Facts(
            run=runless(entry),
            progress=ProgressLog().progress,
            assets=assets,
            earlier_upstream=upstream,
        )

    def _earlier_upstream(
        self, run: _Run, entry: EventLogEntry, assets: Mapping[AssetKey, AssetFacts]
    ) -> dict[AssetKey, tuple[AssetKey, ...]]:
        """Find the edges of those assets of an event of which nothing else tells them."""
        if entry.dagster_event_type in UNFINISHED:
            keys = _ended_without_definition(run.log.progress, entry, assets)
        elif entry.dagster_event_type is DagsterEventType.ASSET_MATERIALIZATION:
            keys = _logged_by_hand(entry, assets)
        else:
            return {}
        before = run.facts.created_at.timestamp()
        for key in keys - run.earlier_upstream.keys():
            run.earlier_upstream[key] = self._upstream_before(key, before)
        return {key: run.earlier_upstream[key] for key in keys}

    def _upstream_before(self, key: AssetKey, timestamp: float) -> tuple[AssetKey, ...]:
        wanted = AssetRecordsFilter(asset_key=key, before_timestamp=timestamp)
        # What was reported, or logged by hand, meanwhile says nothing of it.
        for limit in (1, REPORTED_AT_MOST):
            records = self._instance().fetch_materializations(wanted, limit=limit).records
            for record in records:
                made = record.asset_materialization
                if made is not None and tells_upstream(made.tags or {}):
                    return upstream_in_tags(made.tags or {})
            if len(records) < limit:
                break
        return ()

    def advance(self, entry: EventLogEntry) -> None:
        """Count the event as happened, after its conversion.

        Args:
            entry: the event that `facts_of` was asked about.
        """
        run = self._remembered(entry.run_id)
        if run is not None:
            run.log.observe(entry)

    def forget(self, run_id: str) -> None:
        """Forget how far a run is: the next event asked about may be any of it.

        Args:
            run_id: of the run.
        """
        with self._lock:
            self._runs.pop(run_id, None)

    def begin(self, record: RunRecord) -> None:
        """Take up a run all of whose events are still to come, so that nothing need be read of it.

        Args:
            record: the run's row.
        """
        facts = run_facts(record.dagster_run, record.create_timestamp)
        self._remember(record.dagster_run.run_id, _Run(facts, ProgressLog()))

    def knows(self, run_id: str) -> bool:
        """Tell whether a run is remembered.

        Args:
            run_id: of the run.

        Returns:
            Whether nothing need be read of it.
        """
        return self._remembered(run_id) is not None

    def _remembered(self, run_id: str) -> _Run | None:
        with self._lock:
            run = self._runs.get(run_id)
            if run is not None:
                self._runs.move_to_end(run_id)
            return run

    def _remember(self, run_id: str, run: _Run) -> None:
        with self._lock:
            self._runs[run_id] = run
            self._runs.move_to_end(run_id)
            while len(self._runs) > self._runs_remembered:
                self._runs.popitem(last=False)

    def _read(self, entry: EventLogEntry, definitions: Definitions) -> _Run:
        instance = self._instance()
        records = instance.get_run_records(RunsFilter(run_ids=[entry.run_id]), limit=1)
        if records:
            facts = run_facts(records[0].dagster_run, records[0].create_timestamp)
            facts = facts if facts.parent else replace(facts, parent=definitions.parent)
        else:
            # The run was deleted meanwhile. Any constant serves, so that its events agree.
            facts = RunFacts(entry.run_id, entry.job_name or "", _BEGINNING)
        log = ProgressLog()
        for logged in entries_of_run(instance, entry.run_id, self._page):
            if logged == entry:
                break
            log.observe(logged)
        return _Run(facts, log)


def _assets_of_run(
    run: _Run, entry: EventLogEntry, assets: Mapping[AssetKey, AssetFacts]
) -> Mapping[AssetKey, AssetFacts]:
    """Choose the definitions of what the run planned and of what that depends on.

    One mechanism has the definitions of the job at hand, the other those of the code location: what
    a run tells must not depend on it. An event of an asset that nobody planned has its own.
    """
    progress = run.log.progress
    planned, checked = progress.planned_keys, progress.planned_checks
    if len(planned) + len(checked) != run.planned:
        run.planned = len(planned) + len(checked)
        run.assets = with_upstream(assets, planned | checked.keys())
    key = _asset_of(entry)
    if key is None or key in planned or key in checked or key not in assets:
        return run.assets
    return {**run.assets, **with_upstream(assets, [key])}


def _asset_of(entry: EventLogEntry) -> AssetKey | None:
    event = entry.dagster_event
    # Dagster makes the type anew each time it is asked.
    event_type = event.event_type if event is not None else None
    if event is None or event_type not in OF_AN_ASSET:
        return None
    if event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
        return event.asset_check_evaluation_data.asset_key
    return event.asset_key


def _ended_without_definition(
    progress: RunProgress, entry: EventLogEntry, assets: Mapping[AssetKey, AssetFacts]
) -> set[AssetKey]:
    steps = progress.planned if entry.step_key is None else (entry.step_key,)
    return {
        key
        for step_key in steps
        if step_key not in progress.ended
        for key, partitions in progress.planned.get(step_key, {}).items()
        if key not in assets
        and any((key, partition) not in progress.materialized for partition in partitions)
    }


def _logged_by_hand(entry: EventLogEntry, assets: Mapping[AssetKey, AssetFacts]) -> set[AssetKey]:
    """Find what is materialized without a word on what it is made from."""
    event = entry.get_dagster_event()
    key = event.asset_key
    tags = event.step_materialization_data.materialization.tags
    return {key} if key and key not in assets and not upstream_in_tags(tags or {}) else set()


def entries_of_run(
    instance: DagsterInstance, run_id: str, page: Callable[[int], int] = int
) -> Iterator[EventLogEntry]:
    """Read what the event log says of a run.

    Args:
        instance: holds it.
        run_id: of the run; empty for what was reported from outside any.
        page: see `EventLogFacts`.

    Yields:
        The events that tell how far it is, in order.
    """
    cursor = None
    while True:
        found = instance.get_records_for_run(
            run_id, cursor=cursor, of_type=set(FOLLOWED), limit=page(PAGE)
        )
        for record in found.records:
            yield record.event_log_entry
        if not found.has_more:
            return
        cursor = found.cursor


def runless(entry: EventLogEntry) -> RunFacts:
    """Stand in for the run of an event that was reported from outside any.

    Args:
        entry: the event.

    Returns:
        A run without id and name, created when the event was: ids that derive from it belong to
        this event alone.
    """
    return RunFacts(
        run_id="",
        job_name="",
        created_at=datetime.fromtimestamp(entry.timestamp, timezone.utc),
    )


def run_facts(run: DagsterRun, created_at: datetime) -> RunFacts:
    """Read a run's row.

    Args:
        run: the Dagster run.
        created_at: when its row was stored.

    Returns:
        The facts.
    """
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
