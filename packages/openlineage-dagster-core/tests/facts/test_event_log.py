"""The facts of each event: its run, how far that was, and its definitions."""

import gc
import uuid
from collections.abc import Collection, Iterator
from typing import Any

import dagster as dg
import pytest
from dagster import AssetKey, DagsterEventType
from dagster._core.test_utils import create_run_for_test

from log_entries import add_run, counted_queries, materialization, run_event, run_of_steps
from openlineage_dagster_core.errors import FactsUnavailableError, RunDeletedError
from openlineage_dagster_core.event_log.stored_event import EventId, StoredEvent
from openlineage_dagster_core.facts import event_log
from openlineage_dagster_core.facts.definitions import DefinedAssets
from openlineage_dagster_core.facts.event_log import EventLogFacts, GivenDefinitions
from openlineage_dagster_core.facts.materialized import unpacked_materialization
from openlineage_dagster_core.facts.model import Definitions, Facts, KnownRun, OutsideParent
from openlineage_dagster_core.facts.progress import ProgressLog
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


FIRST = AssetKey("first")

DEFINITIONS = dg.Definitions(
    assets=[first, second], jobs=[dg.define_asset_job("both", tags={"team": "a"})]
)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def log_of(instance: dg.DagsterInstance, run_id: str) -> list[StoredEvent]:
    return [
        StoredEvent(EventId(run_id, record.storage_id), decoded=record.event_log_entry)
        for record in instance.get_records_for_run(run_id).records
        if record.event_log_entry.dagster_event is not None
    ]


def facts_from(instance: dg.DagsterInstance, known: Definitions | None = None, **options: Any):
    return EventLogFacts(lambda: instance, GivenDefinitions(known or Definitions()), **options)


def facts_of(found: EventLogFacts, event: StoredEvent) -> Facts:
    facts = found.facts_of(event, event.entry())
    assert facts is not None
    return facts


def every(runs: list[Any]) -> list[str]:
    """Say of all runs that no event of theirs came before."""
    return [run.dagster_run.run_id for run in runs]


def none(runs: list[Any]) -> list[str]:
    return []


def start_of(log: list[StoredEvent], step_key: str) -> StoredEvent:
    [event] = [
        event
        for event in log
        if event.entry().dagster_event_type is DagsterEventType.STEP_START
        and event.entry().step_key == step_key
    ]
    return event


def test_progress_is_what_came_before_the_event_and_not_after(
    instance: dg.DagsterInstance,
) -> None:
    log = log_of(instance, execute(DEFINITIONS, "both", instance).run_id)
    facts = facts_of(facts_from(instance), start_of(log, "second"))
    assert set(facts.progress.started) == {"first"}
    assert facts.progress.materialized.keys() == {AssetKey("first")}
    assert not facts.progress.has_ended


@pytest.mark.parametrize("complete", [every, none])
def test_reading_afresh_at_any_event_gives_what_following_gives(
    instance: dg.DagsterInstance, complete: Any
) -> None:
    log = log_of(instance, execute(DEFINITIONS, "both", instance).run_id)
    following = facts_from(instance)
    for event in log:
        following.prepare([event.entry()], complete)
        if event.entry().dagster_event_type in CONVERTED:
            followed = facts_of(following, event)
            assert followed == facts_of(facts_from(instance), event)
        following.advance(event.entry())


def test_a_run_that_was_forgotten_is_read_again_and_does_not_begin_anew(
    instance: dg.DagsterInstance,
) -> None:
    """An event of it came late, or it had no event for long."""
    log = log_of(instance, execute(DEFINITIONS, "both", instance).run_id)
    found = facts_from(instance)
    for event in log:
        found.forget(event.id.run_id)
        found.prepare([event.entry()], every)
        if event.entry().dagster_event_type in CONVERTED:
            assert facts_of(found, event) == facts_of(facts_from(instance), event)
        found.advance(event.entry())


def test_runs_that_there_is_no_room_for_are_read_again(instance: dg.DagsterInstance) -> None:
    logs = [log_of(instance, execute(DEFINITIONS, "both", instance).run_id) for _ in range(3)]
    found = facts_from(instance, events_remembered=5)
    for events in zip(*logs, strict=True):
        found.prepare([event.entry() for event in events], every)
        for event in events:
            if event.entry().dagster_event_type in CONVERTED:
                assert facts_of(found, event) == facts_of(facts_from(instance), event)
            found.advance(event.entry())


