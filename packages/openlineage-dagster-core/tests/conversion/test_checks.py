"""Asset checks: one run an asset, which reads what the checks read, and ends once."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest

from recorded_run import check_runs, converted, names, one, states_by_run

Json = dict[str, Any]
Golden = Callable[[str, list[Json]], None]

ROWS = {"dagster/row_count": 7}


@dg.asset
def reference() -> None: ...


@dg.asset(check_specs=[dg.AssetCheckSpec("quick", asset="checked", blocking=True)])
def checked() -> dg.MaterializeResult:
    result = dg.AssetCheckResult(check_name="quick", passed=False, metadata=ROWS)
    return dg.MaterializeResult(check_results=[result])


@dg.asset(deps=[checked])
def behind() -> None: ...


@dg.asset
def compared() -> None: ...


@dg.asset_check(asset=compared, additional_deps=[reference])
def agrees() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True, description="With the reference")


@dg.asset_check(asset=compared)
def not_empty() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True, metadata=ROWS)


@dg.asset_check(asset=compared)
def breaks() -> dg.AssetCheckResult:
    raise ValueError("the check itself")


@dg.asset(
    retry_policy=dg.RetryPolicy(max_retries=1),
    check_specs=[dg.AssetCheckSpec("each_time", asset="tried_again")],
)
def tried_again(context: dg.AssetExecutionContext) -> Iterator[Any]:
    yield dg.AssetCheckResult(check_name="each_time", passed=context.retry_number == 1)
    if context.retry_number == 0:
        raise ValueError("once")
    yield dg.Output(None)


@dg.op
def evaluates(context: dg.OpExecutionContext) -> None:
    for passed in (True, False):
        context.log_event(
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey("nobody"), check_name="by_hand", passed=passed
            )
        )


@dg.job
def by_hand() -> None:
    evaluates()


def job(name: str, selection: dg.AssetSelection) -> Any:
    return dg.define_asset_job(name, selection=selection)


@dg.op
def evaluates_partitions(context: dg.OpExecutionContext) -> None:
    for partition, passed in (("a", False), ("b", True)):
        context.log_event(
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey("parted"),
                check_name="each",
                passed=passed,
                partition=partition,
            )
        )


@dg.job
def by_partition() -> None:
    evaluates_partitions()


DEFINITIONS = dg.Definitions(
    assets=[reference, checked, behind, compared, tried_again],
    asset_checks=[agrees, not_empty, breaks],
    jobs=[
        by_hand,
        by_partition,
        job("blocking", dg.AssetSelection.assets(checked, behind)),
        job("comparing", dg.AssetSelection.checks(agrees, not_empty)),
        job("breaking", dg.AssetSelection.checks(not_empty, breaks)),
        job("again", dg.AssetSelection.assets(tried_again)),
    ],
)


def assertions(event: Json, position: int = 0) -> list[tuple[str, bool]]:
    facet = event["inputs"][position]["inputFacets"]["dataQualityAssertions"]
    return [(assertion["assertion"], assertion["success"]) for assertion in facet["assertions"]]


def test_a_blocking_check_that_fails_leaves_the_asset_made_and_what_is_behind_undone(
    golden: Golden,
) -> None:
    events = converted(DEFINITIONS, "blocking")
    golden("blocking_check", events)
    check_runs(events)
    assert one(events, "checked", "COMPLETE")
    assert one(events, "behind", "FAIL")
    evaluated = one(events, "checked__checks", "COMPLETE")
    assert assertions(evaluated) == [("quick", False)]
    metrics = evaluated["inputs"][0]["inputFacets"]["dataQualityMetrics"]
    assert metrics["rowCount"] == 7


def test_what_a_check_compares_with_is_an_input_too(golden: Golden) -> None:
    events = converted(DEFINITIONS, "comparing")
    golden("check_additional_deps", events)
    check_runs(events)
    for state in ("START", "COMPLETE"):
        event = one(events, "compared__checks", state)
        assert names(event["inputs"]) == ["compared", "reference"]
        assert event["outputs"] == []
    done = one(events, "compared__checks", "COMPLETE")
    assert assertions(done) == [("agrees", True), ("not_empty", True)]


def test_a_check_that_breaks_fails_the_run_of_the_checks_with_what_is_known() -> None:
    events = converted(DEFINITIONS, "breaking")
    check_runs(events)
    failed = one(events, "compared__checks", "FAIL")
    assert assertions(failed) == [("not_empty", True)]
    assert "Steps failed" in failed["run"]["facets"]["errorMessage"]["message"]


def test_a_check_that_is_evaluated_again_after_its_end_is_a_run_of_its_own(
    golden: Golden,
) -> None:
    events = converted(DEFINITIONS, "again")
    golden("check_again", events)
    check_runs(events)
    runs = [
        states for (name, _), states in states_by_run(events).items() if name.endswith("__checks")
    ]
    assert runs == [["START", "COMPLETE"], ["START", "COMPLETE"]]
    last = [event for event in events if event["job"]["name"] == "tried_again__checks"][-1]
    assert assertions(last) == [("each_time", True)]


def test_checks_that_nobody_planned_are_told_one_by_one() -> None:
    events = converted(DEFINITIONS, "by_hand")
    check_runs(events)
    ends = [event for event in events if event["job"]["name"] == "nobody__checks"]
    assert [event["eventType"] for event in ends] == ["START", "COMPLETE"] * 2
    assert assertions(ends[-1]) == [("by_hand", False)]


@pytest.mark.skipif(
    "partition" not in inspect.signature(dg.AssetCheckEvaluation.__new__).parameters,
    reason="before Dagster 1.13 checks have no partitions",
)
def test_the_checks_of_each_partition_are_a_run() -> None:
    events = converted(DEFINITIONS, "by_partition")
    check_runs(events)
    found = {
        event["run"]["facets"]["dagster_run"]["partition"]: assertions(event)
        for event in events
        if event["job"]["name"] == "parted__checks" and event["eventType"] == "COMPLETE"
    }
    assert found == {"a": [("each", False)], "b": [("each", True)]}
