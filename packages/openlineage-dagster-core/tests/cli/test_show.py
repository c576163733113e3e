"""The command `show`, and its comparison with a file and with Marquez."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from command_line import Run
from orders_home import OrdersHome

CODE = ("-m", "orders_project")


@pytest.fixture
def home(orders_home: OrdersHome, monkeypatch: pytest.MonkeyPatch, command: Run) -> OrdersHome:
    monkeypatch.setenv("DAGSTER_HOME", str(orders_home.path))
    return orders_home


@pytest.fixture
def events(command: Run, home: OrdersHome) -> list[dict[str, Any]]:
    outcome = command("show", home.nightly[0], "--json", *CODE)
    assert outcome.status == 0
    return [json.loads(line) for line in outcome.out.splitlines()]


def test_the_events_are_shown_as_a_table(command: Run, home: OrdersHome) -> None:
    outcome = command("show", home.doomed, *CODE)
    assert outcome.status == 0
    assert f"6 events of run {home.doomed}" in outcome.out
    [row] = [line for line in outcome.out.splitlines() if "FAIL" in line and " asset " in line]
    assert "raw/orders" in row
    assert row.count("fails") == 2


def test_the_events_are_those_that_are_sent(events: list[dict[str, Any]]) -> None:
    assert [event["eventType"] for event in events if event["job"]["name"] == "revenue"] == [
        "START",
        "COMPLETE",
    ]


def test_a_run_that_is_not_there_is_said(command: Run, home: OrdersHome) -> None:
    outcome = command("show", "nope")
    assert outcome.status == 2
    assert "There is no run nope" in outcome.err


def write(path: Path, events: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def test_nothing_differs_from_a_file_that_has_them_all(
    command: Run, home: OrdersHome, events: list[dict[str, Any]], tmp_path: Path
) -> None:
    # As the client sends them, and one of them twice.
    events[0]["run"]["facets"]["tags"] = {
        "tags": [{"key": "openlineage_client_version", "source": "OPENLINEAGE_CLIENT"}]
    }
    file = write(tmp_path / "events.ndjson", [*events, events[-1]])
    outcome = command("show", home.nightly[0], "--diff", file, *CODE)
    assert (outcome.status, outcome.out) == (0, "All 10 events are there, and none differs.\n")


def test_what_is_missing_different_or_too_much_is_told(
    command: Run, home: OrdersHome, events: list[dict[str, Any]], tmp_path: Path
) -> None:
    changed = json.loads(json.dumps(events))
    del changed[1]
    changed[1]["outputs"][0]["name"] = "another"
    changed.append({**events[0], "eventType": "ABORT"})
    file = write(tmp_path / "events.ndjson", changed)
    outcome = command("show", home.nightly[0], "--diff", file, "--json", *CODE)
    assert outcome.status == 1
    assert [(each["kind"], each["event"].partition(" ")[0]) for each in outcome.json] == [
        ("missing", "START"),
        ("different", "START"),
        ("unexpected", "ABORT"),
    ]
    assert outcome.json[1]["what"] == ["outputs[0].name: found 'another', expected 'raw/orders'"]
    text = command("show", home.nightly[0], "--diff", file, *CODE).out
    assert "different: START of dagster/raw/orders" in text


def test_a_file_that_is_not_there_is_said(command: Run, home: OrdersHome, tmp_path: Path) -> None:
    outcome = command("show", home.nightly[0], "--diff", tmp_path / "missing.ndjson")
    assert outcome.status == 2
    assert "missing.ndjson" in outcome.err


@pytest.fixture
def mocked_marquez() -> Iterator[tuple[str, dict[str, Any]]]:
    """An address where runs are answered as Marquez answers them, and the runs, to be filled."""
    runs: dict[str, Any] = {"namespaces": {"namespaces": []}}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            run = runs.get(self.path.partition("?")[0].rpartition("/")[2])
            self.send_response(200 if run else 404)
            self.end_headers()
            self.wfile.write(json.dumps(run).encode())

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", runs
    server.shutdown()
    server.server_close()
    thread.join()


def versions(datasets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"datasetVersionId": {**each, "version": "1"}} for each in datasets]


def test_a_mocked_marquez_is_compared_run_by_run(
    command: Run,
    home: OrdersHome,
    events: list[dict[str, Any]],
    mocked_marquez: tuple[str, dict[str, Any]],
) -> None:
    address, runs = mocked_marquez
    for event in events:
        if event["eventType"] == "COMPLETE":
            runs[event["run"]["runId"]] = {
                "state": "COMPLETED",
                "inputDatasetVersions": versions(event["inputs"]),
                "outputDatasetVersions": versions(event["outputs"]),
            }
    assert command("show", home.nightly[0], "--diff", address, *CODE).status == 0
    of_asset = [event for event in events if event["job"]["name"] == "revenue"]
    run = runs[of_asset[0]["run"]["runId"]]
    run["state"], run["inputDatasetVersions"] = "RUNNING", []
    del runs[home.nightly[0]]
    outcome = command("show", home.nightly[0], "--diff", address, "--json", *CODE)
    assert outcome.status == 1
    assert [each["kind"] for each in outcome.json] == ["missing", "different"]
    assert any("state" in line for line in outcome.json[1]["what"])
    assert any("inputs" in line for line in outcome.json[1]["what"])


def test_what_is_no_marquez_is_no_marquez_that_has_nothing(
    command: Run, home: OrdersHome, mocked_marquez: tuple[str, dict[str, Any]]
) -> None:
    address, runs = mocked_marquez
    del runs["namespaces"]
    address = address.replace("://", "://somebody:hidden@")
    outcome = command("show", home.nightly[0], "--diff", address, *CODE)
    assert outcome.status == 2
    assert "is not a Marquez" in outcome.err
    assert "hidden" not in outcome.err


def test_a_password_in_an_address_is_not_told(command: Run, home: OrdersHome) -> None:
    address = "http://somebody:hidden@127.0.0.1:1"
    outcome = command("show", home.nightly[0], "--diff", address, *CODE)
    assert outcome.status == 2
    assert "Marquez at http://127.0.0.1:1 does not answer" in outcome.err
    assert "hidden" not in outcome.err


def test_a_marquez_that_does_not_answer_is_said(command: Run, home: OrdersHome) -> None:
    outcome = command("show", home.nightly[0], "--diff", "http://127.0.0.1:1", *CODE)
    assert outcome.status == 2
    assert "Marquez at http://127.0.0.1:1 does not answer" in outcome.err
