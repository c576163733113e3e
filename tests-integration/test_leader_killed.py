"""The process that sends is killed: another one sends, soon."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_home import DagsterHome
from receiver import Json, Receiver
from reporting_process import Reporter

PROMISED_SECONDS = 5.0
"""The one limit of time that a test here asserts: it is a promise."""


@pytest.fixture
def pair(tmp_path: Path, receiver: Receiver) -> Iterator[tuple[Reporter, Reporter]]:
    """Two processes on one instance; the first one sends, because it was the first to."""
    home = DagsterHome(tmp_path / "home", receiver.url)
    leader = Reporter(home, tmp_path / "leader.log")
    leader.report("first")
    receiver.wait_for(lambda: "first" in names(receiver), 60)
    follower = Reporter(home, tmp_path / "follower.log")
    follower.report("second")
    receiver.wait_for(lambda: "second" in names(receiver), 60)
    yield leader, follower
    for reporter in (leader, follower):
        if reporter.process.poll() is None:
            reporter.kill()


def names(receiver: Receiver) -> set[str]:
    """List the assets whose materialization has arrived."""
    return {event["job"]["name"] for event in receiver.events if event["eventType"] == "COMPLETE"}


def test_when_the_process_that_sends_is_killed_another_sends_within_five_seconds(
    pair: tuple[Reporter, Reporter], receiver: Receiver
) -> None:
    leader, follower = pair
    leader.kill()
    follower.report("third")
    receiver.wait_for(lambda: "third" in names(receiver), PROMISED_SECONDS)


def test_what_the_killed_process_was_about_to_send_and_what_follows_another_sends_likewise(
    pair: tuple[Reporter, Reporter], receiver: Receiver
) -> None:
    leader, follower = pair
    is_asked, may_answer = threading.Event(), threading.Event()

    def hang_once(event: Json) -> int:
        if not is_asked.is_set():
            is_asked.set()
            may_answer.wait(60)
            # Nobody is there any more to hear it.
            return 503
        return 201

    receiver.answer = hang_once
    leader.report("third")
    assert is_asked.wait(60), "the request of the leader"
    leader.kill()
    may_answer.set()
    # The one that takes over is at work itself.
    follower.report("fourth")
    receiver.wait_for(lambda: {"third", "fourth"} <= names(receiver), PROMISED_SECONDS)
