"""Several logs become one: in the order of their events, with few logs open at a time."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_core.event_log.merging import in_order
from openlineage_dagster_core.event_log.stored_event import EventId, StoredEvent


def log_of(run_id: str, times: list[int]) -> list[StoredEvent]:
    return [
        StoredEvent(EventId(run_id, number), timestamp=float(at))
        for number, at in enumerate(times, start=1)
    ]


def merged(logs: list[list[StoredEvent]], places: list[float]) -> list[StoredEvent]:
    opened = sorted(zip(places, map(iter, logs), strict=True), key=lambda each: each[0])
    return list(in_order(opened, lambda event: event.timestamp))


logs = st.lists(st.lists(st.integers(0, 20)), max_size=6)


@given(times=logs)
def test_sorted_logs_are_merged_as_sorting_would(times: list[list[int]]) -> None:
    made = [log_of(str(number), sorted(each)) for number, each in enumerate(times)]
    places = [each[0].timestamp if each else 0.0 for each in made]
    found = merged(made, places)
    everything = [event for log in made for event in log]
    assert [event.timestamp for event in found] == sorted(each.timestamp for each in everything)
    assert sorted(event.id for event in found) == sorted(event.id for event in everything)


@given(times=logs, early=st.integers(0, 5))
def test_each_log_keeps_its_own_order_whatever_its_times_are(
    times: list[list[int]], early: int
) -> None:
    made = [log_of(str(number), each) for number, each in enumerate(times)]
    places = [float(min(each, default=0) - early) for each in times]
    found = merged(made, places)
    assert len(found) == sum(map(len, made))
    for log in made:
        if log:
            assert [event for event in found if event.id.run_id == log[0].id.run_id] == log


@given(times=logs)
def test_an_event_comes_after_what_its_own_log_has_before_it_and_no_later(
    times: list[list[int]],
) -> None:
    """Sorting by the latest time so far in each log is what the merge does."""
    made = [log_of(str(number), each) for number, each in enumerate(times)]
    expected = []
    for log in made:
        latest = float("-inf")
        for event in log:
            latest = max(latest, event.timestamp)
            expected.append(latest)
    found = merged(made, [float(min(each, default=0)) for each in times])
    latest_of: dict[str, float] = {}
    order = []
    for event in found:
        run_id = event.id.run_id
        latest_of[run_id] = max(latest_of.get(run_id, float("-inf")), event.timestamp)
        order.append(latest_of[run_id])
    assert order == sorted(expected)


def test_a_log_is_opened_when_the_order_comes_to_its_place() -> None:
    opened: list[str] = []

    def lazily(name: str, times: list[int]) -> Iterator[StoredEvent]:
        opened.append(name)
        yield from log_of(name, times)

    logs = [(float(at), lazily(str(at), [at, at + 1])) for at in range(0, 1000, 10)]
    found = in_order(logs, lambda event: event.timestamp)
    assert [next(found).timestamp for _ in range(3)] == [0.0, 1.0, 10.0]
    assert len(opened) <= 3
