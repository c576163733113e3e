"""One pass after the other: everything is delivered in order, and nothing stops the rest."""

import sqlite3
import threading
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterEventType

from bare_storages import one_file
from log_entries import (
    add_run,
    counted_queries,
    insert,
    materialization,
    run_event,
    run_of_steps,
    step_event,
)
from openlineage_dagster_core import engine as engine_module
from openlineage_dagster_core.engine import REST_FOLLOWS, Engine, Outcome
from openlineage_dagster_core.errors import BackendUnavailableError, EventRefusedError
from openlineage_dagster_core.event_log import stored_event
from openlineage_dagster_core.event_log.cursor import Cursor
from openlineage_dagster_core.event_log.opening import open_log
from openlineage_dagster_core.event_log.reader import DoneEvent
from openlineage_dagster_core.event_log.shard_files import UNSURE_SECONDS
from openlineage_dagster_core.event_log.stored_event import EventId, StoredEvent
from openlineage_dagster_core.facts.event_log import EventLogFacts, GivenDefinitions
from openlineage_dagster_core.facts.model import Definitions
from openlineage_dagster_core.identity import Identity
from openlineage_dagster_core.settings import Settings
from openlineage_dagster_core.snapshots.reading import KeptDefinitions

SOON = 60.0


@dataclass(frozen=True)
class Prepared:
    event: Any
    size: int = 100


@dataclass
class Backend:
    """Takes events, or raises what it is told to raise for some."""

    arrived: list[Any] = field(default_factory=list)
    faults: dict[str, Exception] = field(default_factory=dict)
    unprepared: dict[str, Exception] = field(default_factory=dict)
    requests: int = 0
    is_down: bool = False

    def prepare(self, event: Any) -> Prepared:
        if label(event) in self.unprepared:
            raise self.unprepared[label(event)]
        return Prepared(event)

    def send(self, prepared: Prepared) -> None:
        self.requests += 1
        if self.is_down:
            raise BackendUnavailableError("HTTP 503", 503)
        if label(prepared.event) in self.faults:
            raise self.faults[label(prepared.event)]
        self.arrived.append(prepared.event)

    def labels(self) -> list[str]:
        return [label(event) for event in self.arrived]


def label(event: Any) -> str:
    """Name an event by its job and state, such as `orders COMPLETE`."""
    return f"{event.job.name} {event.eventType.value}"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=one_file(tmp_path)) as made:
        yield made


def engine_of(
    instance: dg.DagsterInstance, backend: Backend, cursor: Cursor | None = None, **options: Any
) -> Engine:
    return Engine(
        open_log(instance, cursor if cursor is not None else Cursor()),
        EventLogFacts(lambda: instance, GivenDefinitions(Definitions())),
        Identity(Settings()),
        [backend] * options.pop("senders", 1),
        **options,
    )


def again(engine: Engine) -> Cursor:
    """Give another process the cursor's text."""
    return Cursor.from_text(engine.reader.cursor.to_text(60_000))


def add_runs(instance: dg.DagsterInstance, *keys: str, at: float | None = None) -> list[str]:
    """Store a run for each asset key."""
    began = time.time() - 100 if at is None else at
    run_ids = []
    for number, key in enumerate(keys):
        run_ids.append(str(uuid.uuid4()))
        add_run(instance, run_ids[-1])
        made = [materialization(run_ids[-1], began + number + 0.5, key, [])]
        insert(instance, run_of_steps(run_ids[-1], began + number, made))
    return run_ids


LABELS_OF_A_RUN = [
    "j START",
    "j.s START",
    "orders START",
    "orders COMPLETE",
    "j.s COMPLETE",
    "j COMPLETE",
]


def test_a_run_that_is_deleted_once_it_was_delivered_is_not_parked(
    instance: dg.DagsterInstance,
) -> None:
    first, *_ = add_runs(instance, "orders", "stock", "sales")
    engine = engine_of(instance, Backend())
    engine.deliver(SOON, limit=1)
    assert first in engine.reader.cursor.waiting
    engine = engine_of(instance, Backend(), again(engine))
    assert engine.deliver(SOON, limit=6).has_more
    assert first not in engine.reader.cursor.waiting
    instance.delete_run(first)
    while engine.deliver(SOON, limit=6).has_more:
        pass
    assert engine.reader.cursor.parked == 0


