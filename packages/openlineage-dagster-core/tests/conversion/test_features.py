"""One golden file for each Dagster feature, and what must hold for all of them."""

import json
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest
from packaging.version import Version

from openlineage_dagster_core.facts.definitions import DefinedAssets
from openlineage_dagster_core.facts.event_log import run_facts
from openlineage_dagster_core.facts.materialized import NOTHING
from openlineage_dagster_core.facts.model import Facts
from openlineage_dagster_core.facts.progress import ProgressLog
from openlineage_dagster_core.families import RUN_ENDS
from openlineage_dagster_core.options import ObservationEvents
from openlineage_dagster_core.settings import Settings
from recorded_run import (
    CREATED_AT,
    RUN_ID,
    converted,
    converted_log,
    execute,
    log_of,
    states_by_run,
)

Json = dict[str, Any]
Golden = Callable[[str, list[Json]], None]

ENDS = {"COMPLETE", "FAIL", "ABORT"}

DAYS = dg.DailyPartitionsDefinition(start_date="2026-01-01")
SCHEMA = dg.TableSchema([dg.TableColumn("id", "int", "The key"), dg.TableColumn("day", "date")])


def schema(*names: str) -> dg.TableSchema:
    return dg.TableSchema([dg.TableColumn(name) for name in names])


external = dg.AssetSpec(["erp", "stock"], description="Kept elsewhere")


@dg.asset(key=["raw", "orders"], metadata={"dagster/column_schema": SCHEMA}, deps=[external])
def orders() -> None:
    """Orders of the day."""


@dg.asset(key=["mart", "revenue"], deps=[orders])
def revenue() -> dg.MaterializeResult:
    lineage = dg.TableColumnLineage(
        {"total": [dg.TableColumnDep(dg.AssetKey(["raw", "orders"]), "id")]}
    )
    return dg.MaterializeResult(
        metadata={"dagster/column_schema": schema("total"), "dagster/column_lineage": lineage}
    )


@dg.asset(
    owners=["team:sales", "ada@example.org"],
    kinds={"sql"},
    tags={"pii": "yes"},
    group_name="described",
    code_version="3",
    deps=[orders],
)
def described() -> dg.MaterializeResult:
    return dg.MaterializeResult(
        metadata={"dagster/row_count": 42}, data_version=dg.DataVersion("v1")
    )


@dg.asset(deps=[described])
def reads_described() -> dg.MaterializeResult:
    return dg.MaterializeResult(data_version=dg.DataVersion("v2"))


@dg.asset(deps=[orders])
def fails() -> None:
    raise ValueError("no history")


@dg.asset(deps=[fails])
def after_failure() -> None: ...


@dg.multi_asset(
    specs=[
        dg.AssetSpec("a", deps=[["raw", "orders"]]),
        dg.AssetSpec("b", deps=["a"]),
        dg.AssetSpec("skipped", deps=["a"], skippable=True),
    ]
)
def several():
    yield dg.MaterializeResult(asset_key="a")
    yield dg.MaterializeResult(asset_key="b")


@dg.multi_asset(specs=[dg.AssetSpec("made"), dg.AssetSpec("unmade")])
def half():
    yield dg.MaterializeResult(asset_key="made")
    raise ValueError("in the middle")


@dg.asset(partitions_def=DAYS, deps=[orders])
def daily() -> None: ...


@dg.asset(
    check_specs=[
        dg.AssetCheckSpec("first", asset="checked"),
        dg.AssetCheckSpec("second", asset="checked"),
    ]
)
def checked() -> dg.MaterializeResult:
    return dg.MaterializeResult(
        check_results=[
            dg.AssetCheckResult(check_name="first", passed=True),
            dg.AssetCheckResult(
                check_name="second",
                passed=False,
                severity=dg.AssetCheckSeverity.WARN,
                description="Not quite",
                metadata={"dagster/column": "id"},
            ),
        ]
    )


@dg.asset_check(asset=checked)
def standalone() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.op(retry_policy=dg.RetryPolicy(max_retries=1))
def flaky(context: dg.OpExecutionContext) -> None:
    if context.retry_number == 0:
        raise ValueError("once")


@dg.op(out=dg.DynamicOut())
def fan_out():
    yield dg.DynamicOutput(1, mapping_key="one")
    yield dg.DynamicOutput(2, mapping_key="two")


