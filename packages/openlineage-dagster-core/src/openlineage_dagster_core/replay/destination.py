"""Makes the clients of a replay, for the configured backend or one that the user names."""

from functools import partial
from pathlib import Path

from openlineage.client import OpenLineageClient
from openlineage.client.transport import Transport
from openlineage.client.transport.file import FileConfig, FileTransport
from openlineage.client.transport.http import HttpConfig, HttpTransport

from openlineage_dagster_core.delivery.client import CONNECTIONS, LineageClient, connect
from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.settings import Settings
from openlineage_dagster_core.validation import check_http_url

ALLOWED = "file:PATH, or an address such as http://localhost:5000"


def clients_to(
    destination: str | None, settings: Settings, connections: int = CONNECTIONS
) -> list[LineageClient]:
    """Make at most `connections` clients that send to a destination, each for one thread.

    A destination is `file:PATH` or an http(s) address, which gets no key; None is the backend that
    the environment or `openlineage.yml` configures. Another one raises ConfigurationError.
    """
    make = None
    if destination is not None:
        check(destination)
        make = partial(_client, destination)
    return connect(settings.timeout, settings.max_event_bytes, make, connections=connections)


def check(destination: str) -> None:
    """Raise ConfigurationError where `--to` is no destination."""
    kind, _, rest = destination.partition(":")
    if kind in ("http", "https"):
        check_http_url("--to", destination)
    elif kind != "file" or not rest:
        raise ConfigurationError("--to", destination, ALLOWED)


def _client(destination: str) -> OpenLineageClient:
    kind, _, rest = destination.partition(":")
    if kind == "file":
        path = str(Path(rest.removeprefix("//")).absolute())
        transport: Transport = FileTransport(FileConfig(log_file_path=path, append=True))
    else:
        transport = HttpTransport(HttpConfig.from_dict({"url": destination}))
    return OpenLineageClient(transport=transport)
