"""The command line on an instance that Mechanism A wraps: its outbox, its gaps, its settings."""

import json
import threading
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from command_line import Run
from dagster_home import DagsterHome
from openlineage_dagster_core.delivery.outbox import Outbox, read_status
from orders_project import DEFINITIONS
from receiver import Receiver
from recorded_run import execute


@pytest.fixture
def home(
    tmp_path: Path, receiver: Receiver, command: Run, monkeypatch: pytest.MonkeyPatch
) -> DagsterHome:
    monkeypatch.setenv("OPENLINEAGE_URL", receiver.url)
    made = DagsterHome(tmp_path, receiver.url, options={"namespace": "lake", "flush_timeout": 20})
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return made


def run_nightly(home: DagsterHome) -> str:
    with home.instance() as instance:
        return execute(DEFINITIONS, "nightly", instance).run_id


def run_while_down(home: DagsterHome, receiver: Receiver) -> str:
    receiver.answer = lambda event: 503
    try:
        return run_nightly(home)
    finally:
        receiver.answer = lambda event: 201


def run_with_refusals(home: DagsterHome, receiver: Receiver) -> str:
    """The asset `revenue` is refused: its materialization is one record."""
    receiver.answer = lambda event: 422 if event["job"]["name"] == "revenue" else 201
    receiver.body = "not this one"
    try:
        return run_nightly(home)
    finally:
        receiver.answer = lambda event: 201


def test_looking_sends_nothing(command: Run, home: DagsterHome, receiver: Receiver) -> None:
    run_id = run_while_down(home, receiver)
    asked = receiver.requests
    depth = read_status(home.outbox).depth
    assert depth == 8
    for arguments in (["outbox", "status"], ["show", run_id], ["replay", "--dry-run"]):
        command(*arguments)
    assert receiver.requests == asked
    assert read_status(home.outbox).depth == depth
    assert not [each for each in threading.enumerate() if each.name.startswith("openlineage")]


def test_the_status_tells_what_waits_and_why(
    command: Run, home: DagsterHome, receiver: Receiver
) -> None:
    run_while_down(home, receiver)
    outcome = command("outbox", "status")
    assert outcome.status == 1
    assert "waiting   8 records, the oldest for" in outcome.out
    assert "HTTP 503" in outcome.out
    as_json = command("outbox", "status", "--json").json
    assert (as_json["depth"], as_json["parked"], as_json["gaps"]) == (8, 0, [])


def test_an_outbox_that_is_well_is_no_problem(command: Run, home: DagsterHome) -> None:
    run_nightly(home)
    outcome = command("outbox", "status")
    assert outcome.status == 0
    assert "waiting   0 records\n" in outcome.out


def test_flush_sends_what_waits(command: Run, home: DagsterHome, receiver: Receiver) -> None:
    run_while_down(home, receiver)
    outcome = command("outbox", "flush")
    assert (outcome.status, outcome.out) == (0, "8 of 8 records were sent; 0 wait.\n")
    assert len(receiver.events) == 10


def test_flush_says_why_nothing_is_sent(
    command: Run, home: DagsterHome, receiver: Receiver
) -> None:
    run_while_down(home, receiver)
    receiver.answer = lambda event: 503
    outcome = command("outbox", "flush", "--patience", "0.1")
    assert outcome.status == 1
    assert "0 of 8 records were sent; 8 wait." in outcome.out
    assert "HTTP 503" in outcome.err


