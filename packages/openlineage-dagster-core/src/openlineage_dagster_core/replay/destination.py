"""Where a replay goes: the backend that is configured, or one that is named."""

from __future__ import annotations

from pathlib import Path

from openlineage.client import OpenLineageClient
from openlineage.client.transport import Transport
from openlineage.client.transport.file import FileConfig, FileTransport
from openlineage.client.transport.http import HttpConfig, HttpTransport

from openlineage_dagster_core.delivery.client import LineageClient
from openlineage_dagster_core.delivery.connections import CONNECTIONS, connect
from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.settings import Settings
from openlineage_dagster_core.validation import check_http_url

ALLOWED = "file:PATH, or an address such as http://localhost:5000"


def clients_to(
    destination: str | None, settings: Settings, connections: int = CONNECTIONS
) -> list[LineageClient]:
    """Make what sends to a destination.

    Args:
        destination: `file:PATH` or an http(s) address, which gets no key; None takes the backend
            that the environment or `openlineage.yml` configures.
        settings: hold the limits of a request and of an event.
        connections: how many at most.

    Returns:
        The clients, each for one thread.

    Raises:
        ConfigurationError: there is no such destination.
    """
    if destination is None:
        return connect(settings.timeout, settings.max_event_bytes, connections=connections)
    check(destination)
    return connect(
        settings.timeout,
        settings.max_event_bytes,
        lambda: OpenLineageClient(transport=_transport(destination)),
        connections=connections,
    )


def check(destination: str) -> None:
    """Check a destination that the user names.

    Args:
        destination: the user's words.

    Raises:
        ConfigurationError: there is no such destination.
    """
    kind, _, rest = destination.partition(":")
    if kind in ("http", "https"):
        check_http_url("--to", destination)
    elif kind != "file" or not rest:
        raise ConfigurationError("--to", destination, ALLOWED)


def _transport(destination: str) -> Transport:
    kind, _, rest = destination.partition(":")
    if kind == "file":
        path = str(Path(rest.removeprefix("//")).absolute())
        return FileTransport(FileConfig(log_file_path=path, append=True))
    return HttpTransport(HttpConfig.from_dict({"url": destination}))
