"""Posts text as openlineage-python's HTTP transport posts the events that it writes itself.

It leans on the inside of `HttpTransport`; where that is built otherwise, the transport does it all.
"""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urljoin

import requests
from openlineage.client.transport import Transport
from openlineage.client.transport.http import HttpTransport

_INSIDE = ("_prepare_request", "url", "endpoint", "session", "timeout", "verify", "cert")


class Poster:
    """Posts one text after the other; what is the same for all of them is made ready once.

    That is the request but for its body, and what `requests` reads in the environment and on the
    disk: proxies, certificates, `.netrc`. For each text anew it takes more of the processor than
    all else that is done with an event.

    Args:
        transport: one of which `takes_text` is true.
    """

    def __init__(self, transport: HttpTransport) -> None:
        self._transport = transport
        self._made_for: tuple[requests.Session, dict[str, str]] | None = None
        self._request = requests.PreparedRequest()
        self._options: dict[str, Any] = {}

    @staticmethod
    def takes_text(transport: Transport) -> bool:
        """Tell whether a transport can be given the text of an event.

        Args:
            transport: the client's.

        Returns:
            Whether it is plain HTTP as we know it; a subclass may do anything.
        """
        return type(transport) is HttpTransport and all(
            hasattr(transport, name) for name in _INSIDE
        )

    def post(self, text: str) -> None:
        """Do what `HttpTransport.emit` does with the text of an event.

        Args:
            text: the event as JSON.

        Raises:
            requests.RequestException: the backend did not take it.
        """
        # At a higher level the connection prints headers, and with them secrets.
        level = http.client.HTTPConnection.debuglevel
        http.client.HTTPConnection.debuglevel = 0
        try:
            response = self._post(text)
            response.close()
            if self._transport.cert is not None and response.is_redirect:
                raise RuntimeError("a redirect is not followed with a client certificate")
            response.raise_for_status()
        finally:
            http.client.HTTPConnection.debuglevel = level

    def _post(self, text: str) -> requests.Response:
        transport = self._transport
        session = transport.session
        content, headers = transport._prepare_request(text)  # noqa: SLF001 -- said above
        # A cookie may change with each answer.
        if self._made_for != (session, headers) or session.cookies:
            self._make_ready(session, headers)
        body = content.encode() if isinstance(content, str) else content
        request = self._request.copy()
        request.body = body
        request.headers["Content-Length"] = str(len(body))
        return session.send(request, timeout=transport.timeout, **self._options)

    def _make_ready(self, session: requests.Session, headers: dict[str, str]) -> None:
        transport = self._transport
        address = urljoin(transport.url, transport.endpoint)
        self._request = session.prepare_request(requests.Request("POST", address, headers=headers))
        self._options = dict(
            session.merge_environment_settings(address, {}, None, transport.verify, transport.cert),
            # A certificate is for this address and no other.
            allow_redirects=transport.cert is None,
        )
        self._made_for = (session, headers)
