"""dagster-dbt: the states of models, and the results of tests with their severities."""

from typing import Any

import pytest

pytest.importorskip("dagster_dbt")

from openlineage_dagster_core.facts.definitions import DefinedAssets
from openlineage_dagster_core.identity import asset_path
from openlineage_dagster_core.queries.model import Asked
from openlineage_dagster_core.queries.parsing import parsed
from real_projects.recording import MECHANISMS, NAMESPACE, Recording
from recorded_run import one

Json = dict[str, Any]

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.parametrize("mechanism", MECHANISMS),
]


@pytest.fixture
def dbt(request: pytest.FixtureRequest, recordings: Any) -> Recording:
    chosen = request.config.getoption("--integration")
    if chosen and "dbt" not in chosen:
        pytest.skip("the integrations to test are given")
    from real_projects.with_dbt import INTEGRATION

    recording: Recording = recordings(INTEGRATION)
    return recording


def ends(events: list[Json]) -> dict[str, str]:
    """Return how the run of each asset ended, by the asset's key."""
    return {
        event["job"]["name"]: event["eventType"]
        for event in events
        if event["job"]["facets"]["jobType"]["jobType"] == "ASSET" and event["eventType"] != "START"
    }


def assertions(events: list[Json], asset: str) -> dict[str, tuple[bool, str | None]]:
    """Return the outcome and the severity of each test of an asset, by the test's name."""
    event = one(events, f"{asset}__checks", "COMPLETE")
    facet = event["inputs"][0]["inputFacets"]["dataQualityAssertions"]
    return {
        each["assertion"]: (each["success"], each.get("severity")) for each in facet["assertions"]
    }


BUILT = {
    "raw/orders": "COMPLETE",
    "seeds/products": "COMPLETE",
    "staging/stg_orders": "COMPLETE",
    "staging/stg_stores": "COMPLETE",
    "marts/orders_by_store": "COMPLETE",
    "marts/order_history": "COMPLETE",
    "marts/revenue": "COMPLETE",
    "marts/best_stores": "COMPLETE",
}


def test_a_build_completes_every_model(dbt: Recording, mechanism: str) -> None:
    assert ends(dbt.events_of_run(mechanism, "asset", "first")) == BUILT


def test_a_subset_is_nothing_but_its_models(dbt: Recording, mechanism: str) -> None:
    assert ends(dbt.events_of_run(mechanism, "asset", "subset")) == {
        "staging/stg_stores": "COMPLETE",
        "marts/best_stores": "COMPLETE",
    }


def test_a_broken_model_fails_and_what_depends_on_it_is_aborted(
    dbt: Recording, mechanism: str
) -> None:
    found = ends(dbt.events_of_run(mechanism, "asset", "broken model"))
    assert found == {**BUILT, "marts/revenue": "FAIL", "marts/best_stores": "ABORT"}


def test_a_broken_model_has_its_own_error_and_is_the_reason_of_what_is_skipped(
    dbt: Recording, mechanism: str
) -> None:
    events = dbt.events_of_run(mechanism, "asset", "broken model")
    failed, skipped = (
        one(events, f"marts/{name}", state)["run"]["facets"]["errorMessage"]["message"]
        for name, state in (("revenue", "FAIL"), ("best_stores", "ABORT"))
    )
    assert failed.startswith("Failure in model revenue (models/marts/revenue.sql)")
    assert "no_such_column" in failed
    assert skipped == "dbt skipped this asset after the failure of: revenue"


def test_what_depends_on_a_model_whose_test_fails_is_aborted(
    dbt: Recording, mechanism: str
) -> None:
    found = ends(dbt.events_of_run(mechanism, "asset", "failing tests"))
    skipped = ["orders_by_store", "order_history", "revenue", "best_stores"]
    assert found == {**BUILT, **{f"marts/{name}": "ABORT" for name in skipped}}


def test_tests_are_assertions_with_their_severities(dbt: Recording, mechanism: str) -> None:
    events = dbt.events_of_run(mechanism, "asset", "failing tests")
    assert assertions(events, "staging/stg_orders") == {
        "statuses_are_known": (False, "warn"),
        "not_null": (True, "error"),
        "stores_are_known": (False, "error"),
    }
    assert assertions(events, "staging/stg_stores") == {"unique": (True, "error")}


def test_a_source_that_nothing_writes_has_its_tables_name(dbt: Recording, mechanism: str) -> None:
    events = dbt.events_of_run(mechanism, "physical", "first")
    [stores] = one(events, "staging/stg_stores", "COMPLETE")["inputs"]
    assert (stores["namespace"], stores["name"]) == (NAMESPACE, "bakery.raw.stores")


def test_the_queries_of_models_say_what_dagster_says(dbt: Recording, mechanism: str) -> None:
    """Their tables are those of the asset graph, their columns come from where dagster-dbt says."""
    events = dbt.events_of_run(mechanism, "physical", "first")
    graph = dbt.project.definitions.get_repository_def().asset_graph
    tables = {path: dbt.runs["first"].columns(each) for path, each in dbt.project.tables.items()}
    known = tuple((tuple(each.full_name.split(".")), tuple(each.types)) for each in tables.values())
    models = {key: each for key, each in DefinedAssets(graph).items() if each.sql}
    assert len(models) == len(BUILT) - 2  # The seed and the asset of Dagster have none.
    for key, model in models.items():
        path = asset_path(key)
        found = parsed(Asked(model.sql or "", "duckdb", known))
        assert found.fault is None
        read = {".".join(table) for table in found.tables}
        assert read == {tables[asset_path(each)].full_name for each in model.upstream}
        columns = {
            name: {(".".join(each.table), each.column) for each in origins}
            for name, origins in found.columns
        }
        facets = one(events, path, "COMPLETE")["outputs"][0]["facets"]
        assert columns == {
            name: {(each["name"], each["field"]) for each in made["inputFields"]}
            for name, made in facets["columnLineage"]["fields"].items()
            if made["inputFields"]
        }