@dg.op
def work(number: int) -> None: ...


@dg.job
def ops() -> None:
    flaky()
    fan_out().map(work)


@dg.op
def logs_materialization(context: dg.OpExecutionContext) -> None:
    context.log_event(dg.AssetMaterialization(["ad", "hoc"]))
    context.log_event(dg.AssetMaterialization(["ad", "hoc"]))


@dg.job
def ad_hoc() -> None:
    logs_materialization()


@dg.observable_source_asset
def observed() -> dg.DataVersion:
    return dg.DataVersion("1")


def job(name: str, *selection: dg.AssetsDefinition | dg.AssetChecksDefinition) -> Any:
    return dg.define_asset_job(
        name, selection=dg.AssetSelection.assets(*selection).without_checks()
    )


DEFINITIONS = dg.Definitions(
    assets=[
        external,
        observed,
        orders,
        revenue,
        described,
        reads_described,
        fails,
        after_failure,
        several,
        half,
        daily,
        checked,
    ],
    asset_checks=[standalone],
    jobs=[
        ops,
        ad_hoc,
        job("materialize", orders, revenue),
        job("description", described, reads_described),
        job("failure", orders, fails, after_failure),
        job("multi_asset", several),
        job("half_a_multi_asset", half),
        dg.define_asset_job("partition", selection=[daily, orders]),
        dg.define_asset_job("observation", selection=["observed"]),
        dg.define_asset_job("checks", selection=dg.AssetSelection.assets(checked)),
    ],
)

FEATURES: dict[str, dict[str, Any]] = {
    "materialize": {},
    "description": {},
    "failure": {},
    "multi_asset": {},
    "half_a_multi_asset": {},
    "partition": {"partition_key": "2026-01-05"},
    "checks": {},
    "observation": {},
    "ops": {},
    "ad_hoc": {},
}


def runs_of(feature: str) -> list[Json]:
    events = converted(DEFINITIONS, feature, **FEATURES[feature])
    return [event for event in events if "run" in event]


def by_name(events: list[Json], name: str, state: str) -> Json:
    runs = [event for event in events if "run" in event]
    [event] = [e for e in runs if e["job"]["name"] == name and e["eventType"] == state]
    return event


def names(datasets: list[Json]) -> list[str]:
    return [dataset["name"] for dataset in datasets]


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_gives_the_events_of_its_golden_file(feature: str, golden: Golden) -> None:
    # Before 1.12, Dagster stores a step's checks before its materialization, so their START waits.
    is_before = feature == "checks" and Version(dg.__version__) < Version("1.12")
    name = "checks_before_materialization" if is_before else feature
    golden(name, converted(DEFINITIONS, feature, **FEATURES[feature]))


@pytest.mark.parametrize("knows_definitions", [True, False])
@pytest.mark.parametrize("feature", FEATURES)
def test_every_run_starts_once_and_ends_once(feature: str, knows_definitions: bool) -> None:
    events = converted(
        DEFINITIONS, feature, knows_definitions=knows_definitions, **FEATURES[feature]
    )
    for states in states_by_run(events).values():
        assert states[0] == "START"
        assert states.count("START") == 1
        assert states[-1] in ENDS
        assert len(ENDS.intersection(states)) == 1
        assert sum(state in ENDS for state in states) == 1


@pytest.mark.parametrize("feature", FEATURES)
def test_all_events_of_a_run_carry_both_sides_in_full(feature: str) -> None:
    sides: dict[str, tuple[list[str], list[str]]] = {}
    for event in runs_of(feature):
        both = (names(event["inputs"]), names(event["outputs"]))
        assert sides.setdefault(event["run"]["runId"], both) == both


@pytest.mark.parametrize("feature", FEATURES)
def test_no_run_id_serves_two_jobs(feature: str) -> None:
    jobs: dict[str, str] = {}
    for event in runs_of(feature):
        name = event["job"]["name"]
        assert jobs.setdefault(event["run"]["runId"], name) == name


def test_converting_twice_gives_the_same() -> None:
    first = converted(DEFINITIONS, "materialize")
    assert converted(DEFINITIONS, "materialize") == first


