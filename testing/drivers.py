"""The three drivers of the engine, each run in this process until nothing waits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import dagster as dg
import yaml

from dagster_home import SQLITE, wait_until
from delivery import deliver, state_of
from openlineage_dagster_core.delivery.client import connect
from openlineage_dagster_core.event_log.cursor import Cursor, ParkedEvent
from openlineage_dagster_core.facts.definitions import DefinedAssets, DefinedJobs
from openlineage_dagster_core.facts.event_log import GivenDefinitions
from openlineage_dagster_core.facts.model import Definitions
from openlineage_dagster_core.replay.replay import Replay
from openlineage_dagster_core.replay.selection import Selection
from openlineage_dagster_core.settings import Settings

Json = dict[str, Any]

SECONDS = 120.0
TICK_SECONDS = 10.0
INTERVAL_SECONDS = 0.1
"""Seconds between two ticks; a daemon waits for longer."""

MAX_EVENT_BYTES = 1_000_000


@dataclass(frozen=True)
class Delivery:
    """What a delivery came to.

    Args:
        parked: events of the log that were set aside.
        troubles: why passes ended early.
    """

    parked: Sequence[ParkedEvent]
    troubles: Sequence[str]


class Driver(Protocol):
    """Delivers an instance's log by one of the three ways."""

    @property
    def name(self) -> str:
        """For the ids of tests."""

    def storage(self, folder: Path, postgres_url: str | None) -> Json:
        """Configure the storage of an instance.

        Args:
            folder: of the instance.
            postgres_url: of an empty database; None for SQLite with a log a run.

        Returns:
            A part of `dagster.yaml`.
        """

    def deliver(
        self,
        instance: dg.DagsterInstance,
        definitions: dg.Definitions,
        *,
        timeout: float = 2.0,
        seconds: float = SECONDS,
    ) -> Delivery:
        """Deliver until nothing waits.

        Args:
            instance: whose log is delivered.
            definitions: of the code location.
            timeout: of one request, in seconds; Mechanism A has it from `dagster.yaml`.
            seconds: how long to go on at most.

        Returns:
            What came of it.

        Raises:
            AssertionError: something still waits then.
        """


@dataclass(frozen=True)
class StorageDriver:
    """The deliverer of Mechanism A.

    Args:
        options: of `OpenLineageEventLogStorage`, in addition to those of tests.
    """

    options: Json = field(default_factory=dict)
    name = "storage"

    def storage(self, folder: Path, postgres_url: str | None) -> Json:
        """Configure the wrapper, and no deliverer by itself; see `Driver`."""
        options = {"deliver": "external", "flush_timeout": 0.0, "timeout": 2.0, **self.options}
        if postgres_url is None:
            wrapped = {**SQLITE, "config": {"base_dir": str(folder / "history" / "runs")}}
            return {"event_log_storage": _ours("OpenLineageEventLogStorage", wrapped, options)}
        wrapped = {
            "module": "dagster_postgres",
            "class": "DagsterPostgresStorage",
            "config": {"postgres_url": postgres_url},
        }
        return {"storage": {"custom": _ours("OpenLineageDagsterStorage", wrapped, options)}}

    def deliver(
        self,
        instance: dg.DagsterInstance,
        definitions: dg.Definitions,  # noqa: ARG002 -- it has what the runs kept
        *,
        timeout: float = 2.0,  # noqa: ARG002
        seconds: float = SECONDS,
    ) -> Delivery:
        """Deliver until nothing waits; see `Driver`."""
        passes = deliver(instance, seconds)
        cursor = state_of(instance).cursor
        assert cursor is not None
        assert not cursor.behind
        return Delivery(cursor.last_parked, [each.stopped_by for each in passes if each.stopped_by])


@dataclass(frozen=True)
class SensorDriver:
    """The sensor of Mechanism B, tick by tick.

    Args:
        options: arguments of `openlineage_sensor`, in addition to those of tests.
    """

    options: Json = field(default_factory=dict)
    name = "sensor"

    def storage(self, folder: Path, postgres_url: str | None) -> Json:  # noqa: ARG002
        """Configure Dagster's own storage; see `Driver`."""
        return _bare(postgres_url)

    def deliver(
        self,
        instance: dg.DagsterInstance,
        definitions: dg.Definitions,
        *,
        timeout: float = 2.0,
        seconds: float = SECONDS,
    ) -> Delivery:
        """Deliver until nothing waits; see `Driver`."""
        from openlineage_dagster_sensor import openlineage_sensor, sensor

        sensor._clients.cache_clear()  # noqa: SLF001 -- each test has its own backend
        evaluate: Any = openlineage_sensor(
            timeout=timeout, tick_timeout=TICK_SECONDS, **self.options
        )
        reasons: list[str] = []
        text: str | None = None

        def is_up_to_date() -> bool:
            nonlocal text
            context = dg.build_sensor_context(
                instance=instance, cursor=text, definitions=definitions
            )
            reason = evaluate(context)
            assert isinstance(reason, dg.SkipReason)
            text = context.cursor
            reasons.append(reason.skip_message or "")
            return reasons[-1] == sensor.UP_TO_DATE

        try:
            wait_until(is_up_to_date, seconds, "the sensor", INTERVAL_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}: {reasons[-1]}") from None
        sensor._clients.cache_clear()  # noqa: SLF001
        cursor = Cursor.from_text(text)
        assert not cursor.behind
        return Delivery(cursor.last_parked, [each for each in reasons if "; " in each])


@dataclass(frozen=True)
class ReplayDriver:
    """A replay of everything.

    Args:
        options: of the settings, in addition to those of tests.
    """

    options: Json = field(default_factory=dict)
    name = "replay"

    def storage(self, folder: Path, postgres_url: str | None) -> Json:  # noqa: ARG002
        """Configure Dagster's own storage; see `Driver`."""
        return _bare(postgres_url)

    def deliver(
        self,
        instance: dg.DagsterInstance,
        definitions: dg.Definitions,
        *,
        timeout: float = 2.0,
        seconds: float = SECONDS,
    ) -> Delivery:
        """Deliver until nothing waits; see `Driver`."""
        repository = definitions.get_repository_def()
        known = Definitions(DefinedAssets(repository.asset_graph), DefinedJobs(repository))
        replay = Replay(
            instance,
            Settings.from_options({"timeout": timeout, **self.options}, {}),
            GivenDefinitions(known),
            connect(timeout, MAX_EVENT_BYTES),
            patience=seconds,
        )
        selection = Selection()
        reason = replay.run(selection.runs(instance), selection.holds)
        assert reason is None, reason
        return Delivery(replay.progress.refusals, [])


DRIVERS: tuple[Driver, ...] = (StorageDriver(), SensorDriver(), ReplayDriver())


@contextlib.contextmanager
def opened(
    driver: Driver, folder: Path, postgres_url: str | None = None
) -> Iterator[dg.DagsterInstance]:
    """Make an instance whose log a driver can deliver.

    Args:
        driver: which one.
        folder: of the instance; made if need be.
        postgres_url: of an empty database; None for SQLite with a log a run.

    Yields:
        The instance.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = {"telemetry": {"enabled": False}, **driver.storage(folder, postgres_url)}
    (folder / "dagster.yaml").write_text(yaml.safe_dump(content))
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        yield instance


def _ours(name: str, wrapped: Json, options: Json) -> Json:
    return {
        "module": "dagster_openlineage",
        "class": name,
        "config": {"wrapped": wrapped, **options},
    }


def _bare(postgres_url: str | None) -> Json:
    return {"storage": {"postgres": {"postgres_url": postgres_url}}} if postgres_url else {}
