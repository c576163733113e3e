"""Asset checks: one run an asset, which reads what the checks read, and ends once."""

import inspect
import json
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest

from openlineage_dagster_core.conversion.envelope import event_time
from openlineage_dagster_core.facts.definitions import DefinedAssets
from openlineage_dagster_core.facts.event_log import run_facts
from openlineage_dagster_core.facts.materialized import NOTHING
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
    states_by_run,
)

Json = dict[str, Any]
Golden = Callable[[str, list[Json]], None]

ROWS = {"dagster/row_count": 7}
TYPED = dg.TableSchema([dg.TableColumn("id", "int")])
PHYSICAL = Settings.from_options(
    {"dataset_identity": "physical", "dataset_namespaces": {"*": "postgres://host:5432"}}, {}
)


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


@dg.asset
def always_fails() -> None:
    raise ValueError("no data")


@dg.asset_check(asset=compared, additional_deps=[always_fails], description="Compares *both*.")
def never_runs() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


class Manifest:
    def __init__(self) -> None:
        arguments = {"column_name": "customer_id", "model": "{{ get_where_subquery(ref('x')) }}"}
        test = {
            "test_metadata": {"name": "not_null", "kwargs": arguments},
            "description": "Each order has a customer.",
        }
        self.manifest = {"nodes": {"test.shop.not_null_orders_customer_id.5c9bf9911d": test}}


@dg.multi_asset(
    specs=[dg.AssetSpec("model", metadata={"dagster_dbt/manifest": Manifest()})],
    check_specs=[
        dg.AssetCheckSpec(
            "not_null_orders_customer_id",
            asset="model",
            metadata={
                "dagster_dbt/unique_id": "test.shop.not_null_orders_customer_id.5c9bf9911d",
                "dagster/code_references": dg.CodeReferencesMetadataValue(
                    code_references=[dg.UrlCodeReference(url="https://example.org/orders.yml")]
                ),
            },
        )
    ],
)
def models() -> Iterator[Any]:
    yield dg.MaterializeResult("model")
    yield dg.AssetCheckResult(
        asset_key="model", check_name="not_null_orders_customer_id", passed=False
    )


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


failing = dg.AssetSelection.assets(always_fails)

DEFINITIONS = dg.Definitions(
    assets=[reference, checked, behind, compared, tried_again, always_fails, models],
    asset_checks=[agrees, not_empty, breaks, never_runs],
    jobs=[
        by_hand,
        by_partition,
        job("blocking", dg.AssetSelection.assets(checked, behind)),
        job("comparing", dg.AssetSelection.checks(agrees, not_empty)),
        job("breaking", dg.AssetSelection.checks(not_empty, breaks)),
        job("skipping", dg.AssetSelection.checks(not_empty, never_runs) | failing),
        job("skipping_all", dg.AssetSelection.checks(never_runs) | failing),
        job("breaking_all", dg.AssetSelection.checks(breaks)),
        job("dbt", dg.AssetSelection.assets("model")),
        job("again", dg.AssetSelection.assets(tried_again)),
    ],
)


def many_checks(count: int, *, attempts: tuple[int, ...]) -> dg.Definitions:
    """Define an asset with checks.

    Args:
        count: how many checks.
        attempts: by attempt, how many checks it evaluates; all attempts but the last fail then.
    """
    checks = [f"check_{number:03}" for number in range(count)]

    @dg.asset(
        retry_policy=dg.RetryPolicy(max_retries=len(attempts) - 1),
        check_specs=[dg.AssetCheckSpec(name, asset="many") for name in checks],
        # Known columns: START need not wait for the materialization.
        metadata={"dagster/column_schema": TYPED},
    )
    def many(context: dg.AssetExecutionContext) -> Iterator[Any]:
        for name in checks[: attempts[context.retry_number]]:
            yield dg.AssetCheckResult(check_name=name, passed=context.retry_number > 0)
        if context.retry_number < len(attempts) - 1 or attempts[-1] < count:
            raise ValueError("not yet")
        yield dg.Output(None)

    @dg.asset(deps=[many])
    def logs_one_again(context: dg.AssetExecutionContext) -> None:
        context.log_event(
            dg.AssetCheckEvaluation(asset_key=many.key, check_name=checks[0], passed=False)
        )

    return dg.Definitions(
        assets=[many, logs_one_again],
        jobs=[
            job("all_of_them", dg.AssetSelection.assets(many)),
            job("and_one_again", dg.AssetSelection.assets(many, logs_one_again)),
        ],
    )


