"""One event log by both mechanisms and by replay: the same events, ids and times included."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.reconstruct import ReconstructableRepository

from bare_storages import one_file
from dagster_home import SQLITE
from delivery import deliver, has_delivered_all
from openlineage_dagster_core.delivery.client import connect
from openlineage_dagster_core.engine import Engine
from openlineage_dagster_core.event_log.cursor import Cursor
from openlineage_dagster_core.event_log.opening import open_log
from openlineage_dagster_core.facts.definitions import DefinedAssets, DefinedJobs
from openlineage_dagster_core.facts.event_log import EventLogFacts, GivenDefinitions
from openlineage_dagster_core.facts.model import Definitions
from openlineage_dagster_core.identity import Identity
from openlineage_dagster_core.replay.replay import Replay
from openlineage_dagster_core.replay.selection import Selection
from openlineage_dagster_core.settings import Settings
from openlineage_dagster_core.snapshots.reading import KeptDefinitions
from receiver import Receiver
from recorded_run import check_runs
from shop.definitions import defs as shop


@dg.op
def reports(context: dg.OpExecutionContext) -> None:
    """Log a materialization of an asset that this job does not make, and of one nobody defined."""
    context.log_event(dg.AssetMaterialization(["raw", "products"]))
    context.log_event(dg.AssetMaterialization("nobody"))


@dg.job
def ad_hoc() -> None:
    reports()


@dg.asset(group_name="tables")
def ledger() -> dg.MaterializeResult[Any]:
    """Say where it is and what it has, which later reports do not."""
    columns = dg.TableSchema([dg.TableColumn("id", "int")])
    made = {"dagster/table_name": "db.books.ledger", "dagster/column_schema": columns}
    return dg.MaterializeResult(metadata=made)


DASHBOARD = dg.AssetSpec("dashboard", deps=[ledger], group_name="tables")

DEFINITIONS = dg.Definitions.merge(
    shop,
    dg.Definitions(
        assets=[ledger, DASHBOARD],
        jobs=[
            ad_hoc,
            dg.define_asset_job("keep_books", [ledger], executor_def=dg.in_process_executor),
        ],
    ),
)

OPTIONS: dict[str, dict[str, Any]] = {
    "by asset": {},
    "physical": {
        "dataset_identity": "physical",
        "dataset_namespaces": {"*": "postgres://host:5432"},
    },
    "by group": {"namespace_template": "{namespace}/{group}"},
}


@contextmanager
def opened(home: Path, kind: str, options: dict[str, Any]) -> Iterator[dg.DagsterInstance]:
    wrapped = one_file(home)["event_log_storage"]
    if kind == "a log a run":
        wrapped = {**SQLITE, "config": {"base_dir": str(home / "history" / "runs")}}
    storage = {
        "module": "dagster_openlineage",
        "class": "OpenLineageEventLogStorage",
        "config": {"wrapped": wrapped, "deliver": "external", "flush_timeout": 0.0, **options},
    }
    text = yaml.safe_dump({"telemetry": {"enabled": False}, "event_log_storage": storage})
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(text)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


@pytest.fixture(scope="module", params=["a log a run", "one log"])
def recorded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """The kind of event log, and a home with runs and reports, none of which is delivered."""
    home = tmp_path_factory.mktemp("recorded")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("OPENLINEAGE_URL", "http://127.0.0.1:1")
        with opened(home, request.param, {}) as instance:
            repository = DEFINITIONS.get_repository_def()
            for job, options in (
                ("nightly", {"partition_key": "2026-01-05"}),
                ("newsletter", {}),
                ("watch_suppliers", {}),
                ("ad_hoc", {}),
            ):
                repository.get_job(job).execute_in_process(
                    instance=instance, raise_on_error=False, **options
                )
            # A process that knows the code location: it keeps what external assets depend on.
            found = ReconstructableRepository.for_file(__file__, "DEFINITIONS")
            job = found.get_reconstructable_job("keep_books")
            assert dg.execute_job(job, instance).success
            for key in (["raw", "products"], "ledger", "dashboard"):
                report(instance, dg.AssetKey(key))
            assert dg.execute_job(job, instance).success
            report(instance, dg.AssetKey("ledger"))
    return request.param, home


def report(instance: dg.DagsterInstance, key: dg.AssetKey) -> None:
    """Report a materialization, an observation and a check, none of which describes the asset."""
    for event in (
        dg.AssetMaterialization(key),
        dg.AssetObservation(key),
        dg.AssetCheckEvaluation(asset_key=key, check_name="by_hand", passed=True),
    ):
        instance.report_runless_asset_event(event)


@pytest.mark.parametrize("name", OPTIONS)
def test_one_log_gives_the_same_events(
    recorded: tuple[str, Path], tmp_path: Path, receiver: Receiver, name: str
) -> None:
    kind, home = recorded
    shutil.copytree(home, tmp_path / "home")
    options = OPTIONS[name]
    settings = Settings.from_options(options, {})
    with opened(tmp_path / "home", kind, options) as instance:
        by_storage = all_agree(instance, receiver, DEFINITIONS.get_repository_def(), settings)
    assert len(by_storage) > 50
    assert all(event["inputs"] for event in by_storage if is_of("dashboard", event))
    names = {
        (each["namespace"], each["name"])
        for event in by_storage
        for job, side in (("ledger", "outputs"), ("dashboard", "inputs"))
        if is_of(job, event)
        for each in event[side]
    }
    expected = {
        "by asset": ("dagster", "ledger"),
        "physical": ("postgres://host:5432", "db.books.ledger"),
        "by group": ("dagster/tables", "ledger"),
    }
    assert names == {expected[name]}


def is_of(job: str, event: dict[str, Any]) -> bool:
    return "job" in event and event["job"]["name"] == job


COLUMNS = {"dagster/column_schema": dg.TableSchema([dg.TableColumn("id", "int")])}


@dg.asset(deps=["src", "ext"])
def orders() -> None: ...


@dg.multi_asset(
    specs=[dg.AssetSpec("report", deps=[orders])],
    check_specs=[dg.AssetCheckSpec(name, asset="report") for name in ("before", "after")],
)
def reports_with_checks() -> Iterator[Any]:
    yield dg.AssetCheckResult(asset_key="report", check_name="before", passed=True)
    yield dg.MaterializeResult("report", metadata={**COLUMNS, "dagster/table_name": "db.report"})
    yield dg.AssetCheckResult(asset_key="report", check_name="after", passed=True)


@dg.asset_check(asset="report", additional_deps=["tail"])
def with_tail() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset(deps=["report"])
def tail() -> dg.MaterializeResult[Any]:
    return dg.MaterializeResult(metadata=COLUMNS)


@pytest.mark.parametrize("kind", ["a log a run", "one log"])
def test_one_log_of_parts_of_a_job_gives_the_same_events(
    kind: str, tmp_path: Path, receiver: Receiver
) -> None:
    """The job has the name of an asset that its first run does not plan."""
    selection = dg.AssetSelection.all()
    repository = dg.Definitions(
        assets=[
            orders,
            reports_with_checks,
            tail,
            dg.AssetSpec("ext", deps=["src"], group_name="outside", metadata=COLUMNS),
            dg.AssetSpec("unread", group_name="outside"),
        ],
        asset_checks=[with_tail],
        jobs=[dg.define_asset_job("orders", selection=selection)],
    ).get_repository_def()
    with opened(tmp_path / "home", kind, {}) as instance:
        job = repository.get_job("orders")
        runs = [
            job.execute_in_process(instance=instance, asset_selection=selected).run_id
            for selected in ([tail.key], [orders.key], None, None)
        ]
        for key in ("ext", "unread"):
            instance.report_runless_asset_event(dg.AssetMaterialization(key))
        events = all_agree(instance, receiver, repository, Settings())
    of_runs = {e["job"]["name"] for e in events if "run" in e and e["run"]["runId"] in runs}
    assert of_runs == {"orders__run"}
    check_runs([event for event in events if "run" in event])
    for run in _by_run(events).values():
        if run[0]["job"]["name"] == "report__checks":
            assert [event["eventType"] for event in run] == ["START", "COMPLETE"]
            start, complete = ([_described(each) for each in event["inputs"]] for event in run)
            assert start == complete


def _described(dataset: dict[str, Any]) -> tuple[Any, ...]:
    return dataset["namespace"], dataset["name"], dataset["facets"]


def all_agree(
    instance: dg.DagsterInstance,
    receiver: Receiver,
    repository: dg.RepositoryDefinition,
    settings: Settings,
) -> list[dict[str, Any]]:
    """Deliver a log by both mechanisms and by replay, and return the events of all three."""
    deliver(instance)
    assert has_delivered_all(instance)
    by_storage = list(receiver.events)

    receiver.events.clear()
    deliver_as_the_sensor(instance, repository, settings)
    by_sensor = list(receiver.events)

    receiver.events.clear()
    replay = Replay(
        instance,
        settings,
        KeptDefinitions(lambda: instance),
        connect(5, 1_000_000),
        patience=30,
    )
    selection = Selection()
    assert replay.run(selection.runs(instance), selection.holds) is None
    assert replay.progress.refusals == []
    by_replay = list(receiver.events)

    assert _by_run(by_sensor) == _by_run(by_storage)
    assert _by_run(by_replay) == _by_run(by_storage)
    return by_storage


def deliver_as_the_sensor(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, settings: Settings
) -> None:
    """Drive the engine with the definitions of the code location."""
    definitions = Definitions(DefinedAssets(repository.asset_graph), DefinedJobs(repository))
    engine = Engine(
        open_log(instance, Cursor()),
        EventLogFacts(lambda: instance, GivenDefinitions(definitions)),
        Identity(settings),
        connect(5, 1_000_000),
    )
    outcome = engine.deliver(45, patience=5, waits_for_held=True)
    assert (outcome.parked, outcome.stopped_by, outcome.waiting) == (0, None, 0)


def _by_run(events: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    by_run: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        key = event["run"]["runId"] if "run" in event else event["dataset"]["name"]
        by_run.setdefault(key, []).append(event)
    return by_run
