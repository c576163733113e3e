"""The command line on an instance that Mechanism A wraps: deliver, status, parked, replay."""

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from command_line import Run
from openlineage_dagster_core.cli.doctor import delivery
from openlineage_dagster_core.cli.doctor.finding import Finding, Status
from openlineage_dagster_core.cli.doctor.subject import Subject
from openlineage_dagster_core.deliverer_state import (
    CONFIGURATIONS_ROW,
    CURSOR_ROW,
    HEARTBEAT_ROW,
    REQUESTS_ROW,
    Configuration,
    Heartbeat,
    Requests,
    configurations_text,
    read_state,
    this_host,
)
from openlineage_dagster_core.event_log.cursor import Cursor, ParkedEvent
from openlineage_dagster_core.key_values import KeyValues
from orders_project import DEFINITIONS
from receiver import Receiver
from recorded_run import execute

EVENTS_OF_NIGHTLY = 10
RED = "\x1b[31m"


@dataclass(frozen=True)
class Home:
    """A home whose storage is wrapped, and in which no process starts a deliverer by itself."""

    path: Path

    @contextlib.contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        instance = dg.DagsterInstance.from_config(str(self.path))
        try:
            yield instance
        finally:
            instance.dispose()

    def run(self, job: str = "nightly") -> str:
        with self.instance() as instance:
            return execute(DEFINITIONS, job, instance).run_id

    def put(self, **rows: str) -> None:
        with self.instance() as instance:
            KeyValues(instance).put(rows)

    def heartbeat(self, **values: Any) -> None:
        now = time.time()
        known = {"at": now, "next_by": now + 30, "started_at": now - 7200, "host": "elsewhere"}
        self.put(**{HEARTBEAT_ROW: Heartbeat(**{**known, "pid": 4711, **values}).to_text()})

    def park(self, *events: ParkedEvent) -> None:
        with self.instance() as instance:
            cursor = read_state(KeyValues(instance)).cursor or Cursor()
            for event in events:
                cursor.park(event)
            KeyValues(instance).put({CURSOR_ROW: cursor.to_text(60_000)})

    def state(self) -> Any:
        with self.instance() as instance:
            return read_state(KeyValues(instance))


def write_home(path: Path, storage: str, **options: Any) -> Home:
    inner = {
        "module": "dagster._core.storage.event_log",
        "class": storage,
        "config": {"base_dir": str(path / "history" / "runs")},
    }
    wrapper = {
        "module": "dagster_openlineage",
        "class": "OpenLineageEventLogStorage",
        "config": {"wrapped": inner, "namespace": "lake", "deliver": "external", **options},
    }
    content = {"telemetry": {"enabled": False}, "event_log_storage": wrapper}
    (path / "dagster.yaml").write_text(yaml.safe_dump(content))
    return Home(path)


