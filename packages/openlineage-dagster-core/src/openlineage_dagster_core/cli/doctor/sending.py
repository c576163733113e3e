"""Sends a test event, as the mechanisms send theirs, and asks Marquez for it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING
from urllib.parse import quote

from openlineage_dagster_core.cli.doctor.backend import SECONDS, Address, NotReachedError, get
from openlineage_dagster_core.cli.doctor.configured import Destination
from openlineage_dagster_core.cli.doctor.connectivity import HTTP, NEXT_STEP
from openlineage_dagster_core.cli.doctor.finding import Finding, fine, note, problem, warning
from openlineage_dagster_core.conversion.envelope import event_time
from openlineage_dagster_core.delivery.client import LineageClient
from openlineage_dagster_core.errors import BackendUnavailableError, EventRefusedError
from openlineage_dagster_core.facets.job_type import job_type_facet
from openlineage_dagster_core.facets.run import processing_engine_facet
from openlineage_dagster_core.facts.model import RunFacts
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.identity import Identity, static_run_id
from openlineage_dagster_core.redaction import without_secrets
from openlineage_dagster_core.settings import Settings, is_disabled
from openlineage_dagster_core.version import PRODUCER

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

CHECK = "test event"

JOB_NAME = "openlineage_dagster_doctor"

PAUSE_SECONDS = 0.1


def look(
    settings: Settings,
    environ: Mapping[str, str],
    destinations: Sequence[Destination],
    marquez: Sequence[Address],
) -> Iterator[Finding]:
    """Send a test event and look for it.

    Args:
        settings: give its namespace, and how long a request may take.
        environ: the process's environment.
        destinations: the transports that send.
        marquez: those that are a Marquez.

    Yields:
        What came of it.
    """
    if is_disabled(environ) or not destinations:
        yield note(CHECK, "none is sent, because nothing is emitted", "See transport above.")
        return
    events = made_events(settings, time.time())
    began = time.monotonic()
    try:
        _send(events, settings)
    except EventRefusedError as error:
        yield problem(
            CHECK,
            f"the backend refuses it: {without_secrets(error.in_full)}",
            "See that the address is that of an OpenLineage backend, and what its log says.",
        )
        return
    except BackendUnavailableError as error:
        yield problem(
            CHECK,
            f"the backend does not take it: {without_secrets(error.in_full)}",
            _next_step(error.status),
        )
        return
    took = (time.monotonic() - began) * 1000
    job = events[0].job
    yield fine(CHECK, f"{job.namespace}/{job.name}, START and COMPLETE, sent in {took:.0f} ms")
    if any(destination.kind not in HTTP for destination in destinations):
        yield note(CHECK, "whether it has arrived can only be seen there", None)
    for address in marquez:
        yield _read_back(events[0], address)


def made_events(settings: Settings, timestamp: float) -> list[RunEvent]:
    """Make the test event.

    Args:
        settings: give the namespace.
        timestamp: of the test, in seconds since the epoch; the run id comes from it.

    Returns:
        START and COMPLETE (OpenLineage 2-0-2, RunEvent) of one run without datasets.
    """
    # As elsewhere: it takes its time.
    from openlineage.client.event_v2 import Job, Run, RunEvent, RunState

    instant = datetime.fromtimestamp(timestamp, timezone.utc)
    namespace = Identity(settings).job_namespace(RunFacts("", "", instant))
    run_id = static_run_id(instant, "doctor", namespace, repr(timestamp))
    return [
        RunEvent(
            eventType=state,
            eventTime=event_time(timestamp),
            run=Run(run_id, {"processing_engine": processing_engine_facet()}),
            job=Job(namespace, JOB_NAME, {"jobType": job_type_facet(Family.RUN)}),
            producer=PRODUCER,
            inputs=[],
            outputs=[],
        )
        for state in (RunState.START, RunState.COMPLETE)
    ]


def _send(events: Sequence[RunEvent], settings: Settings) -> None:
    client = LineageClient(settings.timeout, max_event_size=settings.max_event_bytes)
    try:
        for event in events:
            client.emit(event)
    finally:
        client.close()


def _next_step(status: int | None) -> str:
    if status in (401, 403):
        return "Give it the right key: OPENLINEAGE_API_KEY, or auth in openlineage.yml."
    if status in (404, 405):
        return "See that url and endpoint are those where the backend takes OpenLineage events."
    if status is not None and 300 <= status < 400:
        return "Set OPENLINEAGE_URL, or url in openlineage.yml, to the final address."
    return NEXT_STEP


def _read_back(event: RunEvent, address: Address) -> Finding:
    began = time.monotonic()
    where = f"jobs/runs/{quote(event.run.runId)}"
    last = "nothing"
    while time.monotonic() - began < SECONDS:
        try:
            answer = get(address, where)
        except NotReachedError as error:
            last = str(error)
        else:
            last = f"HTTP {answer.status_code}"
            if answer.ok:
                last = str(answer.json().get("state"))
            if last == "COMPLETED":
                took = (time.monotonic() - began) * 1000
                return fine(CHECK, f"Marquez shows its run, {last}, after {took:.0f} ms")
        time.sleep(PAUSE_SECONDS)
    return warning(
        CHECK,
        f"Marquez took it and does not show its run as COMPLETED within {SECONDS:g} s ({last})",
        "See Marquez's log, and whether its database keeps up.",
    )
