"""What definitions and metadata say of assets, jobs and runs: every facet, from its source."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest

from openlineage_dagster_core.facts.definitions import DefinedJobs
from openlineage_dagster_core.facts.event_log import run_facts
from openlineage_dagster_core.facts.model import Facts
from openlineage_dagster_core.facts.progress import ProgressLog
from openlineage_dagster_core.settings import Settings
from recorded_run import (
    CREATED_AT,
    RUN_ID,
    check_runs,
    converted,
    converted_log,
    execute,
    log_of,
    names,
    one,
)

Json = dict[str, Any]
Golden = Callable[[str, list[Json]], None]

ID = "0199a1b2-0000-7000-8000-00000000000a"
CODE = "https://github.com/org/repo/blob/0123456789abcdef0123456789abcdef01234567/shop/orders.py#L7"

COLUMNS = dg.TableSchema(
    [
        dg.TableColumn("id", "int", "The key", tags={"pii": "no"}),
        dg.TableColumn("address", "struct<street:string,tags:array<struct<name:string>>>"),
    ]
)

stock = dg.AssetSpec(
    "stock",
    metadata={"dagster/table_name": "erp.public.stock", "dagster/column_schema": COLUMNS},
    kinds={"postgres"},
)


@dg.asset(
    deps=[stock],
    kinds={"snowflake", "view"},
    owners=["team:sales"],
    code_version="7",
    metadata={
        "dagster/table_name": "SHOP.RAW.ORDERS",
        "dagster/storage_kind": "snowflake",
        "dagster/code_references": dg.CodeReferencesMetadataValue(
            code_references=[dg.UrlCodeReference(url=CODE)]
        ),
        "openlineage/sql": "select * from stock",
    },
)
def orders() -> dg.MaterializeResult:
    """Orders."""
    lineage = dg.TableColumnLineage({"id": [dg.TableColumnDep(dg.AssetKey("stock"), "id")]})
    return dg.MaterializeResult(
        metadata={
            "dagster/column_schema": COLUMNS,
            "dagster/column_lineage": lineage,
            "dagster/row_count": 3,
            "openlineage/size_bytes": 1024,
            "openlineage/file_count": 2,
        }
    )


@dg.asset(deps=[orders], metadata={"dagster/uri": "s3://bucket/exports/orders.parquet"})
def export() -> None: ...


@dg.observable_source_asset
def watched(context: dg.OpExecutionContext) -> dg.ObserveResult:
    return dg.ObserveResult(
        metadata={
            "dagster/row_count": 5,
            "dagster/last_updated_timestamp": dg.MetadataValue.timestamp(1767571200.0),
            "openlineage/column_metrics": {"id": {"nullCount": 0, "min": 1, "max": float(9)}},
        },
        data_version=dg.DataVersion("v1"),
    )


@dg.op(
    description="Loads what there is",
    tags={"team": "blue"},
    config_schema={"limit": int, "password": str, "conn": str},
)
def load() -> None: ...


@dg.job(
    description="Every night",
    tags={"tier": "gold"},
    metadata={
        "dagster/code_references": dg.CodeReferencesMetadataValue(
            code_references=[dg.UrlCodeReference(url=CODE)]
        )
    },
)
def nightly() -> None:
    load()


DEFINITIONS = dg.Definitions(
    assets=[stock, orders, export, watched],
    jobs=[
        nightly,
        dg.define_asset_job("tables", selection=[orders, export], description="All tables"),
        dg.define_asset_job("watch", selection=["watched"]),
    ],
)

NAMESPACES = {"kind:snowflake": "snowflake://org-account", "kind:postgres": "postgres://erp:5432"}


def settings(**options: object) -> Settings:
    return Settings.from_options(options, {})


def test_an_asset_is_described_by_its_definition_and_its_materialization(golden: Golden) -> None:
    events = converted(DEFINITIONS, "tables")
    golden("descriptions", events)
    check_runs(events)
    done = one(events, "orders", "COMPLETE")
    facets = done["outputs"][0]["facets"]
    assert facets["datasetType"]["datasetType"] == "VIEW"
    assert facets["storage"]["storageLayer"] == "snowflake"
    address = facets["schema"]["fields"][1]
    assert [field["name"] for field in address["fields"]] == ["street", "tags"]
    of_column = [tag for tag in facets["tags"]["tags"] if "field" in tag]
    assert [(tag["field"], tag["key"], tag["value"]) for tag in of_column] == [("id", "pii", "no")]
    statistics = done["outputs"][0]["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["size"], statistics["fileCount"]) == (3, 1024, 2)
    job = done["job"]["facets"]
    assert job["sql"]["query"] == "select * from stock"
    assert job["sql"]["dialect"] == "snowflake"
    location = job["sourceCodeLocation"]
    assert location["repoUrl"] == "https://github.com/org/repo"
    assert location["path"] == "shop/orders.py"
    assert location["version"] == "0123456789abcdef0123456789abcdef01234567"
    assert done["run"]["facets"]["dagster_run"]["codeVersion"] == "7"
    step = one(events, "tables.orders", "COMPLETE")["job"]["facets"]
    assert step["sourceCodeLocation"] == location
    levels = [(level["type"], level["name"]) for level in facets["hierarchy"]["hierarchy"]]
    assert levels == [("DATABASE", "SHOP"), ("SCHEMA", "RAW"), ("VIEW", "ORDERS")]
    written = one(events, "export", "COMPLETE")["outputs"][0]["facets"]
    assert (
        written["dataSource"] | {"name": "s3://bucket", "uri": "s3://bucket"}
        == (written["dataSource"])
    )
    assert written["storage"] | {"fileFormat": "parquet"} == written["storage"]


def test_a_dataset_is_named_after_its_table_on_both_sides_and_in_column_lineage(
    golden: Golden,
) -> None:
    physical = settings(
        dataset_identity="physical", dataset_namespaces=NAMESPACES, dataset_symlinks=True
    )
    events = converted(DEFINITIONS, "tables", settings=physical)
    golden("physical_identity", events)
    check_runs(events)
    done = one(events, "orders", "COMPLETE")
    [read], [written] = done["inputs"], done["outputs"]
    assert (read["namespace"], read["name"]) == ("postgres://erp:5432", "erp.public.stock")
    assert (written["namespace"], written["name"]) == ("snowflake://org-account", "SHOP.RAW.ORDERS")
    [field] = written["facets"]["columnLineage"]["fields"]["id"]["inputFields"]
    assert (field["namespace"], field["name"]) == ("postgres://erp:5432", "erp.public.stock")
    [link] = written["facets"]["symlinks"]["identifiers"]
    assert (link["namespace"], link["name"], link["type"]) == ("dagster", "orders", "ASSET")
    assert names(one(events, "export", "START")["inputs"]) == ["SHOP.RAW.ORDERS"]
    assert names(one(events, "export", "START")["outputs"]) == ["exports/orders.parquet"]


def test_an_observation_tells_what_was_measured(golden: Golden) -> None:
    events = converted(DEFINITIONS, "watch")
    golden("observation_metrics", events)
    [dataset] = [event["dataset"] for event in events if "dataset" in event]
    metrics = dataset["facets"]["dataQualityMetrics"]
    assert metrics["rowCount"] == 5
    assert metrics["lastUpdated"] == "2026-01-05T00:00:00+00:00"
    assert metrics["columnMetrics"] == {"id": {"nullCount": 0, "min": 1, "max": 9.0}}


def test_an_observation_that_is_a_run_tells_it_of_its_input(golden: Golden) -> None:
    events = converted(DEFINITIONS, "watch", settings=settings(observation_events="run"))
    golden("observation_metrics_as_run", events)
    [dataset] = one(events, "watched__observations", "COMPLETE")["inputs"]
    metrics = dataset["inputFacets"]["dataQualityMetrics"]
    assert metrics["lastUpdated"] == "2026-01-05T00:00:00+00:00"


CONFIG = {
    "ops": {"load": {"config": {"limit": 3, "password": "s3cret", "conn": "db://me:s3cret@h/x"}}}
}


def test_of_the_run_configuration_only_what_is_allowed_is_told_and_no_secret(
    golden: Golden,
) -> None:
    shown = settings(execution_parameters=["ops.*"])
    events = converted(DEFINITIONS, "nightly", settings=shown, run_config=CONFIG)
    golden("execution_parameters", events)
    parameters = one(events, "nightly", "START")["run"]["facets"]["executionParameters"]
    assert {p["key"]: p["value"] for p in parameters["parameters"]} == {
        "ops.load.config.limit": "3",
        "ops.load.config.password": "***",
        "ops.load.config.conn": "db://***@h/x",
    }
    hidden = converted(DEFINITIONS, "nightly", run_config=CONFIG)
    assert "executionParameters" not in str(hidden)
    assert "s3cret" not in str(events) + str(hidden)


def test_jobs_and_steps_are_described_by_their_definitions() -> None:
    events = converted(DEFINITIONS, "nightly", run_config=CONFIG)
    job = one(events, "nightly", "START")["job"]["facets"]
    assert job["documentation"]["description"] == "Every night"
    assert ("tier", "gold") in [(tag["key"], tag["value"]) for tag in job["tags"]["tags"]]
    assert job["sourceCodeLocation"]["path"] == "shop/orders.py"
    step = one(events, "nightly.load", "START")["job"]["facets"]
    assert step["documentation"]["description"] == "Loads what there is"
    assert [(tag["key"], tag["value"]) for tag in step["tags"]["tags"]] == [("team", "blue")]


def test_where_asked_for_the_function_of_an_asset_is_shown(golden: Golden) -> None:
    @dg.asset
    def connects() -> None:
        _connect(password="s3cret")

    definitions = dg.Definitions([connects], jobs=[dg.define_asset_job("all")])
    events = converted(definitions, "all", settings=settings(source_code_bytes=1000))
    golden("source_code", events)
    facet = one(events, "connects", "COMPLETE")["job"]["facets"]["sourceCode"]
    assert facet["language"] == "python"
    assert facet["sourceCode"] == (
        '@dg.asset\ndef connects() -> None:\n    _connect(password="***")\n'
    )
    assert "sourceCode" not in str(converted(definitions, "all"))


def _connect(password: str) -> None: ...


TAGS = {
    "openlineage/parent_id": f"airflow/dag.task/{ID}",
    "dagster/schedule_name": "every_night",
    "api_token": "s3cret",
    ".dagster/grpc_info": "hidden",
    "user": "ada@example.org",
}


def test_a_runs_tags_tell_who_launched_it_and_no_secret(golden: Golden) -> None:
    shown = settings(dagster_url="https://dagster.example.org/", asset_run_parent="step")
    events = converted(DEFINITIONS, "tables", settings=shown, tags=TAGS)
    golden("launch", events)
    check_runs(events)
    run = one(events, "tables", "START")["run"]["facets"]
    assert run["dagster_run"]["launch"] == {"type": "SCHEDULE", "name": "every_night"}
    assert run["dagster_run"]["url"] == f"https://dagster.example.org/runs/{RUN_ID}"
    assert run["parent"]["job"] == {"namespace": "airflow", "name": "dag.task", "facets": {}}
    [upstream] = run["jobDependencies"]["upstream"]
    assert upstream["job"] == {"namespace": "dagster", "name": "every_night"}
    assert upstream["dependency_type"] == "SCHEDULE"
    step = one(events, "tables.orders", "START")["run"]["facets"]["parent"]
    assert step["run"]["runId"] == RUN_ID
    assert step["root"]["run"]["runId"] == ID
    asset = one(events, "orders", "START")["run"]["facets"]["parent"]
    assert asset["job"]["name"] == "tables.orders"
    assert asset["run"]["runId"] == one(events, "tables.orders", "START")["run"]["runId"]
    assert asset["root"]["run"]["runId"] == ID
    shown_tags = {tag["key"]: tag["value"] for tag in run["tags"]["tags"]}
    assert shown_tags["api_token"] == "***"
    assert ".dagster/grpc_info" not in shown_tags
    assert "s3cret" not in str(events)


def test_a_retried_run_names_the_one_before_and_the_process_what_it_may(golden: Golden) -> None:
    repository = DEFINITIONS.get_repository_def()
    with dg.DagsterInstance.ephemeral() as instance:
        execute(DEFINITIONS, "nightly", instance, run_id=RUN_ID, run_config=CONFIG)
        run = run_facts(instance.get_run_records()[0].dagster_run, CREATED_AT)
        entries = log_of(instance, RUN_ID)
    facts = Facts(
        replace(run, parent_run_id=ID, root_run_id=ID),
        ProgressLog().progress,
        job=DefinedJobs(repository)["nightly"],
        environment={"STAGE": "prod", "SECRET_KEY": "***"},
    )
    events = converted_log(entries, facts)
    golden("retried_run", events)
    facets = one(events, "nightly", "START")["run"]["facets"]
    [upstream] = facets["jobDependencies"]["upstream"]
    assert upstream == {
        "job": {"namespace": "dagster", "name": "nightly"},
        "run": {"runId": ID},
        "dependency_type": "RETRY",
    }
    shown = facets["environmentVariables"]["environmentVariables"]
    assert {variable["name"]: variable["value"] for variable in shown} == {
        "SECRET_KEY": "***",
        "STAGE": "prod",
    }


@pytest.mark.parametrize(
    ("tags", "launch"),
    [
        ({"dagster/backfill": "abc", "user": "ada"}, ("BACKFILL", "abc")),
        ({"dagster/sensor_name": "s"}, ("SENSOR", "s")),
        (
            {"dagster/sensor_name": "s", "dagster/from_automation_condition": "true"},
            ("AUTOMATION", "s"),
        ),
        ({"user": "ada"}, ("USER", "ada")),
    ],
)
def test_what_launched_a_run_is_told_by_its_tags(
    tags: dict[str, str], launch: tuple[str, str]
) -> None:
    events = converted(DEFINITIONS, "nightly", run_config=CONFIG, tags=tags)
    facet = one(events, "nightly", "START")["run"]["facets"]["dagster_run"]
    assert (facet["launch"]["type"], facet["launch"]["name"]) == launch


def test_a_text_that_is_too_long_is_cut() -> None:
    @dg.asset(description="ä" * 100_000)
    def talkative() -> None: ...

    definitions = dg.Definitions([talkative], jobs=[dg.define_asset_job("all")])
    event = one(converted(definitions, "all"), "talkative", "COMPLETE")
    for facets in (event["job"]["facets"], event["outputs"][0]["facets"]):
        text = facets["documentation"]["description"]
        assert len(text.encode()) <= 65536
        assert text.startswith("äää")
