"""The example project as its users deploy it, by either mechanism, and everything launched once."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster import RunsFilter

from dagster_home import SQLITE, TESTING, DagsterHome
from delivered import expected_events
from delivery import is_delivered, state_of
from deployment import Deployment, deployed
from openlineage_dagster_core.settings import Settings
from sensor_evaluations import SensorEvaluations

Json = dict[str, Any]

EXAMPLES = TESTING.parent / "docs" / "examples"
TENANTS = {"namespace_template": "{namespace}/{tag:tenant}", "resolve_run_tags": True}
"""Options of the storage; the sensor has the same template."""

NIGHT = {"dagster/partition": "2026-01-05"}
DAYS = ("2026-01-06", "2026-01-07")
DAILY_ASSETS = (
    ("raw", "orders"),
    ("staging", "sales"),
    ("staging", "refunds"),
    ("staging", "balance"),
)

RUNS = 6
"""How many Dagster runs `run_everything` makes."""


@contextlib.contextmanager
def deployed_shop(
    folder: Path, mechanism: str, database: str | None, transport: Mapping[str, Any], namespace: str
) -> Iterator[Deployment]:
    """Deploy the shop: a webserver, a daemon and a queue of runs.

    Args:
        folder: for the Dagster home; must exist.
        mechanism: `storage` (A) or `sensor` (B).
        database: the URL of a PostgreSQL; None for SQLite.
        transport: of openlineage-python, as its configuration has it.
        namespace: of what is of no tenant; that of tenant `acme` is below it.

    Yields:
        The deployment.
    """
    home = folder / "home"
    wrap = _wrapped if mechanism == "storage" else _bare
    limit = {"key": "dagster/partition", "value": {"applyLimitPerUniqueValue": True}, "limit": 1}
    content = {
        "telemetry": {"enabled": False},
        # Two runs that make the same partition would write the same files.
        "concurrency": {"runs": {"max_concurrent_runs": 2, "tag_concurrency_limits": [limit]}},
        **wrap(home, database),
    }
    environ = {
        "PYTHONPATH": os.pathsep.join([str(EXAMPLES), str(TESTING)]),
        "OPENLINEAGE__TRANSPORT": json.dumps(transport),
        "OPENLINEAGE_NAMESPACE": namespace,
    }
    workspace = folder / "workspace.yaml"
    location = {
        "module_name": "deployed_shop",
        "attribute": mechanism,
        "location_name": "shop",
    }
    workspace.write_text(yaml.safe_dump({"load_from": [{"python_module": location}]}))
    with deployed(
        DagsterHome(home, None, environ=environ, content=content), "shop", "-w", str(workspace)
    ) as deployment:
        yield deployment


def _bare(_: Path, database: str | None) -> Json:
    return {"storage": {"postgres": {"postgres_url": database}}} if database else {}


def _wrapped(home: Path, database: str | None) -> Json:
    if database is None:
        inner = {**SQLITE, "config": {"base_dir": str(home / "history" / "runs")}}
        return {"event_log_storage": _ours("OpenLineageEventLogStorage", inner)}
    inner = {
        "module": "dagster_postgres",
        "class": "DagsterPostgresStorage",
        "config": {"postgres_url": database},
    }
    return {"storage": {"custom": _ours("OpenLineageDagsterStorage", inner)}}


def _ours(name: str, inner: Json) -> Json:
    return {
        "module": "dagster_openlineage",
        "class": name,
        "config": {"wrapped": inner, **TENANTS},
    }


def run_everything(deployment: Deployment) -> None:
    """Launch all jobs as users do, and wait until they have ended.

    By hand the job `nightly` for the tenant `acme` and for none, and `newsletter`; by a schedule
    `watch_suppliers`; by a backfill two days of what is made daily.

    Args:
        deployment: of the shop.
    """
    instance = deployment.instance
    watched = RunsFilter(job_name="watch_suppliers")
    with deployment.schedule("watch_suppliers_schedule"):
        deployment.launch("nightly", **NIGHT, tenant="acme")
        deployment.launch_backfill(DAILY_ASSETS, *DAYS)
        deployment.launch("nightly", **NIGHT)
        deployment.launch("newsletter")
        deployment.wait_until(
            lambda: instance.get_runs_count(watched) > 0, "a run that the schedule launches"
        )
    deployment.wait_until(
        lambda: instance.get_runs_count() >= RUNS and deployment.is_idle(), "the end of all runs"
    )


def wait_until_sent(deployment: Deployment, mechanism: str) -> None:
    """Wait until what has happened is sent, and fail where something went wrong.

    Args:
        deployment: of the shop; all of its runs have ended.
        mechanism: `storage` (A) or `sensor` (B).
    """
    if mechanism == "storage":
        instance = deployment.instance
        deployment.wait_until(lambda: is_delivered(instance), "the deliverer")
        cursor = state_of(instance).cursor
        assert cursor is not None
        assert not cursor.parked, cursor.last_parked
    else:
        evaluations = SensorEvaluations(deployment.instance)
        # Whatever has been stored is visible: the runs have ended.
        evaluations.wait_until_idle(deployment.daemon)
        evaluations.check_nothing_went_wrong(deployment.daemon.log)


def events_of_the_log(
    deployment: Deployment, namespace: str, definitions: dg.Definitions
) -> list[Json]:
    """Tell what should have been sent, run by run.

    Args:
        deployment: of the shop.
        namespace: of what is of no tenant.
        definitions: of the shop.

    Returns:
        What the event log gives when it is converted now.
    """
    settings = Settings.from_options({**TENANTS, "namespace": namespace}, {})
    return [
        event
        for run in deployment.instance.get_runs()
        for event in expected_events(deployment.instance, run.run_id, definitions, settings)
    ]
