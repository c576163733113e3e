import dagster as dg
import pytest
from dagster import AssetKey, DagsterEventType

from openlineage_dagster_core.facts.definitions import DefinedAssets
from openlineage_dagster_core.facts.event_log import EventLogFacts
from openlineage_dagster_core.facts.model import Definitions
from openlineage_dagster_core.families import (
    ASSET_FAMILY,
    CHECK_FAMILY,
    CONVERTED,
    OBSERVATION_FAMILY,
)
from recorded_run import execute


@dg.asset
def first() -> None: ...


@dg.asset(deps=[first])
def second() -> None: ...


DEFINITIONS = dg.Definitions(
    assets=[first, second], jobs=[dg.define_asset_job("both", tags={"team": "a"})]
)


def entries(instance: dg.DagsterInstance, run_id: str) -> list[dg.EventLogEntry]:
    return [record.event_log_entry for record in instance.get_records_for_run(run_id).records]


def test_progress_is_what_came_before_the_event_and_not_after() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run_id = execute(DEFINITIONS, "both", instance).run_id
        log = entries(instance, run_id)
        [begin] = [
            entry
            for entry in log
            if entry.dagster_event_type is DagsterEventType.STEP_START
            and entry.step_key == "second"
        ]
        facts = EventLogFacts(lambda: instance).facts_of(begin, Definitions())
    assert set(facts.progress.started) == {"first"}
    assert facts.progress.materialized == {(AssetKey("first"), None)}
    assert not facts.progress.has_ended


def test_reading_afresh_at_any_event_gives_what_following_gives() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run_id = execute(DEFINITIONS, "both", instance).run_id
        following = EventLogFacts(lambda: instance)
        for entry in entries(instance, run_id):
            if entry.dagster_event_type not in CONVERTED:
                continue
            followed = following.facts_of(entry, Definitions())
            afresh = EventLogFacts(lambda: instance).facts_of(entry, Definitions())
            assert followed == afresh
            following.advance(entry)


def test_read_in_small_pages_the_facts_are_the_same() -> None:
    asked: list[int] = []

    def page(largest: int) -> int:
        asked.append(largest)
        return 2

    with dg.DagsterInstance.ephemeral() as instance:
        run_id = execute(DEFINITIONS, "both", instance).run_id
        last = entries(instance, run_id)[-1]
        at_once = EventLogFacts(lambda: instance).facts_of(last, Definitions())
        assert EventLogFacts(lambda: instance, page=page).facts_of(last, Definitions()) == at_once
    assert len(asked) > 3


def test_the_run_is_read_with_its_stored_creation_time() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run_id = execute(DEFINITIONS, "both", instance).run_id
        facts = EventLogFacts(lambda: instance).facts_of(
            entries(instance, run_id)[0], Definitions()
        )
        [record] = instance.get_run_records()
    assert facts.run.created_at == record.create_timestamp
    assert facts.run.job_name == "both"
    assert facts.run.tags["team"] == "a"


def test_the_events_of_a_deleted_run_still_agree_with_one_another() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run_id = execute(DEFINITIONS, "both", instance).run_id
        log = entries(instance, run_id)
        instance.delete_run(run_id)
        runs = {
            EventLogFacts(lambda: instance).facts_of(entry, Definitions()).run.created_at
            for entry in log
        }
    assert len(runs) == 1


def test_an_event_from_outside_any_run_stands_for_itself() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for partition in ("a", "b"):
            instance.report_runless_asset_event(
                dg.AssetMaterialization("reported", partition=partition)
            )
        fetched = instance.fetch_materializations(AssetKey("reported"), limit=2)
        found = EventLogFacts(lambda: instance)
        for record in fetched.records:
            entry = record.event_log_entry
            facts = found.facts_of(entry, Definitions())
            assert facts.run.run_id == ""
            assert facts.run.created_at.timestamp() == pytest.approx(entry.timestamp, abs=1e-5)
            assert not facts.progress.materialized
            found.advance(entry)


def test_what_a_run_is_tagged_with_at_its_end_is_no_fact_of_it() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run_id = execute(DEFINITIONS, "both", instance).run_id
        instance.add_run_tags(
            run_id, {"dagster/failure_reason": "STEP_FAILURE", "dagster/will_retry": "true"}
        )
        facts = EventLogFacts(lambda: instance).facts_of(
            entries(instance, run_id)[0], Definitions()
        )
    assert facts.run.tags["team"] == "a"
    assert "dagster/failure_reason" not in facts.run.tags
    assert "dagster/will_retry" not in facts.run.tags


def test_the_definitions_are_chosen_once_all_is_planned() -> None:
    repository = DEFINITIONS.get_repository_def()
    known = Definitions(DefinedAssets(repository.asset_graph))
    with dg.DagsterInstance.ephemeral() as instance:
        run_id = execute(DEFINITIONS, "both", instance).run_id
        following = EventLogFacts(lambda: instance)
        for entry in entries(instance, run_id):
            facts = following.facts_of(entry, known)
            following.advance(entry)
    assert set(facts.assets) == {AssetKey("first"), AssetKey("second")}


def test_what_nobody_planned_has_its_definition_where_it_is_at_hand_and_else_its_last_edges() -> (
    None
):
    @dg.op
    def logs(context: dg.OpExecutionContext) -> None:
        context.log_event(dg.AssetMaterialization("second"))
        context.log_event(dg.AssetObservation("second"))
        context.log_event(
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey("second"), check_name="by_hand", passed=True
            )
        )

    @dg.job
    def by_hand() -> None:
        logs()

    graph = DEFINITIONS.get_repository_def().asset_graph
    with dg.DagsterInstance.ephemeral() as instance:
        execute(DEFINITIONS, "both", instance)
        run_id = by_hand.execute_in_process(instance=instance).run_id
        by_type = {
            entry.dagster_event_type: entry
            for entry in entries(instance, run_id)
            if entry.dagster_event_type in ASSET_FAMILY | CHECK_FAMILY | OBSERVATION_FAMILY
        }
        for entry in by_type.values():
            defined = EventLogFacts(lambda: instance).facts_of(
                entry, Definitions(DefinedAssets(graph))
            )
            assert defined.assets[AssetKey("second")].upstream == (AssetKey("first"),)
        undefined = EventLogFacts(lambda: instance).facts_of(
            by_type[DagsterEventType.ASSET_MATERIALIZATION], Definitions()
        )
    assert len(by_type) == 3
    assert undefined.earlier_upstream[AssetKey("second")] == (AssetKey("first"),)