@pytest.fixture
def place(
    tmp_path: Path, receiver: Receiver, command: Run, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A directory that the environment names, made after `command`, which takes the name away."""
    monkeypatch.setenv("OPENLINEAGE_URL", receiver.url)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(params=["SqliteEventLogStorage", "ConsolidatedSqliteEventLogStorage"])
def home(request: pytest.FixtureRequest, place: Path) -> Home:
    return write_home(place, request.param)


@pytest.fixture
def simple(place: Path) -> Home:
    """For what does not depend on how the log is read."""
    return write_home(place, "SqliteEventLogStorage")


def refuse_revenue(receiver: Receiver) -> None:
    receiver.answer = lambda event: 422 if event["job"]["name"] == "revenue" else 201
    receiver.body = f"not this one {RED}[red]"


def accept(receiver: Receiver) -> None:
    receiver.answer = lambda event: 201


def by_job(events: list[dict[str, Any]], name: str) -> list[str]:
    return [event["eventType"] for event in events if event["job"]["name"] == name]


def as_texts(events: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(event, sort_keys=True) for event in events)


def test_deliver_once_sends_everything_and_ends(
    command: Run, home: Home, receiver: Receiver
) -> None:
    home.run()
    outcome = command("deliver", "--once")
    assert (outcome.status, outcome.out) == (0, "")
    assert f"Delivering the event log of {home.path} to the transport http" in outcome.err
    assert f"as {EVENTS_OF_NIGHTLY} OpenLineage events" in outcome.err
    assert len(receiver.events) == EVENTS_OF_NIGHTLY
    assert command("deliver", "--once").status == 0
    assert len(receiver.events) == EVENTS_OF_NIGHTLY
    assert not [each for each in threading.enumerate() if each.name.startswith("openlineage")]


def test_deliver_once_gives_up_on_a_backend_that_takes_nothing(
    command: Run, home: Home, receiver: Receiver
) -> None:
    home.run()
    receiver.answer = lambda event: 503
    outcome = command("deliver", "--once", "--patience", "0.5")
    assert outcome.status == 1
    assert "takes no events, will retry: HTTP 503" in outcome.err
    assert "events of the log are not delivered" in outcome.err
    accept(receiver)
    assert command("deliver", "--once").status == 0
    assert len(receiver.events) == EVENTS_OF_NIGHTLY


def test_deliver_once_says_what_was_parked(command: Run, simple: Home, receiver: Receiver) -> None:
    simple.run()
    refuse_revenue(receiver)
    outcome = command("deliver", "--once")
    assert outcome.status == 1
    assert "events were parked" in outcome.err
    assert RED not in outcome.err


def test_deliver_once_waits_for_another_deliverer(
    command: Run, simple: Home, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    simple.run()
    command("deliver", "--once")
    monkeypatch.setattr(
        "openlineage_dagster_storage.deliverer.acquire", lambda instance: None, raising=True
    )
    simple.heartbeat()
    outcome = command("deliver", "--once")
    assert outcome.status == 0
    assert "Process 4711 on elsewhere delivers already" in outcome.err
    simple.run()
    assert command("deliver", "--once", "--patience", "1.5").status == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_the_service_after_its_pass(
    command: Run, simple: Home, receiver: Receiver, number: signal.Signals, status: int
) -> None:
    simple.run()
    before = signal.getsignal(number)

    def send_signal() -> None:
        receiver.wait_for(lambda: len(receiver.events) == EVENTS_OF_NIGHTLY)
        time.sleep(0.5)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send_signal)
    thread.start()
    outcome = command("deliver")
    thread.join()
    assert outcome.status == status
    assert signal.getsignal(number) is before
    state = simple.state()
    assert state.heartbeat.has_ended
    assert state.heartbeat.is_service
    assert state.cursor.sent == EVENTS_OF_NIGHTLY
    assert command("status").status == 0


def test_the_service_says_when_trouble_begins_and_ends(
    command: Run, simple: Home, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openlineage_dagster_core.cli.deliver.REPORT_SECONDS", 0.1)
    simple.run()
    receiver.answer = lambda event: 503

    def recover() -> None:
        receiver.wait_for(lambda: receiver.requests >= 2)
        accept(receiver)
        receiver.wait_for(lambda: len(receiver.events) == EVENTS_OF_NIGHTLY)
        time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=recover)
    thread.start()
    outcome = command("deliver")
    thread.join()
    assert outcome.status == 0
    assert "takes no events, will retry: HTTP 503" in outcome.err
    assert "The delivery goes on after" in outcome.err
    assert "OpenLineage events." in outcome.err


def test_the_console_transport_prints_events_to_standard_output(simple: Home) -> None:
    simple.run()
    environ = {**os.environ, "OPENLINEAGE__TRANSPORT__TYPE": "console"}
    environ.pop("OPENLINEAGE_URL")
    done = subprocess.run(
        [sys.executable, "-m", "openlineage_dagster_core.cli", "deliver", "--once"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(events) == EVENTS_OF_NIGHTLY
    assert "to the transport console" in done.stderr


def test_logging_is_as_before_after_deliver(command: Run, simple: Home) -> None:
    command("deliver", "--once")
    assert not [
        each for each in logging.getLogger().handlers if type(each) is logging.StreamHandler
    ]
    assert logging.getLogger("openlineage.client.transport.console").propagate


def test_without_a_transport_deliver_says_so(
    command: Run, simple: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENLINEAGE_URL")
    outcome = command("deliver")
    assert outcome.status == 2
    assert "nowhere to send to" in outcome.err
    monkeypatch.setenv("OPENLINEAGE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    assert "OPENLINEAGE_DISABLED is set" in command("deliver").err


def test_deliver_does_not_start_another_deliverer(
    command: Run, simple: Home, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    simple.run()
    started: list[object] = []
    monkeypatch.setattr(
        "openlineage_dagster_storage.starting.start", lambda *args, **kwargs: started.append(args)
    )
    write_home(simple.path, "SqliteEventLogStorage", deliver="automatic")
    assert command("deliver", "--once").status == 0
    assert not started
    assert len(receiver.events) == EVENTS_OF_NIGHTLY


def test_looking_sends_nothing_and_starts_nothing(
    command: Run, simple: Home, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = simple.run()
    started: list[object] = []
    monkeypatch.setattr(
        "openlineage_dagster_storage.starting.start", lambda *args, **kwargs: started.append(args)
    )
    write_home(simple.path, "SqliteEventLogStorage", deliver="automatic")
    for arguments in (
        ["status"],
        ["parked", "list"],
        ["show", run_id],
        ["replay", "--dry-run"],
        ["doctor"],
    ):
        command(*arguments)
    assert not started
    assert not receiver.requests


def test_the_status_counts_what_waits_where_nothing_delivers(
    command: Run, home: Home, receiver: Receiver
) -> None:
    home.run()
    outcome = command("status")
    assert outcome.status == 1
    assert "none has been started yet; start `openlineage-dagster deliver`" in outcome.out
    as_json = command("status", "--json").json
    assert as_json["waiting"]["events"] == 10
    assert 0 < as_json["waiting"]["seconds"] < 60
    assert (as_json["is_delivering"], as_json["deliverer"]) == (False, None)
    command("deliver", "--once")
    outcome = command("status", "--json")
    assert (outcome.status, outcome.json["waiting"]["events"]) == (0, 0)
    assert outcome.json["events_sent"] == EVENTS_OF_NIGHTLY
    home.run()
    outcome = command("status")
    assert outcome.status == 1
    assert "none is alive; the last one, process" in outcome.out
    assert "behind      10 events" in outcome.out


def test_a_deliverer_that_is_behind_is_no_reason_to_worry(command: Run, simple: Home) -> None:
    simple.heartbeat(version="9.9", last_sent_at=time.time() - 5)
    simple.put(**{CURSOR_ROW: Cursor(behind=7, behind_since=time.time() - 600).to_text(9000)})
    outcome = command("status")
    assert outcome.status == 0
    assert "process 4711 on elsewhere, started by a process of Dagster, for 2 h" in outcome.out
    assert "version 9.9" in outcome.out
    assert "behind      7 events, 10 min" in outcome.out


def test_trouble_and_requests_are_shown(command: Run, simple: Home) -> None:
    simple.heartbeat(trouble=f"HTTP 503 {RED}", trouble_since=time.time() - 180)
    simple.put(**{REQUESTS_ROW: Requests(retry=("a:1",)).to_text()})
    outcome = command("status")
    assert outcome.status == 1
    assert "trouble     HTTP 503 \\x1b[31m (for 3 min)" in outcome.out
    assert "requests    1 to retry, 0 to drop" in outcome.out
    as_json = command("status", "--json").json
    assert as_json["trouble"]["reason"] == f"HTTP 503 {RED}"
    assert as_json["requests"] == {"retry": ["a:1"], "drop": []}


def test_configurations_that_differ_are_named_by_their_parts(command: Run, simple: Home) -> None:
    now = time.time()
    one = Configuration("1", {"version": "a", "variable OPENLINEAGE_URL": "x"}, now, now, "web")
    other = Configuration("2", {"version": "a", "variable OPENLINEAGE_URL": "y"}, now, now, "pod")
    old = Configuration("3", {"version": "b"}, now - 9999, now - 9999, "old")
    simple.put(**{CONFIGURATIONS_ROW: configurations_text([old, one, other])})
    simple.heartbeat()
    outcome = command("status")
    assert outcome.status == 0
    assert "differ in variable OPENLINEAGE_URL (seen on pod, web within an hour)" in outcome.out
    assert command("status", "--json").json["differing_parts"] == ["variable OPENLINEAGE_URL"]
    assert any(
        each.status is Status.WARNING and "variable OPENLINEAGE_URL" in each.message
        for each in diagnose(simple)
    )


def test_watch_reads_again_until_ctrl_c(
    command: Run, simple: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = iter([None])

    def sleep(seconds: float) -> None:
        try:
            next(pauses)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr("openlineage_dagster_core.cli.status.time.sleep", sleep)
    outcome = command("status", "--watch", "--json")
    assert outcome.status == 130
    assert len(outcome.out.splitlines()) == 2


def test_a_database_that_does_not_answer_is_said(
    command: Run, simple: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("gone")

    monkeypatch.setattr(KeyValues, "get", fail)
    outcome = command("status")
    assert outcome.status == 2
    assert "The status cannot be read: OSError: gone. Check" in outcome.err


def test_what_is_parked_is_listed_exported_retried_and_sent(
    command: Run, home: Home, receiver: Receiver
) -> None:
    run_id = home.run()
    refuse_revenue(receiver)
    command("deliver", "--once")
    outcome = command("parked", "list")
    assert outcome.status == 0
    assert RED not in outcome.out
    assert "refused with 422: not this one \\x1b[31m[red]" in outcome.out
    listed = [json.loads(line) for line in command("parked", "list", "--json").out.splitlines()]
    names = [each["name"] for each in listed]
    assert all(name.startswith(f"{run_id}:") for name in names)
    assert {"ASSET_MATERIALIZATION"} == {each["event_type"] for each in listed}
    assert command("status").status == 1
    exported = [json.loads(line) for line in command("parked", "export").out.splitlines()]
    assert by_job(exported, "revenue") == ["START", "COMPLETE"]
    assert len(exported) == 2

    outcome = command("parked", "retry", *names)
    assert outcome.status == 0
    assert "no deliverer is alive; the next one does it" in outcome.out
    accept(receiver)
    assert command("deliver", "--once").status == 0
    assert by_job(receiver.events, "revenue") == ["START", "COMPLETE"]
    assert as_texts([each for each in receiver.events if each["job"]["name"] == "revenue"])
    assert command("parked", "list").out == "Nothing is parked.\n"
    assert home.state().requests == Requests()


def test_parked_events_are_dropped_by_the_deliverer(
    command: Run, simple: Home, receiver: Receiver
) -> None:
    simple.run()
    refuse_revenue(receiver)
    command("deliver", "--once")
    accept(receiver)
    assert "are to be dropped" in command("parked", "drop", "--all").out
    assert command("deliver", "--once").status == 0
    assert command("parked", "list", "--json").out == ""
    assert command("parked", "drop", "--all").out == "Nothing is parked.\n"


def test_a_living_deliverer_does_what_is_asked_within_twenty_seconds(
    command: Run, simple: Home
) -> None:
    simple.park(ParkedEvent("a", 1, "", "no"), ParkedEvent("b", 2, "", "no"))
    simple.heartbeat()
    outcome = command("parked", "retry", "a:1")
    assert "the deliverer does it within 20 s" in outcome.out
    command("parked", "drop", "b:2")
    assert simple.state().requests == Requests(retry=("a:1",), drop=("b:2",))
    command("parked", "drop", "a:1")
    assert simple.state().requests == Requests(drop=("a:1", "b:2"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["retry"], "Name parked events, or give --all."),
        (["retry", "a:1", "--all"], "Name parked events, or give --all."),
        (["drop", f"nope{RED}:9"], "No event nope\\x1b[31m:9 is parked."),
    ],
)
def test_a_wrong_name_is_said(command: Run, simple: Home, arguments: list[str], said: str) -> None:
    simple.park(ParkedEvent("a", 1, "", "no"))
    outcome = command("parked", *arguments)
    assert outcome.status == 2
    assert said in outcome.err


def test_a_deleted_run_is_left_out_of_the_export(
    command: Run, simple: Home, receiver: Receiver
) -> None:
    simple.park(ParkedEvent("gone", 1, "", "no"))
    outcome = command("parked", "export")
    assert (outcome.status, outcome.out) == (1, "")
    assert "Run gone was deleted" in outcome.err


def test_a_parked_event_outside_any_run_is_exported(
    command: Run, home: Home, receiver: Receiver
) -> None:
    with home.instance() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(["odd", RED]))
    receiver.answer = lambda event: 422
    command("deliver", "--once")
    exported = [json.loads(line) for line in command("parked", "export").out.splitlines()]
    assert [event["eventType"] for event in exported] == ["START", "COMPLETE"]
    assert exported[0]["job"]["name"].startswith("odd/")


def test_a_replay_is_what_the_deliverer_sent(command: Run, home: Home, receiver: Receiver) -> None:
    run_id = home.run()
    command("deliver", "--once")
    before = list(receiver.events)
    # The definitions are those that the executing process knew: the command names none.
    assert command("replay", "--run", run_id).status == 0
    assert {event["job"]["namespace"] for event in before} == {"lake"}
    assert as_texts(receiver.events[len(before) :]) == as_texts(before)


def diagnose(home: Home, **environ: str) -> list[Finding]:
    with home.instance() as instance:
        return list(delivery.check(Subject(environ, instance=instance)))


def bad(findings: list[Finding]) -> list[str]:
    return [each.message for each in findings if each.status not in (Status.OK, Status.NOTE)]


def test_the_doctor_asks_for_the_service_where_only_that_delivers(simple: Home) -> None:
    (found,) = [each for each in diagnose(simple) if each.status is Status.PROBLEM]
    assert "with `deliver: external` no process of Dagster starts one" in found.message
    simple.heartbeat(is_service=True)
    assert bad(diagnose(simple)) == []


def test_the_doctor_warns_of_what_waits_and_nothing_delivers(
    simple: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    simple.run()
    monkeypatch.setattr("openlineage_dagster_storage.starting.start", lambda *args, **kwargs: True)
    write_home(simple.path, "SqliteEventLogStorage", deliver="automatic")
    (found,) = bad(diagnose(simple))
    assert found == "10 events wait and no deliverer is alive"


def test_the_doctor_warns_of_lag_trouble_and_parked_events(simple: Home) -> None:
    cursor = Cursor(behind=7, behind_since=time.time() - 600, read=3, sent=2)
    cursor.park(ParkedEvent("run-2", 5, "STEP_START", "refused with 400"))
    simple.put(**{CURSOR_ROW: cursor.to_text(9000)})
    simple.heartbeat(is_service=True, trouble="HTTP 503")
    trouble, late, parked = bad(diagnose(simple))
    assert trouble == "delivery is in trouble: HTTP 503"
    assert late == "the deliverer is 10 min and 7 events behind (3 events of the log read, 2 sent)"
    assert "the last is STEP_START of run run-2: refused with 400" in parked


def test_the_doctor_warns_of_a_console_that_nobody_sees(simple: Home) -> None:
    console = {"OPENLINEAGE__TRANSPORT__TYPE": "console"}
    simple.heartbeat(host=this_host().name)
    (found,) = bad(diagnose(simple, **console))
    assert "its events are printed nowhere" in found
    simple.heartbeat(is_service=True)
    assert bad(diagnose(simple, **console)) == []
