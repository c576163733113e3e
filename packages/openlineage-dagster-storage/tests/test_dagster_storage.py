"""`storage: {custom: …}`: the event log is wrapped, and everything else is as it was."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

import dagster_openlineage
from delivery import deliver
from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_storage import OpenLineageDagsterStorage, OpenLineageEventLogStorage
from orders_project import DEFINITIONS, NIGHTLY_JOBS
from receiver import Receiver
from recorded_run import execute, states_by_run

WRAPPED = {"module": "dagster._core.storage.sqlite_storage", "class": "DagsterSqliteStorage"}

MakeInstance = Callable[..., dg.DagsterInstance]


@pytest.fixture
def make_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeInstance]:
    monkeypatch.setenv("TEST_BASE_DIR", str(tmp_path / "base"))
    instances = []

    def make(**options: Any) -> dg.DagsterInstance:
        wrapped = {**WRAPPED, "config": {"base_dir": {"env": "TEST_BASE_DIR"}}}
        storage = {
            "module": "dagster_openlineage",
            "class": "OpenLineageDagsterStorage",
            "config": {
                "wrapped": wrapped,
                "deliver": "external",
                "flush_timeout": 0.0,
                **options,
            },
        }
        content = {"telemetry": {"enabled": False}, "storage": {"custom": storage}}
        (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(content))
        instance = dg.DagsterInstance.from_config(str(tmp_path))
        instances.append(instance)
        return instance

    yield make
    for instance in instances:
        instance.dispose()


def test_every_event_is_delivered(make_instance: MakeInstance, receiver: Receiver) -> None:
    instance = make_instance(namespace="shop")
    assert execute(DEFINITIONS, "nightly", instance).success
    deliver(instance)
    assert {event["job"]["name"] for event in receiver.events} == NIGHTLY_JOBS
    assert {event["job"]["namespace"] for event in receiver.events} == {"shop"}
    for states in states_by_run(receiver.events).values():
        assert states == ["START", "COMPLETE"]


def test_runs_and_schedules_stay_where_the_events_are(
    make_instance: MakeInstance, receiver: Receiver, tmp_path: Path
) -> None:
    instance = make_instance()
    execute(DEFINITIONS, "nightly", instance)
    assert type(instance.run_storage) is SqliteRunStorage
    assert type(instance.schedule_storage) is SqliteScheduleStorage
    assert isinstance(instance.event_log_storage, SqliteEventLogStorage)
    assert isinstance(instance.event_log_storage, OpenLineageEventLogStorage)
    assert list((tmp_path / "base").rglob("runs.db"))
    assert not list((tmp_path / "history").rglob("runs.db"))


def test_the_instance_can_be_described_migrated_and_sent_to_another_process(
    make_instance: MakeInstance, receiver: Receiver
) -> None:
    instance = make_instance(namespace="shop")
    assert "OpenLineageDagsterStorage" in instance.info_str()
    instance.upgrade()
    instance.reindex()
    other = dg.DagsterInstance.from_ref(instance.get_ref())
    assert isinstance(other.event_log_storage, OpenLineageEventLogStorage)
    other.dispose()


@pytest.mark.parametrize(
    ("options", "option", "allowed"),
    [
        ({"namspace": "x"}, "namspace", "did you mean 'namespace'"),
        ({"timeout": 0.0}, "timeout", "> 0"),
        ({"wrapped": None}, "wrapped", "DagsterPostgresStorage"),
        (
            {"wrapped": {"module": "dagster", "class": "Definitions"}},
            "wrapped.class",
            "DagsterStorage",
        ),
        (
            {"wrapped": {"module": "dagster_openlineage", "class": "OpenLineageDagsterStorage"}},
            "wrapped.class",
            "not the wrapper again",
        ),
    ],
)
def test_a_wrong_option_fails_when_the_configuration_is_read(
    tmp_path: Path, options: dict[str, Any], option: str, allowed: str
) -> None:
    wrapped = {**WRAPPED, "config": {"base_dir": str(tmp_path)}}
    with pytest.raises(ConfigurationError) as raised:
        OpenLineageDagsterStorage.from_config_value(None, {"wrapped": wrapped, **options})
    assert raised.value.option == option
    assert allowed in str(raised.value)


def test_it_is_reached_by_the_names_of_0_2_too() -> None:
    assert dagster_openlineage.OpenLineageDagsterStorage is OpenLineageDagsterStorage


def test_copying_does_not_recurse(tmp_path: Path) -> None:
    inner = DagsterSqliteStorage.from_local(str(tmp_path))
    wrapper = OpenLineageDagsterStorage(inner, OpenLineageEventLogStorage(inner.event_log_storage))
    assert copy.copy(wrapper)._inner is inner
    assert wrapper.base_dir == str(tmp_path)
    blank = OpenLineageDagsterStorage.__new__(OpenLineageDagsterStorage)
    with pytest.raises(AttributeError, match="_inner"):
        blank._inner  # noqa: B018
