from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg

from openlineage_dagster_core.cli.code import CodeTarget
from openlineage_dagster_core.cli.doctor import namespaces
from openlineage_dagster_core.cli.doctor.finding import Finding, Status
from openlineage_dagster_core.cli.doctor.subject import Subject
from openlineage_dagster_core.settings import SENSOR_SETTINGS, Settings


def settings(**options: Any) -> Settings:
    return Settings.from_options(options, {})


def instance(of_storage: Settings | None) -> Any:
    storage = SimpleNamespace()
    if of_storage is not None:
        storage = SimpleNamespace(openlineage_mechanism="storage", settings=of_storage)
    return SimpleNamespace(event_log_storage=storage)


def repository(of_sensor: Settings | None = None) -> dg.RepositoryDefinition:
    @dg.asset(group_name="raw")
    def orders() -> None: ...

    @dg.job
    def nightly() -> None: ...

    sensor = dg.SensorDefinition(name="s", evaluation_fn=lambda _: None)
    if of_sensor is not None:
        setattr(sensor, SENSOR_SETTINGS, of_sensor)
    defs = dg.Definitions(assets=[orders], jobs=[nightly], sensors=[sensor])
    return defs.get_repository_def()


def messages(found: list[Finding]) -> list[str]:
    return [finding.message for finding in found]


def test_the_storages_settings_give_the_names_of_what_is_defined() -> None:
    template = "{namespace}/{code_location}/{group}"
    found = list(
        namespaces.check(
            Subject(
                {},
                instance=instance(
                    settings(namespace="acme", namespace_template=template, job_namespace="jobs")
                ),
                repository=repository(),
                code=CodeTarget(python_file=Path("defs.py")),
            )
        )
    )

    assert messages(found) == [
        f"jobs in 'jobs' (jobs), datasets in 'acme/defs.py' ({template})",
        "asset orders: dataset 'acme/defs.py/raw', 'orders'",
        "job nightly: 'jobs', 'nightly'",
    ]


def test_the_sensors_settings_count_where_the_storage_is_not_wrapped() -> None:
    of_sensor = settings(namespace="of-sensor")
    subject = Subject({}, instance=instance(None), repository=repository(of_sensor))

    assert "jobs in 'of-sensor'" in messages(list(namespaces.check(subject)))[0]


def test_the_environment_counts_where_nothing_else_is_known() -> None:
    environ = {"OPENLINEAGE_NAMESPACE": "of-env", "OPENLINEAGE_URL": "no address"}

    (found,) = namespaces.check(Subject(environ, instance=instance(None)))

    assert "jobs in 'of-env'" in found.message


def test_run_tags_are_empty_with_the_storage_unless_it_resolves_them() -> None:
    template = "{namespace}/{tag:tenant}"
    by_default = settings(namespace_template=template, resolve_run_tags=False)
    resolving = settings(namespace_template=template, resolve_run_tags=True)

    empty = list(namespaces.check(Subject({}, instance=instance(by_default))))[1]
    resolved = list(namespaces.check(Subject({}, instance=instance(resolving))))[1]

    assert empty.status is resolved.status is Status.NOTE
    assert "{tag:tenant} is empty" in empty.message
    assert "resolve_run_tags: true" in (empty.remedy or "")
    assert "comes from each run's tags" in resolved.message


def test_nothing_is_claimed_while_the_instance_cannot_be_opened() -> None:
    (found,) = namespaces.check(Subject({}, written={}))

    assert found.status is Status.NOTE
    assert "not known" in found.message
