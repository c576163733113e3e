"""How the thread keeps out of the host's way; the clock is the test's, and so is every rest."""

from typing import Any

import pytest

from openlineage_dagster_core.delivery import pace
from openlineage_dagster_core.delivery.pace import Pace


class Clock:
    """Time that passes only when it is told to, or when the thread rests."""

    def __init__(self, made: Pace, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.computed = 0.0
        self.rests: list[float] = []
        monkeypatch.setattr(pace.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(pace.time, "thread_time", lambda: self.computed)
        monkeypatch.setattr(made._hurry, "wait", self.rest)

    def rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.now += seconds


@pytest.fixture
def made() -> Pace:
    return Pace()


@pytest.fixture
def clock(made: Pace, monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(made, monkeypatch)


def work(made: Pace, clock: Clock, seconds: float, waited: float = 0.0) -> None:
    clock.computed += seconds
    clock.now += seconds
    made.rest(waited)


def share(made: Pace, clock: Clock, waited: float) -> float:
    """Work beside a host that works."""
    made.host_works()
    made.gather()
    begin, computed = clock.now, 0.0
    for _ in range(50):
        made.host_works()
        work(made, clock, 0.001, waited)
        computed += 0.001
    return computed / (clock.now - begin)


def test_beside_a_host_that_works_the_thread_computes_its_share_at_most(
    made: Pace, clock: Clock
) -> None:
    assert share(made, clock, waited=1.0) == pytest.approx(pace.SHARE)


def test_what_has_waited_for_long_makes_the_share_larger_up_to_a_limit(
    made: Pace, clock: Clock
) -> None:
    assert share(made, clock, waited=1.2 * pace.BEHIND_SECONDS) == pytest.approx(1.2 * pace.SHARE)
    assert share(made, clock, waited=3600.0) == pytest.approx(pace.LARGEST_SHARE)


def begin_a_long_write(made: Pace, clock: Clock) -> None:
    made.take_over()
    clock.now += pace.NEW_SENDER_SECONDS + 1.0
    made.begin_to_store()
    clock.now += pace.BUSY_SECONDS + 1.0


@pytest.mark.parametrize("step", ["gather", "rest", "page"])
def test_one_write_that_takes_long_is_sat_out(
    made: Pace, clock: Clock, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    begin_a_long_write(made, clock)
    ends_at = clock.now + 10.0

    def rest_until_it_ends(seconds: float) -> None:
        clock.rest(seconds)
        if clock.now >= ends_at and made._storing:
            made.end_to_store()

    monkeypatch.setattr(made._hurry, "wait", rest_until_it_ends)
    # However long it has waited.
    {"gather": made.gather, "rest": lambda: made.rest(3600.0), "page": lambda: made.page(9)}[step]()
    assert made._storing == 0
    assert clock.now <= ends_at + 2 * pace.LONGEST_REST_SECONDS


def test_what_is_read_for_one_record_sits_a_long_write_out_however_long_it_was_rested_over(
    made: Pace, clock: Clock
) -> None:
    begin_a_long_write(made, clock)
    made._left_to_read = 0.0
    made.page(9)
    assert sum(clock.rests) >= pace.LONGEST_WRITE_SECONDS - pace.BUSY_SECONDS - 1.0


def test_a_write_that_hangs_is_sat_out_for_so_long_at_most(made: Pace, clock: Clock) -> None:
    begin_a_long_write(made, clock)
    begin = made._worked_at
    made.gather()
    assert clock.now - begin >= pace.LONGEST_WRITE_SECONDS
    assert clock.now - begin <= pace.LONGEST_WRITE_SECONDS + 2 * pace.LONGEST_REST_SECONDS
    clock.rests.clear()
    work(made, clock, 0.001)
    assert clock.rests == [pytest.approx(0.001 / pace.SHARE - 0.001)]


def test_who_has_just_taken_over_does_not_sit_a_long_write_out(made: Pace, clock: Clock) -> None:
    made.begin_to_store()
    clock.now += pace.BUSY_SECONDS + 1.0
    made.take_over()
    made.gather()
    assert clock.rests == [pace.GATHER_SECONDS]


def test_a_long_write_is_not_sat_out_while_somebody_waits(made: Pace, clock: Clock) -> None:
    begin_a_long_write(made, clock)
    made.begin_to_wait()
    made.gather()
    work(made, clock, 0.001)
    made.page(9)
    assert clock.rests == []


def test_no_rest_is_longer_than_the_longest(made: Pace, clock: Clock) -> None:
    made.host_works()
    work(made, clock, 0.5)
    assert clock.rests == [pace.LONGEST_REST_SECONDS]


def test_beside_a_host_that_does_nothing_it_does_not_rest(made: Pace, clock: Clock) -> None:
    made.host_works()
    clock.now += pace.BUSY_SECONDS + 1
    made.gather()
    work(made, clock, 0.5)
    assert clock.rests == []


def test_a_host_that_stores_for_long_works_all_the_time(made: Pace, clock: Clock) -> None:
    made.begin_to_store()
    made.begin_to_store()
    made.end_to_store()
    clock.now += 2 * pace.LONGEST_WRITE_SECONDS
    work(made, clock, 0.5)
    assert len(clock.rests) == 1
    made.end_to_store()
    clock.now += pace.BUSY_SECONDS + 1
    work(made, clock, 0.5)
    assert len(clock.rests) == 1


def test_beside_a_host_that_works_little_is_read_at_once_and_with_rests(
    made: Pace, clock: Clock
) -> None:
    made.host_works()
    made.gather()
    clock.rests.clear()
    clock.computed += 0.002
    assert made.page(1000) == pace.SMALL_PAGE
    assert clock.rests == [pytest.approx(0.002 / pace.SHARE - 0.002)]
    assert made.page(2) == 2
    clock.now += pace.BUSY_SECONDS + 1
    clock.computed += 0.5
    assert made.page(1000) == pace.IDLE_PAGE
    made.begin_to_wait()
    assert made.page(1000) == 1000
    assert len(clock.rests) == 2


def test_what_is_read_for_one_record_is_rested_over_for_so_long_at_most(
    made: Pace, clock: Clock
) -> None:
    def read_much() -> None:
        clock.rests.clear()
        for _ in range(100):
            made.host_works()
            clock.computed += 0.5
            made.page(1000)

    made.take_over()
    read_much()
    assert sum(clock.rests) == pace.TAKE_OVER_SECONDS
    for _ in range(2):
        made.rest(waited=1.0)
        read_much()
        assert sum(clock.rests) == pace.READING_SECONDS


def test_while_somebody_waits_for_it_it_does_not_rest(made: Pace, clock: Clock) -> None:
    made.host_works()
    made.begin_to_wait()
    made.begin_to_wait()
    made.end_to_wait()
    made.gather()
    work(made, clock, 0.5)
    assert clock.rests == []
    made.end_to_wait()
    made.host_works()
    work(made, clock, 0.5)
    assert len(clock.rests) == 1


def test_beside_a_host_that_is_new_and_works_nothing_is_begun(made: Pace, clock: Clock) -> None:
    made.host_works()
    begin = clock.now

    def is_over() -> bool:
        made.host_works()
        return False

    made.warm_up(is_over)
    assert clock.now - begin == pytest.approx(pace.WARM_UP_SECONDS, abs=2 * pace.BUSY_SECONDS)
    made.warm_up(is_over)
    assert clock.now - begin == pytest.approx(pace.WARM_UP_SECONDS, abs=2 * pace.BUSY_SECONDS)


def test_beside_a_host_that_is_new_and_works_the_thread_hardly_wakes(
    made: Pace, clock: Clock
) -> None:
    made.host_works()

    def is_over() -> bool:
        made.host_works()
        return False

    made.warm_up(is_over)
    assert len(clock.rests) <= pace.WARM_UP_SECONDS / pace.BUSY_SECONDS + 1


def test_beside_a_new_host_that_pauses_or_waits_or_ends_it_is_begun_at_once(
    made: Pace, clock: Clock
) -> None:
    made.host_works()
    clock.now += pace.BUSY_SECONDS + 0.1
    made.warm_up(lambda: False)
    made.host_works()
    made.warm_up(lambda: True)
    made.begin_to_wait()
    made.warm_up(lambda: False)
    assert clock.rests == []


def test_a_rest_ends_when_somebody_begins_to_wait() -> None:
    made: Any = Pace()
    made.host_works()
    made.begin_to_wait()
    assert made._hurry.wait(0)