def of_checks(events: list[Json]) -> list[Json]:
    return [event for event in events if event["job"]["name"] == "many__checks"]


def runs_of_checks(events: list[Json]) -> list[list[str]]:
    return list(states_by_run(of_checks(events)).values())


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


def results(event: Json) -> dict[str, str]:
    return {test["name"]: test["status"] for test in event["run"]["facets"]["test"]["tests"]}


def test_a_planned_check_that_never_runs_is_no_failure_of_the_others(golden: Golden) -> None:
    events = converted(DEFINITIONS, "skipping")
    golden("check_never_run", events)
    check_runs(events)
    assert results(one(events, "compared__checks", "START")) == {"not_empty": "pass"}
    done = one(events, "compared__checks", "COMPLETE")
    assert results(done) == {"never_runs": "skip", "not_empty": "pass"}
    assert assertions(done) == [("not_empty", True)]
    assert "errorMessage" not in done["run"]["facets"]
    assert done["job"]["facets"]["documentation"]["description"] == (
        "**never_runs**: Compares *both*."
    )


def test_checks_none_of_which_runs_are_aborted_and_say_why() -> None:
    events = converted(DEFINITIONS, "skipping_all")
    check_runs(events)
    aborted = one(events, "compared__checks", "ABORT")
    assert results(aborted) == {"never_runs": "skip"}
    assert names(aborted["inputs"]) == ["compared", "always_fails"]
    assert "dataQualityAssertions" not in aborted["inputs"][0]["inputFacets"]
    message = aborted["run"]["facets"]["errorMessage"]["message"]
    assert message.startswith("These planned checks were not evaluated: never_runs.")
    assert "Steps failed: ['always_fails']" in message


def test_a_check_that_breaks_fails_its_run_where_no_other_is_planned() -> None:
    events = converted(DEFINITIONS, "breaking_all")
    check_runs(events)
    failed = one(events, "compared__checks", "FAIL")
    step = one(events, "breaking_all.compared_breaks", "START")
    assert one(events, "compared__checks", "START")["eventTime"] == step["eventTime"]
    assert results(failed) == {"breaks": "skip"}


def test_a_check_that_its_step_leaves_out_is_skipped() -> None:
    @dg.multi_asset(
        specs=[dg.AssetSpec("one")],
        check_specs=[dg.AssetCheckSpec(name, asset="one") for name in ("told", "left_out")],
        can_subset=True,
    )
    def makes_one() -> Iterator[Any]:
        yield dg.MaterializeResult("one")
        yield dg.AssetCheckResult(asset_key="one", check_name="told", passed=True)

    definitions = dg.Definitions([makes_one], jobs=[dg.define_asset_job("all")])
    events = converted(definitions, "all")
    check_runs(events)
    assert one(events, "all.makes_one", "COMPLETE")
    done = one(events, "one__checks", "COMPLETE")
    assert results(done) == {"left_out": "skip", "told": "pass"}


def test_a_test_of_dbt_has_its_short_name_its_column_and_its_description() -> None:
    events = converted(DEFINITIONS, "dbt")
    done = one(events, "model__checks", "COMPLETE")
    [assertion] = done["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert assertion == {
        "assertion": "not_null",
        "name": "not_null_orders_customer_id",
        "column": "customer_id",
        "success": False,
        "severity": "error",
        "description": "Each order has a customer.",
        "params": {},
    }
    [test] = done["run"]["facets"]["test"]["tests"]
    assert (test["type"], test["status"]) == ("not_null", "fail")
    assert test["description"] == "Each order has a customer."
    location = done["job"]["facets"]["sourceCodeLocation"]
    assert location["url"] == "https://example.org/orders.yml"


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


