"""The shipper with a real outbox and a real HTTP receiver; only the records are made up."""

import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from openlineage.client.event_v2 import RunState

from openlineage_dagster_core.delivery import holds, pace
from openlineage_dagster_core.delivery import shipper as delivery_shipper
from openlineage_dagster_core.delivery.client import Event, LineageClient
from openlineage_dagster_core.delivery.outbox import Gap, Outbox, Record
from openlineage_dagster_core.delivery.shipper import Shipper
from openlineage_dagster_core.errors import FactsUnavailableError
from receiver import Receiver
from small_event import event


class Converter:
    """The payload is the job's name; `broken` cannot be converted, `unreadable` not yet."""

    is_usable = True

    def __init__(self) -> None:
        self.forgotten: list[str] = []
        self.unready: set[str] = set()
        self.can_read = False
        self.began = 0
        self.converted: list[str] = []
        self.append_meanwhile: list[Callable[[], None]] = []

    def begin_anew(self) -> None:
        self.began += 1

    def to_events(self, record: Record) -> list[Event]:
        self.converted.append(record.payload)
        if record.payload == "broken":
            raise ValueError(record.payload)
        if record.payload == "unreadable" and not self.can_read:
            raise FactsUnavailableError(record.payload)
        return [event(RunState.COMPLETE, record.payload)]

    def ready(
        self, records: Sequence[Record], later_than: Callable[[Record], Sequence[Record]]
    ) -> Sequence[Record]:
        ready = [record for record in records if record.payload not in self.unready]
        if ready and self.append_meanwhile:
            self.append_meanwhile.pop()()
            return [*later_than(records[-1]), *ready]
        return ready

    def forget(self, record: Record) -> None:
        self.forgotten.append(record.ordering_key)

    def stand_in(self, gap: Gap) -> Iterable[tuple[str, str]]:
        yield gap.ordering_key or "any", f"since {gap.since}"


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(tmp_path)
    yield outbox
    outbox.close()


@pytest.fixture
def converter() -> Converter:
    return Converter()


@pytest.fixture
def shipper(outbox: Outbox, converter: Converter) -> Iterator[Shipper]:
    shipper = Shipper(outbox, lambda: LineageClient(1))
    shipper.attach(converter)
    yield shipper
    shipper.stop(5)


def names(events: list[dict[str, Any]]) -> list[str]:
    return [event["job"]["name"] for event in events]


def test_what_waits_is_sent_in_order(
    receiver: Receiver, outbox: Outbox, shipper: Shipper, converter: Converter
) -> None:
    outbox.append([("a", str(number)) for number in range(250)])
    shipper.notify()
    assert shipper.flush(30)
    assert names(receiver.events) == [str(number) for number in range(250)]
    assert outbox.depth() == 0


def test_what_is_appended_while_records_are_looked_at_goes_before_them_where_it_belongs(
    receiver: Receiver, outbox: Outbox, shipper: Shipper, converter: Converter, tmp_path: Path
) -> None:
    others = Outbox(tmp_path)
    converter.append_meanwhile = [lambda: others.append([("b", "of others"), ("a", "before")])]
    outbox.append([("a", "one"), ("a", "two")])
    shipper.notify()
    receiver.wait_for(lambda: len(receiver.events) == 4)
    others.close()
    assert names(receiver.events) == ["before", "one", "two", "of others"]
    assert shipper.flush(30)
    assert outbox.depth() == 0


def test_what_comes_later_is_sent_too(receiver: Receiver, outbox: Outbox, shipper: Shipper) -> None:
    for name in ("one", "two"):
        outbox.append([("a", name)])
        shipper.notify()
        assert shipper.flush(30)
    assert names(receiver.events) == ["one", "two"]


