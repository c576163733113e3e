"""A webserver and a daemon on a Dagster home, and what their users do through GraphQL."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import requests
from dagster import DagsterRunStatus, RunsFilter
from dagster._core.scheduler.instigation import InstigatorType, ScheduleInstigatorData
from dagster._core.storage.dagster_run import FINISHED_STATUSES

from dagster_home import DagsterHome, wait_until
from process_group import ProcessGroup
from server_process import free_ports, listens

SECONDS = 240.0
ANSWER_SECONDS = 60.0
POLL_SECONDS = 0.2

LAUNCH = """mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}"""
BACKFILL = """mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}"""
START_SCHEDULE = """mutation ($selector: ScheduleSelector!) {
  startSchedule(scheduleSelector: $selector) {
    __typename
    ... on ScheduleStateResult { scheduleState { id } }
    ... on PythonError { message }
  }
}"""
STOP_SCHEDULE = """mutation ($id: String!) {
  stopRunningSchedule(id: $id) {
    __typename
    ... on PythonError { message }
  }
}"""


@dataclass
class Deployment:
    """A webserver and a daemon on one home.

    Args:
        home: the Dagster home.
        instance: of that home, in this process.
        address: of the webserver.
        location: the name of the code location.
        webserver: its process.
        daemon: its process, with the code server and the runs.
    """

    home: DagsterHome
    instance: dg.DagsterInstance
    address: str
    location: str
    webserver: ProcessGroup
    daemon: ProcessGroup

    def ask(self, query: str, **variables: Any) -> Any:
        """Ask GraphQL as the UI does.

        Args:
            query: a query or a mutation.
            variables: of the query.

        Returns:
            The data of the answer.
        """
        answer = requests.post(
            f"{self.address}/graphql",
            json={"query": query, "variables": variables},
            timeout=ANSWER_SECONDS,
        )
        assert answer.ok, f"HTTP {answer.status_code}: {answer.text}"
        content = answer.json()
        assert "errors" not in content, content["errors"]
        return content["data"]

    def launch(self, job: str, **tags: str) -> str:
        """Launch a run as the UI does.

        Args:
            job: its name.
            tags: of the run.

        Returns:
            The run id.
        """
        launched = self.ask(
            LAUNCH,
            params={
                "selector": {**self._repository(), "jobName": job},
                "executionMetadata": {
                    "tags": [{"key": key, "value": value} for key, value in tags.items()]
                },
            },
        )["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run_id: str = launched["run"]["runId"]
        return run_id

    def launch_backfill(self, assets: Sequence[Sequence[str]], first: str, last: str) -> str:
        """Launch a backfill of assets as the UI does.

        Args:
            assets: their keys.
            first: the key of the first partition.
            last: the key of the last partition.

        Returns:
            The backfill's id.
        """
        # Not `partitionNames`: Dagster takes the assets of a step that depend on each other for
        # having different partitions then.
        partitions = {"range": {"start": first, "end": last}}
        launched = self.ask(
            BACKFILL,
            params={
                "partitionsByAssets": [
                    {"assetKey": {"path": list(key)}, "partitions": partitions} for key in assets
                ]
            },
        )["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        backfill_id: str = launched["backfillId"]
        return backfill_id

    @contextlib.contextmanager
    def schedule(self, name: str) -> Iterator[None]:
        """Start a schedule as the UI does, and stop it afterwards.

        Args:
            name: of the schedule.

        Yields:
            While it runs; not to be left before its first tick.
        """
        selector = {**self._repository(), "scheduleName": name}
        started = self.ask(START_SCHEDULE, selector=selector)["startSchedule"]
        assert started["__typename"] == "ScheduleStateResult", started
        yield
        # After the first tick the daemon writes back what it read before, RUNNING: a schedule
        # that is stopped meanwhile goes on.
        self.wait_until(lambda: self._has_been_evaluated(name), f"schedule {name} to have ticked")
        stopped = self.ask(STOP_SCHEDULE, id=started["scheduleState"]["id"])["stopRunningSchedule"]
        assert stopped["__typename"] == "ScheduleStateResult", stopped

    def _has_been_evaluated(self, schedule: str) -> bool:
        states = self.instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
        return any(
            isinstance(state.instigator_data, ScheduleInstigatorData)
            and state.instigator_data.last_iteration_timestamp is not None
            for state in states
            if state.instigator_name == schedule
        )

    def _repository(self) -> dict[str, str]:
        return {"repositoryLocationName": self.location, "repositoryName": "__repository__"}

    def wait_until(self, condition: Callable[[], bool], about: str) -> None:
        """Wait for what the processes do.

        Args:
            condition: asked again and again.
            about: what is waited for.

        Raises:
            AssertionError: it did not come true in time, or a process has ended; with its log.
        """

        def is_true() -> bool:
            self.webserver.check_alive()
            self.daemon.check_alive()
            return condition()

        try:
            wait_until(is_true, SECONDS, about, POLL_SECONDS)
        except AssertionError as error:
            said = f"the end of {self.daemon.log}:\n{self.daemon.last_words()}"
            raise AssertionError(f"{error}; {said}") from None

    def wait_for_status(self, run_id: str, *statuses: DagsterRunStatus) -> None:
        """Wait for a run.

        Args:
            run_id: of the run.
            statuses: it has to have one of them.
        """

        def has_it() -> bool:
            run = self.instance.get_run_by_id(run_id)
            return run is not None and run.status in statuses

        self.wait_until(has_it, f"run {run_id} to be {statuses}")

    def wait_for_job(self, job: str, count: int, status: DagsterRunStatus) -> list[dg.DagsterRun]:
        """Wait for runs of a job.

        Args:
            job: its name.
            count: how many.
            status: that they have to have.

        Returns:
            The runs.
        """

        def runs() -> list[dg.DagsterRun]:
            return list(self.instance.get_runs(RunsFilter(job_name=job, statuses=[status])))

        self.wait_until(lambda: len(runs()) >= count, f"{count} of {job} to be {status}")
        return runs()

    def is_idle(self) -> bool:
        """Tell whether no run is queued, starting or running.

        Returns:
            Whether all have ended.
        """
        unfinished = [status for status in DagsterRunStatus if status not in FINISHED_STATUSES]
        return not self.instance.get_runs_count(RunsFilter(statuses=unfinished))


@contextlib.contextmanager
def deployed(home: DagsterHome, location: str, *where: str) -> Iterator[Deployment]:
    """Start a webserver and a daemon, and end them with all that they have started.

    Args:
        home: the Dagster home; the logs are in it.
        location: the name of the code location.
        where: the arguments that say where the definitions are.

    Yields:
        The deployment; the webserver answers.
    """
    [port] = free_ports(1)
    commands = {
        "webserver": ["dagster_webserver", *where, "-h", "127.0.0.1", "-p", str(port)],
        "daemon": ["dagster._daemon", "run", *where],
    }
    with contextlib.ExitStack() as stack:
        instance = stack.enter_context(home.instance())
        processes = {}
        for name, command in commands.items():
            log = home.path / f"{name}.log"
            processes[name] = ProcessGroup(home.start("-m", *command, log=log), log)
            stack.callback(processes[name].stop)
        for process in processes.values():
            # Before the first of them is waited for.
            stack.callback(process.terminate)
        deployment = Deployment(home, instance, f"http://127.0.0.1:{port}", location, **processes)
        deployment.wait_until(lambda: listens(port), "the webserver")
        yield deployment
