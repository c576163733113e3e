"""Several deliverers, and deliverers that are killed, stopped or cut off: one state wins, the last.

Events may come twice. What came twice is followed by what is newer, so that a backend that keeps
what comes last shows the state of the log.
"""

import contextlib
import os
import random
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as db
import yaml

import deliverer_process
import eight_assets
from dagster_home import SQLITE, DagsterHome, wait_until
from delivered import check_last_state, check_order, check_same, each_once, expected_log
from delivery import deliverers, has_delivered_all, state_of, wait_until_delivered
from openlineage_dagster_core import deliverer_state
from openlineage_dagster_storage import starting, watching
from openlineage_dagster_storage.leadership import MYSQL_NAME, POSTGRES_CLASS
from receiver import Receiver
from recorded_run import execute

KILLS = {"postgres": 20, "sqlite": 5}
SEED = int(os.environ.get("CHAOS_SEED", "20261128"))
SECONDS = 120.0
DELAY_SECONDS = 0.02
"""Of the backend: a death is to find events under way."""


def configuration(folder: Path, url: str | None) -> dict[str, Any]:
    options = {"deliver": "external", "flush_timeout": 0.0}
    if url is None:
        wrapped = {**SQLITE, "config": {"base_dir": str(folder / "history" / "runs")}}
        storage = ours("OpenLineageEventLogStorage", wrapped, options)
        return {"telemetry": {"enabled": False}, "event_log_storage": storage}
    name, title = ("mysql", "MySQL") if url.startswith("mysql") else ("postgres", "Postgres")
    wrapped = {
        "module": f"dagster_{name}",
        "class": f"Dagster{title}Storage",
        "config": {f"{name}_url": url},
    }
    storage = ours("OpenLineageDagsterStorage", wrapped, options)
    return {"telemetry": {"enabled": False}, "storage": {"custom": storage}}


def ours(name: str, wrapped: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    config = {"wrapped": wrapped, **options}
    return {"module": "dagster_openlineage", "class": name, "config": config}


@dataclass
class Load:
    """Executes one job again and again, with a pause between two runs, until it is told."""

    instance: dg.DagsterInstance
    pause: float
    is_enough: threading.Event = field(default_factory=threading.Event)
    runs: int = 0
    failures: list[BaseException] = field(default_factory=list)

    def execute_jobs(self) -> None:
        try:
            while not self.is_enough.is_set():
                execute(eight_assets.DEFINITIONS, eight_assets.JOB, self.instance)
                self.runs += 1
                self.is_enough.wait(self.pause)
        except BaseException as error:
            self.failures.append(error)


@contextlib.contextmanager
def loaded(instance: dg.DagsterInstance, pause: float = 0.2) -> Iterator[Load]:
    """Execute runs in this process for a while."""
    load = Load(instance, pause)
    worker = threading.Thread(target=load.execute_jobs, daemon=True)
    worker.start()
    try:
        yield load
    finally:
        load.is_enough.set()
        worker.join(SECONDS)
    assert load.failures == []


@contextlib.contextmanager
def deliverers_of(home: DagsterHome) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Start deliverers of a home; what is left of them is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        started.append(home.start("-m", "deliverer_process", log=home.path / "deliverer.log"))
        return started[-1]

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.wait()


# Only what a database does differently is tested on each: locks, and what frees them.
MAKERS = {"postgres": "make_database", "mysql": "make_mysql_database"}
on_every_database = pytest.mark.parametrize("home", ["sqlite", *MAKERS], indirect=True)
on_every_server = pytest.mark.parametrize("server_url", MAKERS, indirect=True)


@pytest.fixture(params=["sqlite", "postgres"])
def home(request: pytest.FixtureRequest, tmp_path: Path, receiver: Receiver) -> DagsterHome:
    maker = MAKERS.get(request.param)
    url = request.getfixturevalue(maker)() if maker is not None else None
    folder = tmp_path / "home"
    return DagsterHome(folder, receiver.url, content=configuration(folder, url))


@pytest.fixture(params=["postgres"])
def server_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(MAKERS[request.param])())