def test_while_the_backend_is_down_events_wait_and_then_arrive_in_order(
    receiver: Receiver, outbox: Outbox, shipper: Shipper, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer = lambda event: 503
    outbox.append([("a", "one"), ("a", "two")])
    shipper.notify()
    receiver.wait_for(lambda: receiver.requests >= 2)
    assert outbox.depth() == 2
    receiver.answer = lambda event: 201
    receiver.wait_for(lambda: len(receiver.events) == 2)
    assert names(receiver.events) == ["one", "two"]
    warnings = [r for r in caplog.records if "takes no events" in r.getMessage()]
    assert len(warnings) == 1
    assert "no impact on your runs" in warnings[0].getMessage()


def test_flush_does_not_wait_for_a_backend_that_is_down(
    receiver: Receiver, outbox: Outbox, shipper: Shipper
) -> None:
    receiver.answer = lambda event: 503
    outbox.append([("a", "one")])
    shipper.notify()
    assert not shipper.flush(3600)


def test_flush_does_not_wait_twice_for_a_backend_that_hangs(
    receiver: Receiver, outbox: Outbox, shipper: Shipper
) -> None:
    receiver.released.clear()
    outbox.append([("a", "one")])
    shipper.notify()
    assert not shipper.flush(0.1)
    assert not shipper.flush(3600)


def test_a_refused_event_is_parked_and_the_rest_flows(
    receiver: Receiver, outbox: Outbox, shipper: Shipper
) -> None:
    receiver.answer = lambda event: 422 if event["job"]["name"] == "bad" else 201
    receiver.body = "unknown field"
    outbox.append([("a", "one"), ("a", "bad"), ("a", "two")])
    shipper.notify()
    assert shipper.flush(30)
    assert names(receiver.events) == ["one", "two"]
    [(record, reason)] = outbox.parked()
    assert record.payload == "bad"
    assert reason == "refused with 422: unknown field"


def test_a_record_that_cannot_be_converted_is_parked_and_the_rest_flows(
    receiver: Receiver,
    outbox: Outbox,
    shipper: Shipper,
    converter: Converter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    outbox.append([("run-1", "broken"), ("a", "two")])
    shipper.notify()
    assert shipper.flush(30)
    assert names(receiver.events) == ["two"]
    [(_, reason)] = outbox.parked()
    assert reason.startswith("not converted: ValueError")
    assert "broken" in reason
    assert converter.forgotten == ["run-1"]
    [logged] = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert "run-1" in logged.getMessage()
    assert "broken" not in logged.getMessage(), "it may be what the event says"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_shipper, "FIRST_BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(delivery_shipper, "LONGEST_BACKOFF_SECONDS", 0.02)
    monkeypatch.setattr(holds, "LONGEST_BACKOFF_SECONDS", 0.02)
    monkeypatch.setattr(
        holds._Failing,
        "__init__",
        partialmethod(holds._Failing.__init__, backoff=0.01),
    )


@pytest.mark.usefixtures("quick")
def test_an_event_that_the_backend_cannot_bear_holds_up_its_own_run_and_no_other(
    receiver: Receiver, outbox: Outbox, shipper: Shipper
) -> None:
    receiver.answer = lambda event: 500 if event["job"]["name"] == "poison" else 201
    outbox.append([("a", "one"), ("a", "poison"), ("a", "behind"), ("b", "two"), ("b", "three")])
    shipper.notify()
    receiver.wait_for(lambda: len(receiver.events) == 3)
    assert names(receiver.events) == ["one", "two", "three"]
    receiver.answer = lambda event: 201
    receiver.wait_for(lambda: len(receiver.events) == 5)
    assert names(receiver.events) == ["one", "two", "three", "poison", "behind"]
    assert outbox.parked() == []


@pytest.mark.usefixtures("quick")
def test_an_event_that_fails_again_and_again_while_others_are_sent_is_parked(
    receiver: Receiver, outbox: Outbox, shipper: Shipper
) -> None:
    receiver.answer = lambda event: 500 if event["job"]["name"] == "poison" else 201
    receiver.body = "cannot store it"
    outbox.append([("a", "poison"), ("a", "behind")])
    for number in range(200):
        outbox.append([("b", str(number))])
        shipper.notify()
        asked = receiver.requests
        receiver.wait_for(lambda: receiver.requests >= asked + 2)  # noqa: B023
        if outbox.parked():
            break
    receiver.wait_for(lambda: "behind" in names(receiver.events))
    [(record, reason)] = outbox.parked()
    assert record.payload == "poison"
    assert "HTTP 500" in reason
    assert "cannot store it" in reason


@pytest.mark.usefixtures("quick")
def test_a_backend_that_can_bear_nothing_parks_nothing(
    receiver: Receiver, outbox: Outbox, shipper: Shipper
) -> None:
    receiver.answer = lambda event: 500
    outbox.append([("a", "one"), ("b", "two"), ("a", "three")])
    shipper.notify()
    receiver.wait_for(lambda: receiver.requests >= 60)
    assert not shipper.flush(3600)
    assert outbox.parked() == []
    receiver.answer = lambda event: 201
    receiver.wait_for(lambda: len(receiver.events) == 3)
    assert names(receiver.events).index("one") < names(receiver.events).index("three")


@pytest.mark.usefixtures("quick")
def test_a_run_that_cannot_be_read_holds_up_no_other(
    receiver: Receiver, outbox: Outbox, shipper: Shipper, converter: Converter
) -> None:
    outbox.append([("a", "unreadable"), ("b", "two")])
    shipper.notify()
    receiver.wait_for(lambda: len(receiver.events) == 1)
    assert names(receiver.events) == ["two"]
    converter.can_read = True
    receiver.wait_for(lambda: len(receiver.events) == 2)


def test_while_another_process_sends_nobody_here_does(
    receiver: Receiver, outbox: Outbox, shipper: Shipper
) -> None:
    outbox.append([("a", "one")])
    with FileLock(outbox.lock_path):
        shipper.notify()
        assert not shipper.flush(3600)
        assert receiver.requests == 0
    receiver.wait_for(lambda: len(receiver.events) == 1)


def test_with_the_last_converter_the_thread_ends_and_another_starts_it_again(
    receiver: Receiver, outbox: Outbox, shipper: Shipper, converter: Converter
) -> None:
    shipper.notify()
    shipper.detach(converter, 10)
    assert "openlineage-shipper" not in [thread.name for thread in threading.enumerate()]
    shipper.attach(converter)
    outbox.append([("a", "one")])
    shipper.notify()
    assert shipper.flush(30)


def test_after_stop_the_thread_is_gone_and_notify_starts_it_again(
    receiver: Receiver, outbox: Outbox, shipper: Shipper
) -> None:
    shipper.notify()
    shipper.stop(10)
    outbox.append([("a", "one")])
    assert receiver.requests == 0
    shipper.notify()
    assert shipper.flush(30)


def test_a_thread_that_rests_ends_at_once_when_it_is_stopped_and_the_next_one_rests_again(
    receiver: Receiver, outbox: Outbox, shipper: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "BUSY_SECONDS", 600.0)
    monkeypatch.setattr(pace, "WARM_UP_SECONDS", 600.0)
    outbox.append([("a", "one")])
    for _ in range(20):
        shipper.notify()
        thread = shipper._thread
        shipper.stop(10)
        assert not thread.is_alive()
        assert not shipper._pace._hurry.is_set()
    assert receiver.requests == 0


def test_one_converter_is_asked_as_long_as_it_is_there_and_another_begins_anew(
    receiver: Receiver, outbox: Outbox, shipper: Shipper, converter: Converter
) -> None:
    """Each knows how far a run is only from what it has converted itself."""
    others = []
    for number in range(40):
        outbox.append([("a", str(number))])
        shipper.notify()
        assert shipper.flush(5)
        others.append(Converter())
        # Wherever it comes in the set.
        shipper.attach(others[-1])
    assert converter.converted == names(receiver.events) == [str(number) for number in range(40)]
    assert converter.began == 1
    shipper.detach(converter, 0)
    outbox.append([("a", "next")])
    shipper.notify()
    assert shipper.flush(5)
    assert [(each.began, each.converted) for each in others if each.began] == [(1, ["next"])]


def test_who_sends_again_begins_anew(
    receiver: Receiver, outbox: Outbox, shipper: Shipper, converter: Converter
) -> None:
    """Another process may have sent meanwhile."""
    for number in range(3):
        outbox.append([("a", str(number))])
        shipper.notify()
        assert shipper.flush(5)
        assert converter.began == number + 1
        shipper.stop(5)
    assert len(receiver.events) == 3


def test_without_converters_nothing_is_sent(receiver: Receiver, outbox: Outbox) -> None:
    shipper = Shipper(outbox, lambda: LineageClient(1))
    outbox.append([("a", "one")])
    shipper.notify()
    assert not shipper.flush(0.2)
    assert receiver.requests == 0


def test_a_client_that_cannot_be_made_is_told_once_and_the_host_goes_on(
    outbox: Outbox, caplog: pytest.LogCaptureFixture, converter: Converter
) -> None:
    def no_client() -> LineageClient:
        raise RuntimeError("no such transport")

    shipper = Shipper(outbox, no_client)
    shipper.attach(converter)
    outbox.append([("a", json.dumps({}))])
    shipper.notify()
    assert not shipper.flush(30)
    assert outbox.depth() == 1
    assert "no impact on your runs" in caplog.text
    shipper.stop(10)
