"""An outbox that cannot be written, or is lost: runs are untouched, and lineage comes later."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

import orders_project
from dagster_home import DagsterHome, wait_until
from delivered import check_delivered
from openlineage_dagster_core.delivery.outbox import Outbox, read_status
from openlineage_dagster_core.delivery.outbox_file import OutboxFile
from receiver import Receiver
from recorded_run import execute


@pytest.fixture(autouse=True)
def _notes_are_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def home(tmp_path: Path, receiver: Receiver) -> DagsterHome:
    return DagsterHome(tmp_path / "home", receiver.url)


def run_nightly(instance: dg.DagsterInstance) -> None:
    assert execute(orders_project.DEFINITIONS, "nightly", instance).success


def check_all_arrives(
    home: DagsterHome, receiver: Receiver, *, has_definitions: bool = False
) -> None:
    """Be the next process, and compare; the definitions may have been lost with the outbox."""
    receiver.answer = lambda _: 201
    with home.instance() as instance:
        wait_until(
            lambda: len(receiver.events) > 0 and read_status(home.outbox).is_drained,
            60,
            "gaps to be filled",
        )
        count = check_delivered(
            instance,
            receiver.events,
            orders_project.DEFINITIONS,
            with_facets=has_definitions,
        )
        assert count > 0


def lose_the_file(home: DagsterHome) -> None:
    for path in home.outbox.glob("outbox.db*"):
        path.unlink()


def lose_the_directory(home: DagsterHome) -> None:
    shutil.rmtree(home.outbox)


def overwrite_the_file(home: DagsterHome) -> None:
    # Not `-shm`, which is memory: to cut off what is mapped is the death of whoever has it.
    for path in home.outbox.glob("outbox.db*"):
        if not path.name.endswith("-shm"):
            path.write_bytes(b"nonsense" * 4096)


@pytest.mark.parametrize("harm", [lose_the_file, lose_the_directory, overwrite_the_file])
def test_what_is_lost_with_the_outbox_between_two_processes_is_read_from_the_log(
    home: DagsterHome, receiver: Receiver, harm: Callable[[DagsterHome], None]
) -> None:
    receiver.answer = lambda _: 503
    with home.instance() as instance:
        run_nightly(instance)
    harm(home)
    if harm is not overwrite_the_file:
        # Nobody was there to see it; whoever uses an outbox that is new cannot know of an older.
        Outbox(home.outbox).append([], gaps={None: 0.0}, reason="lost")
    check_all_arrives(home, receiver)


@pytest.mark.parametrize("harm", [lose_the_file, lose_the_directory, overwrite_the_file])
def test_what_is_lost_with_the_outbox_while_a_process_runs_is_read_from_the_log(
    home: DagsterHome, receiver: Receiver, harm: Callable[[DagsterHome], None]
) -> None:
    receiver.answer = lambda _: 503
    with home.instance() as instance:
        run_nightly(instance)
        harm(home)
        run_nightly(instance)
    check_all_arrives(home, receiver)


def test_where_the_directory_cannot_be_made_runs_go_on_and_their_lineage_comes_later(
    home: DagsterHome, receiver: Receiver
) -> None:
    if home.outbox.exists():
        shutil.rmtree(home.outbox)
    home.outbox.write_text("in the way")
    with home.instance() as instance:
        run_nightly(instance)
        run_nightly(instance)
    assert receiver.events == []
    home.outbox.unlink()
    check_all_arrives(home, receiver)


def test_a_full_disk_costs_no_lineage(
    home: DagsterHome, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = OutboxFile.run

    def full(
        self: OutboxFile, work: Callable[[sqlite3.Connection], object], **options: bool
    ) -> object:
        def fail(connection: sqlite3.Connection) -> object:
            connection.execute("PRAGMA max_page_count = 1")
            try:
                return work(connection)
            finally:
                connection.execute("PRAGMA max_page_count = 1000000")

        return run(self, fail, **options)

    with home.instance() as instance:
        run_nightly(instance)
        with monkeypatch.context() as patched:
            patched.setattr(OutboxFile, "run", full)
            run_nightly(instance)
    check_all_arrives(home, receiver)


def test_a_locked_outbox_costs_no_lineage(home: DagsterHome, receiver: Receiver) -> None:
    with home.instance() as instance:
        run_nightly(instance)
        locked = sqlite3.connect(home.outbox / "outbox.db", isolation_level=None)
        locked.execute("BEGIN IMMEDIATE")
        run_nightly(instance)
        locked.execute("ROLLBACK")
        locked.close()
    check_all_arrives(home, receiver, has_definitions=True)


def test_a_run_whose_middle_is_missing_ends_as_it_ended(
    home: DagsterHome, receiver: Receiver
) -> None:
    """Its end is told once more after what was missing: backends take the last state."""
    with home.instance() as instance:
        run_nightly(instance)
    [run] = {event["run"]["facets"]["dagster_run"]["runId"] for event in receiver.events}
    Outbox(home.outbox).append([], gaps={run: 0.0}, reason="lost")
    before = list(receiver.events)
    with home.instance():
        wait_until(lambda: len(receiver.events) == 2 * len(before), 15, "all of it again")
    assert receiver.events[len(before) :] == before
