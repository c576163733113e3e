"""Events of a log until they are delivered: the same as a simple model says."""

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_core.event_log.outstanding import Outstanding


@dataclass
class Model:
    """Keeps every event for ever."""

    low: int
    times: dict[int, float] = field(default_factory=dict)
    delivered: set[int] = field(default_factory=set)
    due: Counter[int] = field(default_factory=Counter)

    def waiting(self) -> set[int]:
        return {each for each in self.times if each > self.low} - self.delivered

    def add(self, storage_id: int, timestamp: float) -> None:
        if storage_id > self.low:
            self.times.setdefault(storage_id, timestamp)
            self.delivered.discard(storage_id)
            self.due[storage_id] += 1

    def deliver(self, storage_id: int) -> None:
        if storage_id in self.times and storage_id > self.low and self.due[storage_id]:
            self.due[storage_id] -= 1
            if not self.due[storage_id]:
                self.delivered.add(storage_id)

    def advance(self, until: int, old_before: float) -> None:
        reached = until
        for storage_id in sorted(each for each in self.times if each > self.low):
            is_settled = storage_id <= until or 0 < self.times[storage_id] < old_before
            if storage_id not in self.delivered or not is_settled:
                reached = min(reached, storage_id - 1)
                break
            reached = max(until, storage_id)
            self.low = max(self.low, storage_id)
        self.low = max(self.low, reached)


steps = st.one_of(
    st.tuples(st.just("add"), st.integers(1, 30), st.integers(0, 100).map(float)),
    st.tuples(st.just("deliver"), st.integers(1, 30), st.just(0.0)),
    st.tuples(st.just("advance"), st.integers(0, 35), st.integers(0, 100).map(float)),
)


@given(low=st.integers(0, 5), delivered=st.sets(st.integers(1, 10)), steps=st.lists(steps))
def test_it_is_what_a_simple_model_says(
    low: int, delivered: set[int], steps: list[tuple[str, int, float]]
) -> None:
    real, model = Outstanding(low, delivered), Model(low)
    for each in delivered:
        model.add(each, 0.0)
        model.deliver(each)
    for step, number, time in steps:
        if step == "add":
            real.add(number, time)
            model.add(number, time)
        elif step == "deliver":
            real.deliver(number)
            model.deliver(number)
        else:
            real.advance(number, time)
            model.advance(number, time)
        waiting = model.waiting()
        assert real.low == model.low
        assert len(real) == len(waiting)
        assert real.delivered == {each for each in model.delivered if each > model.low}
        assert real.oldest() == (model.times[min(waiting)] if waiting else 0.0)
        for storage_id in range(1, 40):
            is_known = storage_id <= model.low or storage_id in model.times
            assert (storage_id in real) == is_known


def test_low_is_not_moved_past_an_event_that_waits() -> None:
    events = Outstanding(0)
    for storage_id in (1, 2, 3):
        events.add(storage_id, 10.0)
    for storage_id in (1, 3):
        events.deliver(storage_id)
    events.advance(99, 0.0)
    assert (events.low, events.delivered, len(events)) == (1, {3}, 1)
    events.deliver(2)
    events.advance(99, 0.0)
    assert (events.low, events.delivered, len(events)) == (99, set(), 0)


def test_an_event_that_became_visible_late_is_delivered_from_its_place() -> None:
    events = Outstanding(0)
    for storage_id in (1, 3, 2):
        events.add(storage_id, float(storage_id))
    assert 2 in events
    assert events.oldest() == 1.0
    events.deliver(1)
    events.deliver(3)
    events.advance(3, 0.0)
    assert (events.low, events.oldest()) == (1, 2.0)


def test_an_event_that_is_read_again_waits_again() -> None:
    events = Outstanding(0)
    events.add(1, 1.0)
    events.deliver(1)
    events.add(1, 1.0)
    events.advance(5, 0.0)
    assert (events.low, len(events)) == (0, 1)


def test_an_event_that_is_read_again_before_it_is_delivered_has_to_be_delivered_twice() -> None:
    """The first delivery is of the time before the late event that comes before it."""
    events = Outstanding(0)
    events.add(2, 1.0)
    for storage_id in (1, 2):
        events.add(storage_id, 1.0)
    for storage_id, is_done in ((2, False), (1, False), (2, True)):
        events.deliver(storage_id)
        assert (2 in events.delivered) == is_done
