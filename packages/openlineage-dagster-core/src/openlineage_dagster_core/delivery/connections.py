"""Makes several clients of one backend, so that several threads send at a time."""

from __future__ import annotations

from collections.abc import Callable

from openlineage.client import OpenLineageClient

from openlineage_dagster_core.delivery.client import LineageClient

CONNECTIONS = 16
"""Events under way to the backend at a time, at most; each belongs to another run."""


def connect(
    timeout: float,
    max_event_size: int,
    make: Callable[[], OpenLineageClient] | None = None,
    *,
    connections: int = CONNECTIONS,
) -> list[LineageClient]:
    """Make one client for each thread that may send.

    Args:
        timeout: the limit of one HTTP request in seconds, reading the answer included.
        max_event_size: the limit of one event in bytes.
        make: makes openlineage-python's client; by default as the environment configures it.
        connections: how many clients to make at most.

    Returns:
        The clients, configured alike: what one prepares, any of them sends. Only plain HTTP gains
        from more than one; other transports order events themselves or write into one file.
    """

    def one() -> LineageClient:
        return LineageClient(timeout, make() if make else None, max_event_size=max_event_size)

    first = one()
    others = connections - 1 if first.is_http else 0
    return [first, *(one() for _ in range(others))]
