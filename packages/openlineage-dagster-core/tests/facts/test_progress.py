from typing import Any

import dagster as dg
from dagster import AssetKey
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationPlanned,
)

from openlineage_dagster_core.facts.model import CheckRound
from openlineage_dagster_core.facts.progress import ProgressLog
from recorded_run import RUN_ID, execute, log_of

DAYS = dg.StaticPartitionsDefinition(["mon", "tue", "wed"])


@dg.asset
def good() -> None: ...


@dg.asset(deps=[good], check_specs=[dg.AssetCheckSpec("ok", asset="bad")])
def bad():
    raise ValueError("boom")


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def ranged() -> None: ...


DEFINITIONS = dg.Definitions(
    assets=[good, bad, ranged],
    jobs=[
        dg.define_asset_job("plain", selection=["good", "bad"]),
        dg.define_asset_job("range", selection=["ranged"]),
    ],
)


def followed(job_name: str, tags: dict[str, str] | None = None) -> ProgressLog:
    with dg.DagsterInstance.ephemeral() as instance:
        execute(DEFINITIONS, job_name, instance, run_id=RUN_ID, tags=tags)
        entries = log_of(instance, RUN_ID)
    log = ProgressLog()
    for entry in entries:
        log.observe(entry)
    return log


def test_a_run_is_followed_to_its_end() -> None:
    progress = followed("plain").progress
    assert progress.has_started
    assert progress.has_ended
    assert progress.planned == {
        "good": {AssetKey("good"): {None}},
        "bad": {AssetKey("bad"): {None}},
    }
    assert progress.planned_checks == {AssetKey("bad"): {"ok": "bad"}}
    assert progress.materialized.keys() == {AssetKey("good")}
    assert progress.materialized[AssetKey("good")].keys() == {None}
    assert progress.ended.keys() == {"good", "bad"}
    assert progress.started["good"] < progress.started["bad"]


def test_the_error_is_the_users_with_its_whole_story() -> None:
    error = followed("plain").progress.errors["bad"]
    assert error.message == "ValueError: boom"
    assert "in bad" in error.stack
    assert "DagsterExecutionStepExecutionError" in error.stack


def test_a_range_is_planned_partition_by_partition() -> None:
    tags = {
        "dagster/asset_partition_range_start": "mon",
        "dagster/asset_partition_range_end": "tue",
    }
    progress = followed("range", tags).progress
    assert progress.planned["ranged"] == {AssetKey("ranged"): {"mon", "tue"}}
    assert progress.materialized[AssetKey("ranged")].keys() == {"mon", "tue"}


def test_before_anything_nothing_is_known() -> None:
    progress = ProgressLog().progress
    assert not progress.has_started
    assert not progress.has_ended
    assert not progress.planned


def test_a_partition_is_materialized_for_its_own_asset() -> None:
    tags = {
        "dagster/asset_partition_range_start": "mon",
        "dagster/asset_partition_range_end": "tue",
    }
    progress = followed("range", tags).progress
    assert progress.is_materialized((AssetKey("ranged"), "mon"))
    assert not progress.is_materialized((AssetKey("ranged"), "wed"))
    assert not progress.is_materialized((AssetKey("good"), "mon"))
    assert AssetKey("good") not in progress.materialized


def evaluation(log: ProgressLog, name: str, timestamp: float) -> None:
    evaluated = dg.AssetCheckEvaluation(asset_key=CHECKED, check_name=name, passed=True)
    log.observe(of_type(dg.DagsterEventType.ASSET_CHECK_EVALUATION, evaluated, timestamp))


def of_type(event_type: dg.DagsterEventType, data: Any, timestamp: float = 0.0) -> dg.EventLogEntry:
    event = dg.DagsterEvent(event_type.value, "plain", event_specific_data=data)
    return dg.EventLogEntry(None, "debug", "", RUN_ID, timestamp, dagster_event=event)


CHECKED = AssetKey("checked")
WHOLE = (CHECKED, None)


def test_a_round_of_checks_lasts_until_each_planned_check_has_been_evaluated() -> None:
    log = ProgressLog()
    for name in ("first", "second"):
        planned = AssetCheckEvaluationPlanned(asset_key=CHECKED, check_name=name)
        log.observe(of_type(dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED, planned))
    assert not log.progress.check_rounds

    evaluation(log, "first", 1.0)
    evaluation(log, "first", 2.0)
    evaluation(log, "unplanned", 3.0)
    assert log.progress.check_rounds == {WHOLE: CheckRound(1.0, is_late=False, missing={"second"})}
    evaluation(log, "second", 4.0)
    assert not log.progress.check_rounds

    evaluation(log, "second", 5.0)
    assert log.progress.check_rounds == {WHOLE: CheckRound(5.0, is_late=True, missing={"first"})}
    evaluation(log, "first", 6.0)
    assert not log.progress.check_rounds
    assert log.progress.evaluations[WHOLE].keys() == {"first", "second", "unplanned"}


def test_checks_without_a_plan_leave_no_round_open() -> None:
    log = ProgressLog()
    evaluation(log, "by_hand", 1.0)
    assert not log.progress.check_rounds
    again = log.progress.check_round(WHOLE, 2.0)
    assert again == CheckRound(2.0, is_late=True, missing=set())


def test_following_checks_is_linear_in_their_number() -> None:
    """Counted, not timed: how often the names of the planned checks are gone through."""
    looked = 0

    class Counted(dict[str, str | None]):
        def __iter__(self) -> Any:
            nonlocal looked
            looked += 1
            return super().__iter__()

    names = [f"{number:05}" for number in range(1_000)]
    log = ProgressLog()
    log.progress.planned_checks[CHECKED] = Counted.fromkeys(names)
    for timestamp, name in enumerate(names):
        evaluation(log, name, float(timestamp))
    assert not log.progress.check_rounds
    assert looked == 1
