from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from openlineage_dagster_core.cli.doctor import mechanisms
from openlineage_dagster_core.cli.doctor.finding import Finding, Status
from openlineage_dagster_core.cli.doctor.subject import Subject
from openlineage_dagster_core.settings import SENSOR_SETTINGS, Settings

POSTGRES = {"module": "dagster_postgres.event_log", "class": "PostgresEventLogStorage"}
WRAPPED: dict[str, Any] = {
    "storage": {
        "custom": {
            "module": "dagster_openlineage",
            "class": "OpenLineageDagsterStorage",
            "config": {},
        }
    }
}


def wrapping(inner: dict[str, Any]) -> dict[str, Any]:
    config = {"wrapped": inner}
    ours = {"module": "dagster_openlineage", "class": "OpenLineageEventLogStorage"}
    return {"event_log_storage": {**ours, "config": config}}


def repository(*sensors: str) -> dg.RepositoryDefinition:
    made = []
    for name in sensors:
        definition = dg.SensorDefinition(name=name, evaluation_fn=lambda _: None)
        setattr(definition, SENSOR_SETTINGS, Settings())
        made.append(definition)
    return dg.Definitions(sensors=made).get_repository_def()


def check(written: dict[str, Any] | None, *sensors: str, named: bool = True) -> list[Finding]:
    subject = Subject({}, written=written, repository=repository(*sensors) if named else None)
    return list(mechanisms.check(subject))


def test_one_mechanism_is_well() -> None:
    (storage,) = check(WRAPPED)
    (sensor,) = check({}, "mine")

    assert storage.status is sensor.status is Status.OK
    assert "Mechanism A" in storage.message
    assert "Mechanism B" in sensor.message
    assert "mine" in sensor.message


def test_both_are_a_problem() -> None:
    (found,) = check(WRAPPED, "openlineage_sensor")

    assert found.status is Status.PROBLEM
    assert "both" in found.message


def test_neither_is_a_problem_with_how_to_set_one_up() -> None:
    (found,) = check({})

    assert found.status is Status.PROBLEM
    assert "OpenLineageDagsterStorage" in (found.remedy or "")
    assert "openlineage_sensor()" in (found.remedy or "")


def test_the_sensor_is_not_seen_without_definitions() -> None:
    (neither,) = check({}, named=False)
    _, storage = check(WRAPPED, named=False)

    assert neither.status is storage.status is Status.NOTE
    assert "-m or -f" in (neither.remedy or "")


def test_without_an_instance_nothing_is_said_of_the_storage() -> None:
    (found,) = check(None, "openlineage_sensor")

    assert found.status is Status.NOTE
    assert "not known" in found.message


def test_several_sensors_are_a_problem() -> None:
    found = check({}, "one", "two")

    assert [each.status for each in found] == [Status.OK, Status.PROBLEM]
    assert "one, two" in found[1].message


@pytest.mark.parametrize(
    ("written", "missing"),
    [
        (wrapping(POSTGRES), "run_storage and schedule_storage"),
        ({"event_log_storage": POSTGRES}, "run_storage and schedule_storage"),
        ({**wrapping(POSTGRES), "run_storage": {}}, "without schedule_storage"),
    ],
)
def test_runs_in_sqlite_beside_events_elsewhere_are_a_warning(
    written: dict[str, Any], missing: str
) -> None:
    (found,) = [each for each in check(written, "s") if each.status is Status.WARNING]

    assert missing in found.message
    assert "class: DagsterPostgresStorage" in (found.remedy or "")
    assert (found.remedy or "").count("{") == (found.remedy or "").count("}")


@pytest.mark.parametrize(
    "written",
    [
        WRAPPED,
        {"storage": {"postgres": {}}},
        {**wrapping(POSTGRES), "run_storage": {}, "schedule_storage": {}},
        wrapping({"module": "dagster._core.storage.event_log", "class": "SqliteEventLogStorage"}),
    ],
)
def test_what_is_all_in_one_place_is_no_trap(written: dict[str, Any]) -> None:
    assert Status.WARNING not in {each.status for each in check(written)}


def test_findings_are_plain_text() -> None:
    assert json.dumps([asdict(each) for each in check(wrapping(POSTGRES), "s")])


def test_an_event_log_in_the_directory_of_the_runs_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs.db").touch()

    def found(base_dir: Any, environ: dict[str, str] | None = None) -> list[Finding]:
        written = wrapping({"class": "SqliteEventLogStorage", "config": {"base_dir": base_dir}})
        subject = Subject(environ or {}, written=written, repository=repository())
        return [each for each in mechanisms.check(subject) if each.status is Status.PROBLEM]

    assert found(str(tmp_path / "runs")) == []
    assert found({"env": "NOT_SET"}) == []
    for (wrong,) in (found(str(tmp_path)), found({"env": "DIR"}, {"DIR": str(tmp_path)})):
        assert "runs.db" in wrong.message
        assert f"base_dir: {tmp_path / 'runs'}" in str(wrong.remedy)


def test_queries_without_their_parser_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlglot", None)
    defined = repository("mine")
    assert [each.status for each in mechanisms.check(Subject({}, {}, None, defined))] == [Status.OK]
    setattr(defined.sensor_defs[0], SENSOR_SETTINGS, Settings(sql_lineage=True))
    *_, found = mechanisms.check(Subject({}, {}, None, defined))
    assert found.status is Status.WARNING
    assert "openlineage-dagster-core[sql]" in (found.remedy or "")
