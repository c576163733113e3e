"""Does work for many keys at a time, and for each key in order."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Tool = TypeVar("Tool")
Item = TypeVar("Item")
Result = TypeVar("Result")


class LaneStopped(Exception):  # noqa: N818 -- no error: the rest is not done now
    """No key can go on."""


class LaneHeld(Exception):  # noqa: N818 -- no error: the rest of a key is not done now
    """This key cannot go on, others may."""


class Lanes(Generic[Tool, Item, Result]):
    """A few threads; each takes a key that no other has and does its items one after the other.

    Until `open_up` is called one item is under way at a time: what cannot be done at all is tried
    once, and not by every thread.

    Args:
        tools: one for each thread, such as a connection.
        work: does an item with a tool; may raise `LaneHeld` or `LaneStopped`.
        capacity: how many items may wait; `put` waits for room.

    Attributes:
        done: what `work` returned, in the order in which it did.
        held: by key, what `work` raised where a key cannot go on.
        stopped_by: what it raised, or why it is over, where no key can; None while all goes well.
    """

    def __init__(
        self, tools: Sequence[Tool], work: Callable[[Tool, Item], Result], capacity: int
    ) -> None:
        self._work = work
        self._capacity = capacity
        self._changed = threading.Condition()
        self._waiting: dict[str, deque[Item]] = {}
        self._ready: deque[str] = deque()
        self._count = 0
        self._under_way = 0
        self._is_open = False
        self._is_closed = False
        self.done: list[Result] = []
        self.held: dict[str, BaseException] = {}
        self.stopped_by: BaseException | None = None
        self._threads = [
            threading.Thread(
                target=self._run, args=(tool,), name=f"openlineage-lane-{number}", daemon=True
            )
            for number, tool in enumerate(tools)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, key: str, item: Item, deadline: float) -> bool:
        """Add an item behind the others of its key.

        Args:
            key: of the item.
            item: what to work on.
            deadline: how long to wait for room, by the monotonic clock.

        Returns:
            Whether it is added: not where all has stopped, or there was no room in time.
        """
        with self._changed:
            while self._count >= self._capacity and self.stopped_by is None:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return False
                self._changed.wait(remaining)
            if self.stopped_by is not None:
                return False
            if key in self.held:
                return True
            items = self._waiting.get(key)
            if items is None:
                self._waiting[key] = deque([item])
                self._ready.append(key)
            else:
                items.append(item)
            self._count += 1
            self._changed.notify_all()
            return True

    def open_up(self) -> None:
        """Let all threads work: something has succeeded."""
        if not self._is_open:
            with self._changed:
                self._is_open = True
                self._changed.notify_all()

    def finish(self, deadline: float, grace: float = 0.0) -> bool:
        """Wait until all that was put is dealt with, and end the threads.

        Args:
            deadline: until when items are begun, by the monotonic clock.
            grace: how long to wait after that for what is under way, in seconds.

        Returns:
            Whether nothing is under way any more.
        """
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            is_over = self._changed.wait_for(self._is_over, max(0.0, deadline - time.monotonic()))
            if not is_over:
                self.stopped_by = self.stopped_by or LaneStopped("out of time")
                self._changed.notify_all()
                if not self._changed.wait_for(self._is_over, grace):
                    return False
        for thread in self._threads:
            thread.join()
        return True

    def waiting(self) -> list[Item]:
        """List what was put and is not done, where all has stopped.

        Returns:
            The items, in order for each key.
        """
        with self._changed:
            return [item for items in self._waiting.values() for item in items]

    def _is_over(self) -> bool:
        if self.stopped_by is not None:
            return not self._under_way
        return not self._count and not self._under_way

    def _run(self, tool: Tool) -> None:
        while True:
            with self._changed:
                while not self._may_take():
                    if self.stopped_by is not None or (self._is_closed and not self._count):
                        return
                    self._changed.wait()
                key = self._ready.popleft()
                self._under_way += 1
            self._do_key(tool, key)

    def _may_take(self) -> bool:
        if self.stopped_by is not None or not self._ready:
            return False
        return self._is_open or not self._under_way

    def _do_key(self, tool: Tool, key: str) -> None:
        """Do what waits of a key; whatever is put meanwhile is done with it."""
        while True:
            with self._changed:
                items = self._waiting[key]
                if not items or self.stopped_by is not None:
                    if items:
                        self._ready.append(key)
                    else:
                        del self._waiting[key]
                    self._under_way -= 1
                    self._changed.notify_all()
                    return
                item = items[0]
            self._attempt(tool, key, items, item)

    def _attempt(self, tool: Tool, key: str, items: deque[Item], item: Item) -> None:
        try:
            result = self._work(tool, item)
        except Exception as error:
            with self._changed:
                if isinstance(error, LaneHeld):
                    self._count -= len(items)
                    items.clear()
                    self.held[key] = error
                else:
                    self.stopped_by = error
                self._changed.notify_all()
            return
        with self._changed:
            items.popleft()
            self._count -= 1
            self.done.append(result)
            self._changed.notify_all()
