"""DataHub's rules, from a stand-in: what they do to our events, and the recipe that avoids it.

The stand-in is `testing/datahub_rules.py`: nothing here asks a DataHub.
"""

from __future__ import annotations

from typing import Any

import pytest

import demo
from datahub_rules import DataHub, Server, dataset_urn
from openlineage_dagster_core.settings import Settings
from recorded_run import converted
from shop.definitions import defs
from warehouse_project import DEFINITIONS as WAREHOUSE
from warehouse_project import HOST, JOB

Json = dict[str, Any]

SERVERS = [
    pytest.param(Server(is_release=True), id="release"),
    pytest.param(Server(), id="main"),
]
LAUNCHED = {**demo.PARTITION, "dagster/schedule_name": "every_night", "team": "blue"}


def events_of(**options: Any) -> list[Json]:
    settings = Settings.from_options({"namespace": "dagster", **options}, {})
    return [
        *converted(defs, "nightly", settings=settings, tags=LAUNCHED),
        *converted(defs, "watch_suppliers", settings=settings),
    ]


@pytest.mark.parametrize("server", SERVERS)
def test_by_the_stand_ins_rules_the_recipe_leaves_no_refusal_and_no_ghost(server: Server) -> None:
    datahub = DataHub(server).take(events_of(backend="datahub"))
    assert datahub.refused == []
    assert datahub.ghosts == set()
    assert all(not job.upstream for job in datahub.jobs.values())


def test_by_the_stand_ins_rules_a_release_refuses_steps_and_observations_by_default() -> None:
    refused = DataHub(Server(is_release=True)).take(events_of()).refused
    assert {
        event["job"]["facets"]["jobType"]["jobType"] if "job" in event else "DATASET"
        for event in refused
    } == {"STEP", "DATASET"}


def test_by_the_stand_ins_rules_steps_and_schedules_make_ghosts_by_default() -> None:
    ghosts = DataHub(Server()).take(events_of()).ghosts
    assert ghosts == {
        "urn:li:dataJob:(urn:li:dataFlow:(unknown,nightly,dagster),nightly)",
        "urn:li:dataJob:(urn:li:dataFlow:(unknown,watch_suppliers,dagster),watch_suppliers)",
        "urn:li:dataJob:(urn:li:dataFlow:(dagster,every_night,dagster),every_night)",
    }


@pytest.mark.parametrize("is_release", [False, True])
def test_by_the_stand_ins_rules_the_servers_orchestrator_lets_steps_join_their_job(
    is_release: bool,
) -> None:
    server = Server(is_release=is_release, orchestrator="dagster")
    families = ["run", "step", "asset", "check", "observation"]
    datahub = DataHub(server).take(events_of(backend="datahub", families=families))
    assert datahub.refused == []
    assert datahub.ghosts == set()
    flow = "urn:li:dataFlow:(dagster,nightly,dagster)"
    step = datahub.jobs[f"urn:li:dataJob:({flow},nightly.raw__orders)"]
    assert step.upstream == {f"urn:li:dataJob:({flow},nightly)"}


@pytest.mark.parametrize("server", SERVERS)
def test_by_the_stand_ins_rules_assets_are_grouped_by_their_group(server: Server) -> None:
    alone = DataHub(server).take(events_of(families=["asset"])).flows
    assert {"raw/orders", "staging/sales", "marts/report"} <= alone
    grouped = DataHub(server).take(events_of(backend="datahub"))
    assert grouped.flows == {"raw", "staging", "marts", "external", "nightly", "watch_suppliers"}
    flow = "urn:li:dataFlow:(dagster,staging,dagster)"
    sales = grouped.jobs[f"urn:li:dataJob:({flow},staging.staging/sales)"]
    assert sales.inputs == [
        f"urn:li:dataset:(urn:li:dataPlatform:dagster,raw/{name},PROD)"
        for name in ("orders", "products")
    ]
    assert len(sales.outputs) == 1


def test_by_the_stand_ins_rules_tags_are_their_keys_only() -> None:
    datahub = DataHub(Server()).take(events_of(backend="datahub"))
    run = datahub.jobs["urn:li:dataJob:(urn:li:dataFlow:(dagster,nightly,dagster),nightly)"]
    assert "team" in run.tags
    assert "blue" not in str(run.tags)


def test_by_the_stand_ins_rules_the_platform_is_the_namespace_or_its_scheme() -> None:
    named = {"namespace": "dagster", "name": "raw/orders"}
    assert dataset_urn(named) == "urn:li:dataset:(urn:li:dataPlatform:dagster,raw/orders,PROD)"
    table = {"namespace": "snowflake://org-account", "name": "SHOP.RAW.ORDERS"}
    assert "dataPlatform:snowflake,SHOP.RAW.ORDERS" in dataset_urn(table)
    company = events_of(backend="datahub", namespace="acme")
    written = [each for event in company for each in event.get("outputs", ())]
    assert {dataset_urn(each).split(",")[0] for each in written} == {
        "urn:li:dataset:(urn:li:dataPlatform:acme"
    }


def test_by_the_stand_ins_rules_no_event_of_an_asset_takes_an_edge_away() -> None:
    events = [event for event in events_of(backend="datahub") if "job" in event]
    for name in {event["job"]["name"] for event in events}:
        edges = [
            (sorted(map(dataset_urn, event["inputs"])), sorted(map(dataset_urn, event["outputs"])))
            for event in events
            if event["job"]["name"] == name
        ]
        assert all(each == edges[0] for each in edges), name


def test_by_the_stand_ins_rules_a_symlink_of_ours_is_never_the_datasets_identity() -> None:
    options = {"backend": "datahub", "dataset_namespaces": {"kind:postgres": HOST}}
    urns = [
        {
            dataset_urn(each)
            for event in converted(
                WAREHOUSE, JOB, settings=Settings.from_options({**options, **more}, {})
            )
            for each in (*event["inputs"], *event["outputs"])
        }
        for more in ({}, {"dataset_symlinks": True})
    ]
    assert urns[0] == urns[1]
    assert "urn:li:dataset:(urn:li:dataPlatform:dagster,raw/orders,PROD)" in urns[0]


def test_by_the_stand_ins_rules_a_table_is_on_the_platform_of_its_database() -> None:
    options = {
        "backend": "datahub",
        "dataset_identity": "physical",
        "dataset_namespaces": {"kind:postgres": HOST},
    }
    events = converted(WAREHOUSE, JOB, settings=Settings.from_options(options, {}))
    urns = {dataset_urn(each) for event in events for each in event["outputs"]}
    assert urns == {
        *(
            f"urn:li:dataset:(urn:li:dataPlatform:postgres,shop.{name},PROD)"
            for name in ("raw.orders", "staging.orders", "marts.revenue")
        ),
        "urn:li:dataset:(urn:li:dataPlatform:s3,lake/reports/daily.csv,PROD)",
    }
