"""An event log in PostgreSQL, made of copies of recorded runs."""

from __future__ import annotations

import csv
import random
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import IO, Any

import dagster as dg
import sqlalchemy
from dagster import DagsterEventType, DagsterRunStatus, serialize_value

from benchmarks import fifty_assets
from benchmarks.deployments import Deployment
from openlineage_dagster_core.conversion import convert
from openlineage_dagster_core.event_log.stored_event import EventId, StoredEvent
from openlineage_dagster_core.facts.definitions import DefinedAssets, DefinedJobs
from openlineage_dagster_core.facts.event_log import EventLogFacts, GivenDefinitions
from openlineage_dagster_core.facts.model import Definitions
from openlineage_dagster_core.families import CONVERTED, FOLLOWED_VALUES
from openlineage_dagster_core.identity import Identity
from openlineage_dagster_core.settings import Settings

JOB = "in_process"
LINES_A_STEP = 8
"""Log lines of a step, on top of the one that each asset logs."""

SECONDS_BETWEEN_EVENTS = 0.05
SECONDS_BETWEEN_ADDITIONS = 300.0
"""Seconds between two additions: by then everything before is settled."""

AGE_SECONDS = 86_400.0

MARK = "x0000"
"""A part of names that differs between the copies of a recording, where that is asked for."""

_RUN_ID = "0199a1b2-0000-7000-8000-{:012x}"
_TIMESTAMP = 1111111111.25
"""Replaced in texts by the time of the copy."""

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_EVENT_COLUMNS = "run_id, event, dagster_event_type, timestamp, step_key, asset_key"
_RUN_COLUMNS = "run_id, pipeline_name, status, run_body, create_timestamp, update_timestamp"


@dataclass(frozen=True)
class Row:
    """An event as it is stored, without its run and its time.

    Args:
        text: the event, serialized.
        event_type: of the Dagster event; None for a log line.
        step_key: of its step.
        asset_key: as the database has it.
    """

    text: str
    event_type: str | None
    step_key: str | None
    asset_key: str | None

    @property
    def is_followed(self) -> bool:
        """True if the engine reads the event."""
        return self.event_type in FOLLOWED_VALUES


class Recording:
    """One run, executed here, of which all others are copies.

    Args:
        repository: defines the job; by default that of fifty assets.
        job: the name of the job.
        lines_a_step: log lines added to each step.
        partition_key: of the run, where the job is partitioned.

    Attributes:
        job: likewise.
        run: the Dagster run.
        rows: its events.
        definitions: as the integration reads them.
        lineage_events: the number of OpenLineage events that the run gives.
    """

    def __init__(
        self,
        repository: dg.RepositoryDefinition | None = None,
        job: str = JOB,
        *,
        lines_a_step: int = LINES_A_STEP,
        partition_key: str | None = None,
    ) -> None:
        self.job = job
        repository = repository or fifty_assets.definitions.get_repository_def()
        self.definitions = Definitions(
            DefinedAssets(repository.asset_graph), DefinedJobs(repository)
        )
        with dg.DagsterInstance.ephemeral() as instance:
            result = repository.get_job(job).execute_in_process(
                instance=instance, run_config=_QUIET, partition_key=partition_key
            )
            self.run = instance.get_runs()[0]
            records = instance.get_records_for_run(result.run_id).records
            self.lineage_events = _lineage_events(instance, records, self.definitions)
        self.rows = list(_with_lines([each.event_log_entry for each in records], lines_a_step))

    def beginning(self, steps: int) -> Sequence[Row]:
        """Return the events of a run that is under way.

        Args:
            steps: the number of steps that have started; the last one has not ended.

        Returns:
            What is stored from RUN_START on.
        """
        types = [row.event_type for row in self.rows]
        first = types.index(DagsterEventType.RUN_START.value)
        starts = [
            position
            for position, event_type in enumerate(types)
            if event_type == DagsterEventType.STEP_START.value
        ]
        return self.rows[first : starts[steps - 1] + 1]

    def run_body(self, run_id: str, status: DagsterRunStatus) -> str:
        """Write a copy of the run.

        Args:
            run_id: of the copy.
            status: of the copy.

        Returns:
            The run, serialized.
        """
        return serialize_value(self.run.with_status(status)).replace(self.run.run_id, run_id)

    def copied(self, row: Row, run_id: str, timestamp: float) -> str:
        """Write a copy of an event.

        Args:
            row: the event.
            run_id: of the copy.
            timestamp: of the copy, in seconds since the epoch.

        Returns:
            The event, serialized.
        """
        text = row.text.replace(self.run.run_id, run_id)
        return text.replace(str(_TIMESTAMP), f"{timestamp:.6f}")


