"""Prepares OpenLineage events and sends them through openlineage-python's client.

Each request is bounded in time, and each failure is either a refusal of the event
(`EventRefusedError`) or a backend that takes no events now (`BackendUnavailableError`).
"""

import json
import logging
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import requests
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import DatasetEvent
from openlineage.client.transport import Transport
from openlineage.client.transport.http import HttpTransport
from openlineage.client.transport.kafka import KafkaTransport
from openlineage.client.transport.noop import NoopTransport

from openlineage_dagster_core import errors, serialisation
from openlineage_dagster_core.delivery import posting, producing, size
from openlineage_dagster_core.delivery.configured_tags import ConfiguredTags
from openlineage_dagster_core.delivery.failure_status import answer_of, chain, status_of
from openlineage_dagster_core.delivery.posting import Poster
from openlineage_dagster_core.errors import BackendUnavailableError, EventRefusedError

Event = serialisation.Event
CONNECTIONS = 16  # Events under way to the backend at a time, at most; each belongs to another run
# 4xx statuses that the right key, the right address or waiting cures; the event may be fine
NOT_ABOUT_THE_EVENT = frozenset({401, 403, 404, 405, 407, 408, 425, 429})
ANSWER_CHARACTERS = 500  # Characters of a backend's answer that an error keeps
LONGEST_LIST = 20  # Facets that one log message names at most
REMEMBERED_JOBS = 1000  # Jobs with events over the size limit, to warn once about each
_CLIENT_CONFIG: dict[str, Any] = {
    # The client would name the git checkout in the process's working directory.
    "facets": {"source_code_location": {"disabled": True}}
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedEvent:
    """An event that is ready to be sent; any client with the same configuration can send it."""

    name: str  # `namespace/name` of the event's job or dataset, for logs
    size: int  # The length of the event's JSON in bytes; 0 where the client sends nothing
    text: str | None  # The event's JSON, for a transport that takes text (plain HTTP)
    event: Event | None  # The completed event, for any other transport


class LineageClient:
    """Prepares events and sends them one by one.

    One thread may prepare events while another sends them; `send` itself is for one thread.

    Args:
        timeout: the limit of one HTTP request in seconds, reading the answer included.
        client: openlineage-python's client; by default the one that the environment and
            `openlineage.yml` configure.
        max_event_size: the limit of one event in bytes; a larger event loses its heaviest facets.
            By default there is no limit.
    """

    def __init__(
        self,
        timeout: float,
        client: OpenLineageClient | None = None,
        *,
        max_event_size: int | None = None,
    ) -> None:
        self._client = client or OpenLineageClient(config=dict(_CLIENT_CONFIG))
        self._tags = ConfiguredTags(self._client)
        self._max_event_size = max_event_size
        self._too_large: OrderedDict[str, None] = OrderedDict()
        for transport in _transports(self._client.transport):
            if isinstance(transport, HttpTransport):
                posting.bound(transport, timeout)
            elif isinstance(transport, KafkaTransport):
                producing.wait_for_answers(transport, timeout)
        takes_text = Poster.takes_text(self._client.transport)
        self._poster = Poster(cast("HttpTransport", self._client.transport)) if takes_text else None

    @property
    def is_http(self) -> bool:
        """True if the client waits for an HTTP answer, so that several clients save time."""
        return isinstance(self._client.transport, HttpTransport)

    def emit(self, event: Event) -> None:
        """Prepare and send one event; see `prepare` and `send` for what they change and raise."""
        self.send(self.prepare(event))

    def prepare(self, event: Event) -> PreparedEvent:
        """Complete an event, make it fit into the size limit, and write it.

        Completing and filtering are what `OpenLineageClient.emit` does before it gives an event to
        the transport. The given event changes, but no facet that it shares with others. The result
        has neither text nor event where the client's configuration filters the event out, or
        disables sending.

        Raises:
            EventRefusedError: the event cannot be written as JSON. Another attempt would fail too.
        """
        name = _name(event)
        try:
            event = self._completed(event)
            is_sent = self._client.transport.kind != NoopTransport.kind
            if not is_sent or self._client.filter_event(event) is None:
                return PreparedEvent(name, 0, None, None)
            text = serialisation.to_json(event)
            if self._max_event_size is not None:
                event, text, dropped = size.within(event, text, self._max_event_size)
                self._report_dropped(name, dropped)
        except (ValueError, TypeError, RecursionError) as error:
            raise EventRefusedError(None, f"not written as JSON: {error}") from error
        except Exception as error:
            # The text of the error may hold a part of the configuration, and with it a secret.
            raise EventRefusedError(None, f"not prepared: {type(error).__name__}") from None
        # The text is ASCII: as many bytes as characters.
        if self._poster is not None:
            return PreparedEvent(name, len(text), text, None)
        return PreparedEvent(name, len(text), None, event)

    def send(self, prepared: PreparedEvent) -> None:
        """Send an event that a client of the same configuration prepared, and wait for the answer.

        Raises:
            EventRefusedError: the backend refuses this event.
            BackendUnavailableError: the backend takes no events now.
        """
        handled = sys.exc_info()[1]
        try:
            if prepared.text is not None or prepared.event is not None:
                self._hand_over(prepared.event, prepared.text)
        except Exception as error:
            failure = _failure(error, handled)
        else:
            return
        # Without the error: its text may hold a header or a configuration, and with it a secret.
        raise failure from None

    def _hand_over(self, event: Event | None, text: str | None) -> None:
        """Give an event, or its text, to the transport."""
        if text is None:
            self._client.transport.emit(cast("Event", event))
        elif self._poster is not None:
            self._poster.post(text)
        else:
            raise TypeError("a transport of this kind takes events, not their text")

    def _completed(self, event: Event) -> Event:
        """Return the event with what the client's configuration adds."""
        client, config = self._client, self._client.config
        completed: Any = event
        if config.facets.environment_variables:
            # Only where it is needed: the client reads the whole environment for each event.
            completed = client.add_environment_facets(completed)
        self._tags.add(completed)
        completed = client.add_source_code_location_facet(completed)
        if config.dataset.reducing_enabled:
            completed = client.reduce_datasets(completed)
        return cast("Event", completed)

    def _report_dropped(self, name: str, dropped: tuple[str, ...]) -> None:
        """Warn once about a job or dataset whose events lose facets."""
        if not dropped:
            return
        is_known = name in self._too_large
        self._too_large[name] = None
        self._too_large.move_to_end(name)
        if len(self._too_large) > REMEMBERED_JOBS:
            self._too_large.popitem(last=False)
        if is_known:
            return
        rest = len(dropped) - LONGEST_LIST
        logger.warning(
            "OpenLineage: an event of %s is larger than %s bytes and is sent without %s; no impact "
            "on your runs",
            name,
            self._max_event_size,
            ", ".join(dropped[:LONGEST_LIST]) + (f" and {rest} more" if rest > 0 else ""),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close(timeout=0)


def connect(
    timeout: float,
    max_event_size: int,
    make: Callable[[], OpenLineageClient] | None = None,
    *,
    connections: int = CONNECTIONS,
) -> list[LineageClient]:
    """Make one client for each thread that may send.

    The clients are configured alike: what one prepares, any of them sends. Only plain HTTP gains
    from more than one; other transports order events themselves or write into one file.

    `make` makes openlineage-python's client, by default as the environment configures it; see
    `LineageClient` for the other arguments.
    """

    def one() -> LineageClient:
        return LineageClient(timeout, make() if make else None, max_event_size=max_event_size)

    first = one()
    others = connections - 1 if first.is_http else 0
    return [first, *(one() for _ in range(others))]


def _name(event: Event) -> str:
    subject = event.dataset if isinstance(event, DatasetEvent) else event.job
    return f"{subject.namespace}/{subject.name}"


def _transports(transport: Transport) -> Iterator[Transport]:
    """List a transport and those inside it: of composite, transform and datadog transports."""
    yield transport
    single = (getattr(transport, name, None) for name in ("transport", "http"))
    for inner in (*getattr(transport, "transports", ()), *single):
        if isinstance(inner, Transport):
            yield from _transports(inner)


def _failure(error: Exception, handled: BaseException | None) -> errors.DeliveryError:
    """Return the refusal or the unavailability that an exception of a transport amounts to."""
    causes = list(chain(error, handled))
    for cause in causes:
        if isinstance(cause, (EventRefusedError, BackendUnavailableError)):
            return cause
    status = status_of(error, handled)
    if status is not None:
        answer = answer_of(error, handled)
        is_refused = 400 <= status < 500 and status not in NOT_ABOUT_THE_EVENT
        if is_refused or (status == 500 and _code_in(answer) == 400):
            return EventRefusedError(status, answer[:ANSWER_CHARACTERS])
        return BackendUnavailableError(f"HTTP {status}", status, answer[:ANSWER_CHARACTERS])
    for cause in causes:
        if isinstance(cause, (requests.ConnectionError, requests.Timeout)):
            return BackendUnavailableError(f"{type(cause).__name__}: {cause}", is_silent=True)
    return BackendUnavailableError(type(error).__name__)


def _code_in(answer: str) -> object:
    """Return `code` of an answer: Marquez answers 500 with code 400 to a malformed event."""
    try:
        body = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    return body.get("code") if isinstance(body, dict) else None
