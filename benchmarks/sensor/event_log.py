"""The event log that is read: runs of the fifty assets next to each other, with their log lines."""

from __future__ import annotations

import csv
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import IO, Any

import dagster as dg
import sqlalchemy
from dagster import DagsterEventType, DagsterRun, DagsterRunStatus, serialize_value

from benchmarks.deployments import Deployment
from benchmarks.fifty_assets import ASSETS, definitions
from openlineage_dagster_core.conversion import convert
from openlineage_dagster_core.facts.definitions import DefinedAssets, DefinedJobs
from openlineage_dagster_core.facts.event_log import EventLogFacts
from openlineage_dagster_core.facts.model import Definitions
from openlineage_dagster_core.families import CONVERTED
from openlineage_dagster_core.identity import Identity
from openlineage_dagster_core.settings import Settings

JOB = "in_process"
LINES_A_STEP = 8
"""Beside the one that each asset logs."""

SECONDS_BETWEEN_EVENTS = 0.05
SECONDS_BETWEEN_ADDITIONS = 300.0
"""What one tick after the other finds: by then everything before is settled."""

AGE_SECONDS = 86_400.0

_RUN_ID = "0199a1b2-0000-7000-8000-{:012x}"
_TIMESTAMP = 1111111111.25
"""Stands in texts for the time of the event."""

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_EVENT_COLUMNS = "run_id, event, dagster_event_type, timestamp, step_key, asset_key"
_RUN_COLUMNS = "run_id, pipeline_name, status, run_body, create_timestamp, update_timestamp"


@dataclass(frozen=True)
class Row:
    """An event as it is stored, but for its run and its time.

    Args:
        text: the event, serialized.
        event_type: of the Dagster event; none for a log line.
        step_key: of its step.
        asset_key: as the database has it.
    """

    text: str
    event_type: str | None
    step_key: str | None
    asset_key: str | None


class Recording:
    """One run of the fifty assets, executed here, of which all others are copies."""

    def __init__(self) -> None:
        with dg.DagsterInstance.ephemeral() as instance:
            result = definitions.resolve_job_def(JOB).execute_in_process(
                instance=instance, run_config=_QUIET
            )
            self.run = instance.get_runs()[0]
            records = instance.get_records_for_run(result.run_id).records
            entries = [record.event_log_entry for record in records]
            self.lineage_events = _lineage_events(instance, entries)
            """How many OpenLineage events it gives."""
        self.rows = list(self._with_lines(entries))

    def beginning(self, steps: int) -> Sequence[Row]:
        """Cut the run off while it is under way.

        Args:
            steps: how many have started, the last of which goes on.

        Returns:
            What is stored from its start on.
        """
        types = [row.event_type for row in self.rows]
        first = types.index(DagsterEventType.RUN_START.value)
        starts = [
            position
            for position, event_type in enumerate(types)
            if event_type == DagsterEventType.STEP_START.value
        ]
        return self.rows[first : starts[steps - 1] + 1]

    def _with_lines(self, entries: Sequence[dg.EventLogEntry]) -> Iterator[Row]:
        for entry in entries:
            yield _row(entry)
            if entry.dagster_event_type is DagsterEventType.STEP_START:
                for number in range(LINES_A_STEP):
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


def _lineage_events(instance: dg.DagsterInstance, entries: Sequence[dg.EventLogEntry]) -> int:
    repository = definitions.get_repository_def()
    known = Definitions(DefinedAssets(repository.asset_graph), DefinedJobs(repository))
    facts, identity = EventLogFacts(lambda: instance), Identity(Settings())
    count = 0
    for entry in entries:
        if entry.dagster_event_type in CONVERTED:
            count += len(convert(entry, facts.facts_of(entry, known), identity))
        facts.advance(entry)
    return count


