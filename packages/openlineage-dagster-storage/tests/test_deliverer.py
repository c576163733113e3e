"""The deliverer: leads, delivers, keeps its cursor, does what it is asked for, and ends."""

import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from log_entries import add_run, counted_queries, run_of_steps
from openlineage_dagster_core.deliverer_state import (
    BEGIN_ROW,
    HEARTBEAT_ROW,
    REQUESTS_ROW,
    SUCCESSOR_ROW,
    Heartbeat,
    Requests,
    read_state,
)
from openlineage_dagster_core.engine import Outcome
from openlineage_dagster_core.key_values import KeyValues
from openlineage_dagster_core.settings import Settings
from openlineage_dagster_storage import deliverer as deliverer_module
from openlineage_dagster_storage import starting, watching
from openlineage_dagster_storage.deliverer import Deliverer
from openlineage_dagster_storage.leadership import acquire
from receiver import Receiver

ONE_FILE = "ConsolidatedSqliteEventLogStorage"
LABELS = ["j START", "j.s START", "j.s COMPLETE", "j COMPLETE"]


@pytest.fixture(params=["a file a run", "one file"])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    overrides: dict[str, Any] = {}
    if request.param == "one file":
        overrides["event_log_storage"] = {
            "module": "dagster._core.storage.event_log",
            "class": ONE_FILE,
            "config": {"base_dir": str(tmp_path / "log")},
        }
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as made:
        # As the storage notes it before its first event.
        KeyValues(made).put({BEGIN_ROW: '{"at": 1, "storage_id": 0}'})
        yield made


def store_run(instance: dg.DagsterInstance) -> str:
    run_id = str(uuid.uuid4())
    add_run(instance, run_id)
    for entry in run_of_steps(run_id, time.time(), []):
        instance.event_log_storage.store_event(entry)
    return run_id


def labels(receiver: Receiver) -> list[str]:
    return [f"{event['job']['name']} {event['eventType']}" for event in receiver.events]


def deliver(instance: dg.DagsterInstance, **options: Any) -> bool:
    return Deliverer(instance, Settings(), once=True, **options).run()