def test_the_runs_of_a_batch_are_read_together(instance: dg.DagsterInstance) -> None:
    logs = [log_of(instance, execute(DEFINITIONS, "both", instance).run_id) for _ in range(5)]
    entries = [event.entry() for log in logs for event in log]
    found = facts_from(instance)
    with counted_queries() as queries:
        found.prepare(entries, every)
        for log in logs:
            for event in log:
                found.facts_of(event, event.entry())
                found.advance(event.entry())
    assert len(queries) == 3, "the runs; which events, and what they say of the assets before"


def test_the_run_is_read_with_its_stored_creation_time(instance: dg.DagsterInstance) -> None:
    log = log_of(instance, execute(DEFINITIONS, "both", instance).run_id)
    facts = facts_of(facts_from(instance), log[0])
    [record] = instance.get_run_records()
    assert facts.run.created_at == record.create_timestamp
    assert facts.run.job_name == "both"
    assert facts.run.tags["team"] == "a"


def test_a_deleted_run_is_an_error_of_its_own(instance: dg.DagsterInstance) -> None:
    log = log_of(instance, execute(DEFINITIONS, "both", instance).run_id)
    instance.delete_run(log[0].id.run_id)
    found = facts_from(instance)
    found.prepare([event.entry() for event in log], every)
    with pytest.raises(RunDeletedError) as error:
        found.facts_of(log[0], log[0].entry())
    assert error.value.run_id == log[0].id.run_id


