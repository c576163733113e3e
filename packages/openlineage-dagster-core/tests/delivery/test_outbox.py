import multiprocessing
import os
import signal
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from openlineage_dagster_core.delivery import collecting, outbox_file
from openlineage_dagster_core.delivery import outbox as outbox_module
from openlineage_dagster_core.delivery.outbox import Outbox, OutboxStatus, read_status
from outbox_processes import append_and_be_killed, append_one_by_one


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(tmp_path / "outbox")
    yield outbox
    outbox.close()


def payloads(outbox: Outbox) -> list[str]:
    return [record.payload for record in outbox.pending(10**6)]


def test_records_come_out_in_the_order_of_their_appending(outbox: Outbox) -> None:
    outbox.append([("a", "1"), ("b", "2")])
    outbox.append([("a", "3")])
    assert payloads(outbox) == ["1", "2", "3"]
    assert [record.ordering_key for record in outbox.pending(2)] == ["a", "b"]
    assert outbox.depth() == 3


def test_what_another_process_appended_to_a_key_after_a_record_is_read(outbox: Outbox) -> None:
    outbox.append([("a", "1"), ("b", "2"), ("a", "3")])
    [first] = outbox.pending(1)
    other = Outbox(outbox.directory)
    other.append([("b", "4"), ("a", "5"), ("a", "6")])
    other.close()
    assert [each.payload for each in outbox.later_than(first, 100)] == ["3", "5", "6"]
    assert [each.payload for each in outbox.later_than(first, 2)] == ["3", "5"]


def test_a_removed_record_is_gone(outbox: Outbox) -> None:
    outbox.append([("a", "1"), ("a", "2")])
    outbox.remove(outbox.pending(1))
    assert payloads(outbox) == ["2"]


def test_a_parked_record_is_kept_with_its_reason_and_holds_nothing_up(outbox: Outbox) -> None:
    outbox.append([("a", "bad"), ("a", "good")])
    [bad] = outbox.pending(1)
    outbox.park(bad, "422: no")
    assert payloads(outbox) == ["good"]
    [(parked, reason)] = outbox.parked()
    assert (parked.id, parked.payload, reason) == (bad.id, "bad", "422: no")


def test_the_latest_attachment_of_a_key_is_kept(outbox: Outbox) -> None:
    assert outbox.attachment("a") is None
    outbox.append([("a", "1")], {"a": "first"})
    outbox.append([("a", "2")])
    assert outbox.attachment("a") == "first"
    outbox.append([("a", "3")], {"a": "second"})
    assert outbox.attachment("a") == "second"


