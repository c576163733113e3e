"""Sends events side by side, and in order where one depends on another.

Backends keep what arrives last. So events that share a job or a dataset are sent in the order in
which they were put, and an event waits for the START of its parent.
"""

import heapq
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from openlineage_dagster_core import fault
from openlineage_dagster_core.delivery.failures import Attempts, Failures
from openlineage_dagster_core.errors import DeliveryError, EventRefusedError

CAPACITY_BYTES = 16_000_000  # Bytes of text that may wait to be sent
CAPACITY_EVENTS = 20_000  # Events that may wait to be sent
EVENTS_A_SENDER = 16  # Waiting events for each further sender: few are sent in the log's order
FAST_SECONDS = 0.01  # Seconds within which a fast backend answers
FEW_SENDERS = 4  # For a fast backend: Python runs one thread at a time, more would only wait
ANSWERS_TIMED = 16  # Answers of which the fastest one shows how fast the backend is
IDLE_SECONDS = 1.0  # Seconds that a sender waits for an event before its thread ends
OTHER_DELIVERS = "another process delivers now"  # The reason to stop where `may_send` returns False


class Payload(Protocol):
    """What a sender sends."""

    @property
    def size(self) -> int:
        """Its size in bytes."""


P = TypeVar("P", bound=Payload)


class Item(Protocol):
    """The source of events; one thread at a time calls it when an event is done."""

    def delivered(self, position: int) -> None:
        """Note that the backend took the event at this position of the source."""

    def parked(self, position: int, reason: str) -> None:
        """Note that an event is set aside; the reason repeats nothing of what the event says."""


@dataclass(frozen=True)
class Dependency:
    """A job, a dataset or a parent run that an event shares with others.

    Neighbours with the same version may be sent side by side; None is for an event that has to be
    alone.
    """

    key: Hashable
    version: Hashable | None = None


@dataclass(eq=False)
class _Ticket(Generic[P]):
    number: int
    payload: P
    source: Item
    position: int
    keys: list[Hashable] = field(default_factory=list)
    blocked_by: int = 0
    attempts: Attempts = field(default_factory=Attempts)

    def __lt__(self, other: "_Ticket[P]") -> bool:
        return self.number < other.number


@dataclass(eq=False)
class _Group(Generic[P]):
    """Tickets of one key that may go side by side."""

    version: Hashable | None
    tickets: set[_Ticket[P]]


