"""Order within a key, many keys at a time, and how it ends."""

import threading
import time
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openlineage_dagster_core.delivery.lanes import LaneHeld, Lanes, LaneStopped

Item = tuple[str, int]
T = TypeVar("T")
SOON = 30.0


def waited(release: threading.Event, item: T) -> T:
    """Do an item when it is let go."""
    release.wait(SOON)
    return item


def later(seconds: float = SOON) -> float:
    return time.monotonic() + seconds


@settings(max_examples=30)
@given(
    keys=st.lists(st.sampled_from("abcde"), max_size=60),
    threads=st.integers(1, 6),
    capacity=st.integers(1, 10),
)
def test_each_key_is_done_in_order_and_all_of_it(
    keys: list[str], threads: int, capacity: int
) -> None:
    done: list[Item] = []

    def work(tool: int, item: Item) -> Item:
        done.append(item)
        lanes.open_up()
        return item

    lanes: Lanes[int, Item, Item] = Lanes(range(threads), work, capacity)
    for number, key in enumerate(keys):
        assert lanes.put(key, (key, number), later())
    assert lanes.finish(later())
    assert sorted(lanes.done) == sorted(done)
    for key in set(keys):
        assert [item for item in done if item[0] == key] == [
            (key, number) for number, of in enumerate(keys) if of == key
        ]


def test_keys_are_worked_on_at_the_same_time() -> None:
    together = threading.Barrier(4)
    lanes: Lanes[int, str, str] = Lanes(range(4), lambda _, item: meet(item), 100)

    def meet(item: str) -> str:
        if item == "first":
            lanes.open_up()
        else:
            together.wait(SOON)
        return item

    for key, item in [("a", "first"), *((key, "other") for key in "bcde")]:
        lanes.put(key, item, later())
    assert lanes.finish(later())
    assert len(lanes.done) == 5


def test_until_something_succeeds_one_item_is_tried() -> None:
    tried: list[str] = []

    def fail(_: int, item: str) -> str:
        tried.append(item)
        raise LaneStopped("dead")

    lanes: Lanes[int, str, str] = Lanes(range(8), fail, 100)
    for key in "abcdefgh":
        lanes.put(key, key, later())
    lanes.finish(later())
    assert len(tried) == 1
    assert sorted(lanes.waiting()) == list("abcdefgh")
    assert str(lanes.stopped_by) == "dead"
    assert lanes.done == []
    assert not lanes.put("z", "z", later())


def test_a_key_that_is_held_drops_what_follows_and_holds_up_no_other() -> None:
    def work(_: int, item: Item) -> Item:
        if item == ("a", 1):
            raise LaneHeld("no")
        return item

    lanes: Lanes[int, Item, Item] = Lanes(range(2), work, 100)
    for item in [("a", 0), ("a", 1), ("a", 2), ("b", 0)]:
        lanes.put(item[0], item, later())
    assert lanes.finish(later())
    assert sorted(lanes.done) == [("a", 0), ("b", 0)]
    assert set(lanes.held) == {"a"}
    assert lanes.stopped_by is None


def test_what_is_under_way_at_the_deadline_is_not_waited_for() -> None:
    release = threading.Event()
    lanes: Lanes[int, str, str] = Lanes([0], lambda _, item: waited(release, item), 100)
    lanes.put("a", "slow", later())
    assert not lanes.finish(later(0.05))
    release.set()


def test_what_is_under_way_at_the_deadline_has_its_time_and_nothing_else_is_begun() -> None:
    release = threading.Event()
    lanes: Lanes[int, str, str] = Lanes([0], lambda _, item: waited(release, item), 100)
    for item in ("slow", "next"):
        lanes.put("a", item, later())
    threading.Timer(0.1, release.set).start()
    assert lanes.finish(later(0.01), SOON)
    assert lanes.done == ["slow"]


def test_no_more_than_the_capacity_waits() -> None:
    release = threading.Event()
    lanes: Lanes[int, int, int] = Lanes([0], lambda _, item: waited(release, item), 2)
    assert lanes.put("a", 1, later())
    assert lanes.put("a", 2, later())
    assert not lanes.put("a", 3, later(0.05))
    release.set()
    assert lanes.put("a", 3, later())
    assert lanes.finish(later())
    assert lanes.done == [1, 2, 3]


def test_no_thread_is_left() -> None:
    lanes: Lanes[int, str, str] = Lanes(range(4), lambda _, item: item, 10)
    lanes.put("a", "x", later())
    assert lanes.finish(later())
    assert not [
        thread for thread in threading.enumerate() if thread.name.startswith("openlineage-lane")
    ]


@pytest.mark.parametrize("error", [ValueError("x"), LaneStopped("y")])
def test_any_other_error_stops_everything_and_is_told(error: Exception) -> None:
    def work(_: int, item: str) -> str:
        raise error

    lanes: Lanes[int, str, str] = Lanes([0], work, 10)
    lanes.put("a", "x", later())
    lanes.finish(later())
    assert lanes.stopped_by is error
