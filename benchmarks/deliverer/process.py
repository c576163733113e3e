"""The process that is measured: a deliverer that counts its queries and decoded rows.

The argument is JSON: `once` ends it when all is delivered, and `profile` names a file for the
profile of its main thread. Requests, one a line of JSON: `lead` waits until it leads, `figures`
returns what it counted, `wait` waits until it ends, and `stop` ends it.
"""

from __future__ import annotations

import cProfile
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import dagster as dg
import sqlalchemy
from dagster._core.storage.event_log import sql_event_log

from benchmarks.memory import peak_memory
from benchmarks.protocol import requests, take_output
from openlineage_dagster_core.deliverer_state import HEARTBEAT_ROW, Heartbeat
from openlineage_dagster_core.event_log.stored_event import StoredEvent
from openlineage_dagster_core.key_values import KeyValues
from openlineage_dagster_storage.deliverer import Deliverer

POLL_SECONDS = 0.1


@dataclass
class Counts:
    """What the process has done.

    Args:
        queries: statements sent to the database.
        decoded: events of the log that were decoded, each time they were.
        has_led: whether it was the deliverer.
    """

    queries: int = 0
    decoded: int = 0
    has_led: bool = False


class Process:
    """A deliverer, and what answers the parent's questions about it.

    Args:
        answer: sends an answer.
        once: whether it ends when all is delivered.
        profile: the file for the profile; None for no profile.
    """

    def __init__(
        self, answer: Callable[[dict[str, Any]], None], *, once: bool, profile: str | None
    ) -> None:
        self._answer = answer
        self._once = once
        self._profile = profile
        self._counts = Counts()
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._instance = dg.DagsterInstance.get()

    def run(self) -> None:
        """Deliver, and answer questions until there are none."""
        count(self._counts)
        answering = threading.Thread(target=self._obey)
        storage: Any = self._instance.event_log_storage
        deliverer = Deliverer(
            self._instance,
            storage.settings,
            is_service=not self._once,
            once=self._once,
            should_stop=self._stop.is_set,
        )
        profiler = cProfile.Profile() if self._profile else None
        self._answer({"dagster": dg.__version__})
        answering.start()
        try:
            if profiler is None:
                self._counts.has_led = deliverer.run()
            else:
                self._counts.has_led = profiler.runcall(deliverer.run)
                profiler.dump_stats(str(self._profile))
        finally:
            self._ended.set()
            answering.join()

    def _obey(self) -> None:
        for request in requests():
            if request["do"] == "lead":
                self._wait_until_it_leads()
            elif request["do"] == "stop":
                self._stop.set()
            if request["do"] in ("stop", "wait"):
                self._ended.wait()
            self._answer(
                {
                    **asdict(self._counts),
                    "at": time.time(),
                    "cpu": time.process_time(),
                    "peak": peak_memory(),
                }
            )

    def _wait_until_it_leads(self) -> None:
        key_values = KeyValues(self._instance)
        while not self._ended.is_set():
            text = key_values.get([HEARTBEAT_ROW]).get(HEARTBEAT_ROW)
            heartbeat = Heartbeat.from_text(text)
            if heartbeat is not None and heartbeat.pid == os.getpid():
                return
            time.sleep(POLL_SECONDS)


def count(counts: Counts) -> None:
    """Count queries and decoded rows from now on.

    Args:
        counts: is added to.
    """

    def note_query(*_: Any) -> None:
        counts.queries += 1

    sqlalchemy.event.listen(sqlalchemy.engine.Engine, "before_cursor_execute", note_query)
    entry = StoredEvent.entry

    def counted_entry(event: StoredEvent) -> dg.EventLogEntry:
        counts.decoded += event.decoded is None
        return entry(event)

    # There is no other way to count.
    StoredEvent.entry = counted_entry  # type: ignore[assignment, method-assign]
    decode: Any = getattr(sql_event_log, "deserialize_value", None)
    if decode is not None:
        # Dagster decodes what its public calls return.
        def counted_decode(*args: Any, **kwargs: Any) -> Any:
            counts.decoded += 1
            return decode(*args, **kwargs)

        vars(sql_event_log)["deserialize_value"] = counted_decode


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    Process(take_output(), once=arguments["once"], profile=arguments["profile"]).run()
