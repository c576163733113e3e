"""Which reader an instance's log needs."""

from pathlib import Path
from typing import Any

import dagster as dg

from bare_storages import one_file
from openlineage_dagster_core.event_log.cursor import Cursor
from openlineage_dagster_core.event_log.opening import open_log
from openlineage_dagster_core.event_log.run_logs import RunLogs
from openlineage_dagster_core.event_log.whole_log import WholeLog


def opened(folder: Path, overrides: dict[str, Any]) -> type:
    with dg.DagsterInstance.local_temp(str(folder), overrides=overrides) as instance:
        return type(open_log(instance, Cursor()))


def test_sqlite_with_a_file_a_run_is_read_run_by_run(tmp_path: Path) -> None:
    assert opened(tmp_path, {}) is RunLogs


def test_one_log_of_all_runs_is_read_as_a_whole(tmp_path: Path) -> None:
    assert opened(tmp_path, one_file(tmp_path)) is WholeLog
