"""Finding events in the log of a run by reference, on a real instance."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent

from openlineage_dagster_storage import stored_events
from openlineage_dagster_storage.references import EventId, id_of
from openlineage_dagster_storage.stored_events import StoredEvents, in_order

RUN = "run-1"


def entry(number: int, run_id: str = RUN, kind: str = "STEP_START") -> dg.EventLogEntry:
    event = DagsterEvent(event_type_value=kind, job_name="j", step_key=f"s{number}")
    return dg.EventLogEntry(
        None, 20, "", run_id, 1000.0 + number, step_key=f"s{number}", dagster_event=event
    )


class CountingInstance:
    """The instance, and how often its log was asked."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.questions = 0

    def get_records_for_run(self, *args: Any, **options: Any) -> Any:
        self.questions += 1
        return self.instance.get_records_for_run(*args, **options)

    def store(self, *numbers: int, run_id: str = RUN) -> None:
        for number in numbers:
            self.instance.event_log_storage.store_event(entry(number, run_id))


@pytest.fixture(params=["in memory", "sqlite"])
def log(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[CountingInstance]:
    with (
        dg.DagsterInstance.ephemeral()
        if request.param == "in memory"
        else dg.DagsterInstance.local_temp(str(tmp_path))
    ) as instance:
        yield CountingInstance(instance)


@pytest.fixture
def stored(log: CountingInstance) -> StoredEvents:
    return StoredEvents(lambda: log)  # type: ignore[arg-type,return-value]


def ids(*numbers: int) -> list[EventId]:
    return [id_of(entry(number)) for number in numbers]


def steps(found: Any) -> list[str | None]:
    return [record.event_log_entry.step_key for record in in_order(found)]


def test_what_is_there_is_found_in_the_order_of_the_log(
    log: CountingInstance, stored: StoredEvents
) -> None:
    log.store(2, 0, 1)
    assert steps(stored.find(RUN, ids(0, 1, 2, 3), anew=False)) == ["s2", "s0", "s1"]


def test_a_log_is_read_once_while_it_grows(log: CountingInstance, stored: StoredEvents) -> None:
    for number in range(200):
        log.store(number)
        assert steps(stored.find(RUN, ids(number), anew=False)) == [f"s{number}"]
    assert log.questions == 200


def test_what_has_been_read_is_taken_once_and_the_log_is_not_read_on(
    log: CountingInstance, stored: StoredEvents
) -> None:
    log.store(*range(3))
    stored.find(RUN, ids(1), anew=False)
    log.store(3)
    assert steps(stored.take(RUN, ids(0, 1, 2, 3))) == ["s0", "s2"]
    assert steps(stored.take(RUN, ids(0))) == []
    assert log.questions == 1


def test_what_was_found_before_the_log_could_not_be_read_on_is_found_again(
    log: CountingInstance, stored: StoredEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_events, "BEGINNING", 2)
    log.store(*range(4))
    get_records = log.instance.get_records_for_run

    def fails_once(*args: Any, **options: Any) -> Any:
        if log.questions == 2:
            raise OSError("the connection is lost")
        return get_records(*args, **options)

    monkeypatch.setattr(log.instance, "get_records_for_run", fails_once)
    with pytest.raises(OSError, match="lost"):
        stored.find(RUN, ids(*range(4)), anew=False)
    assert steps(stored.find(RUN, ids(*range(4)), anew=False)) == ["s0", "s1", "s2", "s3"]


def test_what_is_stored_while_it_looks_back_is_found_with_what_comes_before_it(
    log: CountingInstance, stored: StoredEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.store(0)
    backwards = stored._backwards

    def store_and_look(*args: Any, **options: Any) -> Any:
        log.store(2, 1)
        return backwards(*args, **options)

    monkeypatch.setattr(stored, "_backwards", store_and_look)
    assert steps(stored.find(RUN, ids(1), anew=True)) == []
    monkeypatch.undo()
    [found] = in_order(stored.find(RUN, ids(1), anew=True))
    assert stored.leaves_any_before(RUN, found.storage_id)
    assert steps(stored.take(RUN, ids(2))) == ["s2"]


def test_what_is_left_before_an_event_is_known_and_nothing_is_left_where_all_were_asked_for(
    log: CountingInstance, stored: StoredEvents
) -> None:
    log.store(*range(4))
    found = in_order(stored.find(RUN, ids(0, 2), anew=False))
    first, last = (each.storage_id for each in found)
    assert not stored.leaves_any_before(RUN, first)
    assert stored.leaves_any_before(RUN, last)
    stored.take(RUN, ids(1))
    assert not stored.leaves_any_before(RUN, last)


def test_what_is_read_along_is_found_without_asking_again(
    log: CountingInstance, stored: StoredEvents
) -> None:
    log.store(*range(20))
    for number in range(20):
        assert stored.find(RUN, ids(number), anew=False)
    assert log.questions == 1


def test_a_long_log_whose_beginning_was_dealt_with_is_not_read_from_there(
    log: CountingInstance, stored: StoredEvents
) -> None:
    log.store(*range(0, 120_000, 100))
    assert steps(stored.find(RUN, ids(119_900), anew=False)) == ["s119900"]
    assert log.questions <= 3


def test_in_small_pages_the_same_is_found(log: CountingInstance) -> None:
    in_small = StoredEvents(lambda: log, lambda largest: min(3, largest))  # type: ignore[arg-type,return-value]
    log.store(*range(0, 120_000, 100))
    assert steps(in_small.find(RUN, ids(0, 6_000, 9_000), anew=False)) == ["s0", "s6000", "s9000"]
    assert log.questions == 31
    assert len(list(in_small.since(RUN, 1000.0 + 110_000))) == 100


def test_in_small_pages_it_is_not_read_from_the_beginning_that_was_dealt_with(
    log: CountingInstance,
) -> None:
    asked: list[int] = []

    def page(largest: int) -> int:
        asked.append(largest)
        return min(20, largest)

    log.store(*range(0, 120_000, 100))
    wanted = ids(119_900)
    assert steps(StoredEvents(lambda: log, page).find(RUN, wanted, anew=False)) == ["s119900"]  # type: ignore[arg-type,return-value]
    assert asked[:3] == [50, 30, 10]
    assert log.questions == len(asked) < 10


def test_what_became_visible_late_is_found_when_looked_for_anew(
    log: CountingInstance, stored: StoredEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.store(0, 1, 2)
    hidden = id_of(entry(1))
    read = dg.DagsterInstance.get_records_for_run

    def without_hidden(self: dg.DagsterInstance, *args: Any, **options: Any) -> Any:
        page = read(self, *args, **options)
        shown = [each for each in page.records if id_of(each.event_log_entry) != hidden]
        return (
            page._replace(records=shown)
            if hasattr(page, "_replace")
            else type(page)(records=shown, cursor=page.cursor, has_more=page.has_more)
        )

    with monkeypatch.context() as patched:
        patched.setattr(dg.DagsterInstance, "get_records_for_run", without_hidden)
        assert steps(stored.find(RUN, ids(0, 1, 2), anew=False)) == ["s0", "s2"]
    assert stored.find(RUN, [hidden], anew=False) == {}
    assert steps(stored.find(RUN, [hidden], anew=True)) == ["s1"]


def test_what_was_put_back_is_found_again(log: CountingInstance, stored: StoredEvents) -> None:
    log.store(0)
    found = stored.find(RUN, ids(0, 1), anew=False)
    stored.put_back(RUN, found.values())
    log.store(1)
    assert steps(stored.find(RUN, ids(0, 1), anew=False)) == ["s0", "s1"]


def test_what_had_to_be_forgotten_is_read_again(
    log: CountingInstance, stored: StoredEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_events, "ENTRIES_REMEMBERED", 5)
    log.store(*range(40))
    assert steps(stored.find(RUN, ids(39), anew=False)) == ["s39"]
    assert steps(stored.find(RUN, ids(3, 4), anew=False)) == ["s3", "s4"]


def test_all_since_a_time_is_read_in_order(log: CountingInstance, stored: StoredEvents) -> None:
    log.store(*range(100), run_id="")
    found = [each.step_key for each in stored.since("", 1000.0 + 90)]
    assert found == [f"s{number}" for number in range(90, 100)]


def test_what_nobody_asked_for_is_passed_over_once(
    log: CountingInstance, stored: StoredEvents
) -> None:
    log.store(1, 2, 3, 4, 5)
    found = stored.find(RUN, ids(1, 3, 4, 5), anew=False)
    storage_ids = [record.storage_id for record in in_order(found)]
    told = [stored.passes_over_any(RUN, storage_id) for storage_id in storage_ids]
    assert told == [False, True, False, False]
    assert not stored.passes_over_any(RUN, storage_ids[1])
