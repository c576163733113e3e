"""The command `replay`, on a real instance and to a real receiver."""

import json
from pathlib import Path

import pytest

from command_line import Run
from openlineage_dagster_core.replay import replay as replay_module
from openlineage_dagster_core.replay import selected_runs
from openlineage_dagster_core.replay.finished_runs import FinishedRuns
from orders_home import OrdersHome
from receiver import Receiver
from recorded_run import states_by_run

EVENTS_OF_NIGHTLY = 10
EVENTS_OF_DOOMED = 6
EVENTS = 2 * EVENTS_OF_NIGHTLY + EVENTS_OF_DOOMED + 2
"""With those of what was reported from outside."""

CODE = ("-m", "orders_project")


@pytest.fixture
def home(orders_home: OrdersHome, monkeypatch: pytest.MonkeyPatch, command: Run) -> OrdersHome:
    """Made after `command`, which takes the variable away."""
    monkeypatch.setenv("DAGSTER_HOME", str(orders_home.path))
    return orders_home


def test_a_dry_run_counts_and_sends_nothing(command: Run, home: OrdersHome) -> None:
    outcome = command("replay", "--dry-run", "--json", *CODE)
    assert outcome.status == 0
    assert outcome.json["runs"] == 3
    assert outcome.json["events"] == EVENTS
    assert outcome.json["is_dry_run"]
    assert not (home.path / "openlineage").exists()
    text = command("replay", "--dry-run", *CODE).out
    assert f"{EVENTS} events of 3 runs would be sent." in text


