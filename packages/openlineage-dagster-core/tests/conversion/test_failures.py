"""What fails, is skipped, cancelled or tried again: every run ends once, and rightly."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.events import (
    AssetMaterializationFailure,
    AssetMaterializationFailureReason,
    AssetMaterializationFailureType,
)
from dagster._core.events import AssetFailedToMaterializeData, DagsterEvent

from openlineage_dagster_core.facts.definitions import DefinedAssets, DefinedJobs
from openlineage_dagster_core.facts.event_log import run_facts
from openlineage_dagster_core.facts.model import Definitions, Facts
from openlineage_dagster_core.facts.progress import ProgressLog
from openlineage_dagster_core.families import RUN_ENDS
from recorded_run import (
    CREATED_AT,
    RUN_ID,
    check_runs,
    converted,
    converted_instance,
    converted_log,
    execute,
    log_of,
    names,
    one,
    states_by_run,
)

Json = dict[str, Any]
Golden = Callable[[str, list[Json]], None]


@dg.asset
def source() -> int:
    return 1


@dg.resource
def broken_resource() -> None:
    raise RuntimeError("no connection to postgres://me:s3cret@db/x")


@dg.asset(deps=[source], required_resource_keys={"broken"})
def needs_resource() -> None: ...


@dg.failure_hook
def broken_hook(context: dg.HookContext) -> None:
    raise RuntimeError("hook")


@dg.success_hook
def broken_success_hook(context: dg.HookContext) -> None:
    raise RuntimeError("hook")


@dg.op
def works() -> None: ...


@dg.job(hooks={broken_success_hook, broken_hook})
def hooked() -> None:
    works()


@dg.op(out={"yes": dg.Out(is_required=False), "no": dg.Out(is_required=False)})
def decides():
    yield dg.Output(1, "yes")


@dg.op
def if_yes(number: int) -> None: ...


@dg.op
def if_no(number: int) -> None: ...


@dg.job
def conditional() -> None:
    yes, no = decides()
    if_yes(yes)
    if_no(no)


@dg.asset(deps=[source], retry_policy=dg.RetryPolicy(max_retries=1))
def second_time(context: dg.AssetExecutionContext) -> Iterator[Any]:
    yield dg.AssetMaterialization("second_time")
    if context.retry_number == 0:
        raise ValueError("once")
    yield dg.Output(None)


@dg.asset(deps=[source])
def fails_with_secret() -> None:
    raise ValueError("cannot reach postgres://me:s3cret@db/x")


@dg.multi_asset(
    specs=[dg.AssetSpec(name, deps=[source], skippable=True) for name in ("one", "two", "three")],
    can_subset=True,
)
def subsettable(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
    for key in sorted(context.selected_asset_keys):
        yield dg.MaterializeResult(asset_key=key)


@dg.op
def passes_on(value) -> int:
    return 1


@dg.op
def gives_up(number: int):
    raise ValueError("gave up")


@dg.graph_asset(ins={"source": dg.AssetIn("source")})
def of_graph(source):
    return gives_up(passes_on(source))


DEFINITIONS = dg.Definitions(
    assets=[
        source,
        needs_resource,
        second_time,
        fails_with_secret,
        subsettable,
        of_graph,
    ],
    resources={"broken": broken_resource},
    jobs=[
        hooked,
        conditional,
        dg.define_asset_job("resource", selection=[source, needs_resource]),
        dg.define_asset_job("again", selection=[second_time]),
        dg.define_asset_job("secret", selection=[fails_with_secret]),
        dg.define_asset_job("subset", selection=["one", "two"]),
        dg.define_asset_job("graph", selection=[source, of_graph]),
        dg.define_asset_job("plain", selection=[source]),
    ],
)


def error(event: Json) -> Json:
    return dict(event["run"]["facets"]["errorMessage"])


def test_a_resource_that_does_not_start_fails_the_run_and_its_assets(golden: Golden) -> None:
    events = converted(DEFINITIONS, "resource")
    golden("resource_failure", events)
    check_runs(events)
    for name in ("resource", "needs_resource"):
        assert one(events, name, "FAIL")
    assert "s3cret" not in str(events)


def test_a_hook_that_fails_changes_nothing(golden: Golden) -> None:
    events = converted(DEFINITIONS, "hooked")
    golden("hook_failure", events)
    check_runs(events)
    assert one(events, "hooked.works", "COMPLETE")
    assert one(events, "hooked", "COMPLETE")


def test_a_skipped_step_is_aborted_without_an_error(golden: Golden) -> None:
    events = converted(DEFINITIONS, "conditional")
    golden("skipped_step", events)
    check_runs(events)
    assert "errorMessage" not in one(events, "conditional.if_no", "ABORT")["run"]["facets"]
    assert one(events, "conditional.if_yes", "COMPLETE")


def test_what_a_retried_step_materialized_again_is_a_run_of_its_own(golden: Golden) -> None:
    events = converted(DEFINITIONS, "again")
    golden("retried_materialization", events)
    check_runs(events)
    assert [e["eventType"] for e in events if e["job"]["name"] == "second_time"] == [
        "START",
        "COMPLETE",
    ] * 3, "by hand in each attempt, and by the second one itself"
    attempts = [
        (event["eventType"], event["run"]["facets"]["dagster_run"]["attempt"])
        for event in events
        if event["job"]["name"] == "again.second_time"
    ]
    assert attempts == [("START", 1), ("RUNNING", 1), ("COMPLETE", 2)]


def test_a_users_exception_comes_with_its_stack_and_without_its_secrets() -> None:
    events = converted(DEFINITIONS, "secret")
    for name in ("fails_with_secret", "secret.fails_with_secret"):
        found = error(one(events, name, "FAIL"))
        assert found["message"].startswith("ValueError: cannot reach postgres://")
        assert "in fails_with_secret" in found["stackTrace"]
    assert "s3cret" not in str(events)


def test_what_is_not_selected_of_a_multi_asset_is_no_failure() -> None:
    events = converted(DEFINITIONS, "subset")
    check_runs(events)
    assert "three" not in {event["job"]["name"] for event in events}
    assert one(events, "two", "COMPLETE")


def test_a_graph_asset_fails_with_the_step_that_makes_it(golden: Golden) -> None:
    events = converted(DEFINITIONS, "graph")
    golden("graph_asset_failure", events)
    check_runs(events)
    failed = one(events, "of_graph", "FAIL")
    assert names(failed["inputs"]) == ["source"]
    assert error(failed)["message"] == "ValueError: gave up"
    assert one(events, "graph.of_graph.passes_on", "COMPLETE")


def _recorded(job: str) -> tuple[Facts, list[dg.EventLogEntry]]:
    repository = DEFINITIONS.get_repository_def()
    with dg.DagsterInstance.ephemeral() as instance:
        execute(DEFINITIONS, job, instance, run_id=RUN_ID)
        run = run_facts(instance.get_run_records()[0].dagster_run, CREATED_AT)
        facts = Facts(run, ProgressLog().progress, DefinedAssets(repository.asset_graph))
        return facts, log_of(instance, RUN_ID)


def _until(entries: list[dg.EventLogEntry], last: dg.DagsterEventType) -> list[dg.EventLogEntry]:
    [position] = [i for i, entry in enumerate(entries) if entry.dagster_event_type is last]
    return entries[: position + 1]


def _ended_by(
    entries: list[dg.EventLogEntry], event_type: str, message: str
) -> list[dg.EventLogEntry]:
    """End a run in the middle, as the daemon does for a worker that is gone."""
    before = _until(entries, dg.DagsterEventType.STEP_START)
    [end] = [entry for entry in entries if entry.dagster_event_type in RUN_ENDS]
    event = end.get_dagster_event()._replace(event_type_value=event_type, message=message)
    return [*before, end._replace(dagster_event=event, user_message=message)]


def test_a_crashed_workers_assets_fail(golden: Golden) -> None:
    facts, entries = _recorded("plain")
    crashed = _ended_by(entries, "PIPELINE_FAILURE", "Run worker vanished")
    events = converted_log(crashed, facts)
    golden("crashed_worker", events)
    check_runs(events)
    for name in ("plain", "plain.source", "source"):
        assert error(one(events, name, "FAIL"))["message"] == "Run worker vanished"


def test_a_cancelled_runs_assets_are_aborted_with_the_reason(golden: Golden) -> None:
    facts, entries = _recorded("plain")
    cancelled = _ended_by(entries, "PIPELINE_CANCELED", "Run was cancelled by ada")
    events = converted_log(cancelled, facts)
    golden("cancelled", events)
    check_runs(events)
    for name in ("plain", "plain.source", "source"):
        assert error(one(events, name, "ABORT"))["message"] == "Run was cancelled by ada"


@pytest.mark.parametrize("ending", ["PIPELINE_FAILURE", "PIPELINE_CANCELED", "PIPELINE_SUCCESS"])
def test_a_second_end_of_a_run_changes_nothing(ending: str) -> None:
    facts, entries = _recorded("plain")
    once = converted_log(entries, facts)
    [end] = [entry for entry in entries if entry.dagster_event_type in RUN_ENDS]
    again = end._replace(dagster_event=end.get_dagster_event()._replace(event_type_value=ending))
    assert converted_log([*entries, again], facts) == once


def _failed_to_materialize(
    failure_type: AssetMaterializationFailureType, **options: Any
) -> dg.EventLogEntry:
    failure = AssetMaterializationFailure(
        asset_key=dg.AssetKey("source"),
        failure_type=failure_type,
        reason=AssetMaterializationFailureReason.FAILED_TO_MATERIALIZE,
        **options,
    )
    event = DagsterEvent(
        event_type_value="ASSET_FAILED_TO_MATERIALIZE",
        job_name="plain",
        step_key="source",
        event_specific_data=AssetFailedToMaterializeData(failure),
    )
    return dg.EventLogEntry(
        None,
        "debug",
        "",
        run_id=RUN_ID,
        timestamp=CREATED_AT.timestamp() + 60,
        step_key="source",
        job_name="plain",
        dagster_event=event,
    )


@pytest.mark.parametrize(
    ("failure_type", "state"),
    [
        (AssetMaterializationFailureType.FAILED, "FAIL"),
        (AssetMaterializationFailureType.SKIPPED, "ABORT"),
    ],
)
@pytest.mark.parametrize("knows_definitions", [True, False])
def test_dagster_plus_says_itself_that_an_asset_failed_simulated(
    failure_type: AssetMaterializationFailureType, state: str, knows_definitions: bool
) -> None:
    facts, entries = _recorded("plain")
    if not knows_definitions:
        facts = replace(facts, assets={})
    begun = _until(entries, dg.DagsterEventType.STEP_START)
    [end] = [entry for entry in entries if entry.dagster_event_type in RUN_ENDS]
    said = _failed_to_materialize(failure_type, tags={"dagster/input_event_pointer/elsewhere": "1"})
    events = converted_log([*begun, said, end], facts)
    check_runs(events)
    of_asset = [event for event in events if event["job"]["name"] == "source"]
    assert [event["eventType"] for event in of_asset] == ["START", state]
    if not knows_definitions:
        assert names(of_asset[0]["inputs"]) == ["elsewhere"]


def test_dagster_plus_says_so_after_the_step_has_ended_and_nothing_ends_twice_simulated() -> None:
    facts, entries = _recorded("plain")
    said = _failed_to_materialize(AssetMaterializationFailureType.FAILED)
    assert converted_log([*entries, said], facts) == converted_log(entries, facts)
    before_end = [*entries[:-1], said, entries[-1]]
    check_runs(converted_log(before_end, facts))


def _other_location() -> dg.Definitions:
    """The same asset as `source`, but made of something, and failing on demand."""

    @dg.asset(name="source", deps=["far_away"])
    def fails_sometimes(context: dg.AssetExecutionContext) -> None:
        if context.run.tags.get("fail"):
            raise ValueError("this time")

    return dg.Definitions(
        [fails_sometimes], jobs=[dg.define_asset_job("elsewhere", selection=[fails_sometimes])]
    )


def test_an_asset_without_a_definition_fails_with_the_edges_it_had_before() -> None:
    definitions = _other_location()
    job = definitions.get_repository_def().get_job("elsewhere")
    with dg.DagsterInstance.ephemeral() as instance:
        for tags in ({"fail": "yes"}, {}, {"fail": "yes"}):
            job.execute_in_process(instance=instance, raise_on_error=False, tags=tags)
        first, _, last = (
            converted_instance(
                instance,
                [record.event_log_entry for record in instance.get_records_for_run(run).records],
            )
            for run in reversed(
                [record.dagster_run.run_id for record in instance.get_run_records()]
            )
        )
    # Of an asset of which nothing was ever made, nothing is known.
    assert "source" not in {event["job"]["name"] for event in first}
    check_runs(last)
    failed = one(last, "source", "FAIL")
    assert names(failed["inputs"]) == ["far_away"]
    assert (
        one(last, "source", "START")["eventTime"]
        == (one(last, "elsewhere.source", "START")["eventTime"])
    )


def test_a_run_that_fails_before_its_steps_ends_what_it_planned() -> None:
    repository = DEFINITIONS.get_repository_def()
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(repository.get_job("plain"), run_id=RUN_ID)
        instance.report_run_failed(run, "Could not launch")
        entries = [
            record.event_log_entry for record in instance.get_records_for_run(RUN_ID).records
        ]
        events = converted_instance(
            instance,
            entries,
            Definitions(DefinedAssets(repository.asset_graph), DefinedJobs(repository)),
        )
    check_runs(events)
    assert states_by_run(events).keys() == {
        ("plain", RUN_ID),
        ("source", one(events, "source", "FAIL")["run"]["runId"]),
    }
    assert error(one(events, "source", "FAIL"))["message"] == "Could not launch"


def test_of_two_steps_that_materialize_an_asset_the_later_one_counts() -> None:
    @dg.op
    def makes_early(context: dg.OpExecutionContext) -> int:
        context.log_event(dg.AssetMaterialization("early", metadata={"dagster/row_count": 1}))
        return 1

    @dg.op
    def goes_on(number: int) -> dg.Output[int]:
        return dg.Output(number, metadata={"dagster/row_count": 2})

    @dg.graph_asset
    def early():
        return goes_on(makes_early())

    definitions = dg.Definitions([early], jobs=[dg.define_asset_job("all")])
    events = converted(definitions, "all")
    check_runs(events)
    of_asset = [e for e in events if e["job"]["name"] == "early"]
    assert [e["eventType"] for e in of_asset] == ["START", "COMPLETE"] * 2
    counts = [e["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] for e in of_asset]
    assert counts == [1, 1, 2, 2]


def test_a_graph_asset_fails_with_the_error_of_its_inner_step() -> None:
    @dg.op
    def breaks() -> int:
        raise ValueError("broken inside")

    @dg.op
    def goes_on(number: int) -> int:
        return number

    @dg.graph_asset
    def of_steps():
        return goes_on(breaks())

    @dg.asset(deps=[of_steps])
    def after() -> None: ...

    definitions = dg.Definitions([of_steps, after], jobs=[dg.define_asset_job("all")])
    events = converted(definitions, "all")
    check_runs(events)
    assert error(one(events, "of_steps", "FAIL"))["message"] == "ValueError: broken inside"
    assert "broken inside" not in error(one(events, "after", "FAIL"))["message"]


def test_an_observable_asset_that_logs_its_own_materialization_starts_and_ends() -> None:
    @dg.observable_source_asset
    def watched(context: dg.OpExecutionContext) -> dg.DataVersion:
        context.log_event(dg.AssetMaterialization("watched"))
        return dg.DataVersion("1")

    definitions = dg.Definitions([watched], jobs=[dg.define_asset_job("watch", ["watched"])])
    check_runs(converted(definitions, "watch"))


def test_a_job_with_the_name_of_its_asset_leaves_that_its_edges() -> None:
    @dg.asset(deps=[source])
    def orders() -> None: ...

    definitions = dg.Definitions([source, orders], jobs=[dg.define_asset_job("orders", [orders])])
    events = converted(definitions, "orders")
    check_runs(events)
    for event in events:
        if event["job"]["name"] == "orders":
            assert names(event["outputs"]) == ["orders"]
    step = one(events, "orders.orders", "START")["run"]["facets"]["parent"]
    assert step["job"]["name"] == "orders__run"
    assert one(events, "orders__run", "COMPLETE")["run"]["runId"] == RUN_ID


class DagsterDbtCliRuntimeError(Exception):
    """Named like the error of dagster-dbt."""


@dg.multi_asset(
    specs=[
        dg.AssetSpec("stg_orders", deps=[source]),
        dg.AssetSpec("orders", deps=["stg_orders"]),
        dg.AssetSpec("customers", deps=[source]),
    ]
)
def dbt_build() -> Iterator[dg.MaterializeResult]:
    yield dg.MaterializeResult(asset_key="customers")
    raise DagsterDbtCliRuntimeError(
        "The dbt CLI process with command\n\n`dbt build`\n\nfailed with exit code `1`.\n\n"
        "Failure in model stg_orders (models/stg_orders.sql)\n\n  Binder Error: no such column"
    )


def test_a_broken_dbt_model_fails_and_what_dbt_skips_is_aborted() -> None:
    definitions = dg.Definitions([source, dbt_build], jobs=[dg.define_asset_job("dbt")])
    events = converted(definitions, "dbt")
    check_runs(events)
    assert one(events, "customers", "COMPLETE")
    assert error(one(events, "stg_orders", "FAIL"))["message"] == (
        "Failure in model stg_orders (models/stg_orders.sql)\n\n  Binder Error: no such column"
    )
    assert error(one(events, "orders", "ABORT"))["message"] == (
        "dbt skipped this asset after the failure of: stg_orders"
    )
    assert "dbt build" in error(one(events, "dbt.dbt_build", "FAIL"))["message"]