def test_an_asset_is_a_job_with_its_upstream_as_inputs() -> None:
    events = converted(DEFINITIONS, "materialize")
    for state in ("START", "COMPLETE"):
        event = by_name(events, "mart/revenue", state)
        assert names(event["inputs"]) == ["raw/orders"]
        assert names(event["outputs"]) == ["mart/revenue"]
        assert "parent" not in event["run"]["facets"]


def test_an_input_carries_the_facets_of_its_definition() -> None:
    events = converted(DEFINITIONS, "materialize")
    [as_input] = by_name(events, "mart/revenue", "COMPLETE")["inputs"]
    [as_output] = by_name(events, "raw/orders", "COMPLETE")["outputs"]
    for facets in (as_input["facets"], as_output["facets"]):
        del facets["version"]
    assert as_input["facets"] == as_output["facets"]
    assert as_input["facets"].keys() == {"schema", "documentation", "tags", "dataSource"}


def test_owners_tags_kinds_and_group_describe_dataset_and_job() -> None:
    events = converted(DEFINITIONS, "description")
    event = by_name(events, "described", "COMPLETE")
    [dataset] = event["outputs"]
    for facets in (dataset["facets"], event["job"]["facets"]):
        assert [owner["name"] for owner in facets["ownership"]["owners"]] == [
            "team:sales",
            "user:ada@example.org",
        ]
        assert [(tag["key"], tag["value"]) for tag in facets["tags"]["tags"]] == [
            ("dagster/kind", "sql"),
            ("pii", "yes"),
            ("dagster/group", "described"),
        ]


def test_data_versions_and_row_counts_come_with_the_materialization() -> None:
    events = converted(DEFINITIONS, "description")
    [made] = by_name(events, "described", "COMPLETE")["outputs"]
    assert made["facets"]["version"]["datasetVersion"] == "v1"
    assert made["outputFacets"]["outputStatistics"]["rowCount"] == 42
    [read] = by_name(events, "reads_described", "COMPLETE")["inputs"]
    assert read["facets"]["version"]["datasetVersion"] == "v1"
    [before] = by_name(events, "described", "START")["outputs"]
    assert before == made


@pytest.mark.parametrize("knows_definitions", [True, False])
@pytest.mark.parametrize("feature", FEATURES)
def test_all_events_of_a_run_give_what_it_writes_one_schema(
    feature: str, knows_definitions: bool
) -> None:
    """Of two Marquez would keep either."""
    events = converted(
        DEFINITIONS, feature, knows_definitions=knows_definitions, **FEATURES[feature]
    )
    schemas: dict[str, set[str]] = {}
    for event in events:
        for dataset in event.get("outputs", ()):
            facet = json.dumps(dataset["facets"].get("schema"), sort_keys=True)
            schemas.setdefault(event["run"]["runId"], set()).add(facet)
    assert all(len(each) == 1 for each in schemas.values())


@pytest.mark.parametrize(
    ("step", "options", "was_made_before", "starts"),
    [
        ("raw__orders", {}, True, ["raw/orders"]),
        ("raw__orders", {}, False, []),
        ("mart__revenue", {}, True, []),
        ("mart__revenue", {"disabled_facets": ["schema"]}, True, ["mart/revenue"]),
    ],
)
def test_a_run_starts_with_its_step_unless_the_materialization_may_say_more(
    step: str, options: dict[str, Any], was_made_before: bool, starts: list[str]
) -> None:
    graph = DEFINITIONS.get_repository_def().asset_graph
    with dg.DagsterInstance.ephemeral() as instance:
        run = run_facts(
            execute(DEFINITIONS, "materialize", instance, run_id=RUN_ID).dagster_run, CREATED_AT
        )
        entries = log_of(instance, RUN_ID)
    assets = DefinedAssets(graph)
    made_before = dict.fromkeys(assets, NOTHING) if was_made_before else {}
    facts = Facts(run, ProgressLog().progress, assets, made_before=made_before)
    begin = next(
        position
        for position, entry in enumerate(entries)
        if entry.step_key == step and entry.dagster_event_type is dg.DagsterEventType.STEP_START
    )
    settings = Settings.from_options(options)
    before = converted_log(entries[:begin], facts, settings)
    events = converted_log(entries[: begin + 1], facts, settings)[len(before) :]
    assert [event["job"]["name"] for event in events] == [f"materialize.{step}", *starts]
    whole = converted_log(entries, facts, settings)
    began = by_name(whole, f"materialize.{step}", "START")["eventTime"]
    assert by_name(whole, step.replace("__", "/"), "START")["eventTime"] == began


