import dagster as dg
from dagster import AssetKey

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
    assert progress.planned_checks == {AssetKey("bad"): {"ok"}}
    assert progress.materialized == {(AssetKey("good"), None)}
    assert progress.ended == {"good", "bad"}
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
    assert progress.materialized == {
        (AssetKey("ranged"), "mon"),
        (AssetKey("ranged"), "tue"),
    }


def test_before_anything_nothing_is_known() -> None:
    progress = ProgressLog().progress
    assert not progress.has_started
    assert not progress.has_ended
    assert not progress.planned