def test_a_run_is_delivered_once_and_in_order(instance: dg.DagsterInstance) -> None:
    add_runs(instance, "orders")
    backend = Backend()
    engine = engine_of(instance, backend)
    outcome = engine.deliver(SOON)
    assert backend.labels() == LABELS_OF_A_RUN
    assert (outcome.read, outcome.sent, outcome.parked, outcome.held) == (5, 6, 0, 0)
    assert (outcome.has_more, outcome.stopped_by, outcome.waiting) == (False, None, 0)
    assert outcome.has_news
    cursor = engine.reader.cursor
    assert (cursor.read, cursor.sent, cursor.behind, cursor.seen) == (5, 6, 0, 5)
    assert not engine.deliver(SOON, patience=SOON).has_news
    assert engine.is_idle
    assert engine.has_ended
    engine_of(instance, backend, again(engine)).deliver(SOON)
    assert len(backend.arrived) == 6


def test_runs_of_one_asset_are_delivered_in_the_order_of_the_log(
    instance: dg.DagsterInstance,
) -> None:
    run_ids = add_runs(instance, *["orders"] * 30)
    backend = Backend()
    engine_of(instance, backend, senders=4).deliver(SOON)
    of_asset = [event for event in backend.arrived if event.job.name == "orders"]
    order = [event.run.facets["dagster_run"].runId for event in of_asset]
    assert order == [run_id for run_id in run_ids for _ in range(2)]


def test_a_backend_that_is_down_loses_nothing(instance: dg.DagsterInstance) -> None:
    add_runs(instance, "orders")
    backend = Backend(is_down=True)
    engine = engine_of(instance, backend)
    outcome = engine.deliver(SOON)
    assert outcome.stopped_by == "the backend takes no events, will retry: HTTP 503"
    assert (outcome.sent, outcome.waiting, backend.requests) == (0, 5, 1)
    assert outcome.behind_since == pytest.approx(time.time() - 100, abs=60)
    backend.is_down = False
    assert engine.deliver(SOON, waits_for_held=True).stopped_by is None
    # What failed is tried after what did not; the asset does not depend on the run.
    of_run = [each for each in backend.labels() if each.startswith("j")]
    of_asset = [each for each in backend.labels() if each.startswith("orders")]
    assert of_run == [each for each in LABELS_OF_A_RUN if each.startswith("j")]
    assert of_asset == ["orders START", "orders COMPLETE"]


def test_another_process_delivers_what_was_not(instance: dg.DagsterInstance) -> None:
    add_runs(instance, "orders")
    backend = Backend(faults={"orders COMPLETE": BackendUnavailableError("HTTP 500", 500)})
    engine = engine_of(instance, backend)
    engine.deliver(SOON)
    backend.faults.clear()
    before = len(backend.arrived)
    engine_of(instance, backend, again(engine)).deliver(SOON)
    assert backend.labels()[before:].count("orders COMPLETE") == 1
    assert set(backend.labels()) == set(LABELS_OF_A_RUN)
    assert backend.labels().count("orders START") == 1, "it was taken before"


def test_a_refused_event_is_parked_and_the_rest_goes_on(instance: dg.DagsterInstance) -> None:
    [run_id] = add_runs(instance, "orders")
    parked: list[Any] = []
    backend = Backend(faults={"orders COMPLETE": EventRefusedError(422, "not this one")})
    engine = engine_of(instance, backend, on_parked=parked.append)
    outcome = engine.deliver(SOON)
    assert (outcome.parked, outcome.waiting, outcome.stopped_by) == (1, 0, None)
    assert backend.labels() == [each for each in LABELS_OF_A_RUN if each != "orders COMPLETE"]
    [event] = engine.reader.cursor.last_parked
    assert event.name == f"{run_id}:3"
    assert event.event_type == "ASSET_MATERIALIZATION"
    assert event.reason == "refused with 422: not this one"
    assert [each.id for each in parked] == [event.id]
    assert again(engine).last_parked == [event]


