"""The engine: order per run, several runs at a time, what is refused, what is down."""

import threading
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from openlineage_dagster_core.errors import BackendUnavailableError, EventRefusedError
from openlineage_dagster_core.facts.definitions import DefinedAssets, DefinedJobs
from openlineage_dagster_core.facts.model import Definitions
from openlineage_dagster_core.replay import replay as replay_module
from openlineage_dagster_core.replay.conversion import Conversion
from openlineage_dagster_core.replay.replay import Replay
from openlineage_dagster_core.replay.selection import Selection
from openlineage_dagster_core.settings import Settings
from orders_home import OrdersHome
from orders_project import DEFINITIONS


@pytest.fixture
def instance(orders_home: OrdersHome) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(orders_home.path)) as instance:
        yield instance


@pytest.fixture
def conversion(instance: dg.DagsterInstance) -> Conversion:
    repository = DEFINITIONS.get_repository_def()
    known = Definitions(DefinedAssets(repository.asset_graph), DefinedJobs(repository))
    return Conversion(instance, Settings(), lambda _: known)


class Sink:
    """Takes what it is told to take; several share what they took."""

    def __init__(self, taken: list[Any]) -> None:
        self.taken = taken
        self.errors: list[Exception] = []

    def emit(self, event: Any) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.taken.append((threading.get_ident(), event))


def run_of(event: Any) -> str | None:
    facet = event.run.facets.get("dagster_run")
    return facet.runId if facet else None


def test_each_run_is_in_order_and_all_are_finished(
    instance: dg.DagsterInstance, conversion: Conversion, orders_home: OrdersHome
) -> None:
    taken: list[Any] = []
    finished: list[str] = []
    replay = Replay(
        instance,
        conversion,
        [Sink(taken) for _ in range(4)],
        patience=0.0,
        on_finished=finished.append,
    )
    assert replay.run(Selection().runs(instance)) is None
    assert sorted(finished) == sorted(orders_home.runs)
    assert (replay.progress.runs, replay.progress.sent) == (3, len(taken))
    for record in Selection().runs(instance):
        expected = [event.run.runId for event in conversion.events_of_run(record)]
        run_id = record.dagster_run.run_id
        assert [event.run.runId for _, event in taken if run_of(event) == run_id] == expected


def test_a_run_that_goes_on_is_replayed_and_not_counted_as_finished(
    conversion: Conversion,
) -> None:
    finished: list[str] = []
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.DagsterRun(job_name="j", run_id="11111111-1111-4111-8111-111111111111")
        instance.add_run(run)
        replay = Replay(
            instance,
            Conversion(instance, Settings(), lambda _: Definitions()),
            [Sink([])],
            patience=0.0,
            on_finished=finished.append,
        )
        assert replay.run(Selection().runs(instance)) is None
    assert (replay.progress.runs, finished) == (1, [])


def test_what_is_refused_is_noted_and_the_rest_goes_on(
    instance: dg.DagsterInstance, conversion: Conversion
) -> None:
    sink = Sink([])
    sink.errors = [EventRefusedError(422, "not this one")]
    replay = Replay(instance, conversion, [sink], patience=0.0)
    assert replay.run(Selection().runs(instance)) is None
    [refusal] = replay.progress.refusals
    assert (refusal.event_type, refusal.reason) == ("RUN_START", "refused with 422: not this one")
    assert replay.progress.runs == 3
    assert len(sink.taken) == 2 * 10 + 6 - 1


def test_a_backend_that_is_away_for_a_moment_is_waited_for(
    instance: dg.DagsterInstance, conversion: Conversion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "FIRST_PAUSE_SECONDS", 0.01)
    sink = Sink([])
    sink.errors = [BackendUnavailableError("down"), BackendUnavailableError("down")]
    replay = Replay(instance, conversion, [sink], patience=60.0)
    assert replay.run(Selection().runs(instance)) is None
    assert len(sink.taken) == 2 * 10 + 6
    assert replay.progress.waiting is None


def test_a_backend_that_stays_away_ends_it(
    instance: dg.DagsterInstance, conversion: Conversion
) -> None:
    sink = Sink([])
    sink.errors = [BackendUnavailableError("down")] * 1000
    replay = Replay(instance, conversion, [sink], patience=0.0)
    assert replay.run(Selection().runs(instance)) == "the backend takes no events: down"
    assert replay.progress.runs == 0


def test_an_event_that_alone_fails_again_and_again_is_noted(
    instance: dg.DagsterInstance, conversion: Conversion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(replay_module, "LONGEST_PAUSE_SECONDS", 0.001)
    sink = Sink([])
    sink.errors = [BackendUnavailableError("HTTP 500", 500, "oops")] * replay_module.PARK_AFTER
    replay = Replay(instance, conversion, [sink], patience=60.0)
    assert replay.run(Selection().runs(instance)) is None
    assert [each.reason for each in replay.progress.refusals] == ["refused with 500: oops"]


def test_a_fault_of_ours_costs_its_event_and_no_other(
    instance: dg.DagsterInstance, conversion: Conversion, monkeypatch: pytest.MonkeyPatch
) -> None:
    events_of = conversion.events_of

    def fail_at_steps(entry: dg.EventLogEntry) -> Any:
        if entry.get_dagster_event().is_step_start:
            raise RuntimeError("a-secret")
        return events_of(entry)

    monkeypatch.setattr(conversion, "events_of", fail_at_steps)
    replay = Replay(instance, conversion, [Sink([])], patience=0.0)
    assert replay.run(Selection().runs(instance)) is None
    assert len(replay.progress.refusals) == 5
    assert "a-secret" not in str(replay.progress.refusals)


def test_a_database_that_fails_ends_it(
    instance: dg.DagsterInstance, conversion: Conversion, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise OSError("gone")

    replay = Replay(instance, conversion, [Sink([])], patience=0.0)
    monkeypatch.setattr(replay_module, "entries_of_run", fail)
    with pytest.raises(OSError, match="gone"):
        replay.run(Selection().runs(instance))
    assert not any(thread.name.startswith("openlineage") for thread in threading.enumerate())


def test_ctrl_c_ends_the_threads(instance: dg.DagsterInstance, conversion: Conversion) -> None:
    def runs() -> Iterator[Any]:
        yield from Selection().runs(instance)
        raise KeyboardInterrupt

    replay = Replay(instance, conversion, [Sink([]), Sink([])], patience=5.0)
    with pytest.raises(KeyboardInterrupt):
        replay.run(runs())
    assert not any(thread.name.startswith("openlineage") for thread in threading.enumerate())
