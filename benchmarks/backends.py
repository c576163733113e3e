"""The four ways in which a backend behaves, each as something that runs."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


class Behaviour(Enum):
    """What a backend does."""

    FAST = "1ms"
    SLOW = "50ms"
    REFUSING = "refusing"
    HANGING = "hanging"

    @property
    def answers(self) -> bool:
        """Whether events can be delivered to it."""
        return self in _ARGUMENTS and self is not Behaviour.HANGING


_ARGUMENTS = {
    Behaviour.FAST: ("--delay", "0.001"),
    Behaviour.SLOW: ("--delay", "0.05"),
    Behaviour.HANGING: ("--silent",),
}


@dataclass(frozen=True)
class Receipt:
    """What a backend took.

    Args:
        taken: how many events.
        distinct: how many that differ from each other.
        materializations: how many of these complete a run that writes a dataset.
        span: seconds from the first to the last.
        cpu: seconds of the processor that the backend has used.
    """

    taken: int = 0
    distinct: int = 0
    materializations: int = 0
    span: float = 0.0
    cpu: float = 0.0


@dataclass(frozen=True)
class Backend:
    """A backend that runs, or whose port nobody listens on.

    Args:
        behaviour: what it does.
        url: where.
    """

    behaviour: Behaviour
    url: str

    def taken(self) -> int:
        """Ask how many events it took.

        Returns:
            The number; none where it never answers.
        """
        return self.receipt().taken

    def receipt(self) -> Receipt:
        """Ask what it took.

        Returns:
            Nothing where it never answers.
        """
        if not self.behaviour.answers:
            return Receipt()
        with urllib.request.urlopen(self.url) as answer:  # noqa: S310 -- our own, above
            return Receipt(**json.load(answer))


@contextlib.contextmanager
def running(behaviour: Behaviour) -> Iterator[Backend]:
    """Run a backend in a process of its own, so that it takes nothing from the one measured.

    Args:
        behaviour: what it does.

    Yields:
        The backend.
    """
    if behaviour is Behaviour.REFUSING:
        with socket.socket() as reserved:
            # Bound, and never listening: nobody else can take the port meanwhile.
            reserved.bind(("127.0.0.1", 0))
            yield Backend(behaviour, f"http://127.0.0.1:{reserved.getsockname()[1]}")
        return
    command = [sys.executable, "-m", "benchmarks.backend", *_ARGUMENTS[behaviour]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = process.stdout.readline().strip() if process.stdout else ""
            yield Backend(behaviour, f"http://127.0.0.1:{port}")
        finally:
            process.kill()
