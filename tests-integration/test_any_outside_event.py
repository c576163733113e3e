"""Whatever is reported from outside any run: the engine goes on, and the next event arrives."""

import itertools
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from delivery import deliver
from drivers import DRIVERS, Driver, StorageDriver, opened
from receiver import Receiver

# What no encoding can write, what no database takes, and what a file system gives.
FILE = os.fsdecode(b"caf\xe9.csv")
NASTY = ["\ud800", "\udce9", "\x00", FILE, "\u202e", "\U0001f600", "a" * 3000]
texts = st.text(st.characters(exclude_categories=()), max_size=20) | st.sampled_from(NASTY)
paths = st.lists(texts.filter(bool), min_size=1, max_size=4)

numbers = itertools.count()


class Reported:
    """An instance whose log is delivered event by event."""

    def __init__(self, instance: dg.DagsterInstance, receiver: Receiver) -> None:
        self.instance = instance
        self._receiver = receiver

    def report(self, event: Any) -> None:
        """Report an event, unless Dagster itself cannot store it."""
        try:
            self.instance.report_runless_asset_event(event)
        except Exception:
            return

    def check_the_next_arrives(self) -> None:
        name = f"next_{next(numbers)}"
        self.instance.report_runless_asset_event(dg.AssetMaterialization(name))
        deliver(self.instance, 30)
        assert name in {event["job"]["name"] for event in self._receiver.events if "job" in event}


@pytest.fixture(scope="module")
def reported() -> Any:
    receiver = Receiver()
    with pytest.MonkeyPatch.context() as patched, tempfile.TemporaryDirectory() as folder:
        patched.setenv("OPENLINEAGE_URL", receiver.url)
        with opened(StorageDriver(), Path(folder)) as instance:
            yield Reported(instance, receiver)
    receiver.close()


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    path=paths,
    partition=st.none() | texts,
    tags=st.dictionaries(texts, texts, max_size=2),
    description=st.none() | texts,
    metadata=st.dictionaries(texts, texts, max_size=2),
)
@example(path=[FILE], partition=None, tags={}, description=None, metadata={})
@example(path=["\x00"], partition="\x00", tags={"\x00": "\x00"}, description="\x00", metadata={})
@example(
    path=["\ud800"], partition="\ud800", tags={}, description="\ud800", metadata={"a": "\ud800"}
)
def test_after_any_materialization_the_next_one_arrives(
    reported: Reported,
    monkeypatch: pytest.MonkeyPatch,
    path: list[str],
    partition: str | None,
    tags: dict[str, str],
    description: str | None,
    metadata: dict[str, str],
) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", reported._receiver.url)
    try:
        event = dg.AssetMaterialization(
            dg.AssetKey(path),
            description=description,
            metadata=metadata,
            partition=partition,
            tags=tags,
        )
    except Exception:
        # Dagster refuses it.
        return
    reported.report(event)
    reported.check_the_next_arrives()


@settings(
    max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(path=paths, name=texts, message=texts, partition=st.none() | texts)
def test_after_any_observation_and_check_the_next_one_arrives(
    reported: Reported,
    monkeypatch: pytest.MonkeyPatch,
    path: list[str],
    name: str,
    message: str,
    partition: str | None,
) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", reported._receiver.url)
    key = dg.AssetKey(path)
    events: list[Any] = []
    try:
        events.append(dg.AssetObservation(key, description=message, partition=partition))
        events.append(
            dg.AssetCheckEvaluation(
                asset_key=key,
                check_name=name,
                passed=False,
                description=message,
                metadata={"said": dg.MetadataValue.text(message)},
            )
        )
    except Exception:
        # Dagster refuses it; what it takes is reported.
        pass
    for event in events:
        reported.report(event)
    reported.check_the_next_arrives()


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
@pytest.mark.parametrize("name", NASTY)
def test_after_a_key_that_cannot_be_sent_the_next_arrives_by_every_driver(
    driver: Driver, tmp_path: Path, receiver: Receiver, name: str
) -> None:
    with opened(driver, tmp_path / "home") as instance:
        # The deliverer begins with what is stored after it was switched on.
        instance.report_runless_asset_event(dg.AssetMaterialization("before"))
        Reported(instance, receiver).report(dg.AssetMaterialization(dg.AssetKey([name])))
        instance.report_runless_asset_event(dg.AssetMaterialization("after"))
        began = time.monotonic()
        driver.deliver(instance, dg.Definitions(), seconds=30.0)
        assert time.monotonic() - began < 30
    names = {event["job"]["name"] for event in receiver.events}
    assert {"before", "after"} <= names
