"""The deliverer: a process of its own that runs the engine over the whole log."""

import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace

from dagster import DagsterInstance

from openlineage_dagster_core import deliverer_state as state
from openlineage_dagster_core import fault
from openlineage_dagster_core.delivery.client import connect
from openlineage_dagster_core.engine import REST_FOLLOWS, Engine, Outcome
from openlineage_dagster_core.event_log.cursor import Cursor
from openlineage_dagster_core.event_log.opening import open_log
from openlineage_dagster_core.facts.event_log import EventLogFacts
from openlineage_dagster_core.identity import Identity
from openlineage_dagster_core.key_values import LONGEST_VALUE, KeyValues, parsed
from openlineage_dagster_core.settings import Settings
from openlineage_dagster_core.snapshots.reading import KeptDefinitions
from openlineage_dagster_core.version import __version__
from openlineage_dagster_storage.leadership import Leadership, acquire

PASS_SECONDS = 2.0  # Seconds after which a pass ends, so that the cursor is kept
POLL_SECONDS = 0.6  # Seconds between two looks at the log while there is news
NEWS_SECONDS = 0.6  # Seconds between two reads of the log where news is noticed without a query
FILES_SECONDS = 0.2  # Seconds between two looks at the files of SQLite, which cost no query
QUIET_POLL_SECONDS = 15.0  # Seconds between looks at a quiet log where the database announces news
LONGEST_POLL_SECONDS = 5.0  # Seconds between two looks at a quiet log elsewhere
SAVE_SECONDS = 4.0  # Seconds between two writes of the cursor while there is news
ENDED_SAVE_SECONDS = 1.5  # Seconds between them where a run was delivered to its end
BEHIND_SAVE_SECONDS = 15.0  # Seconds between them while more is new than a pass can deliver
MANY_WAITING = 1000  # Events of the log that were read and wait, of more than one pass
QUIET_SAVE_SECONDS = 30.0  # Seconds between two heartbeats of a deliverer that has nothing to do
# Seconds to the heartbeat after the end of a run: the run's process may have written that the
# deliverer ends with its container
AFTER_RUN_SECONDS = 5.0
STOP_SECONDS = 1.0  # Seconds after which a deliverer that waits notices that it is to stop
CONTROL_SECONDS = 20.0  # Seconds between two looks at what the command line or a successor asks for
IDLE_SECONDS = 120.0  # Seconds without news after which a deliverer that is no service ends
TAKE_OVER_SECONDS = 40.0  # Seconds that a deliverer waits for its predecessor to end
PATIENCE_SECONDS = 10.0  # Seconds that the end of a deliverer waits for an answer of the backend

logger = logging.getLogger(__name__)