def rows_reported(materializations: Collection[dg.AssetMaterialization]) -> list[Row]:
    """Record materializations that are reported from outside any run.

    Args:
        materializations: what is reported.

    Returns:
        The events.
    """
    with dg.DagsterInstance.ephemeral() as instance:
        for each in materializations:
            instance.report_runless_asset_event(each)
        records = instance.event_log_storage.get_records_for_run("").records
        return [_row(record.event_log_entry) for record in records]


def run_id_of(number: int) -> str:
    """Return the run id of a copy.

    Args:
        number: which copy, from 1 on.

    Returns:
        The Dagster run id.
    """
    return _RUN_ID.format(number)


def _with_lines(entries: Sequence[dg.EventLogEntry], lines: int) -> Iterator[Row]:
    for entry in entries:
        yield _row(entry)
        if entry.dagster_event_type is DagsterEventType.STEP_START:
            for number in range(lines):
                yield _row(_line(entry, number))


def _line(entry: dg.EventLogEntry, number: int) -> dg.EventLogEntry:
    return dg.EventLogEntry(  # type: ignore[no-untyped-call]
        error_info=None,
        level=10,
        user_message=f"part {number} of {entry.step_key} has been read and looks as it should",
        run_id=entry.run_id,
        timestamp=_TIMESTAMP,
        step_key=entry.step_key,
        job_name=entry.job_name,
    )


def _row(entry: dg.EventLogEntry) -> Row:
    event = entry.dagster_event
    key = event.asset_key if event else None
    return Row(
        serialize_value(entry._replace(timestamp=_TIMESTAMP)),
        event.event_type_value if event else None,
        entry.step_key,
        key.to_string() if key else None,
    )


def _lineage_events(
    instance: dg.DagsterInstance, records: Sequence[dg.EventLogRecord], definitions: Definitions
) -> int:
    facts = EventLogFacts(lambda: instance, GivenDefinitions(definitions))
    identity = Identity(Settings())
    count = 0
    for record in records:
        entry = record.event_log_entry
        event = StoredEvent(EventId(entry.run_id, record.storage_id), decoded=entry)
        if entry.dagster_event_type in CONVERTED:
            found = facts.facts_of(event, entry)
            count += sum(1 for _ in convert(entry, found, identity)) if found is not None else 0
        facts.advance(entry)
    return count


