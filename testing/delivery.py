"""A pytest plugin: waits for the deliverer of Mechanism A, and ends those that tests leave behind.

A deliverer is a detached process. It inherits the environment of the process that starts it, so a
variable says which test it belongs to, whatever became of its home and its database.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dagster_home import wait_until
from openlineage_dagster_core.deliverer_state import DeliveryState, read_state
from openlineage_dagster_core.event_log.cursor import Cursor
from openlineage_dagster_core.event_log.run_log import events_of_run
from openlineage_dagster_core.event_log.tables import EventTables
from openlineage_dagster_core.key_values import KeyValues

if TYPE_CHECKING:
    import dagster as dg

    from openlineage_dagster_core.engine import Outcome

OWNER = "DAGSTER_TESTS_OWNER"
"""The environment variable that names the test, or the module, whose processes inherit it."""

PROGRAM = "openlineage_dagster_storage.starting"
"""Part of the command line of a deliverer that a process of Dagster's has started."""

SECONDS = 120.0
POLL_SECONDS = 0.1

PROCESSES = Path("/proc")


def state_of(instance: dg.DagsterInstance) -> DeliveryState:
    """Read what the deliverer says of itself and of its cursor.

    Args:
        instance: whose log it delivers.

    Returns:
        The state.
    """
    return read_state(KeyValues(instance))


def is_delivered(instance: dg.DagsterInstance) -> bool:
    """Return True if the deliverer has delivered or parked every event that is stored now.

    Args:
        instance: whose log it delivers.

    Returns:
        False while events wait, and while there are events that it has not read.
    """
    storage = instance.event_log_storage
    # A process that reads the log starts a deliverer where none lives.
    storage.get_maximum_record_id()
    cursor = state_of(instance).cursor
    if cursor is None or cursor.behind:
        return False
    if storage.is_run_sharded:
        runs = ["", *(run.run_id for run in instance.get_runs())]
        return all(_is_run_delivered(instance, cursor, run_id) for run_id in runs)
    tables = EventTables.of(storage)
    assert tables is not None, "no SQL storage"
    return not tables.rows(cursor.seen, 1).events


def _is_run_delivered(instance: dg.DagsterInstance, cursor: Cursor, run_id: str) -> bool:
    if run_id and run_id not in cursor.runs:
        # Delivered to its end and forgotten, or not found yet.
        ended_at = instance.get_run_stats(run_id).end_time
        return ended_at is not None and ended_at < cursor.sent_until
    low, _ = cursor.runs.get(run_id, (0, 0.0))
    return not [
        event
        for event in events_of_run(instance, run_id, after=max(0, low))
        if run_id
        or (event.id.storage_id not in cursor.recent and event.timestamp > cursor.begins_at)
    ]


def wait_until_delivered(instance: dg.DagsterInstance, timeout: float = SECONDS) -> DeliveryState:
    """Wait until the deliverer has delivered or parked every event that is stored.

    The deliverer keeps its cursor after the backend has taken an event, so the backend has all.

    Args:
        instance: whose log it delivers; reading that starts a deliverer where none lives.
        timeout: in seconds.

    Returns:
        What the deliverer says then.

    Raises:
        AssertionError: something is not delivered in time; says what the deliverer says.
    """
    try:
        wait_until(lambda: is_delivered(instance), timeout, "the deliverer", POLL_SECONDS)
    except AssertionError as error:
        state = state_of(instance)
        raise AssertionError(f"{error}; {state.heartbeat}; {state.cursor}") from None
    return state_of(instance)


def deliver(instance: dg.DagsterInstance, timeout: float = SECONDS) -> list[Outcome]:
    """Deliver in this process until nothing waits, as `openlineage-dagster deliver --once` does.

    Args:
        instance: whose log is delivered; wrapped by Mechanism A, best with `deliver: external`.
        timeout: in seconds.

    Returns:
        What each pass did.

    Raises:
        AssertionError: another process leads, or something is not delivered in time.
    """
    until = time.monotonic() + timeout
    passes: list[Outcome] = []
    storage: Any = instance.event_log_storage
    has_led = storage.run_deliverer(
        once=True, should_stop=lambda: time.monotonic() > until, on_pass=passes.append
    )
    assert has_led, "another process leads"
    assert time.monotonic() < until, f"not delivered in {timeout} s: {passes[-1]}"
    return passes


def has_delivered_all(instance: dg.DagsterInstance) -> bool:
    """Return True if nothing waits and nothing is parked.

    Args:
        instance: whose log is delivered.

    Returns:
        False where events wait or are parked.
    """
    cursor = state_of(instance).cursor
    return cursor is not None and is_delivered(instance) and not cursor.parked


def deliverers(owner: str | None = None) -> list[int]:
    """List the deliverers that processes of Dagster's have started.

    Args:
        owner: of one test or module; by default those of whatever runs now.

    Returns:
        Their process ids.
    """
    mark = f"{OWNER}={owner or os.environ.get(OWNER, '')}".encode()
    found = []
    for process in PROCESSES.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if PROGRAM.encode() not in (process / "cmdline").read_bytes():
                continue
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


def end_deliverers(owner: str | None = None) -> None:
    """Kill the deliverers of a test or a module, and wait until they are gone.

    Args:
        owner: see `deliverers`.
    """

    def are_gone() -> bool:
        for pid in deliverers(owner):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not deliverers(owner)

    wait_until(are_gone, SECONDS, "the deliverers to be gone", POLL_SECONDS)


@contextlib.contextmanager
def owned() -> Iterator[str]:
    """Mark the processes that are started, and end the deliverers among them.

    Yields:
        The name that marks them.
    """
    before = os.environ.get(OWNER)
    name = os.environ[OWNER] = uuid.uuid4().hex
    try:
        yield name
    finally:
        # Where the sensor alone is installed, there is no deliverer.
        if importlib.util.find_spec("openlineage_dagster_storage") and PROCESSES.exists():
            end_deliverers(name)
        if before is None:
            os.environ.pop(OWNER, None)
        else:
            os.environ[OWNER] = before


@pytest.fixture(autouse=True, scope="session")
def _deliverers_of_the_session_end() -> Iterator[None]:
    with owned():
        yield


@pytest.fixture(autouse=True, scope="module")
def _deliverers_of_the_module_end(_deliverers_of_the_session_end: None) -> Iterator[None]:
    with owned():
        yield


@pytest.fixture(autouse=True)
def _deliverers_of_the_test_end(_deliverers_of_the_module_end: None) -> Iterator[None]:
    with owned():
        yield


@pytest.fixture
def no_deliverer_is_started(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Let no process of this test start a deliverer; returns how often this process wanted to."""
    from openlineage_dagster_storage import starting

    wanted: list[bool] = []

    def start(*_: object, **__: object) -> bool:
        wanted.append(True)
        return True

    monkeypatch.setattr(starting, "start", start)
    return lambda: len(wanted)
