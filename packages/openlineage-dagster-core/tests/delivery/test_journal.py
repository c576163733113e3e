"""What a process appends to is whole, private, and told apart from what has ended."""

import errno
import gc
import json
import multiprocessing
import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_core.delivery import journal
from openlineage_dagster_core.delivery.journal import Journal
from openlineage_dagster_core.delivery.writer import this_writer
from outbox_processes import append_to_journal_and_be_killed


def read(directory: Path) -> list[tuple[str, str] | None]:
    return [
        line.record
        for name in sorted(journal.sizes(directory))
        for line in journal.lines(directory, name, 0)
    ]


def only_name(directory: Path) -> str:
    [name] = journal.sizes(directory)
    return name


def test_what_is_appended_is_read_with_its_time_and_writer(tmp_path: Path) -> None:
    Journal(tmp_path).append([("a", "1"), ("b", "two\nlines")])
    first, second = journal.lines(tmp_path, only_name(tmp_path), 0)
    assert (first.record, second.record) == (("a", "1"), ("b", "two\nlines"))
    assert first.writer == second.writer == this_writer()
    assert first.appended_at == second.appended_at > journal.begun_at(first.journal) > 0
    assert not first.is_release


@given(st.lists(st.lists(st.tuples(st.text(), st.text()), min_size=1, max_size=3), max_size=5))
def test_any_text_comes_back_from_any_line_on(appends: list[list[tuple[str, str]]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        written = Journal(directory)
        for records in appends:
            written.append(records)
        written.close()
        expected = [record for records in appends for record in records]
        assert read(directory) == expected
        for name in journal.sizes(directory):
            found = list(journal.lines(directory, name, 0))
            for number, line in enumerate(found):
                rest = journal.lines(directory, name, line.end)
                assert [each.record for each in rest] == expected[number + 1 :]


def test_more_is_read_than_is_in_memory_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "READ_BYTES", 200)
    records = [("a", f"{number} {'x' * number}") for number in range(300)]
    Journal(tmp_path).append(records)
    assert read(tmp_path) == records


def test_a_line_that_is_being_written_is_not_there_yet(tmp_path: Path) -> None:
    Journal(tmp_path).append([("a", "1"), ("a", "2")])
    path = tmp_path / only_name(tmp_path)
    content = path.read_bytes()
    [first, second] = journal.lines(tmp_path, path.name, 0)
    for length in range(len(content)):
        path.write_bytes(content[:length])
        expected = [line for line in (first, second) if line.end <= length]
        assert list(journal.lines(tmp_path, path.name, 0)) == expected


@pytest.mark.parametrize(
    "nonsense",
    [
        b"nonsense",
        b"\xff\xfe",
        b"{}",
        b'["a"]',
        b'["a", 1, 2.0, 3.0]',
        b'["a", "b", 2.0, "c"]',
        b'["a", "b", 2.0]',
    ],
)
def test_a_line_that_cannot_be_read_is_told_with_the_time_before_it(
    tmp_path: Path, nonsense: bytes
) -> None:
    Journal(tmp_path).append([("a", "1")])
    path = tmp_path / only_name(tmp_path)
    with path.open("ab") as file:
        file.write(nonsense + b"\n")
    first, broken = journal.lines(tmp_path, path.name, 0)
    assert (broken.record, broken.appended_at) == (None, first.appended_at)
    assert broken.end == path.stat().st_size


def test_the_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Journal(tmp_path).append([("a", "1")])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / only_name(tmp_path)).stat().st_mode) == 0o600


def test_a_full_journal_is_followed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "LARGEST_BYTES", 100)
    written = Journal(tmp_path)
    for number in range(10):
        written.append([("a", str(number))])
    assert len(journal.sizes(tmp_path)) > 1
    assert {record for record in read(tmp_path) if record} == {("a", str(n)) for n in range(10)}