def test_an_outbox_that_is_being_made_is_empty_for_who_looks_from_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / outbox_file.FILE_NAME).touch()
    assert read_status(tmp_path) == OutboxStatus()
    seen = []

    def look(_: sqlite3.Connection) -> bool:
        with sqlite3.connect(tmp_path / outbox_file.FILE_NAME) as outside:
            seen.append(outside.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
        outside.close()
        return True

    script = outbox_file.SCHEMA.replace(");\nCREATE", "); SELECT look();\nCREATE")
    connect = sqlite3.connect

    def connect_with_look(*args: object, **options: object) -> sqlite3.Connection:
        connection = connect(*args, **options)
        connection.create_function("look", 0, lambda: look(connection))
        return connection

    monkeypatch.setattr(outbox_file, "SCHEMA", script)
    monkeypatch.setattr(sqlite3, "connect", connect_with_look)
    Outbox(tmp_path).append([("a", "1")])
    assert seen == [0] * 6
    assert read_status(tmp_path).depth == 1


def test_the_files_are_private(outbox: Outbox) -> None:
    outbox.append([("a", "1")])
    assert stat.S_IMODE(outbox.directory.stat().st_mode) == 0o700
    for path in outbox.directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_another_outbox_of_the_same_directory_sees_the_records(outbox: Outbox) -> None:
    outbox.append([("a", "1")])
    other = Outbox(outbox.directory)
    assert payloads(other) == ["1"]
    other.close()


def test_after_closing_it_opens_again(outbox: Outbox) -> None:
    outbox.append([("a", "1")])
    outbox.close()
    outbox.append([("a", "2")])
    assert payloads(outbox) == ["1", "2"]


def test_what_was_appended_survives_sigkill(outbox: Outbox) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=append_and_be_killed, args=(outbox.directory, 100)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert payloads(outbox) == [str(number) for number in range(100)]


def test_processes_append_side_by_side_without_loss_and_in_order(outbox: Outbox) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=append_one_by_one, args=(outbox.directory, name, 200))
        for name in "abcd"
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    records = outbox.pending(10**6)
    for name in "abcd":
        mine = [record.payload for record in records if record.ordering_key == name]
        assert mine == [f"{name}{number}" for number in range(200)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_and_its_parent_both_go_on(outbox: Outbox) -> None:
    outbox.append([("a", "before")])
    child = os.fork()
    if child == 0:
        try:
            outbox.append([("a", "child")])
            outbox.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    outbox.append([("a", "parent")])
    assert payloads(outbox) == ["before", "child", "parent"]
    other = Outbox(outbox.directory)
    assert payloads(other) == ["before", "child", "parent"]
    other.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_what_a_child_appends_outlives_the_parents_closing(outbox: Outbox) -> None:
    outbox.append([("a", "before")])
    ready_read, ready_write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.read(ready_read, 1)
            outbox.append([("a", "child")])
        finally:
            os._exit(0)
    outbox.close()
    os.write(ready_write, b"x")
    os.waitpid(child, 0)
    os.close(ready_read)
    os.close(ready_write)
    assert payloads(outbox) == ["before", "child"]


class OutboxMachine(RuleBasedStateMachine):
    """Whatever is done to an outbox, it holds what a list would."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.outbox = Outbox(Path(self.folder.name))
        self.expected: list[tuple[str, str]] = []
        self.parked = 0

    @rule(records=st.lists(st.tuples(st.sampled_from("abc"), st.text()), max_size=5))
    def append(self, records: list[tuple[str, str]]) -> None:
        self.outbox.append(records)
        self.expected += records

    @precondition(lambda self: self.expected)
    @rule(count=st.integers(1, 3))
    def remove(self, count: int) -> None:
        self.outbox.remove(self.outbox.pending(count))
        del self.expected[:count]

    @precondition(lambda self: self.expected)
    @rule()
    def park(self) -> None:
        self.outbox.park(self.outbox.pending(1)[0], "no")
        del self.expected[0]
        self.parked += 1

    @rule()
    def reopen(self) -> None:
        self.outbox.close()

    @invariant()
    def holds_what_is_expected(self) -> None:
        held = [(record.ordering_key, record.payload) for record in self.outbox.pending(10**6)]
        assert held == self.expected
        assert self.outbox.depth() == len(self.expected)
        assert len(self.outbox.parked()) == self.parked

    def teardown(self) -> None:
        self.outbox.close()
        self.folder.cleanup()


OutboxMachine.TestCase.settings = hypothesis_settings(
    max_examples=20, stateful_step_count=15, deadline=None
)
TestOutboxMachine = OutboxMachine.TestCase


def test_what_others_appended_and_waits_is_told_from_ones_own(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.append([("a", "one's own")])
    assert not outbox.has_waiting_of_others(time.time() + 1)
    process = multiprocessing.get_context("spawn").Process(
        target=append_and_be_killed, args=(tmp_path, 1)
    )
    process.start()
    process.join()
    later = time.time() + 1
    assert outbox.has_waiting_of_others(later)
    assert not outbox.has_waiting_of_others(later - 3600)
    # Whether it is in a journal or not.
    assert len(outbox.pending(10)) == 2
    assert outbox.has_waiting_of_others(later)
    assert not outbox.has_waiting_of_others(later - 3600)
    outbox.close()


def test_a_record_whose_writer_is_through_with_it_is_nobodys(outbox: Outbox) -> None:
    outbox.append([("a", "1"), ("a", "2")])
    outbox.release([("a", "1")])
    assert [record.writer is None for record in outbox.pending(10)] == [True, False]
    outbox.release([("a", "2")])
    assert [record.writer is None for record in outbox.pending(10)] == [True, True]


def test_it_has_work_and_a_depth_before_anybody_collects(outbox: Outbox) -> None:
    assert not outbox.has_work()
    outbox.append([("a", "1"), ("b", "2")])
    assert outbox.has_work()
    assert outbox.depth() == read_status(outbox.directory).depth == 2
    assert read_status(outbox.directory).oldest_seconds is not None
    outbox.remove(outbox.pending(10))
    assert not outbox.has_work()
    assert outbox.depth() == read_status(outbox.directory).depth == 0


def test_reading_waits_for_nobody_who_writes(outbox: Outbox) -> None:
    outbox.append([("a", "1")])
    locked = sqlite3.connect(outbox.path, isolation_level=None)
    locked.execute("BEGIN IMMEDIATE")
    other = Outbox(outbox.directory, busy_seconds=0)
    other.append([("a", "2")])
    assert other.depth() == 2
    assert other.has_work()
    assert other.has_older(0) is False
    locked.execute("ROLLBACK")
    locked.close()
    assert payloads(outbox) == ["1", "2"]
    other.close()


def test_while_much_is_collected_others_come_in_between(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "LINES", 2)
    for number in range(7):
        outbox.append([("a", str(number))])
    other = Outbox(outbox.directory, busy_seconds=0)
    came = []

    def come(seconds: float) -> None:
        other.append([], {f"run {len(came)}": "definitions"})
        came.append(seconds)

    monkeypatch.setattr(outbox_module.time, "sleep", come)
    assert payloads(outbox) == list("0123456")
    assert came == [outbox_module.LET_OTHERS_SECONDS] * 3
    other.close()


def test_who_cannot_wait_long_collects_a_part_of_much(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "LINES", 2)
    for number in range(7):
        outbox.append([("a", str(number))])
    first = outbox.newest(within=0)
    assert 0 < first < outbox.newest(within=60)
    assert payloads(outbox) == list("0123456")
