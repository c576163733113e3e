"""Keeps which events of one log were read and are not delivered yet."""

from collections import deque
from collections.abc import Iterable


class Outstanding:
    """Storage ids in the order of the log, until they are delivered from the oldest on.

    Delivered are all events up to `low`, which `advance` moves, and those in `delivered`.
    """

    def __init__(self, low: int, delivered: Iterable[int] = ()) -> None:
        self.low = low
        self.delivered = {each for each in delivered if each > low}
        self._read: deque[tuple[int, float]] = deque((each, 0.0) for each in sorted(self.delivered))
        self._known = set(self.delivered)
        self._repeats: dict[int, int] = {}

    def __contains__(self, storage_id: int) -> bool:
        return storage_id <= self.low or storage_id in self._known

    def __len__(self) -> int:
        return len(self._known) - len(self.delivered)

    def add(self, storage_id: int, timestamp: float) -> None:
        """Note an event that was read and when it happened, in seconds since the epoch.

        An event that is read again has to be delivered again.
        """
        if storage_id in self.delivered:
            self.delivered.discard(storage_id)
            return
        if storage_id in self._known:
            self._repeats[storage_id] = self._repeats.get(storage_id, 0) + 1
        if storage_id in self:
            return
        self._known.add(storage_id)
        if not self._read or self._read[-1][0] < storage_id:
            self._read.append((storage_id, timestamp))
            return
        # It became visible late.
        position = next(place for place, (each, _) in enumerate(self._read) if each > storage_id)
        self._read.insert(position, (storage_id, timestamp))

    def deliver(self, storage_id: int) -> None:
        """Note an event that was delivered."""
        repeats = self._repeats.pop(storage_id, 0)
        if repeats > 1:
            self._repeats[storage_id] = repeats - 1
        if storage_id in self._known and not repeats:
            self.delivered.add(storage_id)

    def advance(self, until: int, old_before: float) -> None:
        """Move `low` past what is delivered and settled.

        An event is settled up to the storage id `until`, and where it happened before `old_before`,
        in seconds since the epoch.
        """
        while self._read:
            storage_id, timestamp = self._read[0]
            is_settled = storage_id <= until or 0.0 < timestamp < old_before
            if storage_id not in self.delivered or not is_settled:
                self.low = max(self.low, min(until, storage_id - 1))
                return
            self._read.popleft()
            self._known.discard(storage_id)
            self.delivered.discard(storage_id)
            self.low = max(self.low, storage_id)
        self.low = max(self.low, until)

    def oldest(self) -> float:
        """Return when the oldest undelivered event happened; 0 if unknown or without one."""
        times = (timestamp for each, timestamp in self._read if each not in self.delivered)
        return next(times, 0.0)
