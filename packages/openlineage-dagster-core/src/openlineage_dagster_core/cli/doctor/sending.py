"""Sends a test event as the mechanisms send theirs, and asks Marquez for it."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from urllib.parse import quote

from openlineage.client.event_v2 import Job, Run, RunEvent, RunState

from openlineage_dagster_core.cli.doctor import connectivity
from openlineage_dagster_core.cli.doctor.connectivity import SECONDS, Address, NotReachedError
from openlineage_dagster_core.cli.doctor.finding import Finding, fine, note, problem, warning
from openlineage_dagster_core.conversion.envelope import event_time
from openlineage_dagster_core.delivery.client import LineageClient
from openlineage_dagster_core.delivery.configured import Destination
from openlineage_dagster_core.errors import BackendUnavailableError, EventRefusedError
from openlineage_dagster_core.facets.run import job_type_facet, processing_engine_facet
from openlineage_dagster_core.facts.model import RunFacts
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.identity import Identity, static_run_id
from openlineage_dagster_core.redaction import without_secrets
from openlineage_dagster_core.settings import Settings, is_disabled
from openlineage_dagster_core.version import PRODUCER

JOB_NAME = "openlineage_dagster_doctor"
PAUSE_SECONDS = 0.1  # Seconds between two questions to Marquez


def check(
    settings: Settings,
    environ: Mapping[str, str],
    destinations: Sequence[Destination],
    marquez: Sequence[Address],
) -> Iterator[Finding]:
    """Send a test event to the destinations, and look for it in those that are a Marquez."""
    if is_disabled(environ) or not destinations:
        yield note("none is sent: no transport emits events", "See transport above.")
        return
    events = made_events(settings, time.time())
    began = time.monotonic()
    try:
        client = LineageClient(settings.timeout, max_event_size=settings.max_event_bytes)
        with contextlib.closing(client):
            for event in events:
                client.emit(event)
    except EventRefusedError as error:
        step = (
            "Check that the address is that of an OpenLineage backend, and read the backend's log."
        )
        yield problem(f"the backend refuses it: {without_secrets(error.in_full)}", step)
        return
    except BackendUnavailableError as error:
        reason = without_secrets(error.in_full)
        yield problem(f"the backend does not take it: {reason}", _next_step(error.status))
        return
    took = (time.monotonic() - began) * 1000
    job = events[0].job
    yield fine(f"{job.namespace}/{job.name}, START and COMPLETE, sent in {took:.0f} ms")
    if any(destination.kind not in connectivity.HTTP for destination in destinations):
        yield note("only the backend shows whether it has arrived")
    for address in marquez:
        yield _read_back(events[0], address)


def made_events(settings: Settings, timestamp: float) -> list[RunEvent]:
    """Make START and COMPLETE (OpenLineage 2-0-2, RunEvent) of one run without datasets.

    The run id is made from the namespace and the timestamp, which is in seconds since the epoch.
    """
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


def _next_step(status: int | None) -> str:
    if status in (401, 403):
        return "Correct the key in OPENLINEAGE_API_KEY, or auth in openlineage.yml."
    if status in (404, 405):
        return "Set url and endpoint to those where the backend takes OpenLineage events."
    if status is not None and 300 <= status < 400:
        return connectivity.USE_FINAL_ADDRESS
    return connectivity.CHECK_BACKEND


def _read_back(event: RunEvent, address: Address) -> Finding:
    began = time.monotonic()
    where = f"jobs/runs/{quote(event.run.runId)}"
    last = "nothing"
    while time.monotonic() - began < SECONDS:
        try:
            answer = connectivity.get(address, where)
        except NotReachedError as error:
            last = str(error)
        else:
            last = f"HTTP {answer.status_code}"
            if answer.ok:
                last = str(answer.json().get("state"))
            if last == "COMPLETED":
                took = (time.monotonic() - began) * 1000
                return fine(f"Marquez shows its run, {last}, after {took:.0f} ms")
        time.sleep(PAUSE_SECONDS)
    return warning(
        f"Marquez took it and does not show its run as COMPLETED within {SECONDS:g} s ({last})",
        "Read Marquez's log, and check that its database keeps up.",
    )
