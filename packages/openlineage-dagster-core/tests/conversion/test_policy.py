from typing import Any

import dagster as dg
import pytest

from openlineage_dagster_core.settings import Settings
from recorded_run import converted


@dg.asset(key=["raw", "orders"], check_specs=[dg.AssetCheckSpec("ok", asset=["raw", "orders"])])
def orders() -> dg.MaterializeResult:
    """Orders of the day."""
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(check_name="ok", passed=True)])


@dg.asset(deps=[orders])
def revenue() -> None: ...


@dg.observable_source_asset
def prices() -> dg.DataVersion:
    return dg.DataVersion("1")


DEFINITIONS = dg.Definitions(
    assets=[orders, revenue, prices],
    jobs=[
        dg.define_asset_job("nightly", selection=[orders, revenue]),
        dg.define_asset_job("watch", selection=["prices"]),
    ],
)


def emitted(job: str = "nightly", **options: Any) -> list[dict[str, Any]]:
    return converted(DEFINITIONS, job, settings=Settings.from_options(options, {}))


def names(events: list[dict[str, Any]]) -> set[str]:
    return {
        event["job"]["name"] if "job" in event else event["dataset"]["name"] for event in events
    }


STEPS = {"nightly.raw__orders", "nightly.revenue"}
CHECKS = {"raw/orders__checks"}
ASSETS = {"raw/orders", "revenue"}


def test_by_default_everything_is_emitted() -> None:
    assert names(emitted()) == {"nightly"} | STEPS | ASSETS | CHECKS


@pytest.mark.parametrize(
    ("families", "expected"),
    [
        (["run"], {"nightly"}),
        (["step"], STEPS),
        (["asset"], ASSETS),
        (["check"], CHECKS),
        (["run", "asset"], {"nightly"} | ASSETS),
        ([], set()),
    ],
)
def test_only_the_families_asked_for_are_emitted(families: list[str], expected: set[str]) -> None:
    assert names(emitted(families=families)) == expected


def test_observations_are_a_family() -> None:
    assert names(emitted("watch", families=["observation"])) == {"prices"}
    assert "prices" not in names(emitted("watch", families=["run", "step"]))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"include_assets": ["raw/*"]}, {"raw/orders"} | CHECKS),
        ({"exclude_assets": ["raw/*"]}, {"revenue"}),
        ({"include_assets": ["*"], "exclude_assets": ["rev*", "raw/orders"]}, set()),
    ],
)
def test_assets_are_chosen_by_their_keys_with_their_checks(
    options: dict[str, list[str]], expected: set[str]
) -> None:
    assert names(emitted(**options)) == {"nightly"} | STEPS | expected


def test_an_excluded_asset_is_still_an_input() -> None:
    [event] = [
        event
        for event in emitted(exclude_assets=["raw/*"])
        if event["job"]["name"] == "revenue" and event["eventType"] == "COMPLETE"
    ]
    assert [dataset["name"] for dataset in event["inputs"]] == ["raw/orders"]


@pytest.mark.parametrize("options", [{"include_jobs": ["day*"]}, {"exclude_jobs": ["night*"]}])
def test_a_job_that_is_left_out_is_left_out_with_everything(options: dict[str, list[str]]) -> None:
    assert emitted(**options) == []
    assert emitted("watch", **({} if "include_jobs" in options else options)) != []


def test_a_facet_can_be_switched_off_wherever_it_stands() -> None:
    events = emitted(disabled_facets=["documentation", "parent", "dataQualityAssertions"])
    text = str(events)
    assert "documentation" not in text
    assert "'parent'" not in text
    assert "dataQualityAssertions" not in text
    assert "jobType" in text
    assert "documentation" in str(emitted())


@pytest.mark.parametrize(
    ("options", "option", "allowed"),
    [
        ({"families": ["runs"]}, "families", "'observation'"),
        ({"families": "run"}, "families", "list"),
        ({"include_assets": "raw/*"}, "include_assets", "list"),
        ({"exclude_jobs": [7]}, "exclude_jobs", "list"),
        ({"disabled_facets": ["jobType"]}, "disabled_facets", "processing_engine"),
    ],
)
def test_a_wrong_choice_fails_when_it_is_read(
    options: dict[str, Any], option: str, allowed: str
) -> None:
    with pytest.raises(ValueError, match=allowed) as raised:
        Settings.from_options(options, {})
    assert option in str(raised.value)