def test_half_an_append_fails_and_nothing_follows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Journal(tmp_path)
    written.append([("a", "1")])
    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(
            os, "write", lambda file, content: write(file, content[: len(content) // 2])
        )
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            written.append([("a", "cut off")])
    written.append([("a", "2")])
    assert {record for record in read(tmp_path) if record} == {("a", "1"), ("a", "2")}


def test_where_nothing_could_be_written_the_next_append_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    written = Journal(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="full"):
            written.append([("a", "lost")])
    written.append([("a", "1")])
    [line] = journal.lines(tmp_path, only_name(tmp_path), 0)
    assert (line.record, line.writer) == (("a", "1"), this_writer())


def test_what_cannot_be_written_as_text_raises_and_is_not_half_written(tmp_path: Path) -> None:
    written = Journal(tmp_path)
    with pytest.raises(UnicodeEncodeError):
        written.append([("a", "1"), ("a", "\ud800")])
    written.append([("a", "2")])
    assert read(tmp_path) == [("a", "2")]


def delete(path: Path) -> None:
    path.unlink()


def move_away(path: Path) -> None:
    path.rename(path.with_suffix(".elsewhere"))


def keep_another_link(path: Path) -> None:
    os.link(path, path.with_suffix(".backup"))
    path.unlink()


def cut_off(path: Path) -> None:
    os.truncate(path, 3)


@pytest.mark.parametrize("harm", [delete, move_away, keep_another_link, cut_off])
def test_who_has_it_open_can_tell_that_it_is_lost(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    written = Journal(tmp_path)
    assert not written.is_lost()
    written.append([("a", "1")])
    assert not written.is_lost()
    harm(tmp_path / only_name(tmp_path))
    assert written.is_lost()
    written.close()
    assert not written.is_lost()


def test_one_that_nobody_closed_is_closed_with_its_last_reference(tmp_path: Path) -> None:
    written = Journal(tmp_path)
    written.append([("a", "1")])
    name, end = written.name, written.size
    assert journal.drop(tmp_path, name, end) is None
    del written
    gc.collect()
    assert journal.drop(tmp_path, name, end) is False


def test_what_waits_in_a_full_journal_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "LARGEST_BYTES", 10)
    written = Journal(tmp_path)
    written.append([("a", "1")])
    first, since = written.name, written.waiting_since
    written.append([("a", "2")])
    assert written.name != first
    assert written.waiting_since == since
    written.note_collected(written.size)
    assert written.waiting_since > since


@pytest.mark.skipif(os.name == "nt", reason="no flock")
def test_where_the_disk_knows_no_locks_it_is_written_and_not_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    written = Journal(tmp_path)
    written.append([("a", "1")])
    written.append([("a", "2")])
    assert read(tmp_path) == [("a", "1"), ("a", "2")]
    written.close()
    assert journal.drop(tmp_path, written.name, written.size) is None


def test_one_that_is_open_is_not_dropped(tmp_path: Path) -> None:
    written = Journal(tmp_path)
    written.append([("a", "1")])
    name = only_name(tmp_path)
    end = (tmp_path / name).stat().st_size
    assert journal.drop(tmp_path, name, end) is None
    assert not written.is_lost()
    written.close()
    assert journal.drop(tmp_path, name, 0) is None, "not collected"
    assert journal.drop(tmp_path, name, end) is False
    assert journal.sizes(tmp_path) == {}
    assert journal.drop(tmp_path, name, end) is None


def test_one_that_was_cut_off_is_dropped_and_its_end_is_lost(tmp_path: Path) -> None:
    written = Journal(tmp_path)
    written.append([("a", "1"), ("a", "2")])
    written.close()
    name = only_name(tmp_path)
    first, _ = journal.lines(tmp_path, name, 0)
    os.truncate(tmp_path / name, first.end + 5)
    assert journal.drop(tmp_path, name, first.end) is True
    assert journal.sizes(tmp_path) == {}


def test_one_of_nonsense_holds_nothing_and_is_lost(tmp_path: Path) -> None:
    name = f"123-4-5{journal.SUFFIX}"
    (tmp_path / name).write_bytes(b"nonsense" * 4096)
    assert list(journal.lines(tmp_path, name, 0)) == []
    assert journal.drop(tmp_path, name, 0) is True


def test_one_that_was_begun_and_never_written_is_no_loss(tmp_path: Path) -> None:
    name = f"123-4-5{journal.SUFFIX}"
    (tmp_path / name).touch()
    assert journal.drop(tmp_path, name, 0) is False


def test_one_that_is_being_made_is_not_dropped(tmp_path: Path) -> None:
    name = f"{int(time.time())}-4-5{journal.SUFFIX}"
    (tmp_path / name).touch()
    assert journal.drop(tmp_path, name, 0) is None


def test_that_of_a_killed_process_is_whole_and_can_be_dropped(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=append_to_journal_and_be_killed, args=(tmp_path, 100)
    )
    process.start()
    process.join()
    name = only_name(tmp_path)
    found = list(journal.lines(tmp_path, name, 0))
    assert [line.record for line in found] == [("a", str(number)) for number in range(100)]
    assert journal.drop(tmp_path, name, found[-1].end) is False


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_begins_its_own_and_keeps_no_lock_on_its_parents(tmp_path: Path) -> None:
    written = Journal(tmp_path)
    written.append([("a", "parent")])
    ours = only_name(tmp_path)
    is_done, done = os.pipe()
    may_end, end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            written.append([("a", "child")])
            os.write(done, b"x")
            os.read(may_end, 1)
        finally:
            os._exit(0)
    os.read(is_done, 1)
    written.append([("a", "parent again")])
    written.close()
    [theirs] = set(journal.sizes(tmp_path)) - {ours}
    [of_child] = journal.lines(tmp_path, theirs, 0)
    assert (of_child.record, of_child.writer) == (
        ("a", "child"),
        f"{this_writer().partition('/')[0]}/{child}",
    )
    size = (tmp_path / ours).stat().st_size
    assert journal.drop(tmp_path, ours, size) is False
    assert journal.drop(tmp_path, theirs, of_child.end) is None
    os.write(end, b"x")
    os.waitpid(child, 0)
    assert journal.drop(tmp_path, theirs, of_child.end) is False
    for descriptor in (is_done, done, may_end, end):
        os.close(descriptor)


def test_threads_append_whole_lines(tmp_path: Path) -> None:
    written = Journal(tmp_path)

    def append(name: str) -> None:
        for number in range(200):
            written.append([(name, str(number)), (name, "x" * number)])

    threads = [threading.Thread(target=append, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = [record for record in read(tmp_path) if record]
    for name in "abcd":
        mine = [payload for key, payload in records if key == name]
        assert mine == [text for number in range(200) for text in (str(number), "x" * number)]


def test_a_directory_that_is_not_there_holds_none(tmp_path: Path) -> None:
    assert journal.sizes(tmp_path / "nowhere") == {}
    (tmp_path / "file").touch()
    assert journal.sizes(tmp_path / "file") == {}


def test_what_is_written_is_json_without_escapes(tmp_path: Path) -> None:
    Journal(tmp_path).append([("a", "é")])
    first, second = (tmp_path / only_name(tmp_path)).read_text().splitlines()
    assert json.loads(first) == this_writer()
    assert second.startswith('["a", "é", ')
