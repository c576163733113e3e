"""An event log that is slow to store some events: they are sent in its order all the same."""

from pathlib import Path

import pytest

import slow_storage
from dagster_home import DagsterHome, wait_until
from delivered import check_delivered
from openlineage_dagster_core.delivery.outbox import read_status
from orders_project import DEFINITIONS
from receiver import Receiver
from recorded_run import execute


@pytest.mark.parametrize(
    "event", ["PIPELINE_START", "STEP_START", "ASSET_MATERIALIZATION", "STEP_SUCCESS"]
)
def test_an_event_that_takes_long_to_be_stored_is_sent_before_those_that_follow_it(
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
        wait_until(lambda: not read_status(home.outbox).depth, 60, "the outbox to be empty")
        assert check_delivered(instance, receiver.events, DEFINITIONS) == 10