class Deliverer:
    """Delivers an instance's log as long as it leads.

    A service (`is_service`) goes on without news and waits to lead; `takes_over` asks a deliverer
    with another configuration to end; `once` ends as soon as all is delivered. `should_stop` is
    asked between two passes; `on_pass` gets the outcome of each pass.
    """

    def __init__(
        self,
        instance: DagsterInstance,
        settings: Settings,
        *,
        is_service: bool = False,
        takes_over: bool = False,
        once: bool = False,
        should_stop: Callable[[], bool] = lambda: False,
        on_pass: Callable[[Outcome], None] = lambda _: None,
    ) -> None:
        self._instance = instance
        self._settings = settings
        self._is_service = is_service
        self._takes_over = takes_over
        self._once = once
        self._should_stop = should_stop
        self._on_pass = on_pass
        self._key_values = KeyValues(instance)
        self._configuration = state.configuration_of(settings, os.environ).digest
        self._is_unsaved, self._is_replaced, self._has_retries = True, False, False
        self._has_ended_runs = False  # Since the cursor was written
        self._rest_seconds = QUIET_SAVE_SECONDS  # Until the next heartbeat, without news
        self._saved_at = self._controlled_at = float("-inf")
        self._news_at = self._passed_at = time.monotonic()
        host = state.this_host()
        self._heartbeat = state.Heartbeat(
            started_at=time.time(),
            host=host.name,
            namespace=host.namespace,
            pid=os.getpid(),
            version=__version__,
            configuration=self._configuration,
            is_service=is_service,
        )

    def run(self) -> bool:
        """Deliver until there is nothing left, or another process leads; return True if it led."""
        has_led = False
        while (leadership := self._lead()) is not None:
            has_led = True
            self._deliver(leadership)
            if not self._is_service or self._should_stop():
                break
            # The session was lost, or another process was faster: a service waits for its turn.
        return has_led

    def _deliver(self, leadership: Leadership) -> None:
        """Run the engine until there is nothing to do, the lead is lost, or it is told to stop."""
        engine = None
        try:
            engine = self._engine(leadership)
            while leadership.is_held() and not self._should_stop():
                outcome = self._pass(engine)
                self._on_pass(outcome)
                if not leadership.is_held():
                    # Another process may have moved the cursor on by now.
                    break
                self._save(engine, outcome)
                if self._has_to_end(engine, outcome):
                    break
                self._wait(engine, leadership, outcome)
        finally:
            if engine is not None:
                engine.lanes.end(PATIENCE_SECONDS)
                if leadership.is_held():
                    engine.settle()
                    self._write(engine, next_in=0.0, has_ended=True)
            leadership.release()

    def _lead(self) -> Leadership | None:
        """Become the leader; ask a predecessor to end where this process is to replace it."""
        until = time.monotonic() + (TAKE_OVER_SECONDS if self._takes_over else 0.0)
        asked_at = float("-inf")
        while True:
            if time.monotonic() - asked_at > CONTROL_SECONDS:
                asked_at = time.monotonic()
                self._ask_to_succeed()
            leadership = acquire(self._instance)
            if leadership is not None:
                return leadership
            if self._should_stop() or (not self._is_service and time.monotonic() >= until):
                return None
            time.sleep(2.0 if self._is_service else 0.5)

    def _ask_to_succeed(self) -> None:
        """Ask the deliverer that leads to end; a service stays."""
        if not (self._takes_over or self._is_service):
            return
        rows = self._key_values.get([state.HEARTBEAT_ROW])
        heartbeat = state.Heartbeat.from_text(rows.get(state.HEARTBEAT_ROW))
        if heartbeat is None or heartbeat.is_service or not heartbeat.is_alive(time.time()):
            return
        successor = {"configuration": self._configuration, "is_service": self._is_service}
        written = json.dumps({"at": time.time(), **successor})
        self._key_values.put({state.SUCCESSOR_ROW: written})

    def _engine(self, leadership: Leadership) -> Engine:
        # Keys that were read before are written with one query.
        rows = self._key_values.get([state.CURSOR_ROW, state.BEGIN_ROW, state.HEARTBEAT_ROW])
        cursor = Cursor.from_text(rows.get(state.CURSOR_ROW))
        instance = self._instance
        engine = Engine(
            open_log(instance, cursor),
            EventLogFacts(lambda: instance, KeptDefinitions(lambda: instance)),
            Identity(self._settings),
            connect(self._settings.timeout, self._settings.max_event_bytes),
            may_send=leadership.is_held,
        )
        self._begin(engine, parsed(rows.get(state.BEGIN_ROW)))
        return engine

    def _begin(self, engine: Engine, begin: dict[str, object]) -> None:
        """Begin with what was stored after the storage was wrapped; replay is for the past."""
        start = begin.get("at")
        if not isinstance(start, (int, float)):
            start = float("inf")
        elif engine.reader.cursor.is_new and not self._instance.event_log_storage.is_run_sharded:
            storage_id = begin.get("storage_id")
            engine.reader.cursor.after_storage_id = storage_id if isinstance(storage_id, int) else 0
            start = None
        engine.begin(start)

    def _pass(self, engine: Engine) -> Outcome:
        if time.monotonic() < engine.lanes.failures.blocks_until:
            return Outcome(
                stopped_by=self._heartbeat.trouble or None,
                waiting=engine.reader.cursor.behind,
                behind_since=engine.reader.cursor.behind_since,
            )
        self._has_retries = False
        self._passed_at = time.monotonic()
        outcome = engine.deliver(PASS_SECONDS, patience=self._settings.timeout)
        now = time.time()
        if outcome.read or outcome.sent or outcome.parked or outcome.has_more:
            self._news_at = time.monotonic()
            self._is_unsaved = True
        if outcome.sent:
            self._heartbeat = replace(self._heartbeat, last_sent_at=now)
        is_stopped = outcome.stopped_by is not None and outcome.stopped_by != REST_FOLLOWS
        trouble = outcome.stopped_by or "" if is_stopped and not outcome.sent else ""
        if outcome.held and not trouble:
            trouble = f"{outcome.held} events fail and are tried again, while others go on"
            if not outcome.sent:
                # What is held was not due yet: nothing says that the backend is back.
                trouble = self._heartbeat.trouble or trouble
        if trouble != self._heartbeat.trouble:
            if trouble:
                logger.warning("OpenLineage: %s", trouble)
            since = self._heartbeat.trouble_since if self._heartbeat.trouble and trouble else now
            self._heartbeat = replace(
                self._heartbeat, trouble=trouble[:300], trouble_since=since if trouble else 0.0
            )
        return outcome

    def _save(self, engine: Engine, outcome: Outcome) -> None:
        """Keep the cursor and the heartbeat, with one query, and not at every pass."""
        now = time.monotonic()
        self._has_ended_runs |= outcome.ended_runs > 0
        seconds = ENDED_SAVE_SECONDS if self._has_ended_runs else SAVE_SECONDS
        if not self._is_unsaved:
            seconds = self._rest_seconds
        elif outcome.has_more or outcome.waiting > MANY_WAITING:
            seconds = BEHIND_SAVE_SECONDS
        if now - self._saved_at >= seconds:
            self._write(engine, next_in=QUIET_SAVE_SECONDS + PASS_SECONDS + self._settings.timeout)
        if now - self._controlled_at >= CONTROL_SECONDS:
            self._controlled_at = now
            self._control(engine)

    def _write(self, engine: Engine, *, next_in: float, has_ended: bool = False) -> None:
        text = engine.reader.cursor.to_text(LONGEST_VALUE)
        now = time.time()
        heartbeat = replace(self._heartbeat, at=now, next_by=now + next_in, has_ended=has_ended)
        self._heartbeat = heartbeat
        rows = {state.CURSOR_ROW: text, state.HEARTBEAT_ROW: heartbeat.to_text()}
        try:
            self._key_values.put(rows)
        except Exception as error:
            logger.warning(
                "OpenLineage: the cursor cannot be kept, will retry: %s", fault.described(error)
            )
            return
        self._rest_seconds = AFTER_RUN_SECONDS if self._has_ended_runs else QUIET_SAVE_SECONDS
        self._is_unsaved, self._has_ended_runs = False, False
        self._saved_at = time.monotonic()

    def _control(self, engine: Engine) -> None:
        try:
            rows = self._key_values.get([state.REQUESTS_ROW, state.SUCCESSOR_ROW])
        except Exception as error:
            logger.warning("OpenLineage: requests cannot be read: %s", fault.described(error))
            return
        successor = parsed(rows.get(state.SUCCESSOR_ROW))
        is_fresh = time.time() - float(successor.get("at", 0.0)) < TAKE_OVER_SECONDS
        is_same = successor.get("configuration") == self._configuration
        is_other = not is_same or successor.get("is_service") is True
        self._is_replaced = is_fresh and is_other and not self._is_service
        requests = state.Requests.from_text(rows.get(state.REQUESTS_ROW))
        if requests != state.Requests():
            cursor = engine.reader.cursor
            chosen = [each for each in cursor.last_parked if each.name in requests.retry]
            cursor.last_parked = [
                each for each in cursor.last_parked if each.name not in requests.drop
            ]
            engine.retry(chosen)
            self._is_unsaved, self._has_retries = True, bool(chosen)
            # What was asked for since is left for the next look.
            rows = self._key_values.get([state.REQUESTS_ROW])
            now = state.Requests.from_text(rows.get(state.REQUESTS_ROW))
            left = state.Requests(
                tuple(each for each in now.retry if each not in requests.retry),
                tuple(each for each in now.drop if each not in requests.drop),
            )
            self._key_values.put({state.REQUESTS_ROW: left.to_text()})

    def _has_to_end(self, engine: Engine, outcome: Outcome) -> bool:
        if self._is_replaced:
            return True
        if self._once:
            # Where the log could not be read, nothing says that all is delivered.
            is_read = outcome.stopped_by is None and not outcome.unreadable
            return engine.is_idle and is_read and not self._has_retries
        quiet = time.monotonic() - self._news_at
        return not self._is_service and quiet > IDLE_SECONDS and engine.is_idle

    def _wait(self, engine: Engine, leadership: Leadership, outcome: Outcome) -> None:
        """Wait for news, as rarely as the log is quiet."""
        is_under_way = outcome.has_more or len(engine.lanes) > engine.lanes.held
        if is_under_way and outcome.stopped_by in (None, REST_FOLLOWS):
            return
        pause = engine.lanes.failures.blocks_until - time.monotonic()
        if pause > 0:
            time.sleep(min(pause, 1.0))
            return
        quiet = time.monotonic() - self._news_at
        if self._instance.event_log_storage.is_run_sharded:
            self._wait_for_files(engine, leadership)
            return
        if leadership.announces:
            time.sleep(NEWS_SECONDS)
            seconds = POLL_SECONDS if quiet < QUIET_POLL_SECONDS else QUIET_POLL_SECONDS
        else:
            seconds = max(POLL_SECONDS, min(LONGEST_POLL_SECONDS, quiet / 10))
        if engine.lanes.held:
            seconds = POLL_SECONDS
        until = time.monotonic() + seconds
        while (remaining := until - time.monotonic()) > 0 and not self._should_stop():
            if leadership.wait(min(remaining, STOP_SECONDS)):
                return

    def _wait_for_files(self, engine: Engine, leadership: Leadership) -> None:
        until = time.monotonic() + QUIET_POLL_SECONDS
        while time.monotonic() < until and leadership.is_held() and not self._should_stop():
            if engine.lanes.held or engine.reader.has_news():
                rest = NEWS_SECONDS - (time.monotonic() - self._passed_at)
                leadership.wait(max(FILES_SECONDS, rest))
                return
            if time.monotonic() - self._saved_at > self._rest_seconds:
                return
            leadership.wait(FILES_SECONDS)
