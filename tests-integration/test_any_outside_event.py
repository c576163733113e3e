"""Whatever is reported from outside, or logged: the engine goes on, and the next event arrives."""

import contextlib
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


def made_of(text: str) -> list[Any]:
    """The events of an asset that Dagster makes of a text."""
    kinds = (dg.AssetMaterialization, dg.AssetObservation)
    made: list[Any] = []
    for kind, tags in itertools.product(kinds, ({}, {text: text})):
        with contextlib.suppress(Exception):
            key = dg.AssetKey([text])
            parts = {"description": text, "partition": text, "metadata": {text: text}}
            made.append(kind(key, tags=tags, **parts))
    return made


def logging_job(text: str) -> dg.JobDefinition:
    """A job that logs all events that Dagster makes of a text, and fails with it."""

    @dg.op
    def logs(context: dg.OpExecutionContext) -> None:
        for event in made_of(text):
            with contextlib.suppress(Exception):
                context.log_event(event)
        raise dg.Failure(description=text, metadata={"said": text})

    @dg.job
    def by_hand() -> None:
        logs()

    return by_hand


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
def test_what_is_made_of_nasty_texts_keeps_nothing_else_from_arriving_by_any_driver(
    driver: Driver,
    tmp_path: Path,
    receiver: Receiver,
    request: pytest.FixtureRequest,
    database: str,
) -> None:
    """Keys, partitions, tags and messages, reported from outside any run or logged by a step."""
    url = request.getfixturevalue("make_database")() if database == "postgres" else None
    with opened(driver, tmp_path / "home", url) as instance:
        # The deliverer begins with what is stored after it was switched on.
        instance.report_runless_asset_event(dg.AssetMaterialization("before"))
        for number, text in enumerate(NASTY):
            for event in made_of(text):
                Reported(instance, receiver).report(event)
            # Where Dagster cannot store something of it, the run raises.
            with contextlib.suppress(Exception):
                logging_job(text).execute_in_process(
                    instance=instance, raise_on_error=False, tags={"said": text}
                )
            instance.report_runless_asset_event(dg.AssetMaterialization(f"after_{number}"))
        failed = len(instance.get_run_ids(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])))
        began = time.monotonic()
        parked = driver.deliver(instance, dg.Definitions(), seconds=30.0).parked
        assert time.monotonic() - began < 30
    names = {event["job"]["name"] for event in receiver.events if "job" in event}
    assert {"before", *(f"after_{number}" for number in range(len(NASTY)))} <= names
    assert parked == []
    ends = [
        event["job"]["name"]
        for event in receiver.events
        if event.get("eventType") == "FAIL" and event["job"]["name"] == "by_hand"
    ]
    assert len(ends) == failed > 0
