"""Events go side by side, and in order where one depends on another, whatever fails."""

import itertools
import threading
import time
from asyncio import CancelledError
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openlineage_dagster_core.delivery import failures as failures_module
from openlineage_dagster_core.delivery import lanes as lanes_module
from openlineage_dagster_core.delivery.failures import PARK_AFTER
from openlineage_dagster_core.delivery.lanes import (
    EVENTS_A_SENDER,
    FEW_SENDERS,
    Dependency,
    Lanes,
)
from openlineage_dagster_core.errors import BackendUnavailableError, EventRefusedError

SOON = 30.0
SILENT = BackendUnavailableError("HTTP 503", 503)
BROKEN = BackendUnavailableError("HTTP 500", 500)


@dataclass(frozen=True)
class Payload:
    name: str
    size: int = 1


@dataclass
class Source:
    """Notes what becomes of the events."""

    done: list[tuple[int, str]] = field(default_factory=list)

    def delivered(self, position: int) -> None:
        self.done.append((position, "delivered"))

    def parked(self, position: int, reason: str) -> None:
        self.done.append((position, reason))


def lanes_of(
    send: Callable[[Payload], None],
    senders: int = 1,
    may_send: Callable[[], bool] = lambda: True,
    timeout: float = SOON,
) -> Lanes[Payload]:
    return Lanes([send] * senders, timeout=timeout, may_send=may_send)


def put(
    lanes: Lanes[Payload], name: str, *keys: str, source: Any = None, position: int = 0
) -> bool:
    dependencies = [Dependency(key) for key in keys]
    return lanes.put(Payload(name), dependencies, source or Source(), position, later())


def later(seconds: float = SOON) -> float:
    return time.monotonic() + seconds


def one_pass(lanes: Lanes[Payload], seconds: float = SOON, waits_for_held: bool = False) -> None:
    lanes.begin(later(seconds))
    lanes.finish(later(seconds), waits_for_held=waits_for_held)
    assert lanes.end(SOON)


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures_module, "FIRST_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(failures_module, "LONGEST_RETRY_SECONDS", 0.002)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    until = later()
    while _threads() and time.monotonic() < until:
        time.sleep(0.01)
    assert not _threads()


def _threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith("openlineage-lane")]


dependencies = st.dictionaries(
    st.sampled_from("abcd"), st.sampled_from([None, None, 1, 2]), max_size=3
)
CRASHES = {"crash": RuntimeError, "exit": SystemExit, "cancelled": CancelledError}
faults = st.sampled_from(["", "", "", "refused", "once", "often", "always", *CRASHES])


def may_go_together(events: list[dict[str, int | None]], first: int, second: int) -> bool:
    """Decide by the definition: every key they share has one version from the one to the other."""
    for key in events[first].keys() & events[second].keys():
        versions = {each[key]: None for each in events[first : second + 1] if key in each}
        if len(versions) > 1 or None in versions:
            return False
    return True


