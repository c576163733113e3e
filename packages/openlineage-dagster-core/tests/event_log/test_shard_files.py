"""Files of SQLite logs are looked at, and the database is asked only where one has changed."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from log_entries import step_event
from openlineage_dagster_core.event_log import shard_files
from openlineage_dagster_core.event_log.shard_files import ShardFiles
from recorded_run import execute

DEFINITIONS = dg.Definitions([], jobs=[dg.job(name="nothing")(lambda: None)])


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp() as made:
        yield made


@pytest.fixture
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look a second later than it is."""
    later = SimpleNamespace(time=lambda: time.time() + 1.0)
    monkeypatch.setattr(shard_files, "time", later)


def store(instance: dg.DagsterInstance, run_id: str) -> None:
    instance.event_log_storage.store_event(step_event(run_id, time.time()))


@pytest.mark.usefixtures("_settled")
def test_a_log_has_changed_when_something_was_stored(instance: dg.DagsterInstance) -> None:
    files = ShardFiles(instance)
    assert not files.has_changed("run"), "there is no file"
    store(instance, "run")
    assert files.has_changed("run")
    files.note("run")
    assert not files.has_changed("run")
    store(instance, "run")
    assert files.has_changed("run")
    files.note("run")
    store(instance, "other")
    assert not files.has_changed("run")


@pytest.mark.usefixtures("_settled")
def test_what_is_forgotten_counts_as_changed(instance: dg.DagsterInstance) -> None:
    files = ShardFiles(instance)
    for run_id in ("a", "b"):
        store(instance, run_id)
        files.note(run_id)
    files.forget("a")
    assert files.has_changed("a")
    assert not files.has_changed("b")
    files.forget_all()
    assert files.has_changed("b")


def test_a_file_that_was_written_just_now_may_be_written_once_more(
    instance: dg.DagsterInstance,
) -> None:
    files = ShardFiles(instance)
    store(instance, "run")
    path: Any = instance.event_log_storage
    name = path.path_for_shard("run")
    os.utime(name)
    files.note("run")
    assert files.has_changed("run")


@pytest.mark.usefixtures("_settled")
def test_the_rows_of_runs_have_changed_when_a_run_was_stored(instance: dg.DagsterInstance) -> None:
    files = ShardFiles(instance)
    execute(DEFINITIONS, "nothing", instance)
    assert files.runs_have_changed()
    assert not files.runs_have_changed()
    assert not files.have_changed([])
    execute(DEFINITIONS, "nothing", instance)
    assert files.have_changed([])
    assert files.runs_have_changed()


def test_a_storage_without_files_is_asked_every_time(tmp_path: Path) -> None:
    other: Any = SimpleNamespace(event_log_storage=object(), run_storage=object())
    files = ShardFiles(other)
    for _ in range(2):
        files.note("run")
        assert files.has_changed("run")
        assert files.runs_have_changed()
        assert files.have_changed([])