class Lanes(Generic[P]):
    """Keeps waiting events in order and sends them; what waits stays from pass to pass.

    Each sender sends from a thread of its own, within `timeout` seconds a request. Before each
    request, `may_send` is asked; False ends the sending.
    """

    def __init__(
        self,
        senders: Sequence[Callable[[P], None]],
        *,
        timeout: float,
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        self._senders = senders
        self._may_send = may_send
        lock = threading.RLock()
        self._changed = threading.Condition(lock)
        # Idle senders wait on a condition of their own: one event wakes one of them.
        self._has_work = threading.Condition(lock)
        self._idle = 0
        self._fastest = 0.0
        self._answer_seconds: list[float] = []
        self._queues: dict[Hashable, deque[_Group[P]]] = {}
        self._ready: list[_Ticket[P]] = []
        self._held: list[_Ticket[P]] = []
        self._number = 0
        self._count = 0
        self._bytes = 0
        self._under_way = 0
        self._is_full = False
        self._threads: dict[int, threading.Thread] = {}
        self._deadline = 0.0
        self._is_running = False
        self._last_sent: _Ticket[P] | None = None
        self._probe: _Ticket[P] | None = None
        self.sent = 0  # Events that the backend took
        self.failures = Failures(timeout)

    def __len__(self) -> int:
        """The number of events that wait or are under way."""
        return self._count

    @property
    def held(self) -> int:
        """The number of events that failed and are to be tried again."""
        return len(self._held)

    @property
    def has_room(self) -> bool:
        """True if `put` need not wait."""
        return self._count < CAPACITY_EVENTS and self._bytes < CAPACITY_BYTES

    def put(
        self,
        payload: P,
        dependencies: Collection[Dependency],
        source: Item,
        position: int,
        deadline: float,
    ) -> bool:
        """Add an event behind those that it depends on; return False where there is no room.

        `dependencies` has each key once. `source` hears when the event at `position` is done. While
        anything is sent, the caller waits for room until the deadline, on the monotonic clock.
        """
        with self._changed:
            while not self.has_room:
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not self._is_sending():
                    return False
                self._is_full = True
                self._changed.wait(min(remaining, 1.0))
            self._is_full = False
            self._number += 1
            ticket = _Ticket(self._number, payload, source, position)
            for dependency in dependencies:
                self._join(ticket, dependency)
            self._count += 1
            self._bytes += payload.size
            if not ticket.blocked_by:
                heapq.heappush(self._ready, ticket)
                self._start_senders()
            return True

    def _is_sending(self) -> bool:
        return self._is_running and self.failures.stopped_by is None

    def _join(self, ticket: _Ticket[P], dependency: Dependency) -> None:
        queue = self._queues.setdefault(dependency.key, deque())
        last = queue[-1] if queue else None
        if last is not None and last.version is not None and last.version == dependency.version:
            last.tickets.add(ticket)
        else:
            queue.append(_Group(dependency.version, {ticket}))
        ticket.keys.append(dependency.key)
        if queue[0] is not queue[-1]:
            ticket.blocked_by += 1

    def begin(self, deadline: float) -> None:
        """Send events from now on; begin none after the deadline, by the monotonic clock."""
        with self._changed:
            self._deadline = deadline
            self._is_running = True
            self.failures.begin()
            self._start_senders()

    def finish(self, deadline: float, *, waits_for_held: bool) -> None:
        """Wait until everything that can be sent is sent, or the deadline on the monotonic clock.

        `waits_for_held` includes the events that failed and are to be tried again.
        """
        with self._changed:
            while self._is_sending() and time.monotonic() < deadline:
                is_done = not self._ready and not self._under_way and not self._due()
                if is_done and not (waits_for_held and self._held):
                    return
                self._start_senders()
                now = time.monotonic()
                retry_at = min((each.attempts.retry_at for each in self._held), default=now + 1.0)
                until_retry = min(1.0, max(0.01, retry_at - now))
                self._changed.wait(min(max(0.0, deadline - now), until_retry))

    def _due(self) -> list[_Ticket[P]]:
        """List the failed events whose time to be tried again has come."""
        now = time.monotonic()
        return [each for each in self._held if each.attempts.retry_at <= now]

    def end(self, grace: float) -> bool:
        """Begin no further event, and wait `grace` seconds; return True if none is under way."""
        with self._changed:
            self._is_running = False
            self._has_work.notify_all()
            threads = list(self._threads.values())
        until = time.monotonic() + grace
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _start_senders(self) -> None:
        """Wake or start as many senders as the waiting events need."""
        if not self._is_running or self._probe:
            return
        waiting = len(self._ready) + len(self._due())
        if not waiting:
            return
        wanted = 1
        if self.failures.has_sent:
            most = FEW_SENDERS if self._fastest < FAST_SECONDS else len(self._senders)
            wanted = min(most, 1 + (self._under_way + waiting) // EVENTS_A_SENDER)
        missing = wanted - (len(self._threads) - self._idle)
        if missing > 0 and self._idle:
            self._has_work.notify(missing)
            missing -= self._idle
        for number in range(len(self._senders)):
            if missing > 0 and number not in self._threads:
                missing -= 1
                thread = threading.Thread(
                    target=self._run, args=(number,), name=f"openlineage-lane-{number}", daemon=True
                )
                self._threads[number] = thread
                thread.start()

    def _run(self, number: int) -> None:
        """Send one event after the other, in a thread of its own."""
        send = self._senders[number]
        while True:
            with self._changed:
                ticket = self._await_ticket()
                if ticket is None:
                    self._threads.pop(number, None)
                    self._changed.notify_all()
                    return
                self._under_way += 1
                probe = self._probe = self._last_sent if self._needs_probe(ticket) else None
            if probe is None or self._answers(send, probe.payload, ticket):
                self._attempt(send, ticket)

    def _await_ticket(self) -> _Ticket[P] | None:
        """Return the next event to send, or None after `IDLE_SECONDS` without one."""
        ticket = self._take()
        if ticket is None and self._is_running:
            self._idle += 1
            self._has_work.wait(IDLE_SECONDS)
            self._idle -= 1
            ticket = self._take()
        return ticket

    def _needs_probe(self, ticket: _Ticket[P]) -> bool:
        """Return True where either an event or the backend may be to blame.

        Then the sender first repeats the event that the backend took last. Nothing else is sent at
        that time: it would be newer than the repeated event.
        """
        return self._last_sent is not None and self.failures.needs_probe(ticket.attempts)

    def _take(self) -> _Ticket[P] | None:
        if not self._is_sending() or self._probe or time.monotonic() >= self._deadline:
            return None
        if not self._may_send():
            self.failures.stop(OTHER_DELIVERS)
            return None
        if self._ready:
            return heapq.heappop(self._ready)
        due = self._due()
        ticket = min(due, key=lambda each: (each.attempts.failures, each.number), default=None)
        if ticket is None or (self._under_way and self._needs_probe(ticket)):
            return None
        self._held.remove(ticket)
        return ticket

    def _answers(self, send: Callable[[P], None], probe: P, ticket: _Ticket[P]) -> bool:
        """Send a probe; return False where the failed event must not be tried again now."""
        failure = _failure(send, probe)
        with self._changed:
            self._probe = None
            self._start_senders()
            if failure is None or isinstance(failure, EventRefusedError):
                self.failures.succeed()
                if self._may_send():
                    return True
                self.failures.stop(OTHER_DELIVERS)
            else:
                self.failures.blame_backend(described(failure))
            self._hold(ticket)
            return False

    def _attempt(self, send: Callable[[P], None], ticket: _Ticket[P]) -> None:
        began = time.monotonic()
        failure = _failure(send, ticket.payload)
        seconds = time.monotonic() - began
        with self._changed:
            if failure is None:
                self.failures.succeed()
                self.sent += 1
                self._last_sent = ticket
                self._answer_seconds.append(seconds)
                if len(self._answer_seconds) >= ANSWERS_TIMED:
                    # A slow answer may have waited for other threads.
                    self._fastest = min(self._answer_seconds)
                    self._answer_seconds.clear()
                self._conclude(ticket)
                ticket.source.delivered(ticket.position)
            elif isinstance(failure, EventRefusedError):
                self.failures.succeed()
                self._conclude(ticket)
                ticket.source.parked(ticket.position, failure.in_full)
            elif self.failures.fail(ticket.attempts, failure, seconds):
                self._conclude(ticket)
                times = ticket.attempts.failures
                ticket.source.parked(ticket.position, f"failed {times} times: {described(failure)}")
            else:
                self._hold(ticket)

    def _hold(self, ticket: _Ticket[P]) -> None:
        self._under_way -= 1
        self._held.append(ticket)
        self._changed.notify_all()

    def _conclude(self, ticket: _Ticket[P]) -> None:
        """Remove an event that is done, and release what depends on it."""
        self._under_way -= 1
        self._count -= 1
        self._bytes -= ticket.payload.size
        for key in ticket.keys:
            queue = self._queues[key]
            # It was sent, so it was in the first group of each of its keys.
            queue[0].tickets.discard(ticket)
            if queue[0].tickets:
                continue
            queue.popleft()
            if not queue:
                del self._queues[key]
                continue
            for waiting in queue[0].tickets:
                waiting.blocked_by -= 1
                if not waiting.blocked_by:
                    heapq.heappush(self._ready, waiting)
        self._start_senders()
        # The converting thread waits until there is much to do: each time that it wakes up, the
        # senders wait for it.
        is_half_empty = 2 * self._count < CAPACITY_EVENTS and 2 * self._bytes < CAPACITY_BYTES
        if (self._is_full and is_half_empty) or not (self._ready or self._under_way):
            self._changed.notify_all()

    def held_events(self) -> Iterator[tuple[Item, int, Attempts]]:
        """List the source, the position and the failures of each event that is to be retried."""
        for ticket in list(self._held):
            yield ticket.source, ticket.position, ticket.attempts


def _failure(send: Callable[[P], None], payload: P) -> BaseException | None:
    """Send; return what was raised, whatever it is: SystemExit would end a thread of ours alone."""
    try:
        send(payload)
    except BaseException as error:
        return error
    return None


def described(error: BaseException) -> str:
    """Return an error of ours as text, of others the class: their text may hold a secret."""
    return str(error) if isinstance(error, DeliveryError) else fault.described(error)
