"""Events that take long to be stored, or become visible late: they are delivered in their place."""

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, StepMaterializationData
from dagster._core.test_utils import create_run_for_test

import slow_storage
from dagster_home import DagsterHome, wait_until
from delivered import check_delivered
from delivery import deliver, wait_until_delivered
from drivers import StorageDriver, opened
from openlineage_dagster_core.engine import Outcome
from openlineage_dagster_core.event_log import whole_log
from openlineage_dagster_storage import deliverer
from orders_project import DEFINITIONS
from receiver import Receiver
from recorded_run import execute

SECONDS = 60.0


@pytest.mark.parametrize("event", ["PIPELINE_START", "ASSET_MATERIALIZATION"])
def test_an_event_that_takes_long_to_be_stored_is_delivered_before_those_that_follow_it(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    monkeypatch.setenv(slow_storage.VARIABLE, event)
    home = DagsterHome(
        tmp_path / "home",
        receiver.url,
        wrapped={"module": "slow_storage", "class": "SlowStorage"},
    )
    with home.instance() as instance:
        assert execute(DEFINITIONS, "nightly", instance).success
        wait_until_delivered(instance)
        assert check_delivered(instance, receiver.events, DEFINITIONS) == 10


def materialization(run_id: str, columns: int) -> dg.EventLogEntry:
    schema = dg.TableSchema([dg.TableColumn(f"column_{each}", "int") for each in range(columns)])
    made = dg.AssetMaterialization("shared", metadata={"dagster/column_schema": schema})
    event = DagsterEvent(
        "ASSET_MATERIALIZATION",
        "j",
        step_key="s",
        event_specific_data=StepMaterializationData(made, asset_lineage=[]),
    )
    return dg.EventLogEntry(None, 10, "", run_id, time.time(), step_key="s", dagster_event=event)


def test_an_event_that_becomes_visible_late_is_delivered_and_what_is_newer_once_more(
    tmp_path: Path, receiver: Receiver, make_database: Callable[[], str]
) -> None:
    with opened(StorageDriver(), tmp_path / "home", make_database()) as instance:
        storage: Any = instance.event_log_storage
        instance.report_runless_asset_event(dg.AssetMaterialization("first"))
        slow, fast = [create_run_for_test(instance, job_name="j").run_id for _ in range(2)]
        # Dagster's own is committed by itself on PostgreSQL.
        engine = storage._engine.execution_options(isolation_level="READ COMMITTED")
        with engine.begin() as transaction:
            transaction.execute(storage.prepare_insert_event(materialization(slow, 1)))
            storage.store_event(materialization(fast, 2))
            deliver(instance)
            assert completed(receiver) == [2]
        deliver(instance)
    # A backend keeps what comes last: the newer state follows the late one.
    assert completed(receiver) == [2, 1, 2]


def test_one_that_becomes_visible_after_many_looks_of_a_living_deliverer_is_delivered_as_well(
    tmp_path: Path,
    receiver: Receiver,
    make_database: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten minutes in short: each pass looks, and what was read counts as settled after 10 s."""
    monkeypatch.setattr(whole_log, "LOOKS", ((math.inf, 0.0),))
    monkeypatch.setattr(whole_log, "LATE_SECONDS", 10.0)
    monkeypatch.setattr(deliverer, "NEWS_SECONDS", 0.05)
    monkeypatch.setattr(deliverer, "POLL_SECONDS", 0.05)
    with opened(StorageDriver(), tmp_path / "home", make_database()) as instance:
        storage: Any = instance.event_log_storage
        slow, fast = [create_run_for_test(instance, job_name="j").run_id for _ in range(2)]
        engine = storage._engine.execution_options(isolation_level="READ COMMITTED")
        with delivering(tmp_path / "home") as passes, engine.begin() as transaction:
            wait_until(lambda: len(passes) > 0, SECONDS, "the deliverer")
            transaction.execute(storage.prepare_insert_event(materialization(slow, 1)))
            storage.store_event(materialization(fast, 2))
            receiver.wait_for(lambda: completed(receiver) == [2], SECONDS)
            before = len(passes)
            wait_until(lambda: len(passes) > before + 20, SECONDS, "many looks")
            assert completed(receiver) == [2]
            transaction.commit()
            receiver.wait_for(lambda: len(completed(receiver)) == 3, SECONDS)
    assert completed(receiver) == [2, 1, 2]


@contextlib.contextmanager
def delivering(home: Path) -> Iterator[list[Outcome]]:
    """Run a deliverer in this process; yield the outcomes of its passes."""
    passes: list[Outcome] = []
    is_over = threading.Event()

    def run() -> None:
        with dg.DagsterInstance.from_config(str(home)) as instance:
            storage: Any = instance.event_log_storage
            storage.run_deliverer(once=False, should_stop=is_over.is_set, on_pass=passes.append)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield passes
    finally:
        is_over.set()
        thread.join(SECONDS)


def completed(receiver: Receiver) -> list[int]:
    """How many columns the shared asset has in each COMPLETE."""
    return [
        len(event["outputs"][0]["facets"]["schema"]["fields"])
        for event in receiver.events
        if event["job"]["name"] == "shared" and event["eventType"] == "COMPLETE"
    ]
