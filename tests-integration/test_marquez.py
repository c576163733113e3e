"""What a real Marquez shows of Dagster's runs: exact edges, states, times, checks, columns."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

import orders_project
from dagster_home import SQLITE, DagsterHome, wait_until
from delivery import has_delivered_all, wait_until_delivered
from marquez import Lineage, Marquez, dataset_node, job_node, namespace_of_its_own
from openlineage_dagster_sensor import openlineage_sensor, sensor
from openlineage_dagster_sensor.sensor import UP_TO_DATE
from recorded_run import execute
from shop.definitions import defs as shop

SECONDS = 120.0

FAILED = {"nightly", "nightly.marts__forecast", "marts/forecast", "marts/report"}
"""The jobs of the shop's nightly run that fail; the report is never begun."""


def schema(**columns: str) -> dict[str, dg.TableSchema]:
    """Metadata with a schema, of a definition or of a materialization."""
    of_each = [dg.TableColumn(name, kind) for name, kind in columns.items()]
    return {"dagster/column_schema": dg.TableSchema(of_each)}


@dg.asset(key=["raw", "payments"], metadata=schema(day="date", amount="numeric"))
def payments() -> None:
    """Succeed."""


@dg.asset(
    deps=[payments],
    description="What was paid.",
    metadata=schema(total="numeric"),
    check_specs=[dg.AssetCheckSpec("is_positive", asset="balance")],
)
def balance(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Fail where the run is tagged so."""
    if "fails" in context.run.tags:
        msg = "as it was told"
        raise ValueError(msg)
    amount = dg.TableColumnDep(dg.AssetKey(["raw", "payments"]), "amount")
    return dg.MaterializeResult(
        metadata={"dagster/column_lineage": dg.TableColumnLineage({"total": [amount]})},
        check_results=[dg.AssetCheckResult(check_name="is_positive", passed=True)],
    )


LEDGER = dg.Definitions(
    assets=[payments, balance], jobs=[dg.define_asset_job("hourly", selection="*")]
)

FIRST = {
    "raw/trades": {"id": "BIGINT", "amount": "DECIMAL(18,2)"},
    "raw/rates": {"currency": "VARCHAR", "rate": "DOUBLE"},
    "positions": {"symbol": "VARCHAR", "total": "DECIMAL(38,2)"},
    "report": {"total": "numeric"},
}
"""By asset, the columns of the warehouse's first run: the report's are those of its definition."""

SECOND = {
    **FIRST,
    "raw/trades": {"id": "HUGEINT", "amount": "DECIMAL(18,2)", "venue": "VARCHAR"},
    "positions": {"symbol": "VARCHAR", "total": "HUGEINT"},
}
"""By asset, the columns of its second run."""


def made(context: dg.AssetExecutionContext, asset: str) -> dict[str, dg.TableSchema]:
    """The schema that a materialization tells, with other types than the definition has."""
    return schema(**(SECOND if "second" in context.run.tags else FIRST)[asset])


@dg.multi_asset(
    specs=[
        dg.AssetSpec(["raw", "trades"], metadata=schema(id="int", amount="numeric")),
        dg.AssetSpec(["raw", "rates"], metadata=schema(currency="text", rate="numeric")),
        dg.AssetSpec(
            "positions",
            deps=[["raw", "trades"], ["raw", "rates"]],
            metadata=schema(symbol="text", total="numeric"),
        ),
    ]
)
def warehouse(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
    """Make three assets in one step, the last one from the others."""
    for name in ("raw/trades", "raw/rates"):
        yield dg.MaterializeResult(name.split("/"), metadata=made(context, name))
    amount = dg.TableColumnDep(dg.AssetKey(["raw", "trades"]), "amount")
    sources = {"dagster/column_lineage": dg.TableColumnLineage({"total": [amount]})}
    yield dg.MaterializeResult("positions", metadata={**made(context, "positions"), **sources})


@dg.asset(deps=["positions"], metadata=schema(total="numeric"))
def report() -> None:
    """Say nothing of its columns."""


WAREHOUSE = dg.Definitions(
    assets=[warehouse, report], jobs=[dg.define_asset_job("hourly", selection="*")]
)


@dataclass(frozen=True)
class Shown:
    """What Marquez has of one run.

    Args:
        namespace: of jobs and datasets.
        run_id: of the Dagster run.
        start: of it, in seconds since the epoch.
        end: of it, likewise.
    """

    namespace: str
    run_id: str
    start: float
    end: float


@dataclass(frozen=True)
class Deployment:
    """Dagster with Mechanism A.

    Args:
        home: of Dagster.
        instance: of that home.
    """

    home: DagsterHome
    instance: dg.DagsterInstance

    def run(self, definitions: dg.Definitions, job: str, **options: Any) -> str:
        """Run a job and wait until Marquez has all of it; the run's id."""
        run_id = execute(definitions, job, self.instance, **options).run_id
        wait_until_delivered(self.instance, SECONDS)
        assert has_delivered_all(self.instance)
        return run_id


@contextlib.contextmanager
def deployment(path: Path, marquez: Marquez, **options: Any) -> Iterator[Deployment]:
    """Deploy Dagster with Mechanism A, which sends to Marquez."""
    home = DagsterHome(path / "home", None, options=options)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OPENLINEAGE_URL", marquez.url)
        with home.instance() as instance:
            yield Deployment(home, instance)


@pytest.fixture(scope="module")
def shown(marquez: Marquez, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """The shop's nightly run, of which the forecast fails."""
    path = tmp_path_factory.mktemp("shop")
    with namespace_of_its_own(marquez) as namespace:
        with deployment(path, marquez, namespace=namespace) as dagster:
            run_id = dagster.run(shop, "nightly", partition_key="2026-01-05")
            record = dagster.instance.get_run_record_by_id(run_id)
        assert record is not None
        assert record.start_time is not None
        assert record.end_time is not None
        yield Shown(namespace, run_id, record.start_time, record.end_time)


@pytest.fixture(scope="module")
def retyped(marquez: Marquez, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The namespace of two runs that make columns of other types than the definitions have."""
    path = tmp_path_factory.mktemp("warehouse")
    with namespace_of_its_own(marquez) as namespace:
        with deployment(path, marquez, namespace=namespace) as dagster:
            dagster.run(WAREHOUSE, "hourly")
            dagster.run(WAREHOUSE, "hourly", tags={"second": "yes"})
        yield namespace


def send_by_sensor(
    instance: dg.DagsterInstance, definitions: dg.Definitions, marquez: Marquez, **options: Any
) -> int:
    """Evaluate Mechanism B's sensor until nothing is left; how many events it has sent."""
    evaluate = openlineage_sensor(**options)
    sent: list[int] = []
    cursor = None

    def has_all() -> bool:
        nonlocal cursor
        context = dg.build_sensor_context(instance=instance, cursor=cursor, definitions=definitions)
        result = evaluate(context)
        assert isinstance(result, dg.SkipReason)
        cursor = context.cursor
        if result.skip_message == UP_TO_DATE:
            return True
        found = re.match(r"read \d+ events, sent (\d+), parked 0", result.skip_message or "")
        assert found is not None, result.skip_message
        sent.append(int(found[1]))
        return False

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OPENLINEAGE_URL", marquez.url)
        wait_until(has_all, SECONDS, "the sensor")
    sensor._clients.cache_clear()
    return sum(sent)


def repeat_by_sensor(path: Path, marquez: Marquez, namespace: str) -> int:
    """Send once more by Mechanism B what was sent by a deployment; how many events."""
    history = {**SQLITE, "config": {"base_dir": str(path / "home" / "history" / "runs")}}
    content = {"telemetry": {"enabled": False}, "event_log_storage": history}
    home = DagsterHome(path / "home", None, content=content)
    with home.instance() as instance:
        return send_by_sensor(instance, LEDGER, marquez, namespace=namespace)


def expected_lineage(
    definitions: dg.Definitions, namespace: str, checked: set[str], failed: set[str]
) -> Lineage:
    """The graph that the definitions say: one job for each asset, and one for its checks."""
    graph = definitions.get_repository_def().asset_graph
    upstream = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.materializable_asset_keys
    }
    reads = {(parent, job) for job, parents in upstream.items() for parent in parents}
    reads |= {(asset, f"{asset}__checks") for asset in checked}
    jobs = upstream.keys() | {f"{asset}__checks" for asset in checked}
    return Lineage(
        {(namespace, job): "FAILED" if job in failed else "COMPLETED" for job in jobs},
        frozenset((namespace, key.to_user_string()) for key in graph.get_all_asset_keys()),
        frozenset(((namespace, dataset), (namespace, job)) for dataset, job in reads),
        frozenset(((namespace, job), (namespace, job)) for job in upstream),
    )


def picture(marquez: Marquez, namespace: str) -> dict[str, Any]:
    """All that Marquez says of a namespace."""
    jobs, datasets = marquez.jobs(namespace), marquez.datasets(namespace)
    return {
        "jobs": jobs,
        "runs": {job: marquez.runs(namespace, job) for job in jobs},
        "job versions": {job: marquez.job_versions(namespace, job) for job in jobs},
        "datasets": datasets,
        "versions": {each: marquez.dataset_versions(namespace, each) for each in datasets},
        "lineage": {job: marquez.lineage(job_node(namespace, job)) for job in jobs},
        "columns": {
            # Marquez does not know those that have none.
            name: marquez.column_lineage(namespace, name)
            for name, dataset in datasets.items()
            if dataset.fields
        },
    }


def test_every_asset_reads_exactly_its_upstream_and_writes_itself(
    marquez: Marquez, shown: Shown
) -> None:
    lineage = marquez.lineage(dataset_node(shown.namespace, "marts/revenue"))
    checked = {"marts/revenue", "raw/customers"}
    assert lineage == expected_lineage(shop, shown.namespace, checked, FAILED)


def test_an_asset_is_one_node_below_none(marquez: Marquez, shown: Shown) -> None:
    jobs = marquez.jobs(shown.namespace)
    assets = {name for name in jobs if "/" in name and not name.endswith("__checks")}
    assert assets == {
        key.to_user_string()
        for key in shop.get_repository_def().asset_graph.materializable_asset_keys
    }
    steps = {name for name in jobs if name.startswith("nightly.")}
    assert {jobs[name].parent for name in steps} == {"nightly"}
    assert {job.parent for name, job in jobs.items() if name not in steps} == {None}


def test_every_run_has_its_state_and_its_duration(marquez: Marquez, shown: Shown) -> None:
    for name in marquez.jobs(shown.namespace):
        [run] = marquez.runs(shown.namespace, name)
        assert run.state == ("FAILED" if name in FAILED else "COMPLETED"), name
        assert run.started_at is not None, name
        assert run.ended_at is not None, name
        assert run.duration_ms is not None, name
        assert run.duration_ms == pytest.approx(
            (run.ended_at - run.started_at).total_seconds() * 1000, abs=1
        )


def test_a_run_has_the_times_that_dagster_says(marquez: Marquez, shown: Shown) -> None:
    [run] = marquez.runs(shown.namespace, "nightly")
    assert run.id == shown.run_id

    def seconds(time: datetime | None) -> float:
        assert time is not None
        return time.timestamp()

    assert seconds(run.started_at) == pytest.approx(shown.start, abs=0.001)
    assert seconds(run.ended_at) == pytest.approx(shown.end, abs=0.001)


def test_assertions_are_shown_on_the_dataset(marquez: Marquez, shown: Shown) -> None:
    def passed(asset: str) -> dict[str, bool]:
        dataset = marquez.dataset(shown.namespace, asset)
        return {each["assertion"]: each["success"] for each in dataset.assertions}

    assert passed("marts/revenue") == {"is_positive": True, "is_complete": False}
    assert passed("raw/customers") == {"emails_are_unique": False}
    assert passed("raw/orders") == {}


def test_a_dataset_has_its_schema_its_description_and_its_columns_sources(
    marquez: Marquez, marquez_namespace: str, tmp_path: Path
) -> None:
    with deployment(tmp_path, marquez, namespace=marquez_namespace) as dagster:
        dagster.run(LEDGER, "hourly")
        # It tells of its output, and of no column's source.
        dagster.run(LEDGER, "hourly", tags={"fails": "yes"})
    # Its checks told of it last, and took nothing away.
    dataset = marquez.dataset(marquez_namespace, "balance")
    assert dataset.fields == {"total": "numeric"}
    assert dataset.description == "What was paid."
    source, target = ((marquez_namespace, name) for name in ("raw/payments", "balance"))
    assert marquez.dataset(*source).fields == {"day": "date", "amount": "numeric"}
    assert marquez.column_lineage(*target) == {((source, "amount"), (target, "total"))}


def test_a_column_is_shown_once_with_the_type_that_was_made_last(
    marquez: Marquez, retyped: str
) -> None:
    datasets = marquez.datasets(retyped)
    assert {name: dataset.fields for name, dataset in datasets.items()} == SECOND
    assert {name: dataset.columns for name, dataset in datasets.items()} == {
        name: tuple(sorted(columns)) for name, columns in SECOND.items()
    }
    source, target = ((retyped, name) for name in ("raw/trades", "positions"))
    assert marquez.column_lineage(*target) == {((source, "amount"), (target, "total"))}


@pytest.mark.parametrize("asset", SECOND)
def test_all_versions_that_a_run_makes_have_one_schema(
    marquez: Marquez, retyped: str, asset: str
) -> None:
    second, first = marquez.runs(retyped, asset)
    versions = marquez.dataset_versions(retyped, asset)
    assert {(version.run, version.schema) for version in versions} == {
        (first.id, tuple(FIRST[asset].items())),
        (second.id, tuple(SECOND[asset].items())),
    }
    assert marquez.dataset(retyped, asset).version in {
        version.id for version in versions if version.run == second.id
    }


def test_an_asset_of_a_multi_asset_reads_exactly_its_upstream(
    marquez: Marquez, retyped: str
) -> None:
    lineage = marquez.lineage(dataset_node(retyped, "positions"))
    assert lineage == expected_lineage(WAREHOUSE, retyped, set(), set())


@pytest.mark.usefixtures("shown")
def test_sources_are_listed(marquez: Marquez, retyped: str) -> None:
    # Marquez refuses while one dataset, of whatever namespace, has no source.
    assert retyped in marquez.sources()


def test_two_jobs_that_make_an_asset_share_its_node(
    marquez: Marquez, marquez_namespace: str, tmp_path: Path
) -> None:
    with deployment(tmp_path, marquez, namespace=marquez_namespace) as dagster:
        for job in ("nightly", "tenant"):
            dagster.run(orders_project.DEFINITIONS, job)
    assert marquez.jobs(marquez_namespace).keys() == {
        *orders_project.NIGHTLY_JOBS,
        "tenant",
        "tenant.raw__orders",
    }
    assert [run.state for run in marquez.runs(marquez_namespace, "raw/orders")] == 2 * ["COMPLETED"]
    assert len(marquez.job_versions(marquez_namespace, "raw/orders")) == 1


def test_a_failure_keeps_the_graph(
    marquez: Marquez, marquez_namespace: str, tmp_path: Path
) -> None:
    with deployment(tmp_path, marquez, namespace=marquez_namespace) as dagster:
        for tags in ({"fails": "yes"}, {}, {"fails": "yes"}):
            dagster.run(LEDGER, "hourly", tags=tags)
            lineage = marquez.lineage(job_node(marquez_namespace, "balance"))
            failed = {"balance", "balance__checks"} if tags else set()
            assert lineage == expected_lineage(LEDGER, marquez_namespace, {"balance"}, failed)
    states = [run.state for run in marquez.runs(marquez_namespace, "balance")]
    assert states == ["FAILED", "COMPLETED", "FAILED"]
    assert len(marquez.job_versions(marquez_namespace, "balance")) == 1


def test_the_other_mechanism_repeats_a_run_and_changes_nothing(
    marquez: Marquez, marquez_namespace: str, tmp_path: Path
) -> None:
    with deployment(tmp_path, marquez, namespace=marquez_namespace) as dagster:
        dagster.run(LEDGER, "hourly")
    before = picture(marquez, marquez_namespace)
    assert before["columns"]["balance"]

    assert repeat_by_sensor(tmp_path, marquez, marquez_namespace) == 12
    assert picture(marquez, marquez_namespace) == before


def test_old_runs_that_are_repeated_make_no_version_and_no_edge(
    marquez: Marquez, marquez_namespace: str, tmp_path: Path
) -> None:
    def what_stays() -> dict[str, Any]:
        # Not the states of the graph: those are of the run that Marquez has heard of last. And not
        # the versions that a run read: to them it adds those that are current when it hears of it.
        seen = picture(marquez, marquez_namespace)
        return {
            **{key: seen[key] for key in ("job versions", "datasets", "versions", "columns")},
            "edges": {job: (each.reads, each.writes) for job, each in seen["lineage"].items()},
            "runs": {
                job: [replace(run, inputs=frozenset()) for run in runs]
                for job, runs in seen["runs"].items()
            },
        }

    with deployment(tmp_path, marquez, namespace=marquez_namespace) as dagster:
        dagster.run(LEDGER, "hourly")
        dagster.run(LEDGER, "hourly", tags={"fails": "yes"})
    before = what_stays()
    assert len(before["runs"]["balance"]) == 2

    assert repeat_by_sensor(tmp_path, marquez, marquez_namespace) == 24
    assert what_stays() == before


@pytest.fixture(params=["storage", "sensor"])
def mechanism(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_tenant_has_namespaces_of_its_own(
    mechanism: str, marquez: Marquez, marquez_namespace: str, tmp_path: Path
) -> None:
    template = {
        "namespace": marquez_namespace,
        "namespace_template": "{namespace}/{tag:tenant}",
    }

    runs: list[tuple[str, dict[str, Any]]] = [
        ("tenant", {}),  # of acme
        ("nightly", {"tags": {"tenant": "globex"}}),
    ]
    definitions = orders_project.DEFINITIONS
    if mechanism == "storage":
        with deployment(tmp_path, marquez, **template, resolve_run_tags=True) as dagster:
            for job, options in runs:
                dagster.run(definitions, job, **options)
    else:
        with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
            for job, options in runs:
                execute(definitions, job, instance, **options)
            send_by_sensor(instance, definitions, marquez, **template)

    acme, globex = f"{marquez_namespace}/acme", f"{marquez_namespace}/globex"
    known = [each for each in marquez.namespaces() if each.startswith(marquez_namespace)]
    assert sorted(known) == [acme, globex]
    assert marquez.jobs(acme).keys() == {"tenant", "tenant.raw__orders", "raw/orders"}
    assert marquez.jobs(globex).keys() == orders_project.NIGHTLY_JOBS
    lineage = marquez.lineage(dataset_node(acme, "raw/orders"))
    orders = (acme, "raw/orders")
    assert lineage == Lineage(
        {orders: "COMPLETED"}, frozenset({orders}), frozenset(), frozenset({(orders, orders)})
    )
    lineage = marquez.lineage(dataset_node(globex, "raw/orders"))
    assert lineage.datasets == {(globex, "raw/orders"), (globex, "revenue")}
    assert lineage.reads == {((globex, "raw/orders"), (globex, "revenue"))}