def test_a_run_of_checks_starts_with_the_first_one_and_ends_with_the_last_one_planned() -> None:
    events = converted(many_checks(3, attempts=(3,)), "all_of_them")
    check_runs(events)
    start, complete = of_checks(events)
    assert [start["eventType"], complete["eventType"]] == ["START", "COMPLETE"]
    assert assertions(start) == [("check_000", False)]
    assert assertions(complete) == [(f"check_00{number}", False) for number in range(3)]


@pytest.mark.parametrize("attempts", [1, 2])
def test_the_events_of_many_checks_are_linear_in_their_number(attempts: int) -> None:
    sizes = {}
    for count in (20, 60):
        definitions = many_checks(count, attempts=(count,) * attempts)
        events = of_checks(converted(definitions, "all_of_them"))
        assert len(assertions(events[-1])) == count
        sizes[count] = sum(len(json.dumps(event)) for event in events)
    assert sizes[60] < 3.3 * sizes[20]


def test_a_round_of_checks_that_a_retry_evaluates_again_is_one_run_of_its_own() -> None:
    definitions = many_checks(3, attempts=(3, 3))
    with dg.DagsterInstance.ephemeral() as instance:
        execute(definitions, "all_of_them", instance, run_id=RUN_ID)
        assets = DefinedAssets(definitions.get_repository_def().asset_graph)
        facts = Facts(
            run_facts(instance.get_run_records()[0].dagster_run, CREATED_AT),
            ProgressLog().progress,
            assets=assets,
            made_before=dict.fromkeys(assets, NOTHING),
        )
        entries = log_of(instance, RUN_ID)
    events = converted_log(entries, facts)
    check_runs(events)
    assert runs_of_checks(events) == [["START", "COMPLETE"], ["START", "COMPLETE"]]
    _, complete, late_start, late_complete = of_checks(events)
    assert assertions(complete) == [(f"check_00{number}", False) for number in range(3)]
    assert sorted(assertions(late_start)) == [
        ("check_000", True),
        ("check_001", False),
        ("check_002", False),
    ]
    assert sorted(assertions(late_complete)) == [(f"check_00{number}", True) for number in range(3)]
    evaluated = [
        event_time(entry.timestamp)
        for entry in entries
        if entry.dagster_event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ]
    assert late_start["eventTime"] == evaluated[3]
    assert late_complete["eventTime"] == evaluated[5]


def test_a_retry_completes_the_round_that_the_first_attempt_left_unfinished() -> None:
    events = converted(many_checks(3, attempts=(2, 3)), "all_of_them")
    check_runs(events)
    assert runs_of_checks(events) == [["START", "COMPLETE"]]
    done = of_checks(events)[-1]
    assert sorted(assertions(done)) == [(f"check_00{number}", True) for number in range(3)]


def test_a_late_round_completes_with_the_run_that_succeeds(golden: Golden) -> None:
    events = converted(many_checks(2, attempts=(2,)), "and_one_again")
    golden("check_late_round", of_checks(events))
    check_runs(events)
    assert runs_of_checks(events) == [["START", "COMPLETE"], ["START", "COMPLETE"]]
    done = of_checks(events)[-1]
    assert done["eventTime"] == one(events, "and_one_again", "COMPLETE")["eventTime"]
    assert "errorMessage" not in done["run"]["facets"]
    assert sorted(assertions(done)) == [("check_000", False), ("check_001", False)]


def test_a_late_round_fails_with_the_run_that_fails() -> None:
    events = converted(many_checks(3, attempts=(3, 2)), "all_of_them")
    check_runs(events)
    assert runs_of_checks(events) == [["START", "COMPLETE"], ["START", "FAIL"]]
    failed = of_checks(events)[-1]
    assert "Steps failed" in failed["run"]["facets"]["errorMessage"]["message"]
    assert sorted(assertions(failed)) == [
        ("check_000", True),
        ("check_001", True),
        ("check_002", False),
    ]


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