@pytest.fixture
def home_on_server(tmp_path: Path, receiver: Receiver, server_url: str) -> DagsterHome:
    folder = tmp_path / "home"
    return DagsterHome(folder, receiver.url, content=configuration(folder, server_url))


def leader_of(instance: dg.DagsterInstance) -> int:
    """The process id of the deliverer that leads; 0 for none."""
    heartbeat = state_of(instance).heartbeat
    return 0 if heartbeat is None or heartbeat.has_ended else heartbeat.pid


def check_all_arrived(instance: dg.DagsterInstance, receiver: Receiver) -> None:
    """Fail unless everything came, and the backend shows the state of the log."""
    wait_until_delivered(instance, 2 * SECONDS)
    assert has_delivered_all(instance)
    expected = expected_log(instance, eight_assets.DEFINITIONS)
    arrived = each_once(receiver.events)
    check_order(arrived, expected, "first arrivals")
    check_same(arrived, expected)
    check_last_state(receiver.events, expected)


@on_every_database
def test_of_two_deliverers_that_start_together_one_delivers(
    home: DagsterHome, receiver: Receiver
) -> None:
    receiver.delay = DELAY_SECONDS
    with home.instance() as instance, deliverers_of(home) as start:
        processes = [start(), start()]
        with loaded(instance) as load:
            wait_until(lambda: load.runs >= 3, SECONDS, "runs")
            wait_until(lambda: leader_of(instance) > 0, SECONDS, "a leader", 0.2)
        check_all_arrived(instance, receiver)
        leader = leader_of(instance)
        assert leader in {process.pid for process in processes}
        assert all(process.poll() is None for process in processes), "a service waits to lead"
        # Nothing came twice: the other has sent nothing.
        assert len(receiver.events) == len(each_once(receiver.events))
        # When the leader ends, the other takes over.
        os.kill(leader, signal.SIGKILL)
        before = len(receiver.events)
        execute(eight_assets.DEFINITIONS, eight_assets.JOB, instance)
        receiver.wait_for(lambda: len(receiver.events) >= before + eight_assets.EVENTS, SECONDS)
        check_all_arrived(instance, receiver)


@on_every_server
def test_when_the_database_session_of_the_leader_ends_one_of_them_leads_again(
    home_on_server: DagsterHome, receiver: Receiver, server_url: str
) -> None:
    home = home_on_server
    receiver.delay = DELAY_SECONDS
    with home.instance() as instance, deliverers_of(home) as start:
        processes = [start(), start()]
        with loaded(instance):
            for _ in range(3):
                before = len(receiver.events)
                receiver.wait_for(lambda: len(receiver.events) > before + 20, SECONDS)  # noqa: B023
                # One that has lost it may have sent these, and another one not lead yet.
                wait_until(lambda: end_sessions_with_the_lock(server_url) == 1, SECONDS, "a leader")
        check_all_arrived(instance, receiver)
        assert all(process.poll() is None for process in processes), "a service goes on"


def end_sessions_with_the_lock(url: str) -> int:
    """End the database session of the leader, as an administrator or a failover does."""
    engine = db.create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                found = connection.execute(
                    db.text(
                        "SELECT count(pg_terminate_backend(pid)) FROM pg_locks"
                        " WHERE locktype = 'advisory' AND classid = :class AND granted AND database"
                        " = (SELECT oid FROM pg_database WHERE datname = current_database())"
                    ),
                    {"class": POSTGRES_CLASS},
                )
                return int(found.scalar() or 0)
            name = f"{MYSQL_NAME}.{engine.url.database}"
            lock = db.text("SELECT IS_USED_LOCK(:name)")
            session = connection.execute(lock, {"name": name}).scalar()
            if session is not None:
                connection.execute(db.text(f"KILL {int(session)}"))
            return int(session is not None)
    finally:
        engine.dispose()


