"""Runs of which nothing may be sent: deleted ones, and those whose process is disabled."""

from collections.abc import Callable
from pathlib import Path

import pytest

from command_line import Run
from dagster_home import DagsterHome
from delivered import run_id_of
from delivery import deliver, has_delivered_all, state_of, wait_until_delivered
from drivers import StorageDriver, opened
from orders_project import DEFINITIONS
from receiver import Receiver
from recorded_run import execute

SECONDS = 240.0


@pytest.mark.parametrize(
    ("database", "goes_on"), [("sqlite", False), ("postgres", False), ("postgres", True)]
)
def test_nothing_is_sent_of_a_run_that_was_deleted_while_its_events_waited_and_status_says_so(
    tmp_path: Path,
    command: Run,
    receiver: Receiver,
    request: pytest.FixtureRequest,
    database: str,
    goes_on: bool,
) -> None:
    make: Callable[[], str] | None = (
        request.getfixturevalue("make_database") if database == "postgres" else None
    )
    with opened(StorageDriver(), tmp_path / "home", make() if make else None) as instance:
        receiver.answer = lambda _: 503
        deleted = execute(DEFINITIONS, "nightly", instance).run_id
        kept = execute(DEFINITIONS, "tenant", instance).run_id
        stop_after_a_pass(instance)
        assert state_of(instance).cursor is not None
        # Dagster deletes the events with the run; others may be written by a step that goes on.
        entry = instance.get_records_for_run(deleted).records[-1].event_log_entry
        instance.delete_run(deleted)
        if goes_on:
            instance.event_log_storage.store_event(entry)
        receiver.answer = lambda _: 201
        deliver(instance)
        state = state_of(instance)
    assert {run_id_of(event) for event in receiver.events} == {kept}
    assert state.cursor is not None
    assert not state.cursor.waiting
    [parked] = state.cursor.last_parked
    assert parked.run_id == deleted
    assert "deleted" in parked.reason
    status = command("status", "--home", tmp_path / "home")
    assert "1 events: see `openlineage-dagster parked list`" in status.out
    listed = command("parked", "list", "--home", tmp_path / "home").out
    assert f"{parked.name} " in listed
    assert "its run was deleted" in listed


def stop_after_a_pass(instance: object) -> None:
    passes: list[object] = []
    storage = instance.event_log_storage  # type: ignore[attr-defined]
    storage.run_deliverer(once=True, should_stop=lambda: bool(passes), on_pass=passes.append)


def test_of_a_process_that_is_disabled_no_run_is_delivered(
    tmp_path: Path, receiver: Receiver
) -> None:
    home = DagsterHome(tmp_path / "home", receiver.url)
    assert home.start_job("orders_project", "tenant").wait(SECONDS) == 0
    home.environ = {"OPENLINEAGE_DISABLED": "true"}
    assert home.start_job("orders_project", "nightly").wait(SECONDS) == 0
    home.environ = {}
    assert home.start_job("orders_project", "tenant").wait(SECONDS) == 0
    with home.instance() as instance:
        wait_until_delivered(instance)
        assert has_delivered_all(instance)
        wanted = {run.run_id for run in instance.get_runs() if run.job_name == "tenant"}
    assert len(wanted) == 2
    assert {run_id_of(event) for event in receiver.events} == wanted