@settings(max_examples=60)
@given(
    events=st.lists(st.tuples(dependencies, faults), max_size=40),
    senders=st.integers(1, 5),
    in_one_go=st.booleans(),
)
def test_whatever_fails_each_key_is_sent_in_order_and_nothing_is_lost_or_sent_twice(  # noqa: C901
    events: list[tuple[dict[str, int | None], str]], senders: int, in_one_go: bool
) -> None:
    noted: list[tuple[str, int]] = []
    failed: defaultdict[int, int] = defaultdict(int)
    allowed = {"": 0, "once": 1, "often": 3, "always": 10**6}

    def send(payload: Payload) -> None:
        number = int(payload.name)
        noted.append(("begun", number))
        fault = events[number][1]
        if fault == "refused":
            raise EventRefusedError(422, "no")
        if fault in CRASHES:
            raise CRASHES[fault]("x")
        if failed[number] < allowed[fault]:
            failed[number] += 1
            raise BROKEN
        noted.append(("sent", number))

    class Noting:
        def delivered(self, position: int) -> None:
            noted.append(("delivered", position))

        def parked(self, position: int, reason: str) -> None:
            noted.append(("parked", position))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(failures_module, "FIRST_RETRY_SECONDS", 0.0005)
        patched.setattr(failures_module, "LONGEST_RETRY_SECONDS", 0.001)
        patched.setattr(lanes_module, "EVENTS_A_SENDER", 1)
        lanes = lanes_of(send, senders)
        for number, (shared, _) in enumerate(events):
            if not in_one_go and number == len(events) // 2:
                one_pass(lanes)
            found = [Dependency(key, version) for key, version in shared.items()]
            assert lanes.put(Payload(str(number)), found, Noting(), number, later())
        # An event that others do not prove to be at fault is never parked: one of them goes.
        assert lanes.put(Payload(str(len(events))), [], Noting(), len(events), later())
        events = [*events, ({}, "")]
        for _ in range(400):
            one_pass(lanes, waits_for_held=True)
            if not len(lanes):
                break
    concluded = [number for what, number in noted if what in ("delivered", "parked")]
    assert sorted(concluded) == list(range(len(events))), "each once"
    outcome = {number: what for what, number in noted if what in ("delivered", "parked")}
    assert all(
        (outcome[number] == "parked") == (fault in ("refused", "always", *CRASHES))
        for number, (_, fault) in enumerate(events)
    )
    if not any(fault for _, fault in events):
        sent = sorted(number for what, number in noted if what == "sent")
        assert sent == sorted(concluded), "nothing is sent twice where nothing fails"
    begun: dict[int, int] = {}
    ended: dict[int, int] = {}
    sent_last: dict[int, int] = {}
    for place, (what, number) in enumerate(noted):
        if what == "begun":
            begun.setdefault(number, place)
        elif what == "sent":
            sent_last[number] = place
        else:
            ended[number] = place
    shared_keys = [shared for shared, _ in events]
    for first, second in itertools.combinations(range(len(events)), 2):
        if not may_go_together(shared_keys, first, second):
            assert ended[first] < begun[second], "in order"
            if first in sent_last and second in sent_last:
                assert sent_last[first] < sent_last[second], "never an older state over a newer one"


def test_events_without_a_common_key_are_sent_at_the_same_time() -> None:
    together = threading.Barrier(2)

    def send(payload: Payload) -> None:
        if payload.name != "first":
            together.wait(SOON)

    lanes = lanes_of(send, 4)
    put(lanes, "first", "z")
    for number in range(4 * EVENTS_A_SENDER):
        put(lanes, "other", str(number))
    one_pass(lanes)
    assert len(lanes) == 0


def test_few_events_are_sent_in_the_order_of_the_log() -> None:
    sent: list[str] = []
    lanes = lanes_of(lambda payload: sent.append(payload.name), 4)
    for number in range(EVENTS_A_SENDER - 1):
        put(lanes, str(number), str(number))
    one_pass(lanes)
    assert sent == [str(number) for number in range(EVENTS_A_SENDER - 1)]


def test_until_something_is_sent_one_event_is_tried() -> None:
    tried: list[str] = []

    def send(payload: Payload) -> None:
        tried.append(payload.name)
        raise SILENT

    lanes = lanes_of(send, 8)
    for number in range(8 * EVENTS_A_SENDER):
        put(lanes, str(number), str(number))
    one_pass(lanes)
    assert tried == ["0"]
    assert len(lanes) == 8 * EVENTS_A_SENDER, "nothing is lost"
    assert lanes.failures.stopped_by == "the backend takes no events, will retry: HTTP 503"


def test_a_refused_event_is_parked_with_the_answer_and_what_follows_goes_on() -> None:
    sent: list[str] = []

    def send(payload: Payload) -> None:
        if payload.name == "bad":
            raise EventRefusedError(422, "not this one")
        sent.append(payload.name)

    lanes, source = lanes_of(send), Source()
    for position, name in enumerate(["bad", "good"]):
        put(lanes, name, "a", source=source, position=position)
    one_pass(lanes)
    assert sent == ["good"]
    assert source.done == [(0, "refused with 422: not this one"), (1, "delivered")]


