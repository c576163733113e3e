"""What happens to the outbox's file, and what is known of it afterwards."""

import logging
import os
import sqlite3
import stat
import time
from pathlib import Path

import pytest

from openlineage_dagster_core.delivery import gap_notes, outbox_file
from openlineage_dagster_core.delivery.journal import SUFFIX
from openlineage_dagster_core.delivery.outbox import Outbox, read_status

BROKEN = "*.db.broken-*"


@pytest.fixture(autouse=True)
def _notes_are_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "openlineage"


def overwrite(path: Path) -> None:
    """Write nonsense over the file, its header included, as a broken disk may."""
    for name in (path, path.with_name(f"{path.name}-wal")):
        if name.exists():
            name.write_bytes(b"nonsense" * 4096)


def drop_journals(directory: Path) -> None:
    for path in directory.glob(f"*{SUFFIX}"):
        path.unlink()


def test_a_broken_file_is_set_aside_and_the_loss_is_a_gap(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox(directory)
    outbox.append([("run-1", "lost")])
    appended_at = outbox.pending(1)[0].appended_at
    outbox.close()
    drop_journals(directory)
    overwrite(outbox.path)
    outbox.append([("run-1", "kept")])
    assert [record.payload for record in outbox.pending(10)] == ["kept"]
    assert len(list(directory.glob(BROKEN))) == 1
    [gap] = outbox.gaps()
    assert gap.ordering_key is None
    assert gap.since <= appended_at
    assert "broken" in gap.reason
    [logged] = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert "no impact on your runs" in logged.getMessage()


def test_a_file_that_is_deleted_is_made_anew_and_the_loss_is_a_gap(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openlineage_dagster_core.delivery.outbox.CHECK_SECONDS", 0.0)
    outbox = Outbox(directory)
    outbox.append([("run-1", "lost")])
    appended_at = outbox.pending(1)[0].appended_at
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    outbox.append([("run-1", "kept")])
    assert [record.payload for record in outbox.pending(10)] == ["kept"]
    [gap] = outbox.gaps()
    assert (gap.ordering_key, gap.since <= appended_at) == (None, True)


def test_who_closes_a_file_that_is_gone_notices(directory: Path) -> None:
    outbox = Outbox(directory)
    outbox.append([("run-1", "lost")])
    appended_at = outbox.pending(1)[0].appended_at
    outbox.path.unlink()
    outbox.close()
    [gap] = outbox.gaps()
    assert (gap.ordering_key, gap.since <= appended_at) == (None, True)


def test_what_is_still_in_the_journals_is_collected_anew(directory: Path) -> None:
    outbox = Outbox(directory)
    outbox.append([("run-1", "still there")])
    outbox.remove(outbox.pending(1))
    assert not outbox.has_work()
    outbox.path.unlink()
    assert [record.payload for record in outbox.pending(10)] == ["still there"]
    outbox.remove(outbox.pending(1))
    assert outbox.depth() == 0
    assert len(outbox.gaps()) == 1


def test_who_closes_a_journal_that_is_gone_notices(directory: Path) -> None:
    outbox = Outbox(directory)
    outbox.append([("run-1", "lost")])
    appended_at = time.time()
    drop_journals(directory)
    outbox.append([("run-1", "lost as well, for it is less than a second later")])
    outbox.close()
    assert outbox.pending(10) == []
    [gap] = outbox.gaps()
    assert (gap.ordering_key, gap.since <= appended_at) == (None, True)
    assert "deleted" in gap.reason


def test_a_journal_that_is_gone_is_begun_anew(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openlineage_dagster_core.delivery.outbox.CHECK_SECONDS", 0.0)
    outbox = Outbox(directory)
    outbox.append([("run-1", "lost")])
    drop_journals(directory)
    outbox.append([("run-1", "kept")])
    assert [record.payload for record in outbox.pending(10)] == ["kept"]
    assert len(outbox.gaps()) == 1


def test_the_gap_of_a_journal_that_is_gone_begins_where_nothing_was_collected(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openlineage_dagster_core.delivery.outbox.CHECK_SECONDS", 0.0)
    monkeypatch.setattr("openlineage_dagster_core.delivery.outbox.MARGIN_SECONDS", 0.0)
    outbox = Outbox(directory)
    outbox.append([("run-1", "collected")])
    outbox.remove(outbox.pending(10))
    collected_at = time.time()
    outbox.append([("run-1", "lost")])
    drop_journals(directory)
    outbox.append([("run-1", "kept")])
    [gap] = outbox.gaps()
    assert gap.since >= collected_at


def test_a_loss_that_cannot_be_recorded_is_noted_beside_the_outbox(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(directory)
    outbox.append([("run-1", "lost")])
    drop_journals(directory)

    def full(*args: object, **options: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(outbox_file.OutboxFile, "run", full)
        outbox.close()
    [gap] = Outbox(directory).gaps()
    assert "deleted" in gap.reason


def test_another_process_that_has_the_old_file_open_goes_on_with_the_new_one(
    directory: Path,
) -> None:
    first, second = Outbox(directory), Outbox(directory)
    first.append([("a", "1")])
    second.append([("a", "2")])
    assert first.depth() == second.depth() == 2
    overwrite(first.path)
    first.append([("a", "3")])
    second.append([("a", "4")])
    # The journals are still there.
    assert [record.payload for record in first.pending(10)] == ["1", "2", "3", "4"]
    assert second.depth() == 4
    assert len(list(directory.glob(BROKEN))) == 1
    assert len(first.gaps()) == 1


def test_a_first_use_is_no_loss(directory: Path) -> None:
    outbox = Outbox(directory)
    outbox.append([("a", "1")])
    outbox.close()
    outbox.append([("a", "2")])
    assert outbox.gaps() == []


def test_what_cannot_be_made_anew_either_is_noted_beside_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(directory)
    outbox.append([("run-1", "lost")])
    outbox.path.unlink()
    drop_journals(directory)
    monkeypatch.setattr("openlineage_dagster_core.delivery.outbox.CHECK_SECONDS", 0.0)
    connect = sqlite3.connect

    def full(*args: object, **options: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(outbox_file.sqlite3, "connect", full)
    with pytest.raises(sqlite3.OperationalError):
        outbox.append([("run-1", "x")])
    monkeypatch.setattr(outbox_file.sqlite3, "connect", connect)
    [gap] = Outbox(directory).gaps()
    assert gap.ordering_key is None


def test_a_directory_that_cannot_be_made_raises(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        Outbox(tmp_path / "file" / "openlineage").append([("a", "1")])


def test_gaps_of_one_key_are_one_gap_from_the_earliest_on(directory: Path) -> None:
    outbox = Outbox(directory)
    outbox.append([], gaps={"a": 20.0, "b": 5.0}, reason="full")
    outbox.append([], gaps={"a": 10.0}, reason="full")
    gaps = {gap.ordering_key: gap.since for gap in outbox.gaps()}
    assert gaps == {"a": 10.0, "b": 5.0}


def test_a_gap_is_healed_by_what_stands_in_for_it(directory: Path) -> None:
    outbox = Outbox(directory)
    outbox.append([], gaps={"a": 20.0}, reason="full")
    [gap] = outbox.gaps()
    outbox.heal(gap, [("a", "all of it")])
    assert outbox.gaps() == []
    assert [record.payload for record in outbox.pending(10)] == ["all of it"]
    outbox.heal(gap, [("a", "once more")])
    assert outbox.depth() == 1


def test_a_gap_that_has_grown_meanwhile_is_not_healed_by_too_little(directory: Path) -> None:
    outbox = Outbox(directory)
    outbox.append([], gaps={"a": 20.0}, reason="full")
    [gap] = outbox.gaps()
    outbox.append([], gaps={"a": 10.0}, reason="full")
    outbox.heal(gap, [("a", "too little")])
    assert outbox.depth() == 0
    assert [each.since for each in outbox.gaps()] == [10.0]


def test_notes_are_private_and_are_taken_once(directory: Path, tmp_path: Path) -> None:
    assert gap_notes.write(directory, "run-1", 1.5, "full")
    assert gap_notes.write(directory, None, 2.5, "full")
    [folder] = tmp_path.glob("openlineage-dagster-*")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert list(gap_notes.take(directory)) == [("run-1", 1.5, "full"), (None, 2.5, "full")]
    assert list(gap_notes.take(directory)) == []


def test_a_note_that_was_cut_off_is_passed_over(directory: Path, tmp_path: Path) -> None:
    gap_notes.write(directory, "run-1", 1.5, "full")
    [path] = next(tmp_path.glob("openlineage-dagster-*")).iterdir()
    with path.open("a") as file:
        file.write('["run-2", 1.')
    assert list(gap_notes.take(directory)) == [("run-1", 1.5, "full")]


def test_a_folder_that_others_could_have_made_holds_no_notes(
    directory: Path, tmp_path: Path
) -> None:
    gap_notes.write(directory, "run-1", 1.5, "full")
    next(tmp_path.glob("openlineage-dagster-*")).chmod(0o777)
    assert not gap_notes.write(directory, "run-1", 1.5, "full")
    assert list(gap_notes.take(directory)) == []


def test_the_status_is_read_from_outside(directory: Path) -> None:
    assert read_status(directory).depth == 0
    assert not directory.exists()
    outbox = Outbox(directory)
    outbox.append([("a", "1"), ("a", "2"), ("a", "3")], gaps={"b": 5.0}, reason="full")
    first, second, _ = outbox.pending(10)
    outbox.remove([first])
    outbox.park(second, "refused with 422")
    outbox.note_error("HTTP 503")
    status = read_status(directory)
    assert (status.depth, status.parked) == (1, 1)
    assert [gap.ordering_key for gap in status.gaps] == ["b"]
    assert status.last_error == "HTTP 503"
    assert status.last_error_at is not None
    assert status.last_sent_at is not None
    assert status.oldest_seconds is not None
    outbox.note_error(None)
    assert read_status(directory).last_error is None
    gap_notes.write(directory, "c", 7.0, "full")
    assert [gap.ordering_key for gap in read_status(directory).gaps] == ["b", "c"]


def test_files_are_private_whatever_the_umask(directory: Path) -> None:
    before = os.umask(0)
    try:
        Outbox(directory).append([("a", "1")])
    finally:
        os.umask(before)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}