def test_everything_is_delivered_once_and_the_cursor_is_kept(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    store_run(instance)
    assert deliver(instance)
    assert labels(receiver) == LABELS
    state = read_state(KeyValues(instance))
    assert state.cursor is not None
    assert (state.cursor.sent, state.cursor.behind) == (4, 0)
    assert state.heartbeat is not None
    assert state.heartbeat.has_ended
    assert state.heartbeat.is_here
    assert state.heartbeat.trouble == ""
    assert state.heartbeat.last_sent_at == pytest.approx(time.time(), abs=60)
    assert deliver(instance)
    store_run(instance)
    assert deliver(instance)
    assert labels(receiver) == LABELS * 2


def test_what_was_stored_before_it_was_switched_on_is_left_out(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    store_run(instance)
    newest = instance.event_log_storage.get_maximum_record_id()
    KeyValues(instance).put({BEGIN_ROW: f'{{"at": {time.time() + 5}, "storage_id": {newest}}}'})
    assert deliver(instance)
    assert labels(receiver) == []


def test_a_run_that_was_under_way_when_it_was_switched_on_is_delivered_whole(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    @dg.op
    def s() -> None:
        now, newest = time.time(), instance.event_log_storage.get_maximum_record_id()
        KeyValues(instance).put({BEGIN_ROW: f'{{"at": {now}, "storage_id": {newest}}}'})

    @dg.job
    def j() -> None:
        s()

    store_run(instance)
    j.execute_in_process(instance=instance)
    assert deliver(instance)
    assert labels(receiver) == LABELS


def test_a_second_deliverer_does_nothing(instance: dg.DagsterInstance, receiver: Receiver) -> None:
    leadership = acquire(instance)
    assert leadership is not None
    store_run(instance)
    assert not deliver(instance)
    assert receiver.requests == 0
    leadership.release()
    assert deliver(instance)


def test_a_deliverer_that_loses_the_lock_sends_no_more_and_leaves_the_cursor_alone(
    instance: dg.DagsterInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_run(instance)
    take = deliverer_module.acquire

    def losing(instance: dg.DagsterInstance) -> Any:
        leadership = take(instance)
        monkeypatch.setattr(leadership, "is_held", lambda: receiver.requests < 2)
        return leadership

    with monkeypatch.context() as patched:
        patched.setattr(deliverer_module, "acquire", losing)
        assert deliver(instance)
    assert receiver.requests == 2
    assert read_state(KeyValues(instance)).cursor is None
    assert deliver(instance)
    assert labels(receiver) == [*LABELS[:2], *LABELS]


def test_a_backend_that_is_down_is_told_and_loses_nothing(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    store_run(instance)
    receiver.answer = lambda _: 503
    passes: list[Outcome] = []
    Deliverer(
        instance, Settings(), on_pass=passes.append, should_stop=lambda: len(passes) > 2
    ).run()
    state = read_state(KeyValues(instance))
    assert state.heartbeat is not None
    assert state.heartbeat.trouble.startswith("the backend takes no events, will retry: ")
    assert state.heartbeat.trouble_since > 0
    assert state.cursor is not None
    assert state.cursor.behind == 4
    receiver.answer = lambda _: 201
    assert deliver(instance)
    assert labels(receiver) == LABELS
    state = read_state(KeyValues(instance))
    assert state.heartbeat is not None
    assert state.heartbeat.trouble == ""


def test_the_pauses_grow_while_the_backend_is_down(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    store_run(instance)
    receiver.answer = lambda _: 503
    until = time.monotonic() + 6.0
    Deliverer(instance, Settings(), should_stop=lambda: time.monotonic() > until).run()
    assert 2 <= receiver.requests <= 8


def refused_then_taken(receiver: Receiver) -> None:
    receiver.answer = lambda event: 422 if event["job"]["name"] == "j.s" else 201


def test_parked_events_are_delivered_again_when_they_are_asked_for(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    run_id = store_run(instance)
    refused_then_taken(receiver)
    assert deliver(instance)
    state = read_state(KeyValues(instance))
    assert state.cursor is not None
    names = [event.name for event in state.cursor.last_parked]
    assert len(names) == 2
    assert all(name.startswith(run_id) for name in names)
    receiver.answer = lambda _: 201
    receiver.events.clear()
    KeyValues(instance).put({REQUESTS_ROW: Requests(retry=tuple(names)).to_text()})
    assert deliver(instance)
    assert labels(receiver) == LABELS[1:]
    state = read_state(KeyValues(instance))
    assert state.cursor is not None
    assert list(state.cursor.last_parked) == []
    assert state.requests == Requests()


def test_parked_events_are_dropped_when_they_are_asked_for(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    store_run(instance)
    refused_then_taken(receiver)
    assert deliver(instance)
    state = read_state(KeyValues(instance))
    assert state.cursor is not None
    first, second = state.cursor.last_parked
    KeyValues(instance).put({REQUESTS_ROW: Requests(drop=(first.name, "unknown")).to_text()})
    assert deliver(instance)
    state = read_state(KeyValues(instance))
    assert state.cursor is not None
    assert state.cursor.last_parked == [second]
    assert state.requests == Requests()


def test_without_news_it_ends_and_a_service_does_not(
    instance: dg.DagsterInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliverer_module, "IDLE_SECONDS", 1.0)
    monkeypatch.setattr(deliverer_module, "QUIET_SAVE_SECONDS", 0.5)
    store_run(instance)
    assert Deliverer(instance, Settings()).run()
    assert labels(receiver) == LABELS
    stop_at = time.monotonic() + 4.0
    service = Deliverer(
        instance, Settings(), is_service=True, should_stop=lambda: time.monotonic() > stop_at
    )
    assert service.run()
    assert time.monotonic() >= stop_at


def test_the_end_of_a_run_is_kept_soon(
    instance: dg.DagsterInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that ends with its run waits for that."""
    monkeypatch.setattr(deliverer_module, "SAVE_SECONDS", 1000.0)
    monkeypatch.setattr(deliverer_module, "ENDED_SAVE_SECONDS", 0.0)
    kept: list[int] = []

    def note_kept(outcome: Outcome) -> None:
        state = read_state(KeyValues(instance))
        kept.append(state.cursor.sent if state.cursor is not None else 0)
        if outcome.sent == 0 and len(kept) < 20:
            store_run(instance)

    service = Deliverer(
        instance,
        Settings(),
        is_service=True,
        on_pass=note_kept,
        should_stop=lambda: max(kept, default=0) >= 8 or len(kept) > 40,
    )
    assert service.run()
    assert max(kept) >= 8, "the second run's end is not the first write of this process"


def test_it_says_that_it_lives_after_the_end_of_a_run(
    instance: dg.DagsterInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process of a run in a container says that its deliverer ends with it."""
    monkeypatch.setattr(deliverer_module, "AFTER_RUN_SECONDS", 0.5)
    monkeypatch.setattr(deliverer_module, "QUIET_SAVE_SECONDS", 1000.0)
    store_run(instance)
    states: list[bool] = []

    def note_state(outcome: Outcome) -> None:
        heartbeat = read_state(KeyValues(instance)).heartbeat
        if heartbeat is None or outcome.sent:
            return
        states.append(heartbeat.has_ended)
        if len(states) == 1:
            ended = replace(heartbeat, has_ended=True)
            KeyValues(instance).put({HEARTBEAT_ROW: ended.to_text()})

    until = time.monotonic() + 60.0
    service = Deliverer(
        instance,
        Settings(),
        is_service=True,
        on_pass=note_state,
        should_stop=lambda: (len(states) > 1 and not states[-1]) or time.monotonic() > until,
    )
    assert service.run()
    assert not states[-1]


def test_it_ends_when_one_with_another_configuration_is_to_take_over(
    instance: dg.DagsterInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliverer_module, "CONTROL_SECONDS", 0.0)
    successor = f'{{"at": {time.time()}, "configuration": "another"}}'
    KeyValues(instance).put({SUCCESSOR_ROW: successor})
    store_run(instance)
    assert Deliverer(instance, Settings()).run()
    assert labels(receiver) == LABELS


def test_processes_that_restart_with_another_address_have_all_that_follows_sent_there(
    instance: dg.DagsterInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With looks at requests that are more frequent than usual, and threads for processes."""
    within = watching.CHECK_SECONDS + deliverer_module.CONTROL_SECONDS
    assert within + deliverer_module.PASS_SECONDS < 60, "a minute, as the documentation says"
    monkeypatch.setattr(deliverer_module, "CONTROL_SECONDS", 0.2)
    is_over = threading.Event()
    deliverers: list[threading.Thread] = []

    def start(_: object, *, takes_over: bool) -> bool:
        made = Deliverer(instance, Settings(), takes_over=takes_over, should_stop=is_over.is_set)
        deliverers.append(threading.Thread(target=made.run))
        deliverers[-1].start()
        return True

    monkeypatch.setattr(starting, "start", start)
    other = Receiver()
    try:
        for backend in (receiver, other):
            monkeypatch.setenv("OPENLINEAGE_URL", backend.url)
            watching.DelivererWatch(lambda: instance, Settings(), starts=True).check()
            if backend is other:
                deliverers[0].join(30)
                assert not deliverers[0].is_alive()
            store_run(instance)
            backend.wait_for(lambda: len(backend.events) == len(LABELS))  # noqa: B023
            # A deliverer whose heartbeat is not stored yet is not asked to end.
            give_up_at = time.monotonic() + 30
            while read_state(KeyValues(instance)).heartbeat is None:
                assert time.monotonic() < give_up_at
                time.sleep(0.05)
        assert labels(receiver) == labels(other) == LABELS
        assert len(deliverers) == 2
    finally:
        is_over.set()
        for each in deliverers:
            each.join()
        other.close()


def test_news_is_delivered_soon(instance: dg.DagsterInstance, receiver: Receiver) -> None:
    stop = threading.Event()
    running = Deliverer(instance, Settings(), should_stop=stop.is_set)
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        time.sleep(1.0)
        store_run(instance)
        receiver.wait_for(lambda: len(receiver.events) == 4)
    finally:
        stop.set()
        thread.join(60)
    assert labels(receiver) == LABELS


def test_a_quiet_log_costs_few_queries(instance: dg.DagsterInstance, receiver: Receiver) -> None:
    store_run(instance)
    assert deliver(instance)
    until = time.monotonic() + 10.0
    with counted_queries() as queries:
        Deliverer(instance, Settings(), should_stop=lambda: time.monotonic() > until).run()
    assert len(queries) <= 30, "three a second at most"


def test_a_cursor_that_cannot_be_kept_is_kept_later(
    instance: dg.DagsterInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_run(instance)
    monkeypatch.setattr(deliverer_module, "SAVE_SECONDS", 0.0)
    set_cursor_values = instance.run_storage.set_cursor_values
    failures = [OSError("gone")]

    def fail_once(pairs: Any) -> None:
        if failures:
            raise failures.pop()
        set_cursor_values(pairs)

    monkeypatch.setattr(instance.run_storage, "set_cursor_values", fail_once)
    assert deliver(instance)
    state = read_state(KeyValues(instance))
    assert state.cursor is not None
    assert state.cursor.sent == 4


def test_a_heartbeat_is_written_before_the_first_event_is_old(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    seen: list[Heartbeat | None] = []
    stored = KeyValues(instance)

    def stop() -> bool:
        seen.append(Heartbeat.from_text(stored.get([HEARTBEAT_ROW]).get(HEARTBEAT_ROW)))
        return len(seen) > 3

    Deliverer(instance, Settings(), should_stop=stop).run()
    living = [each for each in seen if each is not None]
    assert living
    assert all(each.is_alive(time.time()) for each in living)