class EventLog:
    """The log of a deployment on PostgreSQL, which grows by whole batches of runs.

    Only runs and events are stored; what Dagster knows of each asset beside them nobody asks for.

    Args:
        deployment: has the database.
        recording: what is copied.
        at_a_time: how many runs are under way next to each other.

    Attributes:
        events: how many events there are.
        runs: of how many runs.
    """

    def __init__(self, deployment: Deployment, recording: Recording, at_a_time: int) -> None:
        self._engine = sqlalchemy.create_engine(deployment.runs)
        self._recording = recording
        self._at_a_time = at_a_time
        self._chance = random.Random(7)  # noqa: S311 -- an order, no secret
        self._now = time.time() - AGE_SECONDS
        self.events = 0
        self.runs = 0

    @property
    def lineage_events(self) -> int:
        """How many OpenLineage events its runs give."""
        return self.runs * self._recording.lineage_events

    @property
    def materializations(self) -> int:
        """How many materializations it holds."""
        return self.runs * ASSETS

    def fill(self, events: int) -> None:
        """Add whole runs, as long ago as a day.

        Args:
            events: how many there are to be at least.
        """
        self.add(-(-(events - self.events) // len(self._recording.rows)))

    def add(self, runs: int) -> int:
        """Add runs that have ended, a few minutes after those before.

        Args:
            runs: how many.

        Returns:
            How many events.
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
            runs: how many, all of them at a time.
            steps: how many have started in each.
            within: how many seconds before now.

        Returns:
            How many events.
        """
        rows = self._recording.beginning(steps)
        self._now = time.time() - within
        return self._store(runs, rows, DagsterRunStatus.STARTED, runs, within / (runs * len(rows)))

    def materializations_up_to(self, storage_id: int) -> int:
        """Count what a sensor has passed.

        Args:
            storage_id: where its cursor is.

        Returns:
            How many materializations are not behind it.
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
        """Find its end.

        Returns:
            The highest storage id.
        """
        with self._engine.connect() as connection:
            found = connection.execute(sqlalchemy.text("select max(id) from event_logs"))
            return int(found.scalar_one())

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def _store(
        self, runs: int, rows: Sequence[Row], status: DagsterRunStatus, at_a_time: int, gap: float
    ) -> int:
        stored = runs * len(rows)
        body = self._recording.run.with_status(status)
        with (
            tempfile.TemporaryFile("w+", newline="", encoding="utf-8") as of_runs,
            tempfile.TemporaryFile("w+", newline="", encoding="utf-8") as of_events,
        ):
            self._write(of_runs, of_events, runs, rows, body, at_a_time, gap)
            self._copy(of_runs, f"runs ({_RUN_COLUMNS})")
            self._copy(of_events, f"event_logs ({_EVENT_COLUMNS})")
        with self._engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            # As the database does by itself, a minute later.
            connection.execute(sqlalchemy.text("vacuum analyze event_logs, runs"))
        self.events += stored
        self.runs += runs
        return stored

    def _write(
        self,
        of_runs: IO[str],
        of_events: IO[str],
        runs: int,
        rows: Sequence[Row],
        run: DagsterRun,
        at_a_time: int,
        gap: float,
    ) -> None:
        write_run, write_event = csv.writer(of_runs).writerow, csv.writer(of_events).writerow
        body = serialize_value(run)
        waiting = iter(range(self.runs, self.runs + runs))
        under_way: list[tuple[str, Iterator[Row]]] = []
        while True:
            while len(under_way) < at_a_time and (number := next(waiting, None)) is not None:
                run_id = _RUN_ID.format(number + 1)
                under_way.append((run_id, iter(rows)))
                own_body = body.replace(run.run_id, run_id)
                began = _utc(self._now)
                write_run([run_id, JOB, run.status.value, own_body, began, began])
            if not under_way:
                return
            position = self._chance.randrange(len(under_way))
            run_id, left = under_way[position]
            row = next(left, None)
            if row is None:
                del under_way[position]
                continue
            self._now += gap
            text = row.text.replace(run.run_id, run_id).replace(str(_TIMESTAMP), f"{self._now:.6f}")
            write_event(
                [run_id, text, row.event_type, _utc(self._now), row.step_key, row.asset_key]
            )

    def _copy(self, lines: IO[str], where: str) -> None:
        lines.seek(0)
        connection = self._engine.raw_connection()
        try:
            # psycopg2's own: rows one by one take minutes.
            cursor: Any = connection.cursor()
            cursor.copy_expert(f"copy {where} from stdin with csv", lines)
            connection.commit()
        finally:
            connection.close()


def _utc(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, timezone.utc).replace(tzinfo=None).isoformat(" ")
