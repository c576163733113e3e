"""What processes append comes into the tables once, in the order of its causes."""

import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_core.delivery import collecting, journal
from openlineage_dagster_core.delivery.journal import Journal
from openlineage_dagster_core.delivery.outbox import Outbox
from openlineage_dagster_core.delivery.tables import SCHEMA


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(SCHEMA)
    yield connection
    connection.close()


def payloads(connection: sqlite3.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT payload FROM record ORDER BY id")]


def drop_ended(connection: sqlite3.Connection, directory: Path) -> None:
    collecting.drop_ended(connection, directory)()


def gaps(connection: sqlite3.Connection) -> list[tuple[str | None, float, str]]:
    return connection.execute("SELECT ordering_key, since, reason FROM gap").fetchall()


def write(directory: Path, name: str, *lines: tuple[float, str]) -> Path:
    """Write a journal that says when its lines were appended, by either clock."""
    path = directory / f"{name}{journal.SUFFIX}"
    text = [json.dumps("host/1"), *(json.dumps(["a", payload, at, at]) for at, payload in lines)]
    path.write_text("".join(f"{line}\n" for line in text))
    return path


def test_each_line_is_taken_once(tmp_path: Path, connection: sqlite3.Connection) -> None:
    first, second = Journal(tmp_path), Journal(tmp_path)
    first.append([("a", "1")])
    second.append([("b", "2")])
    first.append([("a", "3")])
    collecting.collect(connection, tmp_path)
    collecting.collect(connection, tmp_path)
    assert payloads(connection) == ["1", "2", "3"]
    second.append([("b", "4")])
    collecting.collect(connection, tmp_path)
    assert payloads(connection) == ["1", "2", "3", "4"]


def test_lines_of_all_journals_come_in_the_order_of_their_appending(
    tmp_path: Path, connection: sqlite3.Connection
) -> None:
    write(tmp_path, "1-a", (10.0, "1"), (30.0, "3"), (50.0, "5"))
    write(tmp_path, "1-b", (20.0, "2"), (40.0, "4"))
    collecting.collect(connection, tmp_path)
    assert payloads(connection) == ["1", "2", "3", "4", "5"]


def test_what_is_appended_while_it_is_looked_for_waits(
    tmp_path: Path, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise an effect could come before its cause, whose file was looked at earlier."""
    cause, effect = Journal(tmp_path), Journal(tmp_path)
    cause.append([("a", "before")])
    effect.append([("a", "before as well")])
    sizes = journal.sizes

    def look_slowly(directory: Path) -> dict[str, int]:
        found = sizes(directory)
        cause.append([("a", "cause")])
        effect.append([("a", "effect")])
        return {**found, effect.name: sizes(directory)[effect.name]}

    with monkeypatch.context() as patched:
        patched.setattr(journal, "sizes", look_slowly)
        collecting.collect(connection, tmp_path)
    assert payloads(connection) == ["before", "before as well"]
    assert collecting.is_anything_left(connection, tmp_path)
    collecting.collect(connection, tmp_path)
    assert payloads(connection)[2:] == ["cause", "effect"]


def test_what_is_appended_while_it_is_read_waits(
    tmp_path: Path, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the reading takes."""
    first, second = Journal(tmp_path), Journal(tmp_path)
    first.append([("a", "before")])
    second.append([("a", "before as well")])
    read = journal.lines

    def read_slowly(directory: Path, name: str, *args: Any, **options: Any) -> Iterator[Any]:
        found = list(read(directory, name, *args, **options))
        first.append([("a", "cause")])
        second.append([("a", "effect")])
        yield from found

    with monkeypatch.context() as patched:
        patched.setattr(journal, "lines", read_slowly)
        collecting.collect(connection, tmp_path)
    assert payloads(connection) == ["before", "before as well"]
    collecting.collect(connection, tmp_path)
    assert payloads(connection)[2:] == ["cause", "effect"] * 2


def test_a_clock_that_is_set_changes_nothing(
    tmp_path: Path, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    cause, effect = Journal(tmp_path), Journal(tmp_path)
    monkeypatch.setattr(time, "time", lambda: 2000.0)
    cause.append([("a", "cause")])
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    effect.append([("a", "effect")])
    collecting.collect(connection, tmp_path)
    assert payloads(connection) == ["cause", "effect"]


def test_what_an_earlier_boot_of_the_machine_left_comes_first(
    tmp_path: Path, connection: sqlite3.Connection
) -> None:
    Journal(tmp_path).append([("a", "of this boot")])
    write(tmp_path, "1-a", (time.monotonic() + 3600, "of a longer one"))
    collecting.collect(connection, tmp_path)
    assert payloads(connection) == ["of a longer one", "of this boot"]


def test_many_lines_take_many_transactions(
    tmp_path: Path, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "LINES", 10)
    Journal(tmp_path).append([("a", str(number)) for number in range(25)])
    seen = [collecting.collect(connection, tmp_path) for _ in range(3)]
    assert seen == [True, True, False]
    assert payloads(connection) == [str(number) for number in range(25)]


def test_a_release_makes_its_records_nobodys(
    tmp_path: Path, connection: sqlite3.Connection
) -> None:
    written = Journal(tmp_path)
    written.append([("a", "1"), ("a", "2")])
    written.append([("a", "1")], is_release=True)
    assert [line.record for line in collecting.uncollected(connection, tmp_path)] == [
        ("a", "1"),
        ("a", "2"),
    ]
    collecting.collect(connection, tmp_path)
    rows = connection.execute("SELECT payload, writer IS NULL FROM record").fetchall()
    assert rows == [("1", 1), ("2", 0)]


def test_a_broken_line_is_a_gap_and_what_follows_is_taken(
    tmp_path: Path, connection: sqlite3.Connection
) -> None:
    path = write(tmp_path, "1-a", (1000.0, "1"))
    with path.open("a") as file:
        file.write('nonsense\n["a", "2", 1001.0, 1001.0]\n')
    collecting.collect(connection, tmp_path)
    collecting.collect(connection, tmp_path)
    assert payloads(connection) == ["1", "2"]
    assert gaps(connection) == [(None, 1000.0 - collecting.MARGIN_SECONDS, collecting.BROKEN)]


def test_a_journal_of_nonsense_is_a_gap_since_it_was_begun_and_is_dropped(
    tmp_path: Path, connection: sqlite3.Connection
) -> None:
    path = write(tmp_path, "1000-a", (1010.0, "1"))
    path.write_bytes(b"nonsense" * 4096)
    collecting.collect(connection, tmp_path)
    drop_ended(connection, tmp_path)
    assert gaps(connection) == [(None, 1000.0 - collecting.MARGIN_SECONDS, collecting.BROKEN)]
    assert not path.exists()


def test_the_gap_of_what_is_broken_begins_where_nothing_was_collected(
    tmp_path: Path, connection: sqlite3.Connection
) -> None:
    cut_off = write(tmp_path, "1-a", (1000.0, "1"))
    broken = write(tmp_path, "1-b", (2000.0, "2"))
    collecting.collect(connection, tmp_path)
    with cut_off.open("a") as file:
        file.write("half a li")
    with broken.open("a") as file:
        file.write("nonsense\n")
    collecting.collect(connection, tmp_path)
    assert [since for _, since, _ in gaps(connection)] == [2000.0 - collecting.MARGIN_SECONDS]
    drop_ended(connection, tmp_path)
    assert [since for _, since, _ in gaps(connection)] == [1000.0 - collecting.MARGIN_SECONDS]


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
def test_a_journal_that_cannot_be_read_is_one_gap_and_holds_nothing_up(
    tmp_path: Path, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = write(tmp_path, "1000-a", (10.0, "1"))
    Journal(tmp_path).append([("b", "2")])
    opened = Path.open

    def refuse(path: Path, *args: Any, **options: Any) -> Any:
        # As root, a mode would refuse nothing.
        if path == written:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **options)

    monkeypatch.setattr(Path, "open", refuse)
    for _ in range(2):
        collecting.collect(connection, tmp_path)
        assert list(collecting.first_uncollected(connection, tmp_path)) == []
    assert payloads(connection) == ["2"]
    assert gaps(connection) == [(None, 1000.0 - collecting.MARGIN_SECONDS, collecting.UNREADABLE)]


def test_ended_journals_are_dropped_once_they_are_collected(
    tmp_path: Path, connection: sqlite3.Connection
) -> None:
    ended, open_still = Journal(tmp_path), Journal(tmp_path)
    ended.append([("a", "1")])
    open_still.append([("b", "2")])
    ended.close()
    drop_ended(connection, tmp_path)
    assert journal.sizes(tmp_path).keys() == {ended.name, open_still.name}
    collecting.collect(connection, tmp_path)
    drop_ended(connection, tmp_path)
    assert journal.sizes(tmp_path).keys() == {open_still.name}
    assert connection.execute("SELECT name FROM journal").fetchall() == [(open_still.name,)]
    assert gaps(connection) == []


def test_what_is_known_of_a_journal_that_somebody_deleted_is_forgotten(
    tmp_path: Path, connection: sqlite3.Connection
) -> None:
    path = write(tmp_path, "1-a", (10.0, "1"))
    collecting.collect(connection, tmp_path)
    path.unlink()
    drop_ended(connection, tmp_path)
    assert connection.execute("SELECT name FROM journal").fetchall() == []


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from("xyz"), st.lists(st.text(), min_size=1, max_size=3)),
            st.sampled_from(["collect", "drop", "close x", "close y"]),
        ),
        max_size=30,
    )
)
def test_whoever_appends_and_collects_whenever_nothing_is_lost_or_doubled(
    steps: list[tuple[str, list[str]] | str],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        written = {name: Journal(directory) for name in "xyz"}
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.executescript(SCHEMA)
        expected = []
        for step in steps:
            if step == "collect":
                collecting.collect(connection, directory)
            elif step == "drop":
                drop_ended(connection, directory)
            elif isinstance(step, str):
                written[step[-1]].close()
            else:
                name, texts = step
                written[name].append([(name, text) for text in texts])
                expected += texts
        waiting = [line.record[1] for line in collecting.uncollected(connection, directory)]
        assert len(payloads(connection)) + len(waiting) == len(expected)
        collecting.collect(connection, directory)
        assert payloads(connection) == expected
        assert gaps(connection) == []
        for each in written.values():
            each.close()
        drop_ended(connection, directory)
        assert journal.sizes(directory) == {}
        connection.close()


def test_who_sends_leaves_no_journal_of_the_dead_behind(tmp_path: Path) -> None:
    dead, alive = Outbox(tmp_path), Outbox(tmp_path)
    dead.append([("a", "1")])
    alive.append([("a", "2")])
    dead.close()
    alive.tidy()
    assert len(journal.sizes(tmp_path)) == 2, "it is not collected"
    assert [record.payload for record in alive.pending(10)] == ["1", "2"]
    alive.tidy()
    assert len(journal.sizes(tmp_path)) == 1
    alive.append([("a", "3")])
    assert [record.payload for record in alive.pending(10)] == ["1", "2", "3"]
    alive.close()
