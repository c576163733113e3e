"""A process that delivers the log of a home, started, stopped and killed by tests."""

from __future__ import annotations

import os
import sys
from typing import Any

import dagster as dg

from openlineage_dagster_storage import deliverer
from openlineage_dagster_storage.deliverer import Deliverer

HEARTBEAT = "DELIVERER_HEARTBEAT_SECONDS"
"""The environment variable with the longest time between two heartbeats, where it is another."""


def main() -> None:
    """Deliver as a service, or until nothing waits where `--once` says so."""
    deliverer.QUIET_SAVE_SECONDS = float(os.environ.get(HEARTBEAT, deliverer.QUIET_SAVE_SECONDS))
    with dg.DagsterInstance.get() as instance:
        storage: Any = instance.event_log_storage
        once = "--once" in sys.argv
        Deliverer(instance, storage.settings, is_service=not once, once=once).run()


if __name__ == "__main__":
    main()
