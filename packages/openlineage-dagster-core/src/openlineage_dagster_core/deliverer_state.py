"""What the deliverer of Mechanism A leaves in the instance's key-value table, for all to read."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from openlineage_dagster_core.event_log.cursor import Cursor
from openlineage_dagster_core.key_values import LONGEST_VALUE, KeyValues, parsed

CURSOR_ROW = "cursor"
HEARTBEAT_ROW = "deliverer"
BEGIN_ROW = "begin"
STARTING_ROW = "starting"
SUCCESSOR_ROW = "successor"
REQUESTS_ROW = "requests"
CONFIGURATIONS_ROW = "configurations"

GRACE_SECONDS = 20.0
"""Seconds after a heartbeat was due until its process counts as dead: clocks differ, too."""


@dataclass(frozen=True)
class Host:
    """Where a process runs.

    Args:
        name: the host's name.
        namespace: what only processes that see each other share: the machine's boot and the
            namespace of process ids; empty where that is not known.
    """

    name: str
    namespace: str


@lru_cache(maxsize=1)
def this_host() -> Host:
    """Find where this process runs.

    Returns:
        The host.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # As `lsns` tells them apart; containers of one pod have one each.
        namespace = f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        namespace = ""
    return Host(socket.gethostname(), namespace)


@dataclass(frozen=True)
class Heartbeat:
    """What a deliverer says of itself.

    Args:
        at: when it said so, in seconds since the epoch.
        next_by: when it speaks again at the latest, likewise.
        started_at: when it began, likewise.
        host: where it runs.
        namespace: see `Host`.
        pid: its process id.
        version: of `openlineage-dagster-storage`.
        configuration: tells its configuration from others.
        is_service: whether it was started as a service.
        has_ended: whether it has stopped since.
        trouble: why it delivers nothing, or less than all; empty while all goes well.
        trouble_since: since when, in seconds since the epoch.
        last_sent_at: when the backend took the last event, likewise; 0 for never.
    """

    at: float = 0.0
    next_by: float = 0.0
    started_at: float = 0.0
    host: str = ""
    namespace: str = ""
    pid: int = 0
    version: str = ""
    configuration: str = ""
    is_service: bool = False
    has_ended: bool = False
    trouble: str = ""
    trouble_since: float = 0.0
    last_sent_at: float = 0.0

    @classmethod
    def from_text(cls, text: str | None) -> Heartbeat | None:
        """Read a heartbeat.

        Args:
            text: the row; None where there is none.

        Returns:
            The heartbeat; None where the row holds none.
        """
        stored = parsed(text)
        known = {name: stored[name] for name in cls.__dataclass_fields__ if name in stored}
        return cls(**known) if known else None

    def to_text(self) -> str:
        """Write the heartbeat.

        Returns:
            JSON.
        """
        return json.dumps(asdict(self))

    def is_alive(self, now: float) -> bool:
        """Judge whether the deliverer lives.

        Args:
            now: in seconds since the epoch.

        Returns:
            False where it said that it ended, where it is overdue, and where its process is gone.
        """
        if self.has_ended or now > self.next_by + GRACE_SECONDS:
            return False
        if self.is_here and self.pid:
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                return False
            except OSError:
                return True
        return True

    @property
    def is_here(self) -> bool:
        """Whether it runs where this process can see it."""
        return bool(self.namespace) and self.namespace == this_host().namespace


@dataclass(frozen=True)
class Configuration:
    """What processes of the deployment are configured with, in digests.

    Args:
        digest: of all of it.
        parts: a digest of each option, variable and file, by its name.
        first_at: when a process with it was first seen, in seconds since the epoch.
        last_at: when one was last seen, likewise.
        host: where that was.
        turns: how often a deliverer with it took over from another one.
    """

    digest: str
    parts: Mapping[str, str] = field(default_factory=dict)
    first_at: float = 0.0
    last_at: float = 0.0
    host: str = ""
    turns: int = 0


def configurations_in(text: str | None) -> list[Configuration]:
    """Read the configurations that were seen.

    Args:
        text: the row; None where there is none.

    Returns:
        The configurations, the newest last.
    """
    found = []
    for digest, stored in parsed(text).items():
        try:
            found.append(Configuration(digest, **stored))
        except TypeError:
            continue
    return sorted(found, key=lambda each: each.first_at)


def configurations_text(configurations: Sequence[Configuration]) -> str:
    """Write configurations.

    Args:
        configurations: the newest last; the oldest are left out where there are too many.

    Returns:
        JSON.
    """
    kept = list(configurations)[-20:]
    while True:
        written = {each.digest: asdict(each) for each in kept}
        for each in written.values():
            del each["digest"]
        text = json.dumps(written)
        if len(text) <= LONGEST_VALUE or len(kept) <= 1:
            return text
        kept = kept[1:]


@dataclass(frozen=True)
class Requests:
    """What the command line asks of the deliverer.

    Args:
        retry: names of parked events to deliver again.
        drop: names of parked events to forget.
    """

    retry: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()

    @classmethod
    def from_text(cls, text: str | None) -> Requests:
        """Read requests.

        Args:
            text: the row; None where there is none.

        Returns:
            The requests.
        """
        stored: dict[str, Any] = parsed(text)
        return cls(*(tuple(map(str, stored.get(name, ()))) for name in ("retry", "drop")))

    def to_text(self) -> str:
        """Write the requests.

        Returns:
            JSON.
        """
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class DeliveryState:
    """All that is known of the delivery of an instance's log.

    Args:
        cursor: how far it is; None where nothing was delivered yet.
        heartbeat: of the last deliverer; None where there was none.
        configurations: those that were seen, the newest last.
        requests: what the command line asked for and is not done yet.
    """

    cursor: Cursor | None
    heartbeat: Heartbeat | None
    configurations: Sequence[Configuration]
    requests: Requests


def read_state(key_values: KeyValues) -> DeliveryState:
    """Read how the delivery is going, with one query.

    Args:
        key_values: the instance's.

    Returns:
        The state.
    """
    rows = key_values.get([CURSOR_ROW, HEARTBEAT_ROW, CONFIGURATIONS_ROW, REQUESTS_ROW])
    cursor = rows.get(CURSOR_ROW)
    return DeliveryState(
        Cursor.from_text(cursor) if cursor else None,
        Heartbeat.from_text(rows.get(HEARTBEAT_ROW)),
        configurations_in(rows.get(CONFIGURATIONS_ROW)),
        Requests.from_text(rows.get(REQUESTS_ROW)),
    )
