"""openlineage-python's client, bounded in time, its answers sorted: refused or unavailable."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import requests
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import DatasetEvent, JobEvent, RunEvent
from openlineage.client.transport import Transport
from openlineage.client.transport.http import HttpTransport

from openlineage_dagster_core.errors import BackendUnavailableError, EventRefusedError

Event = RunEvent | DatasetEvent | JobEvent

NO_RETRIES = {"total": 0, "connect": 0, "read": 0, "backoff_factor": 0, "status_forcelist": []}
"""The client's own five retries stall 9 s an event against a dead backend; we retry ourselves."""

NOT_ABOUT_THE_EVENT = frozenset({401, 403, 404, 405, 407, 408, 425, 429})
"""4xx answers that a key, an address or patience cures: the event is not to blame."""

ANSWER_CHARACTERS = 500

_CLIENT_CONFIG: dict[str, Any] = {
    # The client would name the git checkout that the process happens to stand in.
    "facets": {"source_code_location": {"disabled": True}},
}

logger = logging.getLogger(__name__)


class LineageClient:
    """Sends events one by one; safe to use from one thread.

    Args:
        timeout: the limit of one request in seconds.
        client: for tests; by default the client that the environment and `openlineage.yml`
            configure.
    """

    def __init__(self, timeout: float, client: OpenLineageClient | None = None) -> None:
        self._client = client or OpenLineageClient(config=dict(_CLIENT_CONFIG))
        for transport in _http_transports(self._client.transport):
            transport.timeout = timeout
            transport.config.retry = dict(NO_RETRIES)

    def emit(self, event: Event) -> None:
        """Send one event and wait for the answer.

        Args:
            event: an OpenLineage event.

        Raises:
            EventRefusedError: the backend will not take this event.
            BackendUnavailableError: it takes none now.
        """
        try:
            self._client.emit(event)
        except requests.HTTPError as error:
            raise _sorted_answer(error) from error
        except (requests.ConnectionError, requests.Timeout) as error:
            raise BackendUnavailableError(f"{type(error).__name__}: {error}") from error
        except Exception as error:
            # Transports raise what their libraries raise; none of it says that the event is bad.
            # Its text may hold a header or a configuration, and with it a secret.
            raise BackendUnavailableError(type(error).__name__) from None

    def close(self) -> None:
        """Let go of connections."""
        self._client.close(timeout=0)


def _http_transports(transport: Transport) -> Iterator[HttpTransport]:
    if isinstance(transport, HttpTransport):
        yield transport
    for inner in getattr(transport, "transports", ()):
        yield from _http_transports(inner)


def _sorted_answer(error: requests.HTTPError) -> EventRefusedError | BackendUnavailableError:
    response = error.response
    status = response.status_code
    answer = response.text[:ANSWER_CHARACTERS]
    is_refused = 400 <= status < 500 and status not in NOT_ABOUT_THE_EVENT
    if is_refused or (status == 500 and _code_in(response) == 400):
        return EventRefusedError(status, answer)
    return BackendUnavailableError(f"HTTP {status}: {answer}")


def _code_in(response: requests.Response) -> object:
    """Marquez answers 500 with `code: 400` in the body where the event is malformed."""
    try:
        body = response.json()
    except requests.JSONDecodeError:
        return None
    return body.get("code") if isinstance(body, dict) else None
