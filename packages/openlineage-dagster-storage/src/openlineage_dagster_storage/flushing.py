"""Waits at the end of a run in a container, which ends with its first process and all others."""

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dagster import DagsterInstance

from openlineage_dagster_core.deliverer_state import CURSOR_ROW, HEARTBEAT_ROW, Heartbeat
from openlineage_dagster_core.event_log.cursor import Cursor
from openlineage_dagster_core.event_log.stored_event import EventId
from openlineage_dagster_core.families import RUN_ENDS
from openlineage_dagster_core.key_values import KeyValues

DEFAULT_SECONDS = 5.0
POLL_SECONDS = 0.25
_MARKS = ("/.dockerenv", "/run/.containerenv")


def is_container() -> bool:
    """Return True in Kubernetes, ECS, Docker and Podman, where all ends with the first process."""
    variables = ("KUBERNETES_SERVICE_HOST", "ECS_CONTAINER_METADATA_URI_V4")
    return any(map(os.environ.get, variables)) or any(Path(mark).exists() for mark in _MARKS)


def wait_for_delivery(instance: DagsterInstance, run_id: str, timeout: float | None) -> None:
    """Wait until a run is delivered to its end, where the deliverer ends with this container.

    `timeout` is in seconds; None waits `DEFAULT_SECONDS`, and only in a container.
    """
    if timeout is None and not is_container():
        return
    until = time.monotonic() + (DEFAULT_SECONDS if timeout is None else timeout)
    key_values = KeyValues(instance)
    ends = instance.get_records_for_run(run_id, of_type=set(RUN_ENDS), limit=1, ascending=False)
    last = ends.records[0].storage_id if ends.records else 0
    while True:
        rows = key_values.get([CURSOR_ROW, HEARTBEAT_ROW])
        heartbeat = Heartbeat.from_text(rows.get(HEARTBEAT_ROW))
        if heartbeat is not None and heartbeat.is_alive(time.time()) and not heartbeat.is_here:
            # It lives elsewhere and goes on after this container.
            return
        if heartbeat is not None and _has_delivered(instance, rows, EventId(run_id, last)):
            break
        remaining = until - time.monotonic()
        if remaining <= 0:
            break
        time.sleep(min(POLL_SECONDS, remaining))
    if heartbeat is not None and is_container():
        # It ends with this container and cannot say so; where it does not, it speaks again soon.
        key_values.put({HEARTBEAT_ROW: replace(heartbeat, has_ended=True).to_text()})


def _has_delivered(instance: DagsterInstance, rows: Mapping[str, str], last: EventId) -> bool:
    text = rows.get(CURSOR_ROW)
    if not text:
        return False
    cursor = Cursor.from_text(text)
    if instance.event_log_storage.is_run_sharded:
        seen, _ = cursor.runs.get(last.run_id, (0, 0.0))
        return seen >= last.storage_id
    return not cursor.behind and cursor.seen >= last.storage_id
