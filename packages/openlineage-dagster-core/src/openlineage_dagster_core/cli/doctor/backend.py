"""Asks an HTTP backend whether it is there, without sending an event, in bounded time."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from openlineage_dagster_core.cli.doctor.configured import DEFAULT_ENDPOINT
from openlineage_dagster_core.delivery.bounded_http import redirect_target

SECONDS = 5.0
"""For a connection, and then for an answer."""


@dataclass(frozen=True)
class Address:
    """Where an HTTP transport sends events.

    Args:
        url: as it is configured.
        endpoint: below it.
        headers: of each request, with what authorises it where that is plain to see.
        verify: whether to check the certificate.
    """

    url: str
    endpoint: str = DEFAULT_ENDPOINT
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    verify: Any = True

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Address:
        """Read a transport's configuration.

        Args:
            config: of a transport of type `http` or `async_http`.

        Returns:
            The address.
        """
        headers = {str(k): str(v) for k, v in (config.get("custom_headers") or {}).items()}
        auth = config.get("auth")
        if isinstance(auth, Mapping) and auth.get("type") == "api_key":
            key = auth.get("apiKey") or auth.get("apikey") or auth.get("api_key")
            headers["Authorization"] = f"Bearer {key}"
        return cls(
            str(config.get("url", "")).strip(),
            str(config.get("endpoint") or DEFAULT_ENDPOINT),
            headers,
            config.get("verify", True),
        )

    @property
    def full(self) -> str:
        """Where events are sent, joined as the client joins it."""
        return urljoin(self.url, self.endpoint)

    @property
    def api(self) -> str:
        """Where Marquez's other resources would be: beside the one that takes events."""
        return self.full.rpartition("/")[0]


@dataclass(frozen=True)
class Answer:
    """What a backend answered.

    Args:
        address: of the backend.
        status: the HTTP status.
        seconds: how long it took.
        asked_at: when it was asked, in seconds since the epoch.
        date: the backend's clock, in seconds since the epoch; None where it does not tell.
        is_marquez: whether it answers as Marquez does.
        redirects_to: where it redirects to, beside the endpoint; None where it does not.
    """

    address: Address
    status: int
    seconds: float
    asked_at: float
    date: float | None
    is_marquez: bool
    redirects_to: str | None = None


class NotReachedError(Exception):
    """A backend that cannot be asked; the text says why, fit to be shown."""


def ask(address: Address) -> Answer:
    """Ask a backend whether it is there.

    Args:
        address: where it is.

    Returns:
        Its answer, whatever that is.

    Raises:
        NotReachedError: there was none.
    """
    connect(address.url)
    asked_at, began = time.time(), time.monotonic()
    response = get(address, "namespaces", limit=1)
    seconds = time.monotonic() - began
    return Answer(
        address,
        response.status_code,
        seconds,
        asked_at,
        _date(response.headers.get("Date")),
        _is_marquez(response),
        _redirect(response),
    )


def get(address: Address, path: str, **query: int) -> requests.Response:
    """Get what stands beside the endpoint.

    Args:
        address: of the backend.
        path: below `address.api`.
        query: of the request.

    Returns:
        The answer.

    Raises:
        NotReachedError: there was none.
    """
    try:
        return requests.get(
            f"{address.api}/{path}",
            params=query,
            headers=dict(address.headers),
            timeout=SECONDS,
            verify=address.verify,
            # As when events are sent: the headers are meant for this address alone.
            allow_redirects=False,
        )
    except requests.exceptions.SSLError:
        raise NotReachedError("its TLS certificate is not accepted, or it speaks no TLS") from None
    except requests.Timeout:
        raise NotReachedError(
            f"it takes connections and has not answered within {SECONDS:g} s"
        ) from None
    except (requests.RequestException, OSError, ValueError) as error:
        raise NotReachedError(f"it answers no HTTP ({type(error).__name__})") from None


def connect(url: str) -> None:
    """Connect, and no more: the operating system's reason is clearer than `requests` makes it.

    Args:
        url: of the backend; nothing is done where a proxy stands in between.

    Raises:
        NotReachedError: there is no connection.
    """
    if requests.utils.get_environ_proxies(url):
        return
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), SECONDS).close()
    except TimeoutError:
        raise NotReachedError(f"no connection within {SECONDS:g} s") from None
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise NotReachedError(str(reason)) from None


def _date(header: str | None) -> float | None:
    found: datetime | None = None
    with contextlib.suppress(TypeError, ValueError):
        found = parsedate_to_datetime(header) if header else None
    return found.timestamp() if found is not None else None


def _redirect(response: requests.Response) -> str | None:
    location = response.headers.get("Location")
    if not 300 <= response.status_code < 400 or location is None:
        return None
    target = redirect_target(response.url or "", location)
    # Events have another path than the question.
    return target.removesuffix("/api/v1/namespaces").removesuffix("namespaces")


def _is_marquez(response: requests.Response) -> bool:
    try:
        content = response.json()
    except requests.JSONDecodeError:
        return False
    return (
        response.status_code == 200
        and isinstance(content, dict)
        and isinstance(content.get("namespaces"), list)
    )
