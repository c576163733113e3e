"""Checks the delivery of Mechanism A: who delivers, how far behind, what is in the way."""

from __future__ import annotations

from collections.abc import Iterator

from openlineage_dagster_core.cli.age import in_words
from openlineage_dagster_core.cli.delivery_status import DeliveryStatus, delivery_of_storage
from openlineage_dagster_core.cli.doctor.finding import Finding, fine, note, problem, warning
from openlineage_dagster_core.cli.doctor.subject import Subject
from openlineage_dagster_core.delivery.transport import names_console
from openlineage_dagster_core.redaction import without_secrets

CHECK = "delivery"

LATE_SECONDS = 300.0
"""Seconds by which a deliverer may be behind without a warning."""

LONGEST_REASON = 300


def look(subject: Subject) -> Iterator[Finding]:
    """Check the delivery.

    Args:
        subject: what is examined.

    Yields:
        What was found; nothing where Mechanism A is not configured or the instance is not open.
    """
    if subject.instance is None or subject.storage is None:
        return
    found = delivery_of_storage(subject.instance)
    yield _deliverer(found)
    yield from _progress(found)
    yield from _differences(found)
    is_service = found.is_delivering and found.heartbeat is not None and found.heartbeat.is_service
    if names_console(subject.environ) and not is_service:
        yield warning(
            CHECK,
            "the transport is console, and a deliverer that a process of Dagster starts has no "
            "console: its events are printed nowhere",
            "Run openlineage-dagster deliver, which prints them to its standard output.",
        )


def _deliverer(found: DeliveryStatus) -> Finding:
    heartbeat = found.heartbeat
    if found.is_delivering and heartbeat is not None:
        kind = "a service" if heartbeat.is_service else "started by a process of Dagster"
        return fine(
            CHECK,
            f"process {heartbeat.pid} on {heartbeat.host} delivers, {kind}, version "
            f"{heartbeat.version}",
        )
    if found.is_external:
        return problem(
            CHECK,
            "no deliverer is alive, and with `deliver: external` no process of Dagster starts one",
            "Start openlineage-dagster deliver as a service, or remove `deliver` from the "
            "storage's config.",
        )
    if found.is_left:
        return warning(
            CHECK,
            f"{found.waiting} wait and no deliverer is alive",
            "The next process of Dagster that stores an event starts one: check that such "
            "processes have a transport configured, or run openlineage-dagster deliver --once.",
        )
    ever = "has been started yet" if heartbeat is None else "is alive, and nothing waits"
    return fine(CHECK, f"no deliverer {ever}; the next event that is stored starts one")


def _progress(found: DeliveryStatus) -> Iterator[Finding]:
    cursor, behind = found.cursor, found.waiting.seconds
    done = f"{cursor.read} events of the log read, {cursor.sent} sent" if cursor else ""
    if found.trouble:
        yield warning(
            CHECK,
            f"delivery is in trouble: {without_secrets(found.trouble)[:LONGEST_REASON]}",
            "Correct what it names; the deliverer tries again by itself.",
        )
    if found.is_delivering and behind > LATE_SECONDS:
        yield warning(
            CHECK,
            f"the deliverer is {in_words(behind)} and {found.waiting} behind ({done})",
            "Check whether the backend answers, and how fast: openlineage-dagster status --watch.",
        )
    elif found.is_delivering:
        yield fine(CHECK, f"the delivery is up to date ({done})")
    if found.parked:
        last = found.parked[-1]
        reason = without_secrets(last.reason)[:LONGEST_REASON]
        yield warning(
            CHECK,
            f"{len(found.parked)} events are parked; the last is {last.event_type or 'an event'} "
            f"of run {last.run_id or '-'}: {reason}",
            "List them with openlineage-dagster parked list, correct the cause, then "
            "openlineage-dagster parked retry --all.",
        )


def _differences(found: DeliveryStatus) -> Iterator[Finding]:
    if found.differing_parts:
        hosts = ", ".join(sorted({each.host for each in found.configurations}))
        yield warning(
            CHECK,
            f"processes of Dagster differ in {', '.join(found.differing_parts)} (seen on {hosts} "
            "within an hour), and one deliverer sends for all of them",
            "Give all processes of Dagster the same environment, dagster.yaml and version; after a "
            "change, restart them and wait an hour.",
        )
    requests = found.requests
    if requests is not None and (requests.retry or requests.drop) and not found.is_delivering:
        yield note(
            CHECK,
            f"{len(requests.retry)} parked events are to be retried and {len(requests.drop)} "
            "dropped, by the next deliverer",
        )
