"""Checks that the backend can be reached, without sending an event."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.request import url2pathname

import requests

from openlineage_dagster_core.cli.doctor.finding import Finding, fine, note, problem, warning
from openlineage_dagster_core.cli.foreign_json import mapping
from openlineage_dagster_core.cli.terminal import cause_of
from openlineage_dagster_core.delivery.bounded_http import redirect_target
from openlineage_dagster_core.delivery.configured import DEFAULT_ENDPOINT, Destination
from openlineage_dagster_core.redaction import without_secrets
from openlineage_dagster_core.validation import without_credentials

SECONDS = 5.0  # Seconds to wait for a connection, and then for an answer
HTTP = frozenset({"http", "async_http"})
SEND_TO_KNOW = "Run doctor with --send to find out."
CHECK_BACKEND = "Check that the backend runs and that this machine can reach it."
USE_FINAL_ADDRESS = "Set OPENLINEAGE_URL, or url in openlineage.yml, to the final address."
_OWN_TLS = ("sslContext", "ssl_context", "sslcontext")
_FAILING = frozenset({500, 502, 503, 504})  # Others, such as 501, only tell that it is no Marquez


@dataclass(frozen=True)
class Address:
    """Where an HTTP transport sends events, with the headers of each request."""

    url: str
    endpoint: str = DEFAULT_ENDPOINT
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    verify: Any = True

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Address":
        """Read the configuration of a transport of type `http` or `async_http`."""
        headers = {str(k): str(v) for k, v in mapping(config, "custom_headers").items()}
        auth = mapping(config, "auth")
        if auth.get("type") == "api_key":
            key = auth.get("apiKey") or auth.get("apikey") or auth.get("api_key")
            headers["Authorization"] = f"Bearer {key}"
        url, endpoint = str(config.get("url", "")).strip(), config.get("endpoint")
        return cls(url, str(endpoint or DEFAULT_ENDPOINT), headers, config.get("verify", True))

    @property
    def full(self) -> str:
        """Where events are sent, joined as the client joins it."""
        return urljoin(self.url, self.endpoint)

    @property
    def api(self) -> str:
        """Where Marquez's other resources would be: next to the one that takes events."""
        return self.full.rpartition("/")[0]


@dataclass(frozen=True)
class Answer:
    """What a backend answered; `asked_at` and `date` are in seconds since the epoch."""

    address: Address
    status: int
    seconds: float  # How long the answer took
    asked_at: float
    date: float | None  # By the backend's clock; None without a valid Date
    is_marquez: bool
    redirects_to: str | None = None  # The target of a redirect, without the endpoint


class NotReachedError(Exception):
    """A backend gave no answer; the text says why, and may be shown."""


def check(destination: Destination, answers: list[Answer]) -> Iterator[Finding]:
    """Check a transport that sends; the answer of an HTTP backend is added to `answers`."""
    where = f"{destination.name}: " if destination.name else ""
    for finding in _check(destination.kind, destination.config, answers):
        yield replace(finding, message=f"{where}{finding.message}")


def _check(kind: str, config: Mapping[str, object], answers: list[Answer]) -> Iterator[Finding]:
    if kind in HTTP:
        yield from _check_http(config, answers)
    elif kind == "file":
        yield _check_file(config)
    elif kind == "kafka":
        yield _check_kafka(config)
    elif kind == "console":
        yield note("console prints events to the log of the process that sends them")
    elif kind == "noop":
        yield note("noop drops every event")
    else:
        yield note(f"doctor cannot check whether {kind} can be reached", SEND_TO_KNOW)


def _check_http(config: Mapping[str, object], answers: list[Answer]) -> Iterator[Finding]:
    address = Address.from_config(config)
    shown = without_credentials(address.url)
    path = urlsplit(address.url).path.rstrip("/")
    if not urlsplit(address.full).path.startswith(f"{path}/"):
        lost = f"{shown} loses its path: events go to {without_credentials(address.full)}"
        yield problem(lost, "End the url with a slash.")
    try:
        if any(name in config for name in _OWN_TLS):
            connect(address.url)
            yield note(f"{shown} takes connections; doctor cannot check its TLS", SEND_TO_KNOW)
            return
        answer = ask(address)
    except NotReachedError as error:
        yield problem(f"{shown} cannot be reached: {error}", CHECK_BACKEND)
        return
    answers.append(answer)
    took = f"HTTP {answer.status} after {answer.seconds * 1000:.0f} ms"
    if answer.is_marquez:
        yield fine(f"{shown} is a Marquez and answers ({took})")
    elif answer.redirects_to is not None:
        redirects = f"{shown} redirects to {answer.redirects_to} ({took})"
        lost = f"{redirects}, and redirects are not followed: no event arrives"
        yield problem(lost, USE_FINAL_ADDRESS)
    elif answer.status in (401, 403):
        step = "Check the API key; --send shows whether the backend takes events all the same."
        yield warning(f"{shown} denies access ({took})", step)
    elif answer.status in _FAILING:
        yield warning(f"{shown} answers with an error of its own ({took})", CHECK_BACKEND)
    else:
        yield fine(f"{shown} answers ({took}); --send shows whether it takes events")


