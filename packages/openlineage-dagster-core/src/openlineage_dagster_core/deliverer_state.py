"""What the deliverer, and those who ask it, leave in the instance's key-value table.

Processes leave digests of their configurations there, by which different ones are told apart.
"""

import hashlib
import json
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from openlineage_dagster_core import settings as options
from openlineage_dagster_core.delivery import transport
from openlineage_dagster_core.key_values import LONGEST_VALUE, KeyValues, parsed
from openlineage_dagster_core.version import __version__

if TYPE_CHECKING:
    from openlineage_dagster_core.event_log.cursor import Cursor

CURSOR_ROW = "cursor"
HEARTBEAT_ROW = "deliverer"
BEGIN_ROW = "begin"
STARTING_ROW = "starting"
SUCCESSOR_ROW = "successor"
REQUESTS_ROW = "requests"
CONFIGURATIONS_ROW = "configurations"

# Variables that differ from run to run and mean nothing to a deliverer.
OF_ONE_RUN = frozenset(
    {options.ENV_PARENT_ID, options.ENV_ROOT_PARENT_ID, options.ENV_CONTEXT, options.ENV_DISABLED}
)
DIGITS = 6  # Hexadecimal digits of a part's digest: they tell values apart and give none away

GRACE_SECONDS = 20.0  # Seconds overdue after which a process counts as dead; clocks differ


@dataclass(frozen=True)
class Host:
    """Where a process runs.

    `namespace` names the machine's boot and the namespace of process ids, which only processes that
    see each other share; empty where it is unknown.
    """

    name: str
    namespace: str


@lru_cache(maxsize=1)
def this_host() -> Host:
    """Return where this process runs."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # As `lsns` tells them apart; containers of one pod have one each.
        namespace = f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        namespace = ""
    return Host(socket.gethostname(), namespace)


@dataclass(frozen=True)
class Heartbeat:
    """What a deliverer reports about itself. Times are seconds since the epoch, 0 for never.

    `next_by` is when it reports again at the latest; `configuration` is the digest of what it is
    configured with; `trouble` is why it delivers not everything, empty while all goes well.
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
    def from_text(cls, text: str | None) -> "Heartbeat | None":
        """Return the heartbeat in a row; None if the row has no heartbeat."""
        stored = parsed(text)
        known = {name: stored[name] for name in cls.__dataclass_fields__ if name in stored}
        return cls(**known) if known else None

    def to_text(self) -> str:
        """Return the heartbeat as JSON."""
        return json.dumps(asdict(self))

    def is_alive(self, now: float) -> bool:
        """Return False if the deliverer has ended, is overdue, or its process is gone."""
        if self.has_ended or now > self.next_by + GRACE_SECONDS:
            return False
        if self.is_here and self.pid:
            try:
                os.kill(self.pid, 0)
            except OSError as error:
                return not isinstance(error, ProcessLookupError)
        return True

    @property
    def is_here(self) -> bool:
        """Whether this process can see the deliverer's process."""
        return bool(self.namespace) and self.namespace == this_host().namespace


@dataclass(frozen=True)
class Configuration:
    """A configuration of processes of this deployment, as digests of all of it and of each part.

    `host` is where a process with it was seen last; `turns` counts how often its deliverer took
    over from another one. Times are seconds since the epoch.
    """

    digest: str
    parts: Mapping[str, str] = field(default_factory=dict)
    first_at: float = 0.0
    last_at: float = 0.0
    host: str = ""
    turns: int = 0


def configuration_of(settings: options.Settings, environ: Mapping[str, str]) -> Configuration:
    """Return digests of what a deliverer started by this process would work with."""
    parts = {"version": __version__}
    for each in fields(settings):
        value = getattr(settings, each.name)
        # The order of a set differs from process to process.
        ordered = sorted(map(repr, value)) if isinstance(value, frozenset) else value
        parts[f"option {each.name}"] = _digest(repr(ordered))
    for name, value in environ.items():
        if name.startswith(options.ENV_PREFIX) and name not in OF_ONE_RUN:
            parts[f"variable {name}"] = _digest(value)
    content = transport.config_file_text(environ)
    if content is not None:
        parts["file openlineage.yml"] = _digest(content)
    parts = dict(sorted(parts.items()))
    return Configuration(hashlib.sha256(repr(parts).encode()).hexdigest()[:16], parts)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]


def configurations_in(text: str | None) -> list[Configuration]:
    """Return the configurations in a row, the newest last."""
    found = []
    for digest, stored in parsed(text).items():
        with suppress(TypeError):
            found.append(Configuration(digest, **stored))
    return sorted(found, key=lambda each: each.first_at)


def configurations_text(configurations: Sequence[Configuration]) -> str:
    """Return configurations, the newest last, as JSON; drop the oldest of too many."""
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
    """Names of parked events that the command line wants delivered again or forgotten."""

    retry: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()

    @classmethod
    def from_text(cls, text: str | None) -> "Requests":
        """Return the requests in a row."""
        stored = parsed(text)
        return cls(*(tuple(map(str, stored.get(name, ()))) for name in ("retry", "drop")))

    def to_text(self) -> str:
        """Return the requests as JSON."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class DeliveryState:
    """What is known of the delivery of an instance's log; None for what was never written."""

    cursor: "Cursor | None"
    heartbeat: Heartbeat | None
    configurations: Sequence[Configuration]
    requests: Requests


def read_state(key_values: KeyValues) -> DeliveryState:
    """Return the state of the delivery, with one query."""
    # Not imported above: processes that execute runs only look for a deliverer.
    from openlineage_dagster_core.event_log.cursor import Cursor

    rows = key_values.get([CURSOR_ROW, HEARTBEAT_ROW, CONFIGURATIONS_ROW, REQUESTS_ROW])
    cursor = rows.get(CURSOR_ROW)
    return DeliveryState(
        Cursor.from_text(cursor) if cursor else None,
        Heartbeat.from_text(rows.get(HEARTBEAT_ROW)),
        configurations_in(rows.get(CONFIGURATIONS_ROW)),
        Requests.from_text(rows.get(REQUESTS_ROW)),
    )
