"""Selects the runs of an instance to replay."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

from dagster import DagsterInstance, DagsterRunStatus, RunRecord, RunsFilter

PAGE = 200
UNFINISHED = (DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING)


@dataclass(frozen=True)
class Selection:
    """What to replay: by default everything, and a run as a whole or not at all."""

    run_ids: tuple[str, ...] = ()  # These runs alone
    first_run: str | None = None  # The runs that were stored since this one, with it
    last_run: str | None = None  # And until this one, with it
    since: float | None = None  # Runs of which anything happened since (seconds since the epoch)
    until: float | None = None  # Runs that were stored before then, in seconds since the epoch
    statuses: tuple[DagsterRunStatus, ...] = ()  # Runs in one of these states; by default in any
    includes_runless: bool = True  # True to include events reported from outside any run

    @property
    def takes_runless(self) -> bool:
        """True if the selection may include events from outside any run."""
        names_runs = self.run_ids or self.first_run or self.last_run or self.statuses
        return self.includes_runless and not names_runs

    def holds(self, timestamp: float) -> bool:
        """Return True if an event from outside any run happened within the selected time."""
        since = float("-inf") if self.since is None else self.since
        until = float("inf") if self.until is None else self.until
        return since <= timestamp < until

    def count(self, instance: DagsterInstance) -> int | None:
        """Count the runs, for the progress; return None where no cheap query counts them."""
        if self.first_run or self.last_run:
            return None
        return instance.get_runs_count(self._filter())

    def runs(self, instance: DagsterInstance) -> Iterator[RunRecord]:
        """Yield the rows of the runs, in the order in which they were stored."""
        if self.first_run:
            yield from instance.get_run_records(RunsFilter(run_ids=[self.first_run]), limit=1)
            if self.first_run == self.last_run:
                return
        cursor = self.first_run
        while True:
            wanted = self._filter()
            page = instance.get_run_records(wanted, limit=PAGE, cursor=cursor, ascending=True)
            for record in page:
                yield record
                if record.dagster_run.run_id == self.last_run:
                    return
            if len(page) < PAGE:
                return
            cursor = page[-1].dagster_run.run_id

    def _filter(self) -> RunsFilter:
        return RunsFilter(
            run_ids=list(self.run_ids) or None,
            statuses=list(self.statuses) or None,
            updated_after=_time(self.since),
            created_before=_time(self.until),
        )


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)