def _check_file(config: Mapping[str, object]) -> Finding:
    path = str(config.get("log_file_path", ""))
    if urlsplit(path).scheme == "file":
        path = url2pathname(urlsplit(path).path)
    if "://" in path or config.get("filesystem"):
        return note("doctor cannot check that file system", SEND_TO_KNOW)
    file = Path(path)
    folder = file.absolute().parent
    if not folder.is_dir():
        return problem(f"there is no directory {folder}", "Create it.")
    target = file if config.get("append") and file.exists() else folder
    if not os.access(target, os.W_OK):
        step = "Allow the account that Dagster runs under to write there."
        return problem(f"this account cannot write {target}", step)
    if not file.is_absolute():
        relative = f"{file} is a relative path: each process looks for it where it starts"
        return warning(relative, "Give an absolute path.")
    return fine(f"{target} can be written")


def _check_kafka(config: Mapping[str, object]) -> Finding:
    try:
        # An optional dependency.
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient
    except ImportError:
        return problem("confluent-kafka is not installed", "pip install confluent-kafka")
    given, topic = config.get("config"), config.get("topic")
    if not isinstance(given, Mapping) or not topic:
        step = "Name the topic, and bootstrap.servers in config."
        return problem("the configuration of kafka lacks topic or config", step)
    options: dict[str, Any] = dict(given)
    reasons: list[str] = []
    try:
        # By default the client writes errors to standard error.
        options |= {"log_level": "2", "error_cb": lambda error: reasons.append(error.str())}
        client = AdminClient(options)
        try:
            topics = client.list_topics(timeout=SECONDS).topics
        finally:
            # This calls error_cb.
            client.poll(0)
    except (KafkaException, ValueError, TypeError) as error:
        reason = without_secrets(reasons[0]) if reasons else cause_of(error)
        return problem(f"the Kafka broker cannot be reached: {reason}", CHECK_BACKEND)
    if str(topic) not in topics:
        step = "Create it, unless the broker creates topics by itself."
        return warning(f"the Kafka broker answers, and has no topic {topic}", step)
    return fine(f"the Kafka broker answers, and has the topic {topic}")


def ask(address: Address) -> Answer:
    """Ask a backend for Marquez's namespaces; raise NotReachedError without any answer."""
    connect(address.url)
    asked_at, began = time.time(), time.monotonic()
    response = get(address, "namespaces", limit=1)
    seconds = time.monotonic() - began
    date, namespaces, status = None, None, response.status_code
    with contextlib.suppress(KeyError, TypeError, ValueError):
        date = parsedate_to_datetime(response.headers["Date"]).timestamp()
    with contextlib.suppress(requests.JSONDecodeError):
        namespaces = mapping(response.json()).get("namespaces")
    is_marquez = status == 200 and isinstance(namespaces, list)
    return Answer(address, status, seconds, asked_at, date, is_marquez, _redirect(response))


def get(address: Address, path: str, **query: int) -> requests.Response:
    """Get a path below `address.api`; raise NotReachedError without any answer."""
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
        reason = "its TLS certificate is not accepted, or it does not speak TLS"
    except requests.Timeout:
        reason = f"it takes connections and has not answered within {SECONDS:g} s"
    except (requests.RequestException, OSError, ValueError) as error:
        reason = f"it does not answer in HTTP ({type(error).__name__})"
    raise NotReachedError(reason)


def connect(url: str) -> None:
    """Open a connection and close it; raise NotReachedError, clearer than the error of requests."""
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


def _redirect(response: requests.Response) -> str | None:
    location = response.headers.get("Location")
    if not 300 <= response.status_code < 400 or location is None:
        return None
    target = redirect_target(response.url or "", location)
    # Events have another path than this request.
    return target.removesuffix("/api/v1/namespaces").removesuffix("namespaces")
