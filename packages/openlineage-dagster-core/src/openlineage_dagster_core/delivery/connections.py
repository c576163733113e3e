"""Several connections to one backend, each for one thread."""

from __future__ import annotations

from collections.abc import Callable

from openlineage.client import OpenLineageClient

from openlineage_dagster_core.delivery.client import LineageClient

CONNECTIONS = 16
"""How many events are under way to the backend at a time, each of another run."""


def connect(
    timeout: float,
    max_event_size: int,
    make: Callable[[], OpenLineageClient] | None = None,
    *,
    connections: int = CONNECTIONS,
) -> list[LineageClient]:
    """Make as many clients as the transport has a use for.

    Args:
        timeout: the limit of one request in seconds.
        max_event_size: the limit of one event in bytes.
        make: makes openlineage-python's client; by default as the environment configures it.
        connections: how many clients at most.

    Returns:
        The clients: one for a transport that orders what it is given, or writes into one file.
    """

    def one() -> LineageClient:
        return LineageClient(timeout, make() if make else None, max_event_size=max_event_size)

    first = one()
    others = connections - 1 if first.is_http else 0
    return [first, *(one() for _ in range(others))]
