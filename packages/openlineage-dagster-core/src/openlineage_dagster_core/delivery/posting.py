"""Posts text as openlineage-python's HTTP transport posts the events that it writes itself.

It leans on the inside of `HttpTransport`; where that is built otherwise, the transport does it all.
"""

from __future__ import annotations

import http.client
from typing import Any, TypeGuard
from urllib.parse import urljoin

from openlineage.client.transport import Transport
from openlineage.client.transport.http import HttpTransport

from openlineage_dagster_core.serialisation import Event

_INSIDE = ("_prepare_request", "url", "endpoint", "session", "timeout", "verify", "cert")


def takes_text(transport: Transport) -> TypeGuard[HttpTransport]:
    """Tell whether a transport can be given the text of an event.

    Args:
        transport: the client's.

    Returns:
        Whether it is plain HTTP as we know it; a subclass may do anything.
    """
    return type(transport) is HttpTransport and all(hasattr(transport, name) for name in _INSIDE)


def send(transport: Transport, event: Event, text: str | None) -> None:
    """Send one event and wait for the answer.

    Args:
        transport: the client's.
        event: as it is to be sent.
        text: the same as JSON, for a transport that takes it.

    Raises:
        requests.RequestException: over HTTP, the backend did not take it.
        Exception: whatever the transport raises.
    """
    if text is not None and takes_text(transport):
        _post(transport, text)
    else:
        transport.emit(event)


def _post(transport: HttpTransport, text: str) -> None:
    """Do what `HttpTransport.emit` does with the text of an event."""
    # At a higher level the connection prints headers, and with them secrets.
    level = http.client.HTTPConnection.debuglevel
    http.client.HTTPConnection.debuglevel = 0
    try:
        body, headers = transport._prepare_request(text)  # noqa: SLF001 -- said above
        options: dict[str, Any] = {}
        if transport.cert is not None:
            # The certificate is for this address and no other.
            options = {"cert": transport.cert, "allow_redirects": False}
        response = transport.session.post(
            url=urljoin(transport.url, transport.endpoint),
            data=body,
            headers=headers,
            timeout=transport.timeout,
            verify=transport.verify,
            **options,
        )
        response.close()
        if transport.cert is not None and response.is_redirect:
            raise RuntimeError("a redirect is not followed with a client certificate")
        response.raise_for_status()
    finally:
        http.client.HTTPConnection.debuglevel = level