@pytest.mark.parametrize("error", [BROKEN, RuntimeError("a-secret"), SystemExit("a-secret")])
@pytest.mark.usefixtures("quick_retries")
def test_an_event_that_fails_by_itself_holds_what_depends_on_it_and_is_parked_in_the_end(
    error: BaseException,
) -> None:
    sent: list[str] = []

    def send(payload: Payload) -> None:
        if payload.name == "bad":
            raise error
        sent.append(payload.name)

    lanes, bad, others = lanes_of(send), Source(), Source()
    put(lanes, "bad", "a", source=bad)
    put(lanes, "after", "a", "b", source=others)
    put(lanes, "other", "c", source=others)
    one_pass(lanes)
    assert sent == ["other"]
    assert lanes.held == 1
    [(source, position, attempts)] = lanes.held_events()
    assert (source, position) == (bad, 0)
    # A slow machine tries it again within the pass.
    assert attempts.failures >= 1
    for _ in range(10 * PARK_AFTER):
        one_pass(lanes, waits_for_held=True)
        if not len(lanes):
            break
    assert sent[-1] == "after"
    [(_, reason)] = bad.done
    assert reason.startswith("failed ")
    assert "a-secret" not in reason


@pytest.mark.usefixtures("quick_retries")
def test_before_a_lonely_event_is_blamed_one_that_is_known_to_be_taken_is_sent_again() -> None:
    sent: list[str] = []
    is_down = False

    def send(payload: Payload) -> None:
        if is_down or payload.name == "bad":
            raise BROKEN
        sent.append(payload.name)

    lanes, source = lanes_of(send), Source()
    put(lanes, "good", "a")
    one_pass(lanes)
    put(lanes, "bad", "b", source=source)
    is_down = True
    for _ in range(3 * PARK_AFTER):
        time.sleep(0.003)
        one_pass(lanes)
    assert source.done == [], "the backend is to blame"
    is_down = False
    for _ in range(30 * PARK_AFTER):
        time.sleep(0.003)
        one_pass(lanes)
    assert len(source.done) == 1, "the event is to blame"
    assert set(sent) == {"good"}
    assert len(sent) <= 2 * PARK_AFTER


@pytest.mark.usefixtures("quick_retries")
def test_what_is_sent_again_to_try_the_backend_overwrites_nothing_newer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lanes_module, "EVENTS_A_SENDER", 1)
    sent: list[str] = []
    newer_is_sent, is_probing = threading.Event(), threading.Event()

    def send(payload: Payload) -> None:
        if payload.name == "bad":
            raise BROKEN
        if payload.name == "older" and "older" in sent:
            is_probing.set()
            newer_is_sent.wait(0.5)
        sent.append(payload.name)
        if payload.name == "newer":
            newer_is_sent.set()

    lanes = lanes_of(send, 3)
    put(lanes, "older", "job")
    put(lanes, "bad", "other job")
    lanes.begin(later())
    until = later(3.0)
    finishing = threading.Thread(
        target=lanes.finish, args=(until,), kwargs={"waits_for_held": True}
    )
    finishing.start()
    assert is_probing.wait(SOON)
    for name in ("newer", "another"):
        put(lanes, name, "job" if name == "newer" else name)
    finishing.join()
    assert lanes.end(SOON)
    assert "newer" in sent
    last = {name: place for place, name in enumerate(sent)}
    assert last["older"] < last["newer"]


def test_a_process_that_may_not_send_any_more_sends_nothing() -> None:
    sent: list[str] = []
    lanes = lanes_of(lambda payload: sent.append(payload.name), may_send=lambda: len(sent) < 2)
    for number in range(5):
        put(lanes, str(number), "a")
    one_pass(lanes)
    assert sent == ["0", "1"]
    assert lanes.failures.stopped_by == "another process delivers now"
    assert len(lanes) == 3


