from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest
from openlineage.client.serde import Serde

import every_event_is_valid
from openlineage_dagster_core.cli.doctor import sending
from openlineage_dagster_core.cli.doctor.connectivity import Address
from openlineage_dagster_core.cli.doctor.finding import Finding, Status
from openlineage_dagster_core.delivery.configured import Destination
from openlineage_dagster_core.settings import Settings
from receiver import Receiver

SETTINGS = Settings.from_options({"namespace": "acme", "timeout": 5.0}, {})


def check(marquez: Sequence[Address] = (), kind: str = "http") -> list[Finding]:
    destinations = [Destination("", {"type": kind})]
    return list(sending.check(SETTINGS, dict(os.environ), destinations, marquez))


def test_it_depends_on_nothing_but_settings_and_time_and_is_valid() -> None:
    events = sending.made_events(SETTINGS, 1_700_000_000.25)

    assert events == sending.made_events(SETTINGS, 1_700_000_000.25)
    assert events[0].run.runId != sending.made_events(SETTINGS, 1_700_000_001.0)[0].run.runId
    for event in events:
        every_event_is_valid.check(Serde.to_dict(event))


def test_start_and_complete_arrive(receiver: Receiver) -> None:
    (found,) = check()

    assert found.status is Status.OK
    assert "acme/openlineage_dagster_doctor" in found.message
    start, complete = receiver.events
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == complete["run"]["runId"]
    assert start["job"]["name"] == "openlineage_dagster_doctor"


def test_what_the_backend_says_of_it_is_shown(receiver: Receiver) -> None:
    receiver.answer = lambda _: 422
    receiver.body = "no such thing, apiKey=geheim"

    (found,) = check()

    assert found.status is Status.PROBLEM
    assert "422" in found.message
    assert "no such thing" in found.message
    assert "geheim" not in found.message


@pytest.mark.parametrize(("status", "step"), [(401, "API_KEY"), (404, "endpoint")])
def test_an_answer_that_is_not_about_the_event_has_its_next_step(
    status: int, step: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: status

    (found,) = check()

    assert found.status is Status.PROBLEM
    assert f"HTTP {status}" in found.message
    assert step in (found.remedy or "")


def test_marquez_is_asked_for_it(marquez_like: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", marquez_like.url)

    sent, read_back = check([Address(marquez_like.url)])

    assert sent.status is read_back.status is Status.OK
    assert "COMPLETED" in read_back.message


def test_a_run_that_marquez_does_not_show_is_a_warning(
    marquez_like: Any, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "SECONDS", 0.2)

    # It goes elsewhere.
    _, read_back = check([Address(marquez_like.url)])

    assert read_back.status is Status.WARNING
    assert "HTTP 404" in read_back.message


def test_nothing_is_sent_where_all_is_off(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")

    (found,) = check()

    assert found.status is Status.NOTE
    assert receiver.requests == 0
