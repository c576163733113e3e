"""What Dagster says of events that it cannot read, on every version of it."""

import logging
import sqlite3
import threading
import warnings
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent

from bare_storages import one_file
from openlineage_dagster_core.facts.progress import FOLLOWED
from openlineage_dagster_sensor.unparsed import MESSAGE, unparsed_ids


def entry(number: int) -> dg.EventLogEntry:
    event = DagsterEvent(event_type_value="STEP_START", job_name="j", step_key=f"s{number}")
    return dg.EventLogEntry(None, 20, "", "run", 1_700_000_000.0 + number, dagster_event=event)


@pytest.mark.parametrize("text", ["no JSON", '{"__class__": "Unknown"}'])
def test_an_event_that_cannot_be_read_is_told_and_ends_the_page(tmp_path: Path, text: str) -> None:
    overrides = one_file(tmp_path)
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as instance:
        storage = instance.event_log_storage
        for number in range(1, 6):
            storage.store_event(entry(number))
        connection = sqlite3.connect(tmp_path / "log" / "event_log.db")
        connection.execute("UPDATE event_logs SET event = ? WHERE id = 3", (text,))
        connection.commit()
        connection.close()
        with warnings.catch_warnings(), unparsed_ids() as ids:
            warnings.simplefilter("ignore", DeprecationWarning)
            found = storage.get_logs_for_all_runs_by_log_id(
                after_cursor=0, dagster_event_type=set(FOLLOWED), limit=10
            )
        assert sorted(found) == [1, 2]
        assert ids == [3]


def test_what_is_said_elsewhere_or_afterwards_is_not_listened_to() -> None:
    with unparsed_ids() as ids:
        thread = threading.Thread(target=logging.warning, args=(MESSAGE, 1))
        thread.start()
        thread.join()
        logging.warning("another message about %s", 2)
    logging.warning(MESSAGE, 3)
    assert ids == []


def test_what_is_said_is_still_logged(caplog: pytest.LogCaptureFixture) -> None:
    with unparsed_ids() as ids:
        logging.warning(MESSAGE, 4)
    assert ids == [4]
    assert caplog.messages == [MESSAGE % 4]