def test_what_was_set_aside_is_exported_retried_and_sent(
    command: Run, home: DagsterHome, receiver: Receiver
) -> None:
    run_id = run_with_refusals(home, receiver)
    outcome = command("outbox", "export")
    assert outcome.status == 0
    records = [json.loads(line) for line in outcome.out.splitlines()]
    assert {record["ordering_key"] for record in records} == {run_id}
    assert {event["job"]["name"] for each in records for event in each["events"]} == {"revenue"}
    assert "422" in records[0]["reason"]
    assert command("outbox", "retry", "--id", "9999").status == 2
    outcome = command("outbox", "retry")
    assert outcome.out.startswith(f"{len(records)} records wait again")
    assert command("outbox", "flush").status == 0
    of_revenue = [each for each in receiver.events if each["job"]["name"] == "revenue"]
    assert [event["eventType"] for event in of_revenue] == ["START", "COMPLETE"]
    assert read_status(home.outbox).parked == 0


def test_what_waits_can_be_exported(command: Run, home: DagsterHome, receiver: Receiver) -> None:
    run_while_down(home, receiver)
    lines = command("outbox", "export", "--waiting").out.splitlines()
    events = [event for line in lines for event in json.loads(line)["events"]]
    assert len(events) == 10
    assert read_status(home.outbox).depth == 8


def test_drop_asks_first(
    command: Run, home: DagsterHome, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_with_refusals(home, receiver)
    parked = read_status(home.outbox).parked
    answers = iter(["n", "y"])
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: next(answers))
    assert command("outbox", "drop").status == 130
    assert read_status(home.outbox).parked == parked > 0
    outcome = command("outbox", "drop")
    assert outcome.status == 0
    assert f"{parked} records are forgotten." in outcome.out
    assert read_status(home.outbox).parked == 0
    assert command("outbox", "drop").out == "Nothing was set aside.\n"


def test_a_gap_is_replayed_and_crossed_off(
    command: Run, home: DagsterHome, receiver: Receiver
) -> None:
    run_id = run_nightly(home)
    before = list(receiver.events)
    outbox = Outbox(home.outbox)
    outbox.append([], {}, {run_id: 0.0}, reason="disk full")
    outbox.close()
    assert command("outbox", "status").status == 1
    outcome = command("replay", "--gaps", "--json")
    assert (outcome.status, outcome.json["runs"]) == (0, 1)
    assert _sorted(receiver.events[len(before) :]) == _sorted(before)
    assert read_status(home.outbox).gaps == ()
    assert command("replay", "--gaps", "--json").json["runs"] == 0


@pytest.mark.parametrize("key", [None, "runless:outside"])
def test_a_gap_of_any_run_or_of_none_is_replayed(
    command: Run, home: DagsterHome, receiver: Receiver, key: str | None
) -> None:
    with home.instance() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("outside"))
    run_nightly(home)
    jobs = {event["job"]["name"] for event in receiver.events}
    before = len(receiver.events)
    outbox = Outbox(home.outbox)
    outbox.append([], {}, {key: 0.0}, reason="disk full")
    outbox.close()
    assert command("replay", "--gaps").status == 0
    replayed = {event["job"]["name"] for event in receiver.events[before:]}
    assert replayed == (jobs if key is None else {"outside"})
    assert read_status(home.outbox).gaps == ()


def test_a_replay_is_what_the_storage_sent(
    command: Run, home: DagsterHome, receiver: Receiver
) -> None:
    run_id = run_nightly(home)
    before = list(receiver.events)
    # The definitions are those that the executing process knew: none are named here.
    assert command("replay", "--run", run_id).status == 0
    assert {event["job"]["namespace"] for event in before} == {"lake"}
    assert _sorted(receiver.events[len(before) :]) == _sorted(before)


def test_an_outbox_of_another_account_is_said(
    command: Run, home: DagsterHome, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_with_refusals(home, receiver)

    def refuse(*_: object, **__: object) -> Any:
        raise PermissionError(13, "denied", str(home.outbox / "outbox.db"))

    monkeypatch.setattr("openlineage_dagster_core.delivery.outbox.OutboxFile.run", refuse)
    outcome = command("outbox", "retry")
    assert outcome.status == 2
    assert "cannot be used: no permission for" in outcome.err
    assert "Use the account" in outcome.err


def _sorted(events: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(event, sort_keys=True) for event in events)