def test_what_is_logged_of_a_refusal_holds_nothing_of_the_answer(
    instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    [run_id] = add_runs(instance, "orders")
    backend = Backend(faults={"orders COMPLETE": EventRefusedError(422, "a-secret")})
    engine_of(instance, backend).deliver(SOON)
    [message] = caplog.messages
    assert "a-secret" not in message
    assert "no impact on your runs" in message
    assert run_id in message


def test_a_log_event_of_which_several_events_are_refused_is_parked_once(
    instance: dg.DagsterInstance,
) -> None:
    add_runs(instance, "orders")
    refused = EventRefusedError(422, "no")
    backend = Backend(faults={"orders START": refused, "orders COMPLETE": refused})
    engine = engine_of(instance, backend)
    assert engine.deliver(SOON).parked == 1
    assert engine.reader.cursor.parked == 1


def test_parked_events_are_delivered_again_when_they_are_asked_for(
    instance: dg.DagsterInstance,
) -> None:
    add_runs(instance, "orders")
    backend = Backend(faults={"orders COMPLETE": EventRefusedError(422, "no")})
    engine = engine_of(instance, backend)
    engine.deliver(SOON)
    cursor = engine.reader.cursor
    for _ in range(2):
        before = len(backend.arrived)
        engine.retry(cursor.last_parked)
        engine.deliver(SOON)
        assert len(cursor.last_parked) == 1, "it is refused again"
        assert cursor.parked == 1
    backend.faults.clear()
    before = len(backend.arrived)
    engine.retry(cursor.last_parked)
    engine.deliver(SOON)
    assert cursor.last_parked == []
    assert backend.labels()[before:] == LABELS_OF_A_RUN[2:], "and what depends on it after it"


def test_a_fault_of_ours_costs_its_event_and_no_other(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_runs(instance, "orders")
    convert = engine_module.convert

    def fail_at_materializations(entry: dg.EventLogEntry, *args: Any, **options: Any) -> Any:
        yield from convert(entry, *args, **options)
        if entry.dagster_event_type is DagsterEventType.ASSET_MATERIALIZATION:
            raise RuntimeError("a-secret")

    monkeypatch.setattr(engine_module, "convert", fail_at_materializations)
    backend = Backend()
    engine = engine_of(instance, backend)
    outcome = engine.deliver(SOON)
    assert backend.labels() == LABELS_OF_A_RUN
    assert (outcome.parked, outcome.waiting) == (1, 0)
    [event] = engine.reader.cursor.last_parked
    assert event.reason.startswith("not converted: RuntimeError")
    assert "a-secret" not in event.reason


@pytest.mark.parametrize("error", [EventRefusedError(None, "not JSON"), RuntimeError("a-secret")])
def test_an_event_that_cannot_be_written_is_parked(
    instance: dg.DagsterInstance, error: Exception
) -> None:
    add_runs(instance, "orders")
    backend = Backend(unprepared={"orders COMPLETE": error})
    engine = engine_of(instance, backend)
    outcome = engine.deliver(SOON)
    assert backend.labels() == [each for each in LABELS_OF_A_RUN if each != "orders COMPLETE"]
    assert (outcome.parked, outcome.waiting) == (1, 0)
    assert "a-secret" not in engine.reader.cursor.last_parked[0].reason


def test_an_event_that_dagster_cannot_read_is_parked(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    add_runs(instance, "orders")
    with sqlite3.connect(tmp_path / "log" / "event_log.db") as connection:
        connection.execute("UPDATE event_logs SET event = 'x' WHERE id = 2")
    connection.close()
    backend = Backend()
    engine = engine_of(instance, backend)
    outcome = engine.deliver(SOON)
    assert (outcome.parked, outcome.waiting, outcome.read) == (1, 0, 5)
    assert engine.reader.cursor.last_parked[0].reason.startswith("not readable by Dagster: ")
    assert "j COMPLETE" in backend.labels()


def test_of_a_deleted_run_nothing_is_sent_and_one_event_is_parked(
    instance: dg.DagsterInstance,
) -> None:
    run_ids = [str(uuid.uuid4()) for _ in range(2)]
    for run_id in run_ids:
        insert(instance, run_of_steps(run_id, time.time(), []))
    add_runs(instance, "orders")
    backend = Backend()
    engine = engine_of(instance, backend)
    outcome = engine.deliver(SOON)
    assert backend.labels() == LABELS_OF_A_RUN
    assert (outcome.parked, outcome.waiting, outcome.read) == (2, 0, 13)
    assert {each.run_id for each in engine.reader.cursor.last_parked} == set(run_ids)
    assert {each.reason for each in engine.reader.cursor.last_parked} == {
        "its run was deleted; nothing of it is sent any more"
    }


def test_a_database_that_fails_stops_the_pass_and_loses_nothing(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_runs(instance, *["orders"] * 3)
    backend = Backend()
    engine = engine_of(instance, backend)
    connect = instance.run_storage.connect
    monkeypatch.setattr(instance.run_storage, "connect", lambda *_, **__: 1 / 0)
    outcome = engine.deliver(SOON)
    assert outcome.stopped_by is not None
    assert outcome.stopped_by.startswith("the event log cannot be read, will retry: ")
    assert backend.arrived == []
    monkeypatch.setattr(instance.run_storage, "connect", connect)
    with counted_queries() as queries:
        engine.deliver(SOON)
    assert backend.labels() == LABELS_OF_A_RUN * 3
    assert len(queries) < 10, "what the events need is still read together"


def test_a_log_that_cannot_be_read_stops_the_pass(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(instance, Backend())
    monkeypatch.setattr(engine.reader, "read", lambda: 1 / 0)
    outcome = engine.deliver(SOON)
    assert outcome.stopped_by == "the event log cannot be read, will retry: ZeroDivisionError"


def test_a_limit_ends_the_pass_and_the_next_one_goes_on(instance: dg.DagsterInstance) -> None:
    add_runs(instance, "orders")
    backend = Backend()
    engine = engine_of(instance, backend)
    outcome = engine.deliver(SOON, limit=2)
    assert (outcome.read, outcome.has_more, outcome.stopped_by) == (2, True, REST_FOLLOWS)
    assert backend.labels() == LABELS_OF_A_RUN[:2]
    assert engine.deliver(SOON, limit=2).read == 2
    outcome = engine.deliver(SOON, limit=2)
    assert (outcome.read, outcome.has_more) == (1, False)
    assert backend.labels() == LABELS_OF_A_RUN


def test_events_that_were_read_and_not_converted_are_read_by_another_process(
    instance: dg.DagsterInstance,
) -> None:
    add_runs(instance, "orders")
    backend = Backend()
    engine = engine_of(instance, backend)
    engine.deliver(SOON, limit=2)
    engine_of(instance, backend, again(engine)).deliver(SOON)
    assert backend.labels() == LABELS_OF_A_RUN


def test_a_log_event_of_many_events_is_left_and_resumed_by_another_process(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_runs(instance, "orders")
    convert = engine_module.convert
    made = 0

    def slowly(entry: dg.EventLogEntry, *args: Any, skip: int = 0) -> Iterator[Any]:
        nonlocal made
        events = list(convert(entry, *args))
        if entry.dagster_event_type is DagsterEventType.ASSET_MATERIALIZATION:
            events *= 5
        for event in events[skip:]:
            made += 1
            if made % 4 == 0:
                # The time of the pass is used up.
                time.sleep(2.0)
            yield event

    monkeypatch.setattr(engine_module, "convert", slowly)
    backend = Backend()
    cursor = Cursor()
    for _ in range(20):
        engine = engine_of(instance, backend, cursor)
        outcome = engine.deliver(2.0)
        cursor = again(engine)
        if not outcome.has_more:
            break
    expected = [*LABELS_OF_A_RUN[:2], *LABELS_OF_A_RUN[2:4] * 5, *LABELS_OF_A_RUN[4:]]
    assert backend.labels() == expected, "nothing twice, nothing left out"


def test_a_process_that_leads_no_more_sends_nothing(instance: dg.DagsterInstance) -> None:
    add_runs(instance, "orders")
    backend = Backend()
    engine = engine_of(instance, backend, may_send=lambda: len(backend.arrived) < 3)
    outcome = engine.deliver(SOON)
    assert backend.labels() == LABELS_OF_A_RUN[:3]
    assert outcome.stopped_by == "another process delivers now"


def test_only_what_the_chosen_dagster_events_give_is_sent(instance: dg.DagsterInstance) -> None:
    add_runs(instance, "orders")
    backend = Backend()
    concerned = {DagsterEventType.RUN_SUCCESS, DagsterEventType.STEP_START}
    engine = engine_of(instance, backend, concerned=concerned)
    assert engine.deliver(SOON).read == 5
    assert backend.labels() == ["j.s START", "j COMPLETE"]


def test_a_new_cursor_begins_where_it_is_told(instance: dg.DagsterInstance) -> None:
    add_runs(instance, "orders", at=time.time() - 5000)
    add_runs(instance, "orders", at=time.time() - 100)
    backend = Backend()
    engine = engine_of(instance, backend, Cursor.from_text(None))
    engine.begin(time.time() - 1000)
    engine.begin(float("inf"))
    engine.deliver(SOON)
    assert backend.labels() == LABELS_OF_A_RUN


class Scripted:
    """Gives out what a test puts into it."""

    unreadable = 0

    def __init__(self) -> None:
        self.cursor = Cursor()
        self.batches: list[Sequence[StoredEvent]] = []
        self.done: list[DoneEvent] = []
        self.forgotten: list[str] = []

    def read(self) -> Iterator[Sequence[StoredEvent]]:
        while self.batches:
            yield self.batches.pop(0)

    def settle(self, done: Collection[DoneEvent]) -> None:
        self.done += done

    def has_all_of(self, runs: Sequence[Any]) -> Collection[str]:
        return [run.dagster_run.run_id for run in runs]

    def forgets(self) -> list[str]:
        forgotten, self.forgotten = self.forgotten, []
        return forgotten


def test_an_event_that_is_read_again_while_it_waits_is_delivered_twice(
    instance: dg.DagsterInstance,
) -> None:
    run_id = str(uuid.uuid4())
    add_run(instance, run_id)
    log = [
        StoredEvent(EventId(run_id, number), decoded=entry)
        for number, entry in enumerate(run_of_steps(run_id, time.time(), []), start=1)
    ]
    insert(instance, [event.entry() for event in log])
    reader: Any = Scripted()
    backend = Backend(is_down=True)
    engine = Engine(
        reader,
        EventLogFacts(lambda: instance, GivenDefinitions(Definitions())),
        Identity(Settings()),
        [backend],
    )
    # The second event became visible late.
    reader.batches = [[log[0], log[2], log[3]]]
    engine.deliver(SOON)
    late = [StoredEvent(each.id, decoded=each.entry(), is_again=True) for each in log[1:]]
    reader.batches, reader.forgotten = [late], [run_id]
    backend.is_down = False
    for _ in range(3):
        engine.deliver(SOON, waits_for_held=True)
    assert backend.labels()[-3:] == ["j.s START", "j.s COMPLETE", "j COMPLETE"]
    ids = [done.id.storage_id for done in reader.done]
    assert sorted(ids) == [1, 2, 3, 3, 4, 4]
    assert engine.is_idle


def test_threads_that_send_and_the_one_that_parks_lose_no_count(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the events of one log event cannot be written, which the converting thread notes."""
    add_runs(instance, "orders")
    convert = engine_module.convert

    def many(entry: dg.EventLogEntry, *args: Any, **options: Any) -> Iterator[Any]:
        events = list(convert(entry, *args, **options))
        if entry.dagster_event_type is DagsterEventType.ASSET_MATERIALIZATION:
            events *= 1000
        yield from events

    monkeypatch.setattr(engine_module, "convert", many)
    backend = Backend(unprepared={"orders START": EventRefusedError(None, "no")})
    engine = engine_of(instance, backend, senders=4)
    outcome = engine.deliver(SOON)
    assert (outcome.read, outcome.waiting, outcome.parked) == (5, 0, 1)
    assert engine.is_idle


def test_each_row_is_decoded_once(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    deserialize = stored_event.deserialize_value

    def counting(text: str, *args: Any) -> Any:
        decoded.append(text)
        return deserialize(text, *args)

    monkeypatch.setattr(stored_event, "deserialize_value", counting)
    backend = Backend()
    engine = engine_of(instance, backend)
    for _ in range(5):
        # As while runs go on: some events at each pass, and several passes over each run.
        run_ids = [str(uuid.uuid4()) for _ in range(4)]
        for run_id in run_ids:
            add_run(instance, run_id)
        of_runs = [run_of_steps(run_id, time.time(), []) for run_id in run_ids]
        for events in zip(*of_runs, strict=True):
            insert(instance, events)
            engine.deliver(SOON)
    assert len(decoded) == len(set(decoded)) == 5 * 4 * 4
    assert len(backend.arrived) == 5 * 4 * 4


def many_runs(
    instance: dg.DagsterInstance, kind: str, runs: int, assets: int
) -> list[dg.EventLogEntry]:
    """Make events of runs that make assets, or as many from outside any run."""
    began = time.time() - 100_000
    entries: list[dg.EventLogEntry] = []
    for number in range(runs):
        run_id, at = str(uuid.uuid4()), began + 10 * number
        keys = [f"asset_{number % 50}_{each}" for each in range(assets)]
        if kind == "outside":
            entries += [materialization("", at, key) for key in keys]
            continue
        add_run(instance, run_id)
        upstream = {"by steps": ["raw"], "roots": []}.get(kind)
        made = [materialization(run_id, at + 0.5, key, upstream) for key in keys]
        entries += run_of_steps(run_id, at, made)
    return entries


def queries_of_catching_up(
    instance: dg.DagsterInstance, definitions: str, count: int
) -> tuple[int, int]:
    """Deliver so many events; return the number of queries for them, and without news."""
    known: Any = GivenDefinitions(Definitions())
    if definitions == "kept":
        known = KeptDefinitions(lambda: instance)
    engine = Engine(
        open_log(instance, Cursor()),
        EventLogFacts(lambda: instance, known),
        Identity(Settings()),
        [Backend()],
    )
    with counted_queries() as queries:
        outcome = engine.deliver(10 * SOON)
    assert outcome.read == count
    with counted_queries() as without_news:
        engine.deliver(SOON)
    return len(queries), len(without_news)


@pytest.mark.parametrize("definitions", ["given", "kept"])
@pytest.mark.parametrize("kind", ["by steps", "by hand", "outside", "roots"])
def test_few_queries_are_needed_to_catch_up(
    instance: dg.DagsterInstance, kind: str, definitions: str
) -> None:
    entries = many_runs(instance, kind, runs=150, assets=15)
    insert(instance, entries)
    queries, without_news = queries_of_catching_up(instance, definitions, len(entries))
    assert queries <= 3 * len(entries) / 1000 + 6
    assert without_news <= 2


@pytest.mark.parametrize("definitions", ["given", "kept"])
def test_where_each_run_has_a_log_of_its_own_catching_up_takes_one_query_more_for_each_run(
    tmp_path: Path, definitions: str
) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        entries = many_runs(instance, "by hand", runs=12, assets=1)
        for entry in entries:
            instance.event_log_storage.store_event(entry)
        # A file that has just changed would be read once more.
        time.sleep(2 * UNSURE_SECONDS)
        queries, without_news = queries_of_catching_up(instance, definitions, len(entries))
    assert queries <= 12 + 3 * len(entries) / 1000 + 8
    assert without_news == 0


def test_events_under_way_and_their_texts_are_forgotten_when_they_are_delivered(
    instance: dg.DagsterInstance,
) -> None:
    add_runs(instance, *["orders"] * 5)
    engine = engine_of(instance, Backend())
    engine.deliver(SOON)
    assert not engine._under_way
    assert not engine._read_ahead
    assert not engine._decoded
    assert not engine._done
    assert not engine.lanes._queues


def test_no_thread_is_left_after_a_pass(instance: dg.DagsterInstance) -> None:
    add_runs(instance, *["orders"] * 5)
    engine_of(instance, Backend(), senders=4).deliver(SOON, patience=SOON)
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("openlineage")]


def test_an_outcome_is_told_in_one_line() -> None:
    assert str(Outcome(read=3, sent=4)) == "read 3 events, sent 4, parked 0"
    behind = Outcome(waiting=7, behind_since=time.time() - 60, held=2, unreadable=1)
    behind.stopped_by = "down"
    assert str(behind) == (
        "read 0 events, sent 0, parked 0, 2 fail and wait, "
        "1 runs cannot be read; 7 events and 60 s behind; down"
    )
    assert not Outcome().has_news


def test_a_run_that_had_begun_before_the_cursor_is_read_back(
    instance: dg.DagsterInstance,
) -> None:
    """The deliverer was switched on while the run was under way: its progress is in the log."""
    run_id = str(uuid.uuid4())
    add_run(instance, run_id)
    at = time.time()
    insert(instance, [run_event(run_id, at, DagsterEventType.RUN_START), step_event(run_id, at)])
    backend = Backend()
    engine = engine_of(instance, backend, Cursor(low=2, seen=2))
    insert(instance, run_of_steps(run_id, at, [materialization(run_id, at, "orders", [])])[2:])
    engine.deliver(SOON)
    assert backend.labels() == LABELS_OF_A_RUN[2:]
