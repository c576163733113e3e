"""What a replay is through with outlives it."""

import stat
from pathlib import Path

from openlineage_dagster_core.replay.finished_runs import FinishedRuns


def test_what_is_added_is_there_for_the_next(tmp_path: Path) -> None:
    first = FinishedRuns(tmp_path, ["since", "24h"])
    assert first.read() == frozenset()
    first.add("a")
    first.add("b")
    # Not closed: it may have been killed.
    assert FinishedRuns(tmp_path, ["since", "24h"]).read() == {"a", "b"}
    assert FinishedRuns(tmp_path, ["since", "48h"]).read() == frozenset()
    first.close()


def test_a_line_that_was_not_written_to_its_end_does_not_count(tmp_path: Path) -> None:
    finished = FinishedRuns(tmp_path, [])
    finished.add("a")
    finished.close()
    with finished.path.open("a") as file:
        file.write("half")
    assert finished.read() == {"a"}


def test_what_is_forgotten_is_gone(tmp_path: Path) -> None:
    finished = FinishedRuns(tmp_path, [])
    finished.forget()
    finished.add("a")
    finished.forget()
    assert finished.read() == frozenset()
    assert not finished.path.exists()


def test_the_file_is_private_and_tells_nothing_of_what_is_replayed(tmp_path: Path) -> None:
    finished = FinishedRuns(tmp_path / "openlineage", ["http://ann:hunter2@host"])
    finished.add("a")
    finished.close()
    assert stat.S_IMODE(finished.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(finished.path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(finished.path.parent.parent.stat().st_mode) == 0o700
    assert "hunter2" not in str(finished.path)