def test_what_is_under_way_at_the_deadline_has_its_time_and_nothing_else_is_begun() -> None:
    release, sent = threading.Event(), list[str]()

    def send(payload: Payload) -> None:
        release.wait(SOON)
        sent.append(payload.name)

    lanes = lanes_of(send)
    for name in ("slow", "next"):
        put(lanes, name, "a")
    lanes.begin(later(0.1))
    lanes.finish(later(0.1), waits_for_held=False)
    assert not lanes.end(0.0)
    threading.Timer(0.1, release.set).start()
    assert lanes.end(SOON)
    assert sent == ["slow"]
    one_pass(lanes)
    assert sent == ["slow", "next"]


@pytest.mark.parametrize(("name", "limit"), [("CAPACITY_EVENTS", 2), ("CAPACITY_BYTES", 2)])
def test_no_more_than_the_capacity_waits(
    monkeypatch: pytest.MonkeyPatch, name: str, limit: int
) -> None:
    monkeypatch.setattr(lanes_module, name, limit)
    release, sent = threading.Event(), list[str]()

    def send(payload: Payload) -> None:
        release.wait(SOON)
        sent.append(payload.name)

    lanes = lanes_of(send)
    lanes.begin(later())
    assert put(lanes, "1", "a")
    assert put(lanes, "2", "a")
    assert not lanes.has_room
    assert not lanes.put(Payload("3"), [], Source(), 0, later(0.05))
    threading.Timer(0.05, release.set).start()
    assert put(lanes, "3", "a"), "it waits for room"
    lanes.finish(later(), waits_for_held=False)
    assert lanes.end(SOON)
    assert sent == ["1", "2", "3"]


def test_where_nothing_is_sent_it_is_not_waited_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_module, "CAPACITY_EVENTS", 1)
    lanes = lanes_of(lambda payload: None)
    put(lanes, "1", "a")
    began = time.monotonic()
    assert not put(lanes, "2", "a")
    assert time.monotonic() - began < SOON / 2
    one_pass(lanes)


def test_after_everything_is_sent_nothing_is_remembered() -> None:
    lanes = lanes_of(lambda payload: None, 3)
    for number in range(200):
        put(lanes, str(number), f"job {number % 7}", f"dataset {number % 3}")
    one_pass(lanes)
    assert (len(lanes), lanes.sent, lanes.has_room) == (0, 200, True)
    assert not lanes._queues
    assert lanes._bytes == 0


@pytest.mark.parametrize(("fast", "most"), [(float("inf"), FEW_SENDERS), (-1.0, 8)])
def test_a_fast_backend_has_few_senders_and_another_one_all(
    monkeypatch: pytest.MonkeyPatch, fast: float, most: int
) -> None:
    # An answer takes no time here: what counts as fast is changed instead.
    monkeypatch.setattr(lanes_module, "FAST_SECONDS", fast)
    together, peaks = threading.Condition(), [0]
    under_way: set[str] = set()

    def send(payload: Payload) -> None:
        with together:
            under_way.add(payload.name)
            peaks.append(len(under_way))
            together.notify_all()
            if payload.name != "0":
                together.wait_for(lambda: max(peaks) >= most, SOON)
            under_way.discard(payload.name)

    lanes = lanes_of(send, 8)
    for number in range(10 * EVENTS_A_SENDER):
        put(lanes, str(number), str(number))
    one_pass(lanes)
    assert lanes.sent == 10 * EVENTS_A_SENDER
    assert max(peaks) == most


def test_a_sender_waits_for_the_next_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_module, "IDLE_SECONDS", SOON)
    threads: set[int] = set()
    lanes = lanes_of(lambda _: threads.add(threading.get_ident()), 8)
    lanes.begin(later())
    for number in range(50):
        put(lanes, str(number), str(number))
        lanes.finish(later(), waits_for_held=False)
    assert lanes.end(SOON)
    assert (len(threads), lanes.sent) == (1, 50)
