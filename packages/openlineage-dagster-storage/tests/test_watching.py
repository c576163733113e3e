"""A deliverer is started where none lives, with the configuration that came last."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from log_entries import counted_queries, step_event
from openlineage_dagster_core.deliverer_state import (
    BEGIN_ROW,
    CONFIGURATIONS_ROW,
    CURSOR_ROW,
    HEARTBEAT_ROW,
    Heartbeat,
    configuration_of,
    configurations_in,
    this_host,
)
from openlineage_dagster_core.event_log.cursor import Cursor
from openlineage_dagster_core.key_values import KeyValues, parsed
from openlineage_dagster_core.settings import Settings
from openlineage_dagster_storage import leadership, starting, watching
from openlineage_dagster_storage.watching import (
    CHECK_SECONDS,
    FORGOTTEN_SECONDS,
    MOST_TURNS,
    STARTING_SECONDS,
    UNSEEN_SECONDS,
    DelivererWatch,
)

ONE = Settings()
OTHER = Settings.from_options({"namespace": "other"}, {})


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp() as made:
        yield made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time of the watch; a test moves it."""
    clock = SimpleNamespace(now=time.time())
    times = SimpleNamespace(time=lambda: clock.now, monotonic=lambda: clock.now)
    monkeypatch.setattr(watching, "time", times)
    return clock


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each deliverer that was started takes over from another; none is really started."""
    found: list[bool] = []
    monkeypatch.setattr(
        starting, "start", lambda instance, *, takes_over: found.append(takes_over) or True
    )
    return found


Watch = Callable[..., DelivererWatch]


def watch(
    instance: dg.DagsterInstance, settings: Settings = ONE, *, starts: bool = True
) -> DelivererWatch:
    return DelivererWatch(lambda: instance, settings, starts=starts)


def lives(
    instance: dg.DagsterInstance, clock: SimpleNamespace, settings: Settings = ONE, **options: Any
) -> None:
    """Write what a living deliverer says of itself."""
    import os

    digest = configuration_of(settings, os.environ).digest
    heartbeat = Heartbeat(
        at=clock.now, next_by=clock.now + 30, namespace="elsewhere", configuration=digest
    )
    heartbeat = replace(heartbeat, **options)
    KeyValues(instance).put({HEARTBEAT_ROW: heartbeat.to_text()})


def test_where_no_deliverer_lives_one_is_started(
    instance: dg.DagsterInstance, clock: SimpleNamespace, started: list[bool]
) -> None:
    watch(instance).check()
    assert started == [False]


def test_where_one_lives_none_is_started(
    instance: dg.DagsterInstance, clock: SimpleNamespace, started: list[bool]
) -> None:
    lives(instance, clock)
    mine = watch(instance)
    mine.check()
    assert started == []
    assert mine.heartbeat is not None


@pytest.mark.parametrize("options", [{"has_ended": True}, {"next_by": 1.0}])
def test_one_that_has_ended_is_replaced(
    instance: dg.DagsterInstance,
    clock: SimpleNamespace,
    started: list[bool],
    options: dict[str, Any],
) -> None:
    lives(instance, clock, **options)
    watch(instance).check()
    assert started == [False]


def test_one_that_is_being_started_is_waited_for(
    instance: dg.DagsterInstance, clock: SimpleNamespace, started: list[bool]
) -> None:
    for seconds, expected in ((0.0, 1), (STARTING_SECONDS / 2, 1), (STARTING_SECONDS, 2)):
        clock.now += seconds
        watch(instance).check()
        assert len(started) == expected


def test_one_that_was_started_a_moment_ago_and_ended_is_replaced_at_once(
    instance: dg.DagsterInstance, clock: SimpleNamespace, started: list[bool]
) -> None:
    watch(instance).check()
    clock.now += 1.0
    lives(instance, clock, started_at=clock.now, has_ended=True)
    watch(instance).check()
    assert len(started) == 2
    watch(instance).check()
    assert len(started) == 2, "the second one is on its way"


@pytest.mark.parametrize(
    ("silent", "namespace", "is_vacant", "expected"),
    [
        (10.0, "elsewhere", True, [False]),
        (10.0, "elsewhere", False, []),
        (1.0, "elsewhere", True, []),
        (10.0, this_host().namespace, True, []),
    ],
    ids=["gone", "leads", "spoke a moment ago", "here"],
)
def test_at_the_end_of_a_run_the_database_tells_whether_the_deliverer_lives(
    instance: dg.DagsterInstance,
    clock: SimpleNamespace,
    started: list[bool],
    monkeypatch: pytest.MonkeyPatch,
    silent: float,
    namespace: str,
    is_vacant: bool,
    expected: list[bool],
) -> None:
    monkeypatch.setattr(leadership, "is_vacant", lambda _: is_vacant)
    lives(instance, clock, at=clock.now - silent, namespace=namespace)
    mine = watch(instance)
    mine.check()
    assert started == []
    mine.check(at_end=True)
    assert started == expected
    assert mine.heartbeat is not None
    assert mine.heartbeat.has_ended == bool(expected)


def test_where_a_service_delivers_none_is_started(
    instance: dg.DagsterInstance, clock: SimpleNamespace, started: list[bool]
) -> None:
    watch(instance, starts=False).check()
    assert started == []


def test_where_processes_cannot_outlive_this_one_none_is_started(
    instance: dg.DagsterInstance,
    clock: SimpleNamespace,
    started: list[bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(starting, "can_start", lambda: False)
    watch(instance).check()
    assert started == []


def test_an_instance_in_memory_or_one_that_is_gone_has_no_deliverer(started: list[bool]) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        watch(instance).check()
    DelivererWatch(lambda: None, ONE, starts=True).check()
    assert started == []


def test_it_looks_now_and_then_and_at_once_after_a_fork(
    instance: dg.DagsterInstance,
    clock: SimpleNamespace,
    started: list[bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = watch(instance)
    assert mine.is_due
    mine.check()
    assert not mine.is_due
    clock.now += CHECK_SECONDS
    assert mine.is_due
    mine.check()
    monkeypatch.setattr(watching.os, "getpid", lambda: 1)
    assert mine.is_due


def test_a_look_is_one_query(
    instance: dg.DagsterInstance, clock: SimpleNamespace, started: list[bool]
) -> None:
    mine = watch(instance)
    mine.check()
    lives(instance, clock)
    with counted_queries() as queries:
        mine.check()
    assert len(queries) == 1


def test_the_end_of_the_log_before_the_first_event_is_noted_once(
    instance: dg.DagsterInstance, clock: SimpleNamespace, started: list[bool]
) -> None:
    watch(instance).check()
    begin = parsed(KeyValues(instance).get([BEGIN_ROW])[BEGIN_ROW])
    assert begin["storage_id"] == 0
    assert begin["at"] == pytest.approx(clock.now, abs=30)
    instance.event_log_storage.store_event(step_event("run", clock.now))
    clock.now += 1000
    watch(instance).check()
    assert parsed(KeyValues(instance).get([BEGIN_ROW])[BEGIN_ROW]) == begin


def test_where_something_was_delivered_the_beginning_is_known(
    instance: dg.DagsterInstance, clock: SimpleNamespace, started: list[bool]
) -> None:
    KeyValues(instance).put({CURSOR_ROW: Cursor(low=7).to_text(1000)})
    watch(instance).check()
    assert BEGIN_ROW not in KeyValues(instance).get([BEGIN_ROW])


def test_a_new_configuration_takes_over(
    instance: dg.DagsterInstance, clock: SimpleNamespace, started: list[bool]
) -> None:
    watch(instance).check()
    lives(instance, clock)
    clock.now += 100
    lives(instance, clock)
    watch(instance, OTHER).check()
    assert started == [False, True]
    found = configurations_in(KeyValues(instance).get([CONFIGURATIONS_ROW])[CONFIGURATIONS_ROW])
    assert len(found) == 2
    assert found[-1].parts["option namespace"] != found[0].parts["option namespace"]


def test_a_service_is_not_taken_over(
    instance: dg.DagsterInstance, clock: SimpleNamespace, started: list[bool]
) -> None:
    watch(instance).check()
    clock.now += 100
    lives(instance, clock, is_service=True)
    watch(instance, OTHER).check()
    assert started == [False]


def test_processes_with_the_old_configuration_do_not_take_over_again(
    instance: dg.DagsterInstance, clock: SimpleNamespace, started: list[bool]
) -> None:
    old, new = watch(instance), watch(instance, OTHER)
    old.check()
    clock.now += 100
    new.check()
    started.clear()
    for _ in range(20):
        clock.now += 20
        lives(instance, clock, OTHER)
        old.check()
        new.check()
    assert started == []


def test_a_configuration_that_comes_back_takes_over_when_the_other_is_out_of_use(
    instance: dg.DagsterInstance, clock: SimpleNamespace, started: list[bool]
) -> None:
    watch(instance).check()
    clock.now += 100
    watch(instance, OTHER).check()
    started.clear()
    clock.now += UNSEEN_SECONDS + 1
    lives(instance, clock, OTHER)
    watch(instance).check()
    assert started == [True]


def take_turns(instance: dg.DagsterInstance, clock: SimpleNamespace, started: list[bool]) -> None:
    """Let two configurations take over from each other until they may not any more."""
    leader = ONE
    for number in range(4 * MOST_TURNS):
        mine = OTHER if number % 2 else ONE
        before = len(started)
        clock.now += UNSEEN_SECONDS + 1
        lives(instance, clock, leader)
        watch(instance, mine).check()
        if len(started) > before:
            leader = mine


def test_processes_that_differ_for_good_stop_to_take_turns(
    instance: dg.DagsterInstance, clock: SimpleNamespace, started: list[bool]
) -> None:
    take_turns(instance, clock, started)
    assert MOST_TURNS < len(started) <= 2 * MOST_TURNS + 1


@pytest.mark.parametrize("settings", [ONE, OTHER])
def test_after_many_turns_one_is_still_started_where_none_lives(
    instance: dg.DagsterInstance,
    clock: SimpleNamespace,
    started: list[bool],
    settings: Settings,
) -> None:
    """The processes of the other configuration may be gone for good."""
    take_turns(instance, clock, started)
    started.clear()
    clock.now += 1000
    watch(instance, settings).check()
    assert len(started) == 1


def test_a_configuration_that_was_not_seen_for_a_day_is_forgotten(
    instance: dg.DagsterInstance, clock: SimpleNamespace, started: list[bool]
) -> None:
    watch(instance, OTHER).check()
    clock.now += FORGOTTEN_SECONDS + 1
    watch(instance).check()
    found = configurations_in(KeyValues(instance).get([CONFIGURATIONS_ROW])[CONFIGURATIONS_ROW])
    assert len(found) == 1
