"""A backend that fails in every way: one failure policy by the deliverer, the sensor and replay."""

import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

import drivers
import eight_assets
import faulty_transport
from delivered import (
    check_last_state,
    check_order,
    check_same,
    each_once,
    expected_log,
    summary,
)
from delivery import state_of
from drivers import DRIVERS, Driver, StorageDriver, opened
from openlineage_dagster_core.delivery import failures
from orders_project import DEFINITIONS
from receiver import DRIPPING, Json, Receiver
from recorded_run import execute

JOBS = {"nightly": True, "doomed": False, "tenant": True}
"""The jobs of the project, and whether they succeed."""

TIMEOUT_SECONDS = 2.0
FAILURES_BEFORE = 3
"""How many requests fail before the backend recovers."""

TWO_MINUTES = 120.0

by_every_driver = pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)


@pytest.fixture
def instance(driver: Driver, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with opened(driver, tmp_path / "home") as instance:
        yield instance


def run_all_jobs(instance: dg.DagsterInstance) -> None:
    for job, succeeds in JOBS.items():
        assert execute(DEFINITIONS, job, instance).success == succeeds, job


def check_all_arrived(
    instance: dg.DagsterInstance, receiver: Receiver, definitions: dg.Definitions = DEFINITIONS
) -> None:
    """Fail unless everything came, in order, and the backend shows the newest state."""
    expected = expected_log(instance, definitions)
    check_order(each_once(receiver.events), expected, "first arrivals")
    check_same(each_once(receiver.events), expected)
    check_last_state(receiver.events, expected)


def answers(status: int) -> Callable[[Receiver], None]:
    def fail(receiver: Receiver) -> None:
        receiver.answer = lambda _: status if receiver.requests <= FAILURES_BEFORE else 201

    return fail


def hangs(receiver: Receiver) -> None:
    receiver.released.clear()
    threading.Timer(1.5 * TIMEOUT_SECONDS, receiver.released.set).start()


def refuses_connections(receiver: Receiver) -> None:
    receiver.go_away()
    threading.Timer(TIMEOUT_SECONDS, receiver.listen).start()


def takes_events_and_does_not_say_so(receiver: Receiver) -> None:
    def lose_the_answer(event: Json) -> int:
        if receiver.requests > FAILURES_BEFORE:
            return 201
        receiver.events.append(event)
        return 503

    receiver.answer = lose_the_answer


@pytest.mark.parametrize(
    "fail",
    [
        pytest.param(answers(500), id="500"),
        pytest.param(answers(503), id="503"),
        pytest.param(answers(429), id="429"),
        pytest.param(answers(401), id="401"),
        pytest.param(hangs, id="hangs"),
        pytest.param(refuses_connections, id="refuses"),
        pytest.param(takes_events_and_does_not_say_so, id="loses_its_answer"),
        pytest.param(answers(DRIPPING), id="drips"),
    ],
)
@by_every_driver
@pytest.mark.one_driver_each("fail")
def test_events_that_a_backend_did_not_take_are_delivered_in_order_when_it_recovers(
    driver: Driver,
    instance: dg.DagsterInstance,
    receiver: Receiver,
    fail: Callable[[Receiver], None],
) -> None:
    run_all_jobs(instance)
    fail(receiver)
    delivery = driver.deliver(instance, DEFINITIONS, timeout=TIMEOUT_SECONDS)
    assert delivery.parked == []
    check_all_arrived(instance, receiver)


@pytest.mark.parametrize("driver", DRIVERS[:1], ids=["storage"])
def test_the_deliverer_says_what_is_wrong_with_the_backend_and_that_it_is_over(
    instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    run_all_jobs(instance)
    receiver.answer = lambda _: 503
    wrapper: Any = instance.event_log_storage
    passes: list[object] = []
    wrapper.run_deliverer(once=True, should_stop=lambda: bool(passes), on_pass=passes.append)
    state = state_of(instance)
    assert state.heartbeat is not None
    assert "HTTP 503" in state.heartbeat.trouble
    assert state.cursor is not None
    assert state.cursor.behind > 0
    receiver.answer = lambda _: 201
    StorageDriver().deliver(instance, DEFINITIONS)
    state = state_of(instance)
    assert state.heartbeat is not None
    assert state.heartbeat.trouble == ""


@by_every_driver
def test_a_flapping_backend_gets_everything_in_order(
    driver: Driver, instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    run_all_jobs(instance)
    pattern = itertools.cycle([201, 503, 201, 201, 429, 500, 201, 201, 201])

    def flap(event: Json) -> int:
        status = next(pattern)
        if status == 500:
            # Taken, and the answer is lost.
            receiver.events.append(event)
        return status

    receiver.answer = flap
    delivery = driver.deliver(instance, DEFINITIONS)
    assert delivery.parked == []
    assert receiver.requests > len(receiver.events)
    check_all_arrived(instance, receiver)


@pytest.mark.parametrize("status", [400, 413, 422])
@by_every_driver
@pytest.mark.one_driver_each("status")
def test_refused_events_are_parked_with_the_answer_and_all_others_are_delivered(
    driver: Driver, instance: dg.DagsterInstance, receiver: Receiver, status: int
) -> None:
    run_all_jobs(instance)
    receiver.body = "the backend does not want revenue"
    receiver.answer = lambda event: status if event["job"]["name"] == "revenue" else 201
    delivery = driver.deliver(instance, DEFINITIONS)
    # The asset's START waits for its materialization: it and COMPLETE are of one Dagster event.
    [parked] = delivery.parked
    assert parked.event_type == "ASSET_MATERIALIZATION"
    assert f"refused with {status}" in parked.reason
    assert "does not want revenue" in parked.reason
    [nightly] = [run.run_id for run in instance.get_runs() if run.job_name == "nightly"]
    assert parked.run_id == nightly
    expected = [
        event for event in expected_log(instance, DEFINITIONS) if event["job"]["name"] != "revenue"
    ]
    check_order(each_once(receiver.events), expected, "the others")


@pytest.mark.parametrize(
    ("raises", "reason"),
    [
        ("builtins.RuntimeError", "RuntimeError"),
        ("asyncio.CancelledError", "CancelledError"),
        ("builtins.SystemExit", "SystemExit"),
        ("faulty_transport.HiddenStatusError", "refused with 422: the domain does not want"),
    ],
)
@by_every_driver
@pytest.mark.one_driver_each("raises")
def test_an_exception_that_concerns_one_job_parks_its_events_and_delivers_all_others(
    driver: Driver,
    instance: dg.DagsterInstance,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    raises: str,
    reason: str,
) -> None:
    # Parked after as many attempts, and not after half a minute.
    monkeypatch.setattr(failures, "LONGEST_RETRY_SECONDS", failures.FIRST_RETRY_SECONDS)
    execute(eight_assets.DEFINITIONS, eight_assets.JOB, instance)
    monkeypatch.delenv("OPENLINEAGE_URL")
    transport = {
        "type": faulty_transport.PATH,
        "url": f"{receiver.url}/api/v1/lineage",
        "fails_for": "marts/revenue",
        "raises": raises,
    }
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT", json.dumps(transport))
    delivery = driver.deliver(instance, eight_assets.DEFINITIONS, seconds=TWO_MINUTES)
    [parked] = delivery.parked
    assert parked.event_type == "ASSET_MATERIALIZATION"
    assert reason in parked.reason
    assert "Throttling" not in parked.reason, "it may hold a secret"
    # START and COMPLETE of the asset are both of its materialization.
    expected = [
        event
        for event in expected_log(instance, eight_assets.DEFINITIONS)
        if event["job"]["name"] != "marts/revenue"
    ]
    assert len(expected) == eight_assets.EVENTS - 2
    check_order(each_once(receiver.events), expected, "the others")


@by_every_driver
def test_an_event_that_fails_alone_is_held_as_if_the_backend_were_dead_and_parked_once_it_is_not(
    driver: Driver,
    instance: dg.DagsterInstance,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With fewer attempts than usual before an event is parked."""
    monkeypatch.setattr(failures, "PARK_AFTER", 2)
    monkeypatch.setattr(drivers, "TICK_SECONDS", 2.0)
    instance.report_runless_asset_event(dg.AssetMaterialization("lonely"))
    receiver.answer = lambda event: 500 if event["job"]["name"] == "lonely" else 201
    with pytest.raises(AssertionError):
        driver.deliver(instance, DEFINITIONS, seconds=2.0)
    assert receiver.requests > 0
    # Had it been parked, nothing would wait.
    assert execute(DEFINITIONS, "nightly", instance).success
    [parked] = driver.deliver(instance, DEFINITIONS).parked
    assert parked.run_id == ""
    assert "500" in parked.reason
    expected = expected_log(instance, DEFINITIONS)
    expected = [event for event in expected if event["job"]["name"] != "lonely"]
    check_order(each_once(receiver.events), expected, "the others")


@by_every_driver
def test_a_backend_that_fails_for_every_step_gets_all_others_within_two_minutes(
    driver: Driver, instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    execute(eight_assets.DEFINITIONS, eight_assets.JOB, instance)

    def answer(event: Json) -> int:
        return 500 if "parent" in event["run"]["facets"] else 201

    receiver.answer = answer
    began = time.monotonic()
    delivery = driver.deliver(instance, eight_assets.DEFINITIONS, seconds=TWO_MINUTES)
    assert time.monotonic() - began < TWO_MINUTES
    log = expected_log(instance, eight_assets.DEFINITIONS)
    taken = [event for event in log if answer(event) == 201]
    refused = len(log) - len(taken)
    assert refused == 16
    check_order(each_once(receiver.events), taken, "those without a parent")
    assert Counter(parked.event_type for parked in delivery.parked) == {
        "STEP_START": refused // 2,
        "STEP_SUCCESS": refused // 2,
    }
    assert all("500" in parked.reason for parked in delivery.parked)


@pytest.mark.parametrize("status", [301, 302, 303])
@by_every_driver
@pytest.mark.one_driver_each("status")
def test_a_redirect_is_not_followed_and_nothing_counts_as_sent(
    driver: Driver,
    instance: dg.DagsterInstance,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
) -> None:
    execute(eight_assets.DEFINITIONS, eight_assets.JOB, instance)
    redirecting = Receiver()
    try:
        redirecting.location = f"{receiver.url}/login"
        redirecting.answer = lambda _: status
        redirecting.keep = lambda _: None
        monkeypatch.setenv("OPENLINEAGE_URL", redirecting.url)
        with pytest.raises(AssertionError) as raised:
            driver.deliver(instance, eight_assets.DEFINITIONS, seconds=4.0)
        assert receiver.requests == 0
        assert redirecting.requests > 0
        said = said_of(instance, str(raised.value))
        assert redirecting.location in said
        redirecting.answer = lambda _: 201
        redirecting.keep = receiver.events.append
        delivery = driver.deliver(instance, eight_assets.DEFINITIONS)
    finally:
        redirecting.close()
    assert delivery.parked == []
    check_all_arrived(instance, receiver, eight_assets.DEFINITIONS)


def said_of(instance: dg.DagsterInstance, error: str) -> str:
    """What the user can read: the heartbeat of the deliverer, or what the driver says."""
    heartbeat = state_of(instance).heartbeat
    return heartbeat.trouble if heartbeat is not None else error


@by_every_driver
def test_a_backend_that_answers_500_for_a_while_and_then_takes_all_loses_nothing(
    driver: Driver, instance: dg.DagsterInstance, receiver: Receiver
) -> None:
    """Most of a replay's patience, or of whatever else waits: nothing is given up."""
    for _ in range(2):
        execute(eight_assets.DEFINITIONS, eight_assets.JOB, instance)
    # After the attempt before last, and before the one that the pause would allow.
    patience = 24.0
    until = time.monotonic() + 0.85 * patience
    receiver.answer = lambda _: 500 if time.monotonic() < until else 201
    # A replay gives up when nothing has moved for that long; the others never do.
    seconds = patience if driver.name == "replay" else 3 * patience
    delivery = driver.deliver(instance, eight_assets.DEFINITIONS, seconds=seconds)
    assert delivery.parked == []
    check_all_arrived(instance, receiver, eight_assets.DEFINITIONS)


RUNS = 8


@dg.asset
def growing(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Have one more column in each run."""
    count = int(context.run.tags["columns"])
    columns = [dg.TableColumn(f"column_{number}", "int") for number in range(count)]
    return dg.MaterializeResult(metadata={"dagster/column_schema": dg.TableSchema(columns)})


GROWING = dg.Definitions([growing], jobs=[dg.define_asset_job("grow", selection=[growing])])


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
@by_every_driver
def test_runs_of_one_asset_that_are_caught_up_with_together_arrive_in_their_order(
    driver: Driver,
    tmp_path: Path,
    receiver: Receiver,
    request: pytest.FixtureRequest,
    database: str,
) -> None:
    url = request.getfixturevalue("make_database")() if database == "postgres" else None
    chance = random.Random(7)
    with opened(driver, tmp_path / "home", url) as instance:
        for number in range(1, RUNS + 1):
            assert execute(GROWING, "grow", instance, tags={"columns": str(number)}).success
        # An event counts as received after that: of two that are sent at a time, either may win.
        receiver.delay = lambda: chance.uniform(0.0, 0.3)
        delivery = driver.deliver(instance, GROWING)
        assert delivery.parked == []
        check_all_arrived(instance, receiver, GROWING)
    columns = [
        len(event["outputs"][0]["facets"]["schema"]["fields"])
        for event in receiver.events
        if event["job"]["name"] == "growing" and event["eventType"] == "COMPLETE"
    ]
    assert columns == list(range(1, RUNS + 1)), summary(receiver.events)