def test_the_run_keeps_its_dagster_id_and_steps_are_its_children() -> None:
    events = converted(DEFINITIONS, "materialize")
    assert by_name(events, "materialize", "COMPLETE")["run"]["runId"] == RUN_ID
    step = by_name(events, "materialize.raw__orders", "COMPLETE")
    assert step["run"]["facets"]["parent"]["run"]["runId"] == RUN_ID
    assert step["run"]["facets"]["parent"]["job"]["name"] == "materialize"


def test_a_failing_asset_fails_with_the_users_error_and_its_edges() -> None:
    events = converted(DEFINITIONS, "failure")
    event = by_name(events, "fails", "FAIL")
    assert event["run"]["facets"]["errorMessage"]["message"] == "ValueError: no history"
    assert names(event["inputs"]) == ["raw/orders"]
    assert names(event["outputs"]) == ["fails"]


def test_an_asset_behind_a_failure_fails_too_with_the_runs_reason() -> None:
    event = by_name(converted(DEFINITIONS, "failure"), "after_failure", "FAIL")
    assert "Steps failed" in event["run"]["facets"]["errorMessage"]["message"]
    assert names(event["inputs"]) == ["fails"]


def test_a_failed_run_names_the_steps_with_the_first_ones_stack() -> None:
    error = by_name(converted(DEFINITIONS, "failure"), "failure", "FAIL")["run"]["facets"]
    assert "Steps failed: ['fails']" in error["errorMessage"]["message"]
    assert "ValueError: no history" in error["errorMessage"]["stackTrace"]


def test_the_run_ends_after_everything_in_it() -> None:
    for feature in ("failure", "multi_asset"):
        assert converted(DEFINITIONS, feature)[-1]["job"]["name"] == feature


def test_a_skipped_output_is_aborted_and_no_failure() -> None:
    events = converted(DEFINITIONS, "multi_asset")
    assert "errorMessage" not in by_name(events, "skipped", "ABORT")["run"]["facets"]
    assert by_name(events, "multi_asset", "COMPLETE")


def test_the_edges_within_a_multi_asset_are_exact() -> None:
    events = converted(DEFINITIONS, "multi_asset")
    assert names(by_name(events, "a", "COMPLETE")["inputs"]) == ["raw/orders"]
    assert names(by_name(events, "b", "COMPLETE")["inputs"]) == ["a"]


def test_observing_an_asset_is_no_run_of_it() -> None:
    events = converted(DEFINITIONS, "observation")
    jobs = {event["job"]["name"] for event in events if "job" in event}
    assert jobs == {"observation", "observation.observed"}


def test_an_observation_is_a_dataset_event_with_what_was_seen() -> None:
    events = converted(DEFINITIONS, "observation")
    [dataset] = [event["dataset"] for event in events if "dataset" in event]
    assert dataset["name"] == "observed"
    assert dataset["facets"]["version"]["datasetVersion"] == "1"


def test_where_asked_for_an_observation_is_a_run_that_reads_the_dataset(golden: Golden) -> None:
    settings = Settings(observation_events=ObservationEvents.RUN)
    events = converted(DEFINITIONS, "observation", settings=settings)
    golden("observation_as_run", events)
    event = by_name(events, "observed__observations", "COMPLETE")
    assert names(event["inputs"]) == ["observed"]
    assert event["outputs"] == []
    assert event["job"]["facets"]["jobType"]["jobType"] == "OBSERVATION"


def test_what_a_failing_multi_asset_made_is_made() -> None:
    events = converted(DEFINITIONS, "half_a_multi_asset")
    assert by_name(events, "made", "COMPLETE")
    assert by_name(events, "unmade", "FAIL")


def test_an_asset_without_partitions_has_none_in_a_run_for_one() -> None:
    events = converted(DEFINITIONS, "partition", partition_key="2026-01-05")
    daily_run = by_name(events, "daily", "COMPLETE")["run"]["facets"]["dagster_run"]
    orders_run = by_name(events, "raw/orders", "COMPLETE")["run"]["facets"]["dagster_run"]
    assert daily_run["partition"] == "2026-01-05"
    for state in ("START", "COMPLETE"):
        facets = by_name(events, "daily", state)["run"]["facets"]
        assert facets["nominalTime"]["nominalStartTime"] == "2026-01-05T00:00:00+00:00"
        assert facets["nominalTime"]["nominalEndTime"] == "2026-01-06T00:00:00+00:00"
    assert "partition" not in orders_run


