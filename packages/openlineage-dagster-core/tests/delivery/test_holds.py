"""What waits, and for how long; the clock is the test's."""

import pytest

from openlineage_dagster_core.delivery import holds
from openlineage_dagster_core.delivery.holds import Holds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(holds.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(holds.random, "uniform", lambda low, high: high)
    return now


def test_a_key_that_failed_waits_longer_each_time_up_to_a_limit(clock: list[float]) -> None:
    made, waits = Holds(), []
    for sent in range(10):
        made.fail("a", 1, sent)
        began = clock[0]
        while made.keys():
            clock[0] += 0.25
        waits.append(clock[0] - began)
    assert waits[:4] == [0.5, 1.0, 2.0, 4.0]
    assert waits[-1] == holds.LONGEST_BACKOFF_SECONDS


def test_a_failure_counts_only_where_others_were_sent_in_between(clock: list[float]) -> None:
    made = Holds()
    assert [made.fail("a", 1, sent) for sent in (5, 5, 5, 6, 7)] == [1, 1, 1, 2, 3]
    assert made.fail("a", 2, 7) == 1, "another record begins anew"


def test_what_is_released_does_not_wait(clock: list[float]) -> None:
    made = Holds()
    made.fail("a", 1, 0)
    made.fail("b", 2, 0)
    made.release("a")
    made.release("nothing")
    assert made.keys() == {"b"}
    assert made


def test_a_key_of_which_nothing_is_ready_is_looked_at_again_soon(clock: list[float]) -> None:
    made = Holds()
    made.look_later("a")
    assert made.keys() == {"a"}
    clock[0] += holds.FIRST_LOOK_SECONDS
    assert made.keys() == set()
    for _ in range(10):
        made.look_later("a")
    clock[0] += holds.LONGEST_LOOK_SECONDS
    assert made.keys() == set()
    made.look_later("a")
    made.look_now()
    assert made.keys() == set()
    made.look_later("a")
    made.found("a")
    assert not made
