"""openlineage-python's client, bounded in time, its answers sorted: refused or unavailable."""

from __future__ import annotations

import copy
import logging
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, cast

import attr
import requests
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import DatasetEvent, RunEvent
from openlineage.client.transport import Transport
from openlineage.client.transport.http import HttpTransport
from openlineage.client.transport.kafka import KafkaTransport
from openlineage.client.transport.noop import NoopTransport

from openlineage_dagster_core import serialisation
from openlineage_dagster_core.delivery import producing, size
from openlineage_dagster_core.delivery.posting import Poster
from openlineage_dagster_core.errors import BackendUnavailableError, EventRefusedError

Event = serialisation.Event

NO_RETRIES = {"total": 0, "connect": 0, "read": 0, "backoff_factor": 0, "status_forcelist": []}
"""The client's own five retries stall 9 s an event against a dead backend; we retry ourselves."""

NOT_ABOUT_THE_EVENT = frozenset({401, 403, 404, 405, 407, 408, 425, 429})
"""4xx answers that a key, an address or patience cures: the event is not to blame."""

ANSWER_CHARACTERS = 500

LONGEST_LIST = 20
"""How many facets the log names."""

REMEMBERED_JOBS = 1000
"""How many jobs with events that were too large are remembered, to speak of each once."""

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
        max_event_size: the limit of one event in bytes; a larger one loses its heaviest facets.
            By default there is none.
    """

    def __init__(
        self,
        timeout: float,
        client: OpenLineageClient | None = None,
        *,
        max_event_size: int | None = None,
    ) -> None:
        self._client = client or OpenLineageClient(config=dict(_CLIENT_CONFIG))
        self._max_event_size = max_event_size
        self._too_large: OrderedDict[str, None] = OrderedDict()
        for transport in _transports(self._client.transport):
            if isinstance(transport, HttpTransport):
                transport.timeout = timeout
                transport.config.retry = dict(NO_RETRIES)
            elif isinstance(transport, KafkaTransport):
                producing.wait_for_answers(transport, timeout)
        takes_text = Poster.takes_text(self._client.transport)
        self._poster = Poster(cast("HttpTransport", self._client.transport)) if takes_text else None

    @property
    def is_http(self) -> bool:
        """Whether it waits for an HTTP answer, so that several may wait at a time."""
        return isinstance(self._client.transport, HttpTransport)

    def emit(self, event: Event) -> None:
        """Send one event and wait for the answer.

        Args:
            event: an OpenLineage event; it stays as it is.

        Raises:
            EventRefusedError: the backend will not take this event.
            BackendUnavailableError: it takes none now.
        """
        try:
            self._emit(event)
        except (EventRefusedError, BackendUnavailableError):
            raise
        except requests.HTTPError as error:
            raise _sorted_answer(error) from error
        except (requests.ConnectionError, requests.Timeout) as error:
            raise BackendUnavailableError(f"{type(error).__name__}: {error}") from error
        except Exception as error:
            # Transports raise what their libraries raise; none of it says that the event is bad.
            # Its text may hold a header or a configuration, and with it a secret.
            raise BackendUnavailableError(type(error).__name__) from None

    def _emit(self, event: Event) -> None:
        """Do what `OpenLineageClient.emit` does, but to a copy, and write it once."""
        transport = self._client.transport
        event = self._completed(event)
        if transport.kind == NoopTransport.kind or self._client.filter_event(event) is None:
            return
        text = None
        if self._max_event_size is not None or self._poster is not None:
            try:
                event, text = self._written(event)
            except (ValueError, TypeError, RecursionError) as error:
                # It would be the same the next time.
                raise EventRefusedError(None, f"not written as JSON: {error}") from error
        self._hand_over(event, text)

    def _hand_over(self, event: Event, text: str | None) -> None:
        """Give an event, or its text, to the transport."""
        if self._poster is not None and text is not None:
            self._poster.post(text)
        else:
            self._client.transport.emit(event)

    def _completed(self, event: Event) -> Event:
        """Add what the client's configuration adds, without a change to what events share."""
        client, config = self._client, self._client.config
        completed: Any = _copied(event)
        if config.facets.environment_variables:
            # Not without need: the client reads the whole environment, for each event anew.
            completed = client.add_environment_facets(completed)
        completed = client.update_event_tags_facets(completed)
        completed = client.add_source_code_location_facet(completed)
        _take_back_unchanged_tags(completed, event)
        if config.dataset.reducing_enabled:
            completed = client.reduce_datasets(completed)
        return cast("Event", completed)

    def _written(self, event: Event) -> tuple[Event, str]:
        text = serialisation.to_json(event)
        if self._max_event_size is None:
            return event, text
        event, text, dropped = size.within(event, text, self._max_event_size)
        if dropped:
            self._report_dropped(event, dropped)
        return event, text

    def _report_dropped(self, event: Event, dropped: tuple[str, ...]) -> None:
        subject = event.dataset if isinstance(event, DatasetEvent) else event.job
        name = f"{subject.namespace}/{subject.name}"
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
        """Let go of connections."""
        self._client.close(timeout=0)


def _copied(event: Event) -> Event:
    """Copy what the client changes of an event."""
    event = copy.copy(event)
    if not isinstance(event, DatasetEvent):
        event.job = copy.copy(event.job)
        event.job.facets = _with_own_tags(event.job.facets)
    if isinstance(event, RunEvent):
        event.run = copy.copy(event.run)
        event.run.facets = _with_own_tags(event.run.facets)
    return event


def _with_own_tags(facets: dict[str, Any] | None) -> dict[str, Any] | None:
    if facets is None:
        return None
    tags = facets.get("tags")
    if tags is None or not attr.has(type(tags)):
        return dict(facets)
    return {**facets, "tags": attr.evolve(tags, tags=tags.tags and list(tags.tags))}


def _take_back_unchanged_tags(event: Event, given: Event) -> None:
    """Put the job's facet back where the client has not touched it: it may be a shared one."""
    if isinstance(event, DatasetEvent) or isinstance(given, DatasetEvent):
        return
    facets, tags = event.job.facets, (given.job.facets or {}).get("tags")
    if facets is not None and tags is not None and facets.get("tags") == tags:
        facets["tags"] = tags


def _transports(transport: Transport) -> Iterator[Transport]:
    """List a transport and those inside it: of a composite one, and of one that transforms."""
    yield transport
    inside = [*getattr(transport, "transports", ()), getattr(transport, "transport", None)]
    for inner in inside:
        if isinstance(inner, Transport):
            yield from _transports(inner)


def _sorted_answer(error: requests.HTTPError) -> EventRefusedError | BackendUnavailableError:
    response = error.response
    status = response.status_code
    answer = response.text[:ANSWER_CHARACTERS]
    is_refused = 400 <= status < 500 and status not in NOT_ABOUT_THE_EVENT
    if is_refused or (status == 500 and _code_in(response) == 400):
        return EventRefusedError(status, answer)
    return BackendUnavailableError(f"HTTP {status}", status, answer)


def _code_in(response: requests.Response) -> object:
    """Marquez answers 500 with `code: 400` in the body where the event is malformed."""
    try:
        body = response.json()
    except requests.JSONDecodeError:
        return None
    return body.get("code") if isinstance(body, dict) else None
