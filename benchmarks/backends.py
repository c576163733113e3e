"""Backends that behave in one of several ways, each in a process of its own."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from benchmarks.backend import ARRIVALS

POLL_SECONDS = 0.05


class Behaviour(Enum):
    """What a backend does."""

    INSTANT = "0ms"
    FAST = "1ms"
    SLOW = "50ms"
    REFUSING = "refusing"
    HANGING = "hanging"

    @property
    def answers(self) -> bool:
        """True if events can be delivered to it."""
        return self in _ARGUMENTS and self is not Behaviour.HANGING


STATES = (Behaviour.FAST, Behaviour.SLOW, Behaviour.REFUSING, Behaviour.HANGING)
"""The states of a backend in which Mechanism A must not slow a run down."""

_ARGUMENTS = {
    Behaviour.INSTANT: ("--delay", "0"),
    Behaviour.FAST: ("--delay", "0.001"),
    Behaviour.SLOW: ("--delay", "0.05"),
    Behaviour.HANGING: ("--silent",),
}


@dataclass(frozen=True)
class Receipt:
    """What a backend took.

    Args:
        taken: the number of events.
        distinct: the number of events that differ from each other.
        materializations: the number of these that complete a run that writes a dataset.
        span: seconds from the first to the last event.
        cpu: seconds of processor time that the backend has used.
    """

    taken: int = 0
    distinct: int = 0
    materializations: int = 0
    span: float = 0.0
    cpu: float = 0.0


@dataclass(frozen=True)
class Arrival:
    """One event as it arrived.

    Args:
        at: when, in seconds since the epoch.
        event_type: START, COMPLETE or another.
        event_time: when the event says it happened, in ISO 8601.
        job: the name of the OpenLineage job.
        run_id: the OpenLineage run id.
    """

    at: float
    event_type: str
    event_time: str
    job: str
    run_id: str


@dataclass(frozen=True)
class Backend:
    """A backend that runs, or whose port no process listens on.

    Args:
        behaviour: what it does.
        url: its address.
    """

    behaviour: Behaviour
    url: str

    def taken(self) -> int:
        """Ask how many events it took.

        Returns:
            The number; 0 where it never answers.
        """
        return self.receipt().taken

    def receipt(self) -> Receipt:
        """Ask what it took.

        Returns:
            The figures; all 0 where it never answers.
        """
        if not self.behaviour.answers:
            return Receipt()
        with urllib.request.urlopen(self.url) as answer:  # noqa: S310 -- our own, above
            return Receipt(**json.load(answer))

    def arrivals(self) -> list[Arrival]:
        """Ask when each event arrived.

        Returns:
            The events in the order of their arrival; empty unless the backend keeps arrivals.
        """
        with urllib.request.urlopen(self.url + ARRIVALS) as answer:  # noqa: S310 -- likewise
            return [Arrival(*each) for each in json.load(answer)]

    def wait_until_quiet(self, seconds: float, *, at_most: float = 600.0) -> int:
        """Wait until no event arrives any more.

        Args:
            seconds: how long no event has to arrive.
            at_most: how long to wait, in seconds.

        Returns:
            The number of events that it took.
        """
        taken = self.taken()
        until, quiet_at = time.monotonic() + at_most, time.monotonic() + seconds
        while time.monotonic() < min(until, quiet_at):
            time.sleep(POLL_SECONDS)
            before, taken = taken, self.taken()
            if taken != before:
                quiet_at = time.monotonic() + seconds
        return taken


@contextlib.contextmanager
def running(behaviour: Behaviour, *, keeps_arrivals: bool = False) -> Iterator[Backend]:
    """Run a backend in a process of its own, so that it takes nothing from the one measured.

    Args:
        behaviour: what it does.
        keeps_arrivals: whether to keep the arrival time of each event.

    Yields:
        The backend.
    """
    if behaviour is Behaviour.REFUSING:
        with socket.socket() as reserved:
            # Bound, and never listening: no other process can take the port.
            reserved.bind(("127.0.0.1", 0))
            yield Backend(behaviour, f"http://127.0.0.1:{reserved.getsockname()[1]}")
        return
    command = [sys.executable, "-m", "benchmarks.backend", *_ARGUMENTS[behaviour]]
    if keeps_arrivals:
        command.append("--arrivals")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = process.stdout.readline().strip() if process.stdout else ""
            yield Backend(behaviour, f"http://127.0.0.1:{port}")
        finally:
            process.kill()
