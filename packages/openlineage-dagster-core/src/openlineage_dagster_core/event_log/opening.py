"""Chooses the reader that an instance's event log needs."""

from dagster import DagsterInstance

from openlineage_dagster_core.event_log.cursor import Cursor
from openlineage_dagster_core.event_log.reader import EventLogReader
from openlineage_dagster_core.event_log.run_logs import RunLogs
from openlineage_dagster_core.event_log.whole_log import WholeLog


def open_log(instance: DagsterInstance, cursor: Cursor) -> EventLogReader:
    """Return the reader of an instance's event log; it moves the cursor."""
    is_sharded = instance.event_log_storage.is_run_sharded
    return RunLogs(instance, cursor) if is_sharded else WholeLog(instance, cursor)