def test_the_checks_of_an_asset_are_one_run_with_all_assertions() -> None:
    events = converted(DEFINITIONS, "checks")
    event = by_name(events, "checked__checks", "COMPLETE")
    [dataset] = event["inputs"]
    assertions = dataset["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert [(a["assertion"], a["success"]) for a in assertions] == [
        ("first", True),
        ("second", False),
        ("standalone", True),
    ]
    assert assertions[1]["severity"] == "warn"
    assert assertions[1]["column"] == "id"
    assert event["outputs"] == []


def test_the_strict_mapping_of_0_2_fails_a_passing_warning() -> None:
    @dg.asset(check_specs=[dg.AssetCheckSpec("warns", asset="one")])
    def one() -> dg.MaterializeResult:
        result = dg.AssetCheckResult(
            check_name="warns", passed=True, severity=dg.AssetCheckSeverity.WARN
        )
        return dg.MaterializeResult(check_results=[result])

    definitions = dg.Definitions([one], jobs=[dg.define_asset_job("all")])
    for strict in (True, False):
        events = converted(definitions, "all", settings=Settings(strict_assertion_mapping=strict))
        [dataset] = by_name(events, "one__checks", "COMPLETE")["inputs"]
        [assertion] = dataset["inputFacets"]["dataQualityAssertions"]["assertions"]
        assert assertion["success"] is not strict


def test_a_retried_step_is_one_run_that_goes_on() -> None:
    states = states_by_run(converted(DEFINITIONS, "ops"))
    [flaky_states] = [s for (name, _), s in states.items() if name == "ops.flaky"]
    assert flaky_states == ["START", "RUNNING", "COMPLETE"]


def test_mapped_steps_are_one_job_with_a_run_each() -> None:
    states = states_by_run(converted(DEFINITIONS, "ops"))
    assert [s for (name, _), s in states.items() if name == "ops.work"] == [
        ["START", "COMPLETE"],
        ["START", "COMPLETE"],
    ]


def test_without_definitions_the_inputs_come_from_the_tags() -> None:
    events = converted(DEFINITIONS, "materialize", knows_definitions=False)
    for state in ("START", "COMPLETE"):
        event = by_name(events, "mart/revenue", state)
        assert names(event["inputs"]) == ["raw/orders"]
    step = by_name(events, "materialize.mart__revenue", "START")
    assert by_name(events, "mart/revenue", "START")["eventTime"] == step["eventTime"]


def test_what_is_materialized_again_is_another_run_that_starts_and_ends() -> None:
    events = converted(DEFINITIONS, "ad_hoc")
    of_asset = [e for e in events if e["job"]["name"] == "ad/hoc"]
    assert [e["eventType"] for e in of_asset] == ["START", "COMPLETE"] * 2
    assert len({e["run"]["runId"] for e in of_asset}) == 2


def test_a_worker_that_goes_on_after_its_run_was_cancelled_ends_nothing_twice() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        execute(DEFINITIONS, "materialize", instance, run_id=RUN_ID)
        run = run_facts(instance.get_run_records()[0].dagster_run, CREATED_AT)
        [end] = [e for e in log_of(instance, RUN_ID) if e.dagster_event_type in RUN_ENDS]
        entries = log_of(instance, RUN_ID)
    cancelled = end._replace(
        dagster_event=end.get_dagster_event()._replace(event_type_value="PIPELINE_CANCELED")
    )
    first_step_start = next(
        position
        for position, entry in enumerate(entries)
        if entry.dagster_event_type is dg.DagsterEventType.STEP_START
    )
    entries.insert(first_step_start + 1, cancelled)
    graph = DEFINITIONS.get_repository_def().asset_graph
    facts = Facts(run, ProgressLog().progress, DefinedAssets(graph))
    states = states_by_run(converted_log(entries, facts))
    for of_run in states.values():
        assert of_run == ["START", "ABORT"]
    assert {name for name, _ in states} == {
        "materialize",
        "materialize.raw__orders",
        "raw/orders",
        "mart/revenue",
    }
