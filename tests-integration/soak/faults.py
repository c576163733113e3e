"""What goes wrong: ways in which a backend fails, and processes that are killed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from receiver import WITHOUT_A_WORD, Json, Receiver

SLOW_SECONDS = 0.3

FLAPPING = (201, 201, 201, 201, 503, 429, 500, WITHOUT_A_WORD)

KILL_RUN = "a run's process killed"
KILL_SENDER = "whoever sends killed"


@dataclass(frozen=True)
class BackendFault:
    """A way in which the backend fails.

    Args:
        name: for the report.
        begin: makes it fail.
    """

    name: str
    begin: Callable[[Receiver, random.Random], None]


def _answers(status: int) -> Callable[[Receiver, random.Random], None]:
    def begin(receiver: Receiver, _: random.Random) -> None:
        receiver.answer = lambda _: status

    return begin


def _goes_away(receiver: Receiver, _: random.Random) -> None:
    receiver.go_away()


def _hangs(receiver: Receiver, _: random.Random) -> None:
    receiver.released.clear()


def _is_slow(receiver: Receiver, _: random.Random) -> None:
    receiver.delay = SLOW_SECONDS


def _flaps(receiver: Receiver, chance: random.Random) -> None:
    def answer(_: Json) -> int:
        return chance.choice(FLAPPING)

    receiver.answer = answer


BACKEND_FAULTS = (
    BackendFault("refuses connections", _goes_away),
    BackendFault("hangs", _hangs),
    BackendFault("answers 500", _answers(500)),
    BackendFault("answers 503", _answers(503)),
    BackendFault("answers 429", _answers(429)),
    BackendFault("is slow", _is_slow),
    BackendFault("loses its answers", _answers(WITHOUT_A_WORD)),
    BackendFault("flaps", _flaps),
)

KINDS = (*(fault.name for fault in BACKEND_FAULTS), KILL_RUN, KILL_SENDER)


def heal(receiver: Receiver) -> None:
    """End whatever is wrong with a backend.

    Args:
        receiver: the backend.
    """
    receiver.answer = lambda _: 201
    receiver.delay = 0.0
    receiver.listen()
    receiver.released.set()
