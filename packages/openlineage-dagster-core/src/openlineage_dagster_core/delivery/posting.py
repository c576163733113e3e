"""Posts an event's text as openlineage-python's HTTP transport posts the events it writes itself.

`Poster` uses private members of `HttpTransport`. Where a version of the transport lacks one of
them, `Poster.takes_text` returns False and the transport gets the event instead.
"""

import http.client
from typing import Any
from urllib.parse import urljoin

import requests
from openlineage.client.transport import Transport
from openlineage.client.transport.http import HttpTransport, TokenProvider
from requests.adapters import HTTPAdapter

from openlineage_dagster_core.delivery.bounded_http import NO_RETRIES, BoundedAdapter, check_status
from openlineage_dagster_core.delivery.failure_status import status_of
from openlineage_dagster_core.errors import BackendUnavailableError

_INSIDE = ("_prepare_request", "url", "endpoint", "session", "timeout", "verify", "cert")


def bound(transport: HttpTransport, timeout: float) -> None:
    """Limit each request of a transport to `timeout` seconds, without retries and redirects.

    An adapter that the user has configured stays.
    """
    transport.timeout = timeout
    config = transport.config
    config.retry = dict(NO_RETRIES)
    if not isinstance(config.auth, SeparateToken):
        config.auth = SeparateToken(config.auth)
    if config.adapter is not None:
        return
    config.adapter = BoundedAdapter()
    session = getattr(transport, "_session", None)
    if session is not None and type(session.get_adapter(transport.url)) is HTTPAdapter:
        session.mount(transport.url, config.adapter)


class SeparateToken(TokenProvider):
    """Gets tokens, and keeps a failure to get one apart from an answer about the event.

    A token endpoint answers 400 where the client's secret is wrong. From the backend, the same
    status says that the event is wrong.
    """

    def __init__(self, provider: TokenProvider) -> None:
        super().__init__({})
        self._provider = provider

    def get_bearer(self) -> str | None:
        """Return the header `Authorization`; raise BackendUnavailableError without a token."""
        try:
            return self._provider.get_bearer()
        except Exception as error:
            # The text of the error may hold the secret.
            status = status_of(error)
            reason = type(error).__name__ if status is None else f"HTTP {status}"
            message = f"no token for the backend: {reason}; check auth in openlineage.yml"
            raise BackendUnavailableError(message) from None


class Poster:
    """Posts one text after the other through a transport for which `takes_text` returns True.

    It prepares once what all requests have in common: the request without its body, and what
    `requests` reads in the environment and on the disk (proxies, certificates, `.netrc`). Reading
    them for each event takes more processor time than everything else that happens to the event.
    """

    def __init__(self, transport: HttpTransport) -> None:
        self._transport = transport
        self._made_for: tuple[requests.Session, dict[str, str]] | None = None
        self._request = requests.PreparedRequest()
        self._options: dict[str, Any] = {}

    @staticmethod
    def takes_text(transport: Transport) -> bool:
        """Return True for plain HTTP with the members that `Poster` needs.

        A subclass of `HttpTransport` may do anything else with an event.
        """
        has_all = all(hasattr(transport, name) for name in _INSIDE)
        return type(transport) is HttpTransport and has_all

    def post(self, text: str) -> None:
        """Post an event's JSON as `HttpTransport.emit` would, and never follow a redirect.

        Raises requests.RequestException where the backend refuses the event or gives no answer,
        and BackendUnavailableError where it redirects.
        """
        # At a higher level the connection prints headers, and with them secrets.
        level = http.client.HTTPConnection.debuglevel
        http.client.HTTPConnection.debuglevel = 0
        try:
            response = self._post(text)
            response.close()
            check_status(response)
            response.raise_for_status()
        finally:
            http.client.HTTPConnection.debuglevel = level

    def _post(self, text: str) -> requests.Response:
        transport = self._transport
        session = transport.session
        content, headers = transport._prepare_request(text)  # noqa: SLF001 -- see the module
        # A cookie may change with each answer.
        if self._made_for != (session, headers) or session.cookies:
            self._prepare(session, headers)
        body = content.encode() if isinstance(content, str) else content
        request = self._request.copy()
        request.body = body
        request.headers["Content-Length"] = str(len(body))
        options = {"timeout": transport.timeout, "allow_redirects": False, **self._options}
        return session.send(request, **options)

    def _prepare(self, session: requests.Session, headers: dict[str, str]) -> None:
        """Prepare the request without its body, and the options of sending it."""
        transport = self._transport
        address = urljoin(transport.url, transport.endpoint)
        self._request = session.prepare_request(requests.Request("POST", address, headers=headers))
        self._options = dict(
            session.merge_environment_settings(address, {}, None, transport.verify, transport.cert)
        )
        self._made_for = (session, headers)