def test_a_leader_that_is_stopped_until_it_counts_as_dead_and_continued_loses_nothing(
    home: DagsterHome,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    started: list[bool],
) -> None:
    """A minute, in short: its heartbeat is overdue, and others are started in vain."""
    content = yaml.safe_load((home.path / "dagster.yaml").read_text())
    storage = content.get("event_log_storage") or content["storage"]["custom"]
    storage["config"] |= {"deliver": "automatic", "timeout": 1.0}
    (home.path / "dagster.yaml").write_text(yaml.safe_dump(content))
    home.environ[deliverer_process.HEARTBEAT] = "1.0"
    monkeypatch.setattr(deliverer_state, "GRACE_SECONDS", 0.5)
    monkeypatch.setattr(watching, "CHECK_SECONDS", 0.5)
    receiver.delay = DELAY_SECONDS
    with home.instance() as instance, deliverers_of(home) as start:
        leader = start()
        wait_until(lambda: leader_of(instance) == leader.pid, SECONDS, "the leader", 0.2)
        with loaded(instance):
            receiver.wait_for(lambda: len(receiver.events) > 20, SECONDS)
            assert not started
            leader.send_signal(signal.SIGSTOP)
            stopped_at = len(receiver.events)
            wait_until(lambda: bool(started), SECONDS, "another deliverer")
            wait_until(lambda: not deliverers(), SECONDS, "its end: it cannot lead", 0.2)
            assert len(receiver.events) <= stopped_at + 20
            leader.send_signal(signal.SIGCONT)
            receiver.wait_for(lambda: len(receiver.events) > stopped_at + 20, SECONDS)
        # What was under way when it was stopped may come twice: its request timed out by then.
        check_all_arrived(instance, receiver)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Note each deliverer that this process starts."""
    noted: list[bool] = []
    start = starting.start

    def note(*args: Any, **kwargs: Any) -> bool:
        done = start(*args, **kwargs)
        noted.append(done)
        return done

    monkeypatch.setattr(starting, "start", note)
    return noted


def test_a_leader_that_is_stopped_and_loses_its_session_sends_nothing_old_afterwards(
    home_on_server: DagsterHome, receiver: Receiver, server_url: str
) -> None:
    home = home_on_server
    receiver.delay = DELAY_SECONDS
    with home.instance() as instance, deliverers_of(home) as start:
        leader = start()
        with loaded(instance):
            receiver.wait_for(lambda: len(receiver.events) > 20, SECONDS)
            leader.send_signal(signal.SIGSTOP)
            assert end_sessions_with_the_lock(server_url) == 1
            start()
            before = len(receiver.events)
            receiver.wait_for(lambda: len(receiver.events) > before + 40, SECONDS)
            leader.send_signal(signal.SIGCONT)
            before = len(receiver.events)
            receiver.wait_for(lambda: len(receiver.events) > before + 60, SECONDS)
        check_all_arrived(instance, receiver)


def test_a_deliverer_that_is_killed_at_random_moments_under_load_loses_nothing(
    request: pytest.FixtureRequest, home: DagsterHome, receiver: Receiver
) -> None:
    # The seed is in a failing test's output.
    chance = random.Random(SEED)
    receiver.delay = DELAY_SECONDS
    with home.instance() as instance, deliverers_of(home) as start:
        # A deliverer that is killed every few seconds would fall behind without end.
        with loaded(instance, pause=3.0) as load:
            for _ in range(KILLS[request.node.callspec.params["home"]]):
                process = start()
                requests, more = receiver.requests, chance.randint(1, 40)
                receiver.wait_for(
                    lambda: receiver.requests >= requests + more,  # noqa: B023
                    SECONDS,
                )
                process.kill()
                process.wait()
            assert load.runs > 0
        start()
        check_all_arrived(instance, receiver)


@on_every_server
def test_two_machines_with_one_database_deliver_each_event_once(
    tmp_path: Path, receiver: Receiver, server_url: str
) -> None:
    homes = [
        DagsterHome(
            tmp_path / name,
            receiver.url,
            content=configuration(tmp_path / name, server_url),
        )
        for name in ("one", "two")
    ]
    with contextlib.ExitStack() as stack:
        instances = [stack.enter_context(home.instance()) for home in homes]
        starts = [stack.enter_context(deliverers_of(home)) for home in homes]
        for start in starts:
            start()
        for _ in range(2):
            for instance in instances:
                execute(eight_assets.DEFINITIONS, eight_assets.JOB, instance)
        for instance in instances:
            check_all_arrived(instance, receiver)
    assert len(receiver.events) == 4 * eight_assets.EVENTS
