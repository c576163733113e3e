"""A replay: the order of the log, what is refused, what is down."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pytest

from openlineage_dagster_core import engine as engine_module
from openlineage_dagster_core.delivery import failures
from openlineage_dagster_core.errors import BackendUnavailableError, EventRefusedError
from openlineage_dagster_core.facts.definitions import DefinedAssets, DefinedJobs
from openlineage_dagster_core.facts.event_log import DefinitionsSource, GivenDefinitions
from openlineage_dagster_core.facts.model import Definitions
from openlineage_dagster_core.replay import selected_runs
from openlineage_dagster_core.replay.conversion import Conversion
from openlineage_dagster_core.replay.replay import Replay
from openlineage_dagster_core.replay.selection import Selection
from openlineage_dagster_core.settings import Settings
from orders_home import OrdersHome
from orders_project import DEFINITIONS

EVENTS = 2 * 10 + 6


@pytest.fixture
def instance(orders_home: OrdersHome) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(orders_home.path)) as instance:
        yield instance


@pytest.fixture(scope="module")
def definitions() -> DefinitionsSource:
    repository = DEFINITIONS.get_repository_def()
    return GivenDefinitions(
        Definitions(DefinedAssets(repository.asset_graph), DefinedJobs(repository))
    )


@dataclass(frozen=True)
class Prepared:
    event: Any
    size: int = 100


class Sender:
    """Takes what it is told to take; several share what they took."""

    def __init__(self, taken: list[Any] | None = None) -> None:
        self.taken: list[Any] = [] if taken is None else taken
        self.errors: list[Exception] = []

    def prepare(self, event: Any) -> Prepared:
        return Prepared(event)

    def send(self, prepared: Prepared) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.taken.append(prepared.event)


def run_of(event: Any) -> str | None:
    facet = event.run.facets.get("dagster_run")
    return facet.runId if facet else None


def jobs_of(events: list[Any]) -> list[tuple[str, str]]:
    return [(event.job.name, event.eventType.value) for event in events]


def test_everything_is_sent_and_each_job_in_the_order_of_the_log(
    instance: dg.DagsterInstance, definitions: DefinitionsSource, orders_home: OrdersHome
) -> None:
    taken: list[Any] = []
    finished: list[str] = []
    replay = Replay(
        instance,
        Settings(),
        definitions,
        [Sender(taken) for _ in range(4)],
        patience=0.0,
        on_finished=finished.append,
    )
    assert replay.run(Selection().runs(instance)) is None
    assert sorted(finished) == sorted(orders_home.runs)
    assert (replay.progress.runs, replay.progress.sent) == (3, len(taken))
    assert sum(replay.progress.by_type.values()) == EVENTS
    conversion = Conversion(instance, Settings(), definitions)
    for record in Selection().runs(instance):
        expected = list(conversion.events_of_run(record))
        found = [event for event in taken if run_of(event) == record.dagster_run.run_id]
        assert sorted(jobs_of(found)) == sorted(jobs_of(expected))
    nightly = [run_of(event) for event in taken if event.job.name == "revenue"]
    assert nightly == [each for each in orders_home.nightly for _ in range(2)]


def test_a_dry_run_counts_and_needs_no_sender(
    instance: dg.DagsterInstance, definitions: DefinitionsSource
) -> None:
    replay = Replay(instance, Settings(), definitions, [], patience=0.0)
    assert replay.run(Selection().runs(instance), Selection().holds) is None
    assert replay.progress.sent == EVENTS + 2
    assert replay.progress.by_type["asset"] == 12


def test_a_run_that_goes_on_is_replayed_and_not_counted_as_finished() -> None:
    finished: list[str] = []
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.DagsterRun(job_name="j", run_id="11111111-1111-4111-8111-111111111111")
        instance.add_run(run)
        replay = Replay(
            instance,
            Settings(),
            GivenDefinitions(Definitions()),
            [Sender()],
            patience=0.0,
            on_finished=finished.append,
        )
        assert replay.run(Selection().runs(instance)) is None
    assert (replay.progress.runs, finished) == (1, [])


def test_what_is_refused_is_noted_once_and_the_rest_goes_on(
    instance: dg.DagsterInstance, definitions: DefinitionsSource
) -> None:
    sender = Sender()
    sender.errors = [EventRefusedError(422, "not this one")]
    replay = Replay(instance, Settings(), definitions, [sender], patience=0.0)
    assert replay.run(Selection().runs(instance)) is None
    [refusal] = replay.progress.refusals
    assert (refusal.event_type, refusal.reason) == ("RUN_START", "refused with 422: not this one")
    assert replay.progress.runs == 3
    assert len(sender.taken) == EVENTS - 1


def test_a_backend_that_is_away_for_a_moment_is_waited_for(
    instance: dg.DagsterInstance,
    definitions: DefinitionsSource,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failures, "FIRST_RETRY_SECONDS", 0.01)
    sender = Sender()
    sender.errors = [BackendUnavailableError("down"), BackendUnavailableError("down")]
    replay = Replay(instance, Settings(), definitions, [sender], patience=60.0)
    assert replay.run(Selection().runs(instance)) is None
    assert len(sender.taken) >= EVENTS
    assert not replay.progress.refusals
    assert replay.progress.waiting is None


def test_a_backend_that_stays_away_ends_it(
    instance: dg.DagsterInstance, definitions: DefinitionsSource
) -> None:
    sender = Sender()
    sender.errors = [BackendUnavailableError("down")] * 1000
    replay = Replay(instance, Settings(), definitions, [sender], patience=0.0)
    stopped_by = replay.run(Selection().runs(instance))
    assert stopped_by is not None
    assert "the backend takes no events" in stopped_by
    assert "down" in stopped_by
    assert (replay.progress.runs, replay.progress.refusals) == (0, [])


def test_an_event_that_alone_fails_again_and_again_is_noted(
    instance: dg.DagsterInstance,
    definitions: DefinitionsSource,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failures, "FIRST_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(failures, "LONGEST_RETRY_SECONDS", 0.001)

    class Picky(Sender):
        def send(self, prepared: Prepared) -> None:
            if prepared.event.job.name == "raw/orders":
                raise RuntimeError("a-secret")
            super().send(prepared)

    sender = Picky()
    replay = Replay(instance, Settings(), definitions, [sender], patience=60.0)
    assert replay.run(Selection().runs(instance)) is None
    assert {each.event_type for each in replay.progress.refusals} == {"ASSET_MATERIALIZATION"}
    assert "a-secret" not in str(replay.progress.refusals)
    assert {"revenue", "nightly", "doomed"} <= {event.job.name for event in sender.taken}


def test_a_fault_of_ours_costs_its_event_and_no_other(
    instance: dg.DagsterInstance,
    definitions: DefinitionsSource,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    convert = engine_module.convert

    def fail_at_steps(entry: dg.EventLogEntry, *args: Any, **kwargs: Any) -> Iterator[Any]:
        if entry.get_dagster_event().is_step_start:
            raise RuntimeError("a-secret")
        yield from convert(entry, *args, **kwargs)

    monkeypatch.setattr(engine_module, "convert", fail_at_steps)
    replay = Replay(instance, Settings(), definitions, [Sender()], patience=0.0)
    assert replay.run(Selection().runs(instance)) is None
    assert len(replay.progress.refusals) == 5
    assert "a-secret" not in str(replay.progress.refusals)


def test_a_database_that_fails_ends_it_and_is_not_taken_for_the_end_of_the_log(
    instance: dg.DagsterInstance,
    definitions: DefinitionsSource,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("gone")

    replay = Replay(instance, Settings(), definitions, [Sender()], patience=60.0)
    monkeypatch.setattr(selected_runs, "events_of_run", fail)
    with pytest.raises(OSError, match="gone"):
        replay.run(Selection().runs(instance))
    assert replay.progress.runs == 0
    assert not any(thread.name.startswith("openlineage") for thread in threading.enumerate())


def test_ctrl_c_ends_the_threads(
    instance: dg.DagsterInstance, definitions: DefinitionsSource
) -> None:
    def runs() -> Iterator[Any]:
        yield from Selection().runs(instance)
        raise KeyboardInterrupt

    replay = Replay(instance, Settings(), definitions, [Sender(), Sender()], patience=5.0)
    with pytest.raises(KeyboardInterrupt):
        replay.run(runs())
    assert not any(thread.name.startswith("openlineage") for thread in threading.enumerate())


def test_single_events_are_converted_as_in_their_run(
    instance: dg.DagsterInstance, definitions: DefinitionsSource, orders_home: OrdersHome
) -> None:
    conversion = Conversion(instance, Settings(), definitions)
    record = next(Selection(run_ids=(orders_home.doomed,)).runs(instance))
    whole = jobs_of(list(conversion.events_of_run(record)))
    found = instance.get_records_for_run(
        orders_home.doomed, of_type=dg.DagsterEventType.STEP_FAILURE
    )
    ids = [each.storage_id for each in found.records]
    events = jobs_of(list(conversion.events_at(record, ids)))
    assert events
    assert set(events) < set(whole)
    assert all(state == "FAIL" for _, state in events if state != "START")