def test_the_progress_is_shown_on_a_terminal(
    command: Run, home: OrdersHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm"), ("COLUMNS", "200")):
        monkeypatch.setenv(name, value)
    outcome = command("replay", "--dry-run", *CODE)
    assert outcome.status == 0
    assert "3/3 runs" in outcome.err


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_the_console_transport_prints_the_events_apart_from_the_result(
    command: Run, home: OrdersHome, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "console")
    outcome = command("replay", *CODE, *(["--json"] if as_json else []))
    assert outcome.status == 0
    printed = outcome.err if as_json else outcome.out
    events = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    assert len(events) == EVENTS
    if as_json:
        assert outcome.json["events"] == EVENTS
    else:
        assert len(outcome.out.splitlines()) == EVENTS
        assert f"{EVENTS} events of 3 runs sent." in outcome.err


def test_everything_is_sent_in_order_and_the_same_each_time(
    command: Run, home: OrdersHome, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", receiver.url)
    assert command("replay", *CODE).status == 0
    first = list(receiver.events)
    assert len(first) == EVENTS
    for states in states_by_run(first).values():
        assert states in (["START", "COMPLETE"], ["START", "FAIL"], ["COMPLETE"])
    assert command("replay", *CODE).status == 0
    again = receiver.events[len(first) :]
    assert sorted(map(json.dumps, again)) == sorted(map(json.dumps, first))


@pytest.mark.parametrize(
    ("choice", "jobs"),
    [
        (["--asset", "raw/*"], {"raw/orders"}),
        (["--status", "failure", "--asset", "*"], {"fails"}),
        (["--until", "2020-01-01"], set()),
        (["--since", "1h", "--asset", "out*"], {"outside"}),
    ],
)
def test_a_choice_is_sent_and_nothing_else(
    command: Run, home: OrdersHome, tmp_path: Path, choice: list[str], jobs: set[str]
) -> None:
    file = tmp_path / "events.ndjson"
    outcome = command("replay", "--to", f"file:{file}", *choice, *CODE)
    assert outcome.status == 0
    lines = file.read_text().splitlines() if file.exists() else []
    assert {json.loads(line)["job"]["name"] for line in lines} == jobs


def test_runs_are_chosen_by_id_and_by_range(command: Run, home: OrdersHome) -> None:
    first, second = home.nightly

    def events(*choice: str) -> int:
        return int(command("replay", "--dry-run", "--json", *choice, *CODE).json["events"])

    assert events("--run", first) == EVENTS_OF_NIGHTLY
    assert events("--run", first, "--run", home.doomed) == EVENTS_OF_NIGHTLY + EVENTS_OF_DOOMED
    assert events("--from-run", second) == EVENTS_OF_NIGHTLY + EVENTS_OF_DOOMED
    assert events("--to-run", second) == 2 * EVENTS_OF_NIGHTLY
    assert events("--from-run", second, "--to-run", second) == EVENTS_OF_NIGHTLY


def test_what_is_refused_is_told_and_the_rest_is_sent(
    command: Run, home: OrdersHome, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", receiver.url)
    receiver.answer = lambda event: 422 if event["job"]["name"] == "raw/orders" else 201
    receiver.body = "not this one"
    outcome = command("replay", *CODE)
    assert outcome.status == 1
    assert "refused with 422: not this one" in outcome.out
    assert {"revenue", "fails"} <= {event["job"]["name"] for event in receiver.events}


def test_a_backend_that_is_down_is_told_after_a_while_and_the_command_goes_on_later(
    command: Run, home: OrdersHome, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", receiver.url)
    first_run = home.nightly[0]

    is_down = False

    def until_the_second_run(event: dict[str, object]) -> int:
        nonlocal is_down
        run = event["run"]
        assert isinstance(run, dict)
        facet = run["facets"].get("dagster_run", {})
        is_down = is_down or facet.get("runId") != first_run
        return 503 if is_down else 201

    receiver.answer = until_the_second_run
    outcome = command("replay", "--patience", "0", *CODE, "--json")
    assert outcome.status == 1
    assert "takes no events: HTTP 503" in outcome.json["stopped_by"]
    sent_before = len(receiver.events)
    receiver.answer = lambda event: 201
    outcome = command("replay", "--patience", "0", *CODE, "--json")
    assert outcome.status == 0
    sent = outcome.json["runs"] + outcome.json["runs_sent_before"]
    assert sent == 3
    assert sent_before + outcome.json["events"] >= EVENTS
    # It is at its end: the next one sends all again.
    assert command("replay", "--json", *CODE).json["runs_sent_before"] == 0


def test_with_nowhere_to_send_to_the_next_step_is_said(
    command: Run, home: OrdersHome, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = command("replay")
    assert outcome.status == 2
    assert "nowhere to send to" in outcome.err
    assert "OPENLINEAGE_URL" in outcome.err


def test_a_home_that_cannot_be_written_is_replayed_without_going_on_later(
    command: Run, home: OrdersHome, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", receiver.url)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "denied", "/home/of/another")

    monkeypatch.setattr(FinishedRuns, "add", refuse)
    outcome = command("replay", *CODE)
    assert outcome.status == 0
    assert len(receiver.events) == EVENTS
    note = "this replay would start again from the beginning: no permission for /home/of/another."
    assert outcome.err.count(note) == 1


def test_an_event_log_that_cannot_be_read_is_said(
    command: Run, home: OrdersHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("gone")

    monkeypatch.setattr(selected_runs, "events_of_run", fail)
    outcome = command("replay", "--dry-run", *CODE)
    assert outcome.status == 2
    assert "The event log cannot be read: OSError: gone." in outcome.err


def test_a_long_replay_needs_no_patience(
    command: Run, home: OrdersHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every pass ends before everything is read.
    monkeypatch.setattr(replay_module, "PASS_SECONDS", 0.01)
    outcome = command("replay", "--dry-run", "--patience", "0", "--json", *CODE)
    assert (outcome.status, outcome.json["events"]) == (0, EVENTS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "ftp://x"], "'--to': got 'ftp://x'; allowed: file:PATH"),
        (["--to", "http://"], "--to"),
        (["--dry-run", "--run", "nope"], "There is no run nope"),
    ],
)
def test_a_wrong_choice_is_said(
    command: Run, home: OrdersHome, arguments: list[str], said: str
) -> None:
    outcome = command("replay", *arguments)
    assert outcome.status == 2
    assert said in outcome.err
