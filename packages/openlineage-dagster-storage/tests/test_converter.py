"""From references to events: what is not there yet, what never will be, what is tried again."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from delivered import differences, expected_events
from openlineage_dagster_core.delivery.outbox import Outbox, Record
from openlineage_dagster_core.errors import FactsUnavailableError
from openlineage_dagster_core.settings import Settings
from openlineage_dagster_storage import converter as converter_module
from openlineage_dagster_storage import stored_events
from openlineage_dagster_storage.converter import StoredEventConverter
from openlineage_dagster_storage.deferred import DeferredConverter
from openlineage_dagster_storage.references import Reference, id_of, is_converted, references_to
from orders_project import DEFINITIONS
from recorded_run import execute, to_json


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def made(instance: dg.DagsterInstance, tmp_path: Path) -> Iterator[StoredEventConverter]:
    outbox = Outbox(tmp_path)
    yield StoredEventConverter(outbox, Settings(), instance)
    outbox.close()


@pytest.fixture
def other(instance: dg.DagsterInstance, tmp_path: Path) -> Iterator[StoredEventConverter]:
    """That of another process, which knows nothing yet."""
    outbox = Outbox(tmp_path)
    yield StoredEventConverter(outbox, Settings(), instance)
    outbox.close()


@pytest.fixture
def run(instance: dg.DagsterInstance) -> list[dg.EventLogEntry]:
    """The log of a run, what becomes events of it."""
    run_id = execute(DEFINITIONS, "nightly", instance).run_id
    entries = [each.event_log_entry for each in instance.get_records_for_run(run_id).records]
    return [entry for entry in entries if is_converted(entry)]


def record(number: int, entries: list[dg.EventLogEntry], **changes: Any) -> Record:
    payload = Reference(tuple(id_of(entry) for entry in entries)).encode()
    made = Record(number, entries[0].run_id, payload, time.time(), "another-host/1")
    return replace(made, **changes)


def json_of(converter: StoredEventConverter, records: list[Record]) -> list[dict[str, Any]]:
    return [
        event
        for each in converter.ready(records)
        for event in to_json(list(converter.to_events(each)))
    ]


def without_facets_of_definitions(events: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(each["eventType"], each["job"]["name"], each["run"]["runId"]) for each in events]


def test_who_takes_over_in_the_middle_of_a_run_knows_what_others_have_sent(
    instance: dg.DagsterInstance, run: list[dg.EventLogEntry], tmp_path: Path
) -> None:
    outbox = Outbox(tmp_path)
    turns = [DeferredConverter(outbox, Settings(), instance) for _ in range(2)]
    sent = []
    for number, entry in enumerate(run, 1):
        converter = turns[number % 2]
        converter.begin_anew()
        [ready] = converter.ready([record(number, [entry])], lambda _: ())
        sent += to_json(list(converter.to_events(ready)))
    outbox.close()
    expected = expected_events(instance, run[0].run_id, DEFINITIONS)
    assert without_facets_of_definitions(sent) == without_facets_of_definitions(expected)


@pytest.mark.parametrize("of_run", [True, False])
def test_what_was_lost_is_not_taken_for_what_has_not_happened(
    instance: dg.DagsterInstance, run: list[dg.EventLogEntry], tmp_path: Path, of_run: bool
) -> None:
    """A step whose start is missing here has started all the same."""
    outbox = Outbox(tmp_path)
    made = StoredEventConverter(outbox, Settings(), instance)
    [ends_step, *_] = [
        each for each in run if each.dagster_event_type is dg.DagsterEventType.STEP_SUCCESS
    ]
    outbox.append([], gaps={run[0].run_id if of_run else None: 0.0}, reason="lost")
    sent = json_of(made, [record(1, run[:1]), record(2, [ends_step])])
    outbox.close()
    shown = [(event["eventType"], event["job"]["name"]) for event in sent]
    assert shown == [("START", "nightly"), ("COMPLETE", "nightly.raw__orders")]


def test_one_record_or_many_give_the_same_events(
    made: StoredEventConverter,
    other: StoredEventConverter,
    instance: dg.DagsterInstance,
    run: list[dg.EventLogEntry],
) -> None:
    one_by_one = json_of(made, [record(number, [each]) for number, each in enumerate(run, 1)])
    assert json_of(other, [record(1, run)]) == one_by_one
    expected = expected_events(instance, run[0].run_id, DEFINITIONS)
    assert without_facets_of_definitions(one_by_one) == without_facets_of_definitions(expected)


def test_records_are_sent_in_the_order_of_the_log(
    made: StoredEventConverter, run: list[dg.EventLogEntry]
) -> None:
    turned = [record(number, [each]) for number, each in enumerate(reversed(run), 1)]
    assert [each.id for each in made.ready(turned)] == list(range(len(run), 0, -1))


def test_what_was_appended_meanwhile_goes_where_the_log_has_it(
    made: StoredEventConverter, run: list[dg.EventLogEntry], tmp_path: Path
) -> None:
    """What a process appends before another stores what it has appended earlier."""
    outbox = Outbox(tmp_path)
    outbox.append(references_to([run[1]]))
    outbox.append(references_to([run[3]]))
    records = outbox.pending(100)
    for entry in (run[4], run[2], run[0]):
        outbox.append(references_to([entry]))

    ready = made.ready(records, partial(outbox.later_than, limit=2))

    assert [each.payload for each in ready] == [
        payload for entry in run[:4] for _, payload in references_to([entry])
    ]
    # What is not sent along is not kept: of all runs together it would be without bounds.
    assert made._found_of(records[0].ordering_key).keys() == {each.id for each in ready}
    outbox.remove(ready)
    [left] = made.ready(outbox.pending(100))
    assert [(left.ordering_key, left.payload)] == references_to([run[4]])
    outbox.close()


@pytest.mark.parametrize("at_once", [True, False])
def test_of_two_references_to_one_event_one_is_sent(
    made: StoredEventConverter, run: list[dg.EventLogEntry], at_once: bool
) -> None:
    """A write that takes long is referred to once more."""
    both = [record(number, [run[2]]) for number in (2, 3)]
    first = record(1, [run[1]])
    later = iter([] if at_once else [both])

    ready = made.ready([first, *both] if at_once else [first], lambda _: next(later, ()))
    ready = [*ready, *(made.ready(both[:1]) if not at_once else [])]

    assert [each.id for each in ready] == [1, 2]
    for each in ready:
        list(made.to_events(each))
    assert made.ready(both[1:]) == []


def test_what_has_not_been_read_is_not_given_up_where_only_what_has_been_is_looked_at(
    made: StoredEventConverter, run: list[dg.EventLogEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_events, "BEGINNING", 2)
    monkeypatch.setattr(stored_events, "PAGE", 2)
    of_the_dead = record(3, [run[5]], writer=None, appended_at=time.time() - 60)

    later = iter([[record(2, [run[0]]), of_the_dead]])

    ready = made.ready([record(1, [run[1]])], lambda _: next(later, ()))

    assert [each.id for each in ready] == [2, 1]
    [found] = made.ready([of_the_dead])
    assert [each.event_log_entry for each in made._found_of(found.ordering_key)[3]] == [run[5]]


@given(st.lists(st.sampled_from(["a", "b", "c", "sender"]), max_size=60), st.lists(st.booleans()))
@settings(max_examples=60, deadline=None)
def test_several_processes_store_and_all_is_sent_in_the_order_of_the_log(
    turns: list[str], failures: list[bool]
) -> None:
    with TemporaryDirectory() as directory, dg.DagsterInstance.ephemeral() as instance:
        outbox = Outbox(Path(directory))
        made = StoredEventConverter(outbox, Settings(), instance)
        processes = {name: storing(name, outbox, instance) for name in "abc"}
        to_come, fails = iter(turns), iter(failures)

        def others_work() -> None:
            for name in to_come:
                if name == "sender":
                    return
                next(processes[name], None)
            for process in processes.values():
                deque(process, maxlen=0)

        def later_than(record: Record) -> Sequence[Record]:
            others_work()
            return outbox.later_than(record, 3)

        sent: list[tuple[str, str]] = []
        while len(sent) < 3 * 4:
            others_work()
            # Less than there are processes: what one of them has stored may be left out.
            records = outbox.pending(2)
            others_work()
            ready = made.ready(records, later_than) if records else ()
            for each in takewhile(lambda _: not next(fails, False), ready):
                sent.append((each.ordering_key, each.payload))
                outbox.remove([each])
        outbox.close()
        log = instance.get_records_for_run("run").records
    assert sent == [one for each in log for one in references_to([each.event_log_entry])]


def storing(name: str, outbox: Outbox, instance: dg.DagsterInstance) -> Iterator[None]:
    """Store four events, as a process does: refer to each before."""
    for number in range(4):
        event = DagsterEvent("STEP_START", "job", step_key=f"{name}{number}")
        entry = dg.EventLogEntry(
            None, 20, "", "run", time.time(), step_key=event.step_key, dagster_event=event
        )
        outbox.append(references_to([entry]))
        yield
        instance.event_log_storage.store_event(entry)
        yield


def test_what_is_not_in_the_log_yet_waits_and_what_is_there_does_not(
    made: StoredEventConverter, run: list[dg.EventLogEntry]
) -> None:
    to_come = run[1]._replace(timestamp=run[1].timestamp + 1)
    assert [each.id for each in made.ready([record(1, [to_come]), record(2, [run[0]])])] == [2]


@pytest.mark.parametrize(
    "changes",
    [
        {"writer": None, "appended_at": time.time() - converter_module.COMMITTED_SECONDS - 60},
        {"appended_at": time.time() - converter_module.ABANDONED_SECONDS - 60},
    ],
    ids=["whoever began to store it has said so", "nobody has for long"],
)
def test_what_will_never_be_in_the_log_gives_nothing_and_holds_nothing_up(
    made: StoredEventConverter, run: list[dg.EventLogEntry], changes: dict[str, Any]
) -> None:
    never = run[1]._replace(timestamp=run[1].timestamp + 1)
    [found] = made.ready([record(1, [never], **changes)])
    assert list(made.to_events(found)) == []


def test_what_may_have_become_visible_late_is_looked_for_ever_more_rarely(
    made: StoredEventConverter, run: list[dg.EventLogEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    find = made._stored.find

    def look(run_id: str, wanted: Any, *, anew: bool) -> Any:
        seen.append(anew)
        return find(run_id, wanted, anew=anew)

    monkeypatch.setattr(made._stored, "find", look)
    hidden = run[3]._replace(timestamp=run[3].timestamp + 100.0)
    began = time.time()
    waiting = record(1, [hidden], appended_at=began)
    looked_anew_at = []
    for second in range(1, 65):
        monkeypatch.setattr(converter_module.time, "time", lambda: began + second)  # noqa: B023
        assert made.ready([waiting]) == []
        if seen[-1]:
            looked_anew_at.append(second)
    assert looked_anew_at == [3, 7, 15, 31, 63]
    # Another record's time is its own.
    monkeypatch.setattr(converter_module.time, "time", lambda: began + 68)
    assert made.ready([record(2, [hidden], appended_at=began + 65)]) == []
    assert seen[-1]


def test_of_a_batch_that_was_stored_in_part_that_part_is_sent(
    made: StoredEventConverter, run: list[dg.EventLogEntry]
) -> None:
    never = run[1]._replace(timestamp=run[1].timestamp + 1)
    batch = [run[0], never]
    assert made.ready([record(1, batch)]) == []
    [event] = json_of(made, [record(1, batch, writer=None, appended_at=time.time() - 60)])
    assert event["eventType"] == "START"


def test_a_batch_that_is_tried_again_in_the_middle_gives_the_same_events(
    made: StoredEventConverter, other: StoredEventConverter, run: list[dg.EventLogEntry]
) -> None:
    [batch] = made.ready([record(1, run)])
    events = made.to_events(batch)
    for _ in range(5):
        next(events)  # type: ignore[call-overload]
    again = to_json(list(made.to_events(batch)))
    at_once = json_of(other, [record(1, run)])
    assert len(again) == len(at_once) == 10
    assert not list(differences(again, at_once))


def test_all_since_a_time_is_sent_to_the_end(
    made: StoredEventConverter, other: StoredEventConverter, run: list[dg.EventLogEntry]
) -> None:
    every = json_of(made, [record(1, run)])
    since = replace(record(1, run), payload=Reference(since=run[3].timestamp).encode())
    for events in (json_of(made, [since]), json_of(other, [since])):
        assert events == every[-len(events) :]
        assert 0 < len(events) < len(every)


def test_a_database_that_cannot_be_read_says_nothing_of_the_record(
    made: StoredEventConverter,
    run: list[dg.EventLogEntry],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*args: object, **options: object) -> None:
        raise RuntimeError("connection lost")

    monkeypatch.setattr(dg.DagsterInstance, "get_records_for_run", broken)
    with pytest.raises(FactsUnavailableError, match="RuntimeError"):
        made.ready([record(1, run)])