MADE = {
    "dagster/column_schema": TYPED,
    "dagster/table_name": "db.shop.part",
}


def checked_in_between(order: str, *, fails: bool = False) -> dg.Definitions:
    """Define a step that evaluates checks, and makes its assets in between.

    Args:
        order: `a` and `b` evaluate checks, `M` makes the checked asset, `O` the one it is compared
            with, and `!` ends an attempt.
        fails: whether the step fails in the end.
    """
    attempts = order.split("!")

    @dg.multi_asset(
        specs=[dg.AssetSpec("part", skippable=True), dg.AssetSpec("other", skippable=True)],
        check_specs=[
            dg.AssetCheckSpec("a", asset="part"),
            dg.AssetCheckSpec("b", asset="part", additional_deps=["other"]),
        ],
        retry_policy=dg.RetryPolicy(max_retries=len(attempts) - 1),
    )
    def makes(context: dg.AssetExecutionContext) -> Iterator[Any]:
        for each in attempts[context.retry_number]:
            if each in "MO":
                yield dg.MaterializeResult("part" if each == "M" else "other", metadata=MADE)
            else:
                yield dg.AssetCheckResult(asset_key="part", check_name=each, passed=True)
        if context.retry_number < len(attempts) - 1:
            raise ValueError("once")
        if fails:
            raise dg.Failure("at last", allow_retries=False)

    return dg.Definitions([makes], jobs=[dg.define_asset_job("all")])


def inputs_of(event: Json) -> list[Any]:
    return [(each["namespace"], each["name"], each["facets"]) for each in event["inputs"]]


@pytest.mark.parametrize("settings", [Settings(), PHYSICAL], ids=["asset", "physical"])
@pytest.mark.parametrize("was_made_before", [True, False])
@pytest.mark.parametrize(
    "order", ["aMbO", "MaOb", "aMOb", "abMO", "MOab", "a!MbO", "M!aMOb", "aM", "Ma", "MOa"]
)
@pytest.mark.parametrize("fails", [False, True])
def test_all_events_of_a_run_of_checks_describe_what_was_checked_alike(
    order: str, *, fails: bool, was_made_before: bool, settings: Settings
) -> None:
    definitions = checked_in_between(order, fails=fails)
    events = converted(definitions, "all", settings=settings, was_made_before=was_made_before)
    check_runs(events)
    runs: dict[str, list[Json]] = {}
    for event in events:
        if event["job"]["name"] == "part__checks":
            runs.setdefault(event["run"]["runId"], []).append(event)
    assert runs
    for run in runs.values():
        start, end = run
        assert inputs_of(start) == inputs_of(end)
        assert start["job"] == end["job"]
        assert start["eventTime"] <= end["eventTime"]


@pytest.mark.parametrize(
    ("order", "known_at_start"), [("MOab", ["a"]), ("aMOb", ["a", "b"]), ("MaOb", ["a", "b"])]
)
def test_the_start_of_checks_waits_only_for_what_is_still_to_be_made(
    order: str, known_at_start: list[str]
) -> None:
    events = converted(checked_in_between(order), "all")
    start = one(events, "part__checks", "START")
    assert [name for name, _ in assertions(start)] == known_at_start
    assert start["eventTime"] == one(events, "all.makes", "START")["eventTime"]


def test_the_start_of_checks_does_not_wait_for_columns_that_are_known() -> None:
    @dg.asset(
        check_specs=[dg.AssetCheckSpec(name, asset="settled") for name in ("one", "two")],
        metadata={"dagster/column_schema": TYPED},
    )
    def settled() -> Iterator[Any]:
        yield dg.AssetCheckResult(check_name="one", passed=True)
        yield dg.AssetCheckResult(check_name="two", passed=True)
        yield dg.Output(None)

    definitions = dg.Definitions([settled], jobs=[dg.define_asset_job("all")])
    events = converted(definitions, "all")
    check_runs(events)
    assert assertions(one(events, "settled__checks", "START")) == [("one", True)]
    events = converted(definitions, "all", was_made_before=False)
    assert len(assertions(one(events, "settled__checks", "START"))) == 2