class StoredLog:
    """The log of a deployment on PostgreSQL, which grows by whole batches of runs.

    Only runs and events are stored, not what Dagster keeps of each asset in other tables.

    Args:
        deployment: has the database.
        recording: what is copied.
        at_a_time: the number of runs that are under way side by side.
        marks: the number of different marks that the copies get in turn; 0 leaves `MARK` as it is.

    Attributes:
        events: the number of events.
        followed: the number of events that the engine reads.
        runs: the number of runs.
    """

    def __init__(
        self, deployment: Deployment, recording: Recording, at_a_time: int, *, marks: int = 0
    ) -> None:
        self._engine = sqlalchemy.create_engine(deployment.runs)
        self._recording = recording
        self._at_a_time = at_a_time
        self._marks = marks
        self._chance = random.Random(7)  # noqa: S311 -- an order, no secret
        self._now = time.time() - AGE_SECONDS
        self.events = 0
        self.followed = 0
        self.runs = 0

    @property
    def lineage_events(self) -> int:
        """The number of OpenLineage events that its runs give."""
        return self.runs * self._recording.lineage_events

    @property
    def materializations(self) -> int:
        """The number of materializations of runs that it holds."""
        made = DagsterEventType.ASSET_MATERIALIZATION.value
        return self.runs * sum(row.event_type == made for row in self._recording.rows)

    def fill(self, events: int) -> None:
        """Add whole runs, as long ago as a day.

        Args:
            events: the least number of events that the log has then.
        """
        self.add(-(-(events - self.events) // len(self._recording.rows)))

    def add(self, runs: int) -> int:
        """Add runs that have ended, a few minutes after those before.

        Args:
            runs: the number of runs.

        Returns:
            The number of events.
        """
        self._now += SECONDS_BETWEEN_ADDITIONS
        return self._store(
            runs,
            self._recording.rows,
            DagsterRunStatus.SUCCESS,
            self._at_a_time,
            SECONDS_BETWEEN_EVENTS,
        )

    def add_in_flight(self, runs: int, steps: int, within: float) -> int:
        """Add runs that have just started and have not ended.

        Args:
            runs: the number of runs, all of them side by side.
            steps: the number of steps that have started in each.
            within: the seconds before now in which all that happened.

        Returns:
            The number of events.
        """
        rows = self._recording.beginning(steps)
        self._now = time.time() - within
        return self._store(runs, rows, DagsterRunStatus.STARTED, runs, within / (runs * len(rows)))

    def add_reported(self, rows: Sequence[Row], times: int) -> None:
        """Add events that were reported from outside any run.

        Args:
            rows: the events.
            times: how often each is added.
        """
        with tempfile.TemporaryFile("w+", newline="", encoding="utf-8") as lines:
            write = csv.writer(lines).writerow
            for row in list(rows) * times:
                self._now += SECONDS_BETWEEN_EVENTS
                text = row.text.replace(str(_TIMESTAMP), f"{self._now:.6f}")
                write(["", text, row.event_type, _utc(self._now), row.step_key, row.asset_key])
            # CSV takes an empty text for NULL; the column of the run id has none.
            self._copy(lines, f"event_logs ({_EVENT_COLUMNS})", "force not null run_id")
        self.events += len(rows) * times
        self.followed += sum(row.is_followed for row in rows) * times

    def materializations_up_to(self, storage_id: int) -> int:
        """Count the materializations that a sensor has passed.

        Args:
            storage_id: where its cursor is.

        Returns:
            The number of materializations that are not behind it.
        """
        statement = sqlalchemy.text(
            "select count(*) from event_logs where id <= :id and dagster_event_type = :type"
        )
        with self._engine.connect() as connection:
            found = connection.execute(
                statement,
                {"id": storage_id, "type": DagsterEventType.ASSET_MATERIALIZATION.value},
            )
            return int(found.scalar_one())

    def newest(self) -> int:
        """Return the highest storage id."""
        with self._engine.connect() as connection:
            found = connection.execute(sqlalchemy.text("select max(id) from event_logs"))
            return int(found.scalar_one())

    def close(self) -> None:
        """Close the connections to the database."""
        self._engine.dispose()

    def _store(
        self, runs: int, rows: Sequence[Row], status: DagsterRunStatus, at_a_time: int, gap: float
    ) -> int:
        stored = runs * len(rows)
        with (
            tempfile.TemporaryFile("w+", newline="", encoding="utf-8") as of_runs,
            tempfile.TemporaryFile("w+", newline="", encoding="utf-8") as of_events,
        ):
            self._write(of_runs, of_events, runs, rows, status, at_a_time, gap)
            self._copy(of_runs, f"runs ({_RUN_COLUMNS})")
            self._copy(of_events, f"event_logs ({_EVENT_COLUMNS})")
        with self._engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            # As the database does by itself, a minute later.
            connection.execute(sqlalchemy.text("vacuum analyze event_logs, runs"))
        self.events += stored
        self.followed += runs * sum(row.is_followed for row in rows)
        self.runs += runs
        return stored

    def _write(
        self,
        of_runs: IO[str],
        of_events: IO[str],
        runs: int,
        rows: Sequence[Row],
        status: DagsterRunStatus,
        at_a_time: int,
        gap: float,
    ) -> None:
        write_run, write_event = csv.writer(of_runs).writerow, csv.writer(of_events).writerow
        waiting = iter(range(self.runs, self.runs + runs))
        under_way: list[tuple[int, str, Iterator[Row]]] = []
        while True:
            while len(under_way) < at_a_time and (number := next(waiting, None)) is not None:
                run_id = run_id_of(number + 1)
                under_way.append((number, run_id, iter(rows)))
                body = self._recording.run_body(run_id, status)
                began = _utc(self._now)
                write_run([run_id, self._recording.job, status.value, body, began, began])
            if not under_way:
                return
            position = self._chance.randrange(len(under_way))
            number, run_id, left = under_way[position]
            row = next(left, None)
            if row is None:
                del under_way[position]
                continue
            self._now += gap
            text, asset_key = self._recording.copied(row, run_id, self._now), row.asset_key
            if self._marks:
                mark = f"x{number % self._marks:04x}"
                text = text.replace(MARK, mark)
                asset_key = asset_key and asset_key.replace(MARK, mark)
            write_event([run_id, text, row.event_type, _utc(self._now), row.step_key, asset_key])

    def _copy(self, lines: IO[str], where: str, options: str = "") -> None:
        lines.seek(0)
        connection = self._engine.raw_connection()
        try:
            # psycopg2's own: rows one by one take minutes.
            cursor: Any = connection.cursor()
            cursor.copy_expert(f"copy {where} from stdin with csv {options}", lines)
            connection.commit()
        finally:
            connection.close()


def _utc(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, timezone.utc).replace(tzinfo=None).isoformat(" ")