def test_a_database_that_fails_says_nothing_of_the_event(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_of(instance, execute(DEFINITIONS, "both", instance).run_id)
    found = facts_from(instance)

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("a-secret")

    monkeypatch.setattr(instance.run_storage, "connect", fail)
    with pytest.raises(FactsUnavailableError, match="runs cannot be read: OSError"):
        found.prepare([log[0].entry()], every)
    with pytest.raises(FactsUnavailableError, match=r"run .* cannot be read: OSError") as error:
        found.facts_of(log[0], log[0].entry())
    assert "a-secret" not in str(error.value)
    monkeypatch.undo()
    assert facts_of(found, log[0]).run.run_id == log[0].id.run_id


def test_an_event_from_outside_any_run_is_on_its_own(instance: dg.DagsterInstance) -> None:
    for partition in ("a", "b"):
        instance.report_runless_asset_event(
            dg.AssetMaterialization("reported", partition=partition)
        )
    found = facts_from(instance)
    events = log_of(instance, "")
    found.prepare([event.entry() for event in events], every)
    for event in events:
        facts = facts_of(found, event)
        assert facts.run.run_id == ""
        at = event.entry().timestamp
        assert facts.run.created_at.timestamp() == pytest.approx(at, abs=1e-5)
        assert not facts.progress.materialized
        found.advance(event.entry())


def test_tags_that_a_run_gets_at_its_end_are_no_fact_of_it(instance: dg.DagsterInstance) -> None:
    log = log_of(instance, execute(DEFINITIONS, "both", instance).run_id)
    instance.add_run_tags(
        log[0].id.run_id, {"dagster/failure_reason": "STEP_FAILURE", "dagster/will_retry": "true"}
    )
    facts = facts_of(facts_from(instance), log[0])
    assert facts.run.tags["team"] == "a"
    assert "dagster/failure_reason" not in facts.run.tags
    assert "dagster/will_retry" not in facts.run.tags


def test_the_definitions_are_chosen_once_all_is_planned(instance: dg.DagsterInstance) -> None:
    repository = DEFINITIONS.get_repository_def()
    known = Definitions(DefinedAssets(repository.asset_graph))
    log = log_of(instance, execute(DEFINITIONS, "both", instance).run_id)
    following = facts_from(instance, known)
    for event in log:
        if event.entry().dagster_event_type in CONVERTED:
            facts = facts_of(following, event)
        following.advance(event.entry())
    assert set(facts.assets) == {AssetKey("first"), AssetKey("second")}


def test_an_asset_that_no_step_planned_has_its_definition_or_else_its_last_edges(
    instance: dg.DagsterInstance,
) -> None:
    @dg.op
    def logs(context: dg.OpExecutionContext) -> None:
        context.log_event(dg.AssetMaterialization("second"))
        context.log_event(dg.AssetObservation("second"))
        context.log_event(
            dg.AssetCheckEvaluation(asset_key=AssetKey("second"), check_name="by_hand", passed=True)
        )

    @dg.job
    def by_hand() -> None:
        logs()

    graph = DEFINITIONS.get_repository_def().asset_graph
    execute(DEFINITIONS, "both", instance)
    run_id = by_hand.execute_in_process(instance=instance).run_id
    by_type = {
        event.entry().dagster_event_type: event
        for event in log_of(instance, run_id)
        if event.entry().dagster_event_type in ASSET_FAMILY | CHECK_FAMILY | OBSERVATION_FAMILY
    }
    for event in by_type.values():
        defined = facts_of(facts_from(instance, Definitions(DefinedAssets(graph))), event)
        assert defined.assets[AssetKey("second")].upstream == (AssetKey("first"),)
    undefined = facts_of(facts_from(instance), by_type[DagsterEventType.ASSET_MATERIALIZATION])
    assert len(by_type) == 3
    assert undefined.earlier_upstream[AssetKey("second")] == (AssetKey("first"),)


def test_events_after_the_end_of_a_run_give_nothing(instance: dg.DagsterInstance) -> None:
    log = log_of(instance, execute(DEFINITIONS, "both", instance).run_id)
    found = facts_from(instance)
    for event in log:
        if event.entry().dagster_event_type in CONVERTED:
            facts_of(found, event)
        found.advance(event.entry())
    step = start_of(log, "first")
    assert found.facts_of(step, step.entry()) is None
    repeated = StoredEvent(step.id, decoded=step.entry(), is_again=True)
    found.forget(step.id.run_id)
    assert facts_of(found, repeated) == facts_of(facts_from(instance), step)


class Kept:
    """Gives definitions and notes what it is asked for."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self.prepared: list[tuple[list[str], set[AssetKey]]] = []
        self.asked: list[tuple[str, str, float]] = []

    def prepare(self, run_ids: Collection[str], keys: Collection[AssetKey]) -> None:
        self.prepared.append((list(run_ids), set(keys)))

    def of_run(self, run_id: str, job_name: str, at: float) -> Definitions:
        self.asked.append((run_id, job_name, at))
        return self.definitions

    def at(self, at: float) -> Definitions:
        self.asked.append(("", "", at))
        return self.definitions


def test_the_definitions_of_a_run_are_those_of_its_start(instance: dg.DagsterInstance) -> None:
    log = log_of(instance, execute(DEFINITIONS, "both", instance).run_id)
    [start] = [
        event.entry().timestamp
        for event in log
        if event.entry().dagster_event_type is DagsterEventType.RUN_START
    ]
    for is_read_afresh in (False, True):
        kept = Kept(Definitions())
        found = EventLogFacts(lambda: instance, kept)
        found.prepare([event.entry() for event in log], every)
        for event in log:
            if is_read_afresh:
                found.forget(event.id.run_id)
            if event.entry().dagster_event_type in CONVERTED:
                facts_of(found, event)
            if not is_read_afresh:
                found.advance(event.entry())
        assert set(kept.asked) == {(log[0].id.run_id, "both", start)}
    # An asset with the name of the job would give the job another name.
    keys = {AssetKey("first"), AssetKey("second"), AssetKey("both")}
    assert kept.prepared[0] == ([log[0].id.run_id], keys), "read together"


def test_of_a_run_whose_process_is_disabled_nothing_is_given(instance: dg.DagsterInstance) -> None:
    log = log_of(instance, execute(DEFINITIONS, "both", instance).run_id)
    found = EventLogFacts(lambda: instance, Kept(Definitions(is_disabled=True)))
    for event in log:
        if event.entry().dagster_event_type in CONVERTED:
            assert found.facts_of(event, event.entry()) is None
        found.advance(event.entry())


def test_what_a_process_adds_to_a_run_is_among_its_facts(instance: dg.DagsterInstance) -> None:
    log = log_of(instance, execute(DEFINITIONS, "both", instance).run_id)
    parent = OutsideParent(KnownRun("ns", "job", "id"))
    kept = Kept(Definitions(parent=parent, environment={"STAGE": "prod"}))
    facts = facts_of(EventLogFacts(lambda: instance, kept), log[-1])
    assert facts.run.parent == parent
    assert facts.environment == {"STAGE": "prod"}


def test_of_a_run_that_has_ended_nothing_is_kept_but_its_name(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "ENDED_REMEMBERED", 3)
    found = facts_from(instance)
    logs_before = _live(ProgressLog)
    for _ in range(6):
        run_id = str(uuid.uuid4())
        add_run(instance, run_id)
        entries = run_of_steps(run_id, 1.8e9, [materialization(run_id, 1.8e9, "orders", ["raw"])])
        found.prepare(entries, every)
        for number, entry in enumerate(entries, start=1):
            found.facts_of(StoredEvent(EventId(run_id, number), decoded=entry), entry)
            found.advance(entry)
    assert _live(ProgressLog) == logs_before
    assert not found._runs
    assert not found._forgotten
    assert found._events == 0
    assert len(found._ended) == 3
    assert run_id in found._ended


def _live(kind: type) -> int:
    gc.collect()
    return sum(isinstance(each, kind) for each in gc.get_objects())


def test_what_assets_were_said_to_be_comes_with_the_facts(instance: dg.DagsterInstance) -> None:
    tables = iter(["one", "two"])

    @dg.asset(name="first")
    def made() -> dg.MaterializeResult[Any]:
        return dg.MaterializeResult(metadata={"dagster/table_name": next(tables)})

    definitions = dg.Definitions([made, second], jobs=[dg.define_asset_job("both")])
    runs = [execute(definitions, "both", instance).run_id for _ in range(2)]

    def tables_seen(found: EventLogFacts, run_id: str) -> list[tuple[str, str | None, str | None]]:
        """List the event types, and the tables of `first` before the run and in it."""
        seen = []
        for event in log_of(instance, run_id):
            entry = event.entry()
            facts = facts_of(found, event)
            before, now = (
                unpacked_materialization(made).physical.table_name if made is not None else None
                for made in (facts.made_before.get(FIRST), facts.made.get(FIRST))
            )
            assert entry.dagster_event_type is not None
            seen.append((entry.dagster_event_type.value, before, now))
            found.advance(entry)
        return [each for each in seen if each[0] in ("PIPELINE_START", "ASSET_MATERIALIZATION")]

    expected = {
        run_id: [
            ("PIPELINE_START", before, None),
            ("ASSET_MATERIALIZATION", before, now),
            ("ASSET_MATERIALIZATION", before, now),
        ]
        for run_id, before, now in zip(runs, (None, "one"), ("one", "two"), strict=True)
    }
    following = facts_from(instance)
    for run_id in runs:
        assert tables_seen(following, run_id) == expected[run_id]
    # A process that begins in between, and a replay.
    assert tables_seen(facts_from(instance), runs[1]) == expected[runs[1]]
    again = EventLogFacts(lambda: instance, GivenDefinitions(Definitions()), follows_all=False)
    for run_id in reversed(runs):
        assert tables_seen(again, run_id) == expected[run_id]


@pytest.mark.parametrize("knows", ["definitions", "the log"])
def test_a_job_is_named_the_same_whatever_a_run_of_it_plans(
    instance: dg.DagsterInstance, knows: str
) -> None:
    """A retry does not plan the asset again that has the name of the job."""
    jobs = [
        dg.define_asset_job("first", [first, second]),
        dg.define_asset_job("other", [second]),
    ]
    repository = dg.Definitions([first, second], jobs=jobs).get_repository_def()
    runs = [
        repository.get_job(name)
        .execute_in_process(instance=instance, asset_selection=[AssetKey(selected)])
        .run_id
        for name, selected in (("first", "first"), ("first", "second"), ("other", "second"))
    ]
    assets = DefinedAssets(repository.asset_graph) if knows == "definitions" else {}
    given = GivenDefinitions(Definitions(assets))
    for found in (
        EventLogFacts(lambda: instance, given),
        EventLogFacts(lambda: instance, given, follows_all=False),
    ):
        told = []
        for run_id in runs:
            seen = set()
            for event in log_of(instance, run_id):
                entry = event.entry()
                if entry.dagster_event_type in CONVERTED:
                    seen.add(facts_of(found, event).is_job_like_asset)
                found.advance(entry)
            told.append(seen)
        assert told == [{True}, {True}, {False}]


@pytest.mark.parametrize("complete", [every, none])
def test_a_run_knows_when_the_run_that_it_retries_was_stored(
    instance: dg.DagsterInstance, complete: Any
) -> None:
    first, again, orphan, lost = (str(uuid.uuid4()) for _ in range(4))
    for run_id, retried in ((first, None), (again, first), (orphan, lost)):
        create_run_for_test(instance, "j", run_id, parent_run_id=retried, root_run_id=retried)
        instance.handle_new_event(run_event(run_id, 1.8e9, DagsterEventType.RUN_START))
    stored = instance.get_run_record_by_id(first)
    assert stored is not None
    found = facts_from(instance)
    events = {run_id: log_of(instance, run_id)[0] for run_id in (first, again, orphan)}
    found.prepare([event.entry() for event in events.values()], complete)
    runs = {run_id: facts_of(found, event).run for run_id, event in events.items()}
    assert runs[again].parent_run_id == first
    assert runs[again].parent_created_at == stored.create_timestamp
    assert runs[orphan].parent_created_at is None
    assert runs[first].parent_created_at is None
