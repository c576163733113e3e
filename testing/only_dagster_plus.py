"""Storages that answer what the client of Dagster+ answers, and nothing else.

What that is is read from the installed `dagster-cloud`: a member that its class defines, and whose
code does not say that it cannot be called, is the wrapped storage's. Any other is the base class's,
as it is there.
"""

from __future__ import annotations

import inspect
from typing import Any

from dagster._core.storage.event_log.base import EventLogStorage
from dagster._core.storage.runs.base import RunStorage
from dagster_cloud.storage.event_logs.storage import (  # type: ignore[import-not-found]
    GraphQLEventLogStorage,
)
from dagster_cloud.storage.runs.storage import GraphQLRunStorage  # type: ignore[import-not-found]


def answered(client: type) -> frozenset[str]:
    """List what a client answers.

    Args:
        client: the class of `dagster-cloud`.

    Returns:
        The names of its members.
    """
    return frozenset(
        name
        for name, member in vars(client).items()
        if not name.startswith("__") and "NotImplementedError" not in _source(member)
    )


def _source(member: Any) -> str:
    function: Any = member.fget if isinstance(member, property) else member
    try:
        return inspect.getsource(function)
    except TypeError:
        return ""


def restricted(base: type, client: type, inner: Any) -> Any:
    """Make a storage of what a client answers.

    Args:
        base: Dagster's class of such storages.
        client: that of `dagster-cloud`.
        inner: answers in its place.

    Returns:
        The storage; of the base class, and with the instance of the inner one.
    """
    names = answered(client)

    def member(name: str) -> Any:
        return property(lambda _: getattr(inner, name))

    members = {name: member(name) for name in names if hasattr(inner, name)}
    # Where the instance is looked for; it is the inner one's.
    members |= {name: member(name) for name in ("_instance", "has_instance", "register_instance")}
    made: Any = type(f"Only{client.__name__}", (base,), members)
    made.__abstractmethods__ = frozenset()
    return made.__new__(made)


def event_log_storage(inner: EventLogStorage) -> EventLogStorage:
    """Restrict an event log storage.

    Args:
        inner: a real one.

    Returns:
        What Dagster+ shows of one.
    """
    made: EventLogStorage = restricted(EventLogStorage, GraphQLEventLogStorage, inner)
    return made


def run_storage(inner: RunStorage) -> RunStorage:
    """Restrict a run storage.

    Args:
        inner: a real one.

    Returns:
        What Dagster+ shows of one.
    """
    made: RunStorage = restricted(RunStorage, GraphQLRunStorage, inner)
    return made
