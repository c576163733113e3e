"""The sensor factory: arguments in, a Dagster sensor out."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Collection, Iterable
from datetime import datetime, timezone
from functools import lru_cache
from typing import TYPE_CHECKING

import dagster as dg

from openlineage_dagster_core import fault
from openlineage_dagster_core.conversion.custom import load_provider
from openlineage_dagster_core.delivery import transport
from openlineage_dagster_core.delivery.client import LineageClient, connect
from openlineage_dagster_core.engine import UNREADABLE, Engine
from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.event_log.reader import EventLogReader
from openlineage_dagster_core.facts.definitions import DefinedAssets, DefinedJobs
from openlineage_dagster_core.facts.event_log import EventLogFacts, GivenDefinitions
from openlineage_dagster_core.facts.model import Definitions
from openlineage_dagster_core.families import CONVERTED
from openlineage_dagster_core.identity import Identity
from openlineage_dagster_core.options import SharedOptions, declared
from openlineage_dagster_core.settings import SENSOR_SETTINGS, Settings, is_disabled
from openlineage_dagster_core.validation import reject_unknown, seconds, whole_number
from openlineage_dagster_sensor.memory import LONGEST_TEXT, Memory

if TYPE_CHECKING:
    from typing_extensions import Unpack

logger = logging.getLogger(__name__)

DEFAULT_INTERVAL_SECONDS = 30
DEFAULT_EVENTS_A_TICK = 50_000
TICK_SECONDS = 45.0
EVALUATION_SECONDS = 58.0  # Dagster ends an evaluation after 60 s and drops its cursor
WRAPPED = (
    "OpenLineageEventLogStorage is this instance's event log storage and emits every event "
    "already; two mechanisms would send everything twice. Remove one of them."
)
START_FROM = (
    "'beginning', 'now', a datetime, a text such as '2026-01-31T12:00:00+00:00', or seconds"
)
UP_TO_DATE = "nothing is new"
UNSEEN = (
    "the console transport printed nothing: no logging handler shows INFO of "
    f"{transport.CONSOLE_LOGGER}"
)
DESCRIPTION = "Sends what Dagster records to OpenLineage: runs, steps, assets and checks."


def openlineage_sensor(
    name: str = "openlineage_sensor",
    description: str | None = DESCRIPTION,
    concerned_event_types: dg.DagsterEventType | Iterable[dg.DagsterEventType] | None = None,
    minimum_interval_seconds: int | None = DEFAULT_INTERVAL_SECONDS,
    record_filter_limit: int | None = None,
    after_storage_id: int | None = 0,
    include_asset_events: bool = True,
    *,
    default_status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.RUNNING,
    start_from: str | float | datetime | None = None,
    tick_timeout: float | None = None,
    **options: Unpack[SharedOptions],
) -> dg.SensorDefinition:
    """Make the sensor that sends the event log to OpenLineage.

    Args:
        name: of the sensor.
        description: for the Dagster UI.
        concerned_event_types: send only what these Dagster events give; by default all.
        minimum_interval_seconds: between two ticks.
        record_filter_limit: events of the log that one tick handles at most; 0 for any number.
        after_storage_id: the first tick skips runs that ended before the event with this id.
        include_asset_events: False sends only runs and steps; `families` says it in more detail.
        default_status: whether the sensor runs as soon as it is deployed.
        start_from: where the first tick begins: `beginning` (default), `now`, a datetime, a text
            such as `2026-01-31T12:00:00+00:00`, or seconds since the epoch.
        tick_timeout: seconds that a tick goes on (default 45); the next one does the rest.
        options: those of both mechanisms, such as `namespace`; `SharedOptions` describes each.

    Returns:
        The sensor, for `Definitions(sensors=[…])`.

    Raises:
        ConfigurationError: an argument or `OPENLINEAGE_URL` is wrong.
    """
    reject_unknown(options.keys(), declared(SharedOptions))
    transport.check(os.environ)
    if not include_asset_events:
        options["families"] = ["run", "step"]
    settings = Settings.from_options(options)
    for provider in settings.facet_providers:
        load_provider(provider)
    limit = DEFAULT_EVENTS_A_TICK if record_filter_limit is None else record_filter_limit
    limit = whole_number("record_filter_limit", limit, least=0)
    concerned = _event_types(concerned_event_types)
    start = start_time(start_from)
    budget = seconds("tick_timeout", TICK_SECONDS if tick_timeout is None else tick_timeout)
    # A request that is under way when the time is up still takes its own.
    budget = min(budget, max(1.0, EVALUATION_SECONDS - settings.timeout))
    identity = Identity(settings)
    memory = Memory()
    at_work = threading.Lock()

    def evaluate(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        instance = context.instance
        if getattr(instance.event_log_storage, "openlineage_mechanism", None) is not None:
            return dg.SkipReason(WRAPPED)
        if not transport.is_configured(os.environ):
            how = "OPENLINEAGE_DISABLED" if is_disabled(os.environ) else transport.HOW_TO_CONFIGURE
            return dg.SkipReason(f"nothing is emitted: {how}")
        repository = context.repository_def
        if not at_work.acquire(blocking=False):
            # Dagster gave up on it; it stops by itself.
            return dg.SkipReason("the tick before has not ended yet")
        try:
            engine = memory.resume(
                instance,
                context.cursor,
                after_storage_id or 0,
                lambda reader: _engine(reader, memory, repository, identity, concerned),
            )
            cursor = engine.reader.cursor
            try:
                reason = _tick(engine, start, budget, limit or None)
            finally:
                text = cursor.to_text(LONGEST_TEXT)
                if engine.has_ended:
                    memory.keep(text)
                else:
                    # A thread still waits for an answer of the backend.
                    memory.forget()
                    _clients.cache_clear()
                context.update_cursor(text)
            if reason is not None:
                context.log.info(reason)
            return dg.SkipReason(reason or UP_TO_DATE)
        finally:
            at_work.release()

    definition = dg.sensor(
        name=name,
        description=description,
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
    )(evaluate)
    # For the command line, which must give what the sensor gives.
    setattr(definition, SENSOR_SETTINGS, settings)
    return definition


def _engine(
    reader: EventLogReader,
    memory: Memory,
    repository: dg.RepositoryDefinition | None,
    identity: Identity,
    concerned: Collection[dg.DagsterEventType],
) -> Engine:
    settings, definitions = identity.settings, Definitions()
    if repository is not None:
        definitions = _definitions(repository, settings.source_code_bytes)
    return Engine(
        reader,
        EventLogFacts(memory.instance, GivenDefinitions(definitions)),
        identity,
        _clients(settings.timeout, settings.max_event_bytes),
        concerned=concerned,
    )


def _tick(engine: Engine, start: float | None, budget: float, limit: int | None) -> str | None:
    """Deliver what is new; return what was done, or None where there was nothing to do."""
    try:
        engine.begin(start)
        if engine.is_idle and not engine.reader.has_news():
            return None
    except Exception as error:
        # Whatever a database raises.
        logger.warning("OpenLineage: %s: %s", UNREADABLE, fault.described(error))
        return f"{UNREADABLE}: {type(error).__name__}"
    outcome = engine.deliver(budget, limit=limit, patience=engine.timeout, waits_for_held=True)
    unseen = f"; {UNSEEN}" if outcome.sent and transport.prints_unseen(os.environ) else ""
    return f"{outcome}{unseen}" if outcome.has_news else None


@lru_cache(maxsize=1)
def _definitions(repository: dg.RepositoryDefinition, source_code_bytes: int) -> Definitions:
    """Keep what has been read of the definitions from tick to tick."""
    assets = DefinedAssets(repository.asset_graph, source_code_bytes)
    return Definitions(assets, DefinedJobs(repository))


@lru_cache(maxsize=1)
def _clients(timeout: float, max_event_bytes: int) -> list[LineageClient]:
    """Keep connections from tick to tick."""
    return connect(timeout, max_event_bytes)


def _event_types(
    given: dg.DagsterEventType | Iterable[dg.DagsterEventType] | None,
) -> Collection[dg.DagsterEventType]:
    if given is None:
        return CONVERTED
    types = [given] if isinstance(given, dg.DagsterEventType) else list(given)
    for event_type in types:
        if not isinstance(event_type, dg.DagsterEventType):
            raise ConfigurationError(
                "concerned_event_types", event_type, "DagsterEventType members"
            )
    return frozenset(types)


def start_time(value: str | float | datetime | None) -> float | None:
    """Return where to begin, in seconds since the epoch; raise ConfigurationError if it is wrong.

    Infinity means the time of the first tick, None the beginning of the log. A time without a zone
    is UTC.
    """
    if value is None or value == "beginning":
        return None
    if value == "now":
        return float("inf")
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError as error:
            raise ConfigurationError("start_from", value, START_FROM) from error
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).timestamp()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise ConfigurationError("start_from", value, START_FROM)
    return min(float(value), time.time())
