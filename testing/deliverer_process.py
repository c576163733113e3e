"""A process that delivers the log of a home, started, stopped and killed by tests."""

from __future__ import annotations

import sys
from typing import Any

import dagster as dg

from openlineage_dagster_storage.deliverer import Deliverer


def main() -> None:
    """Deliver as a service, or until nothing waits where `--once` says so."""
    with dg.DagsterInstance.get() as instance:
        storage: Any = instance.event_log_storage
        once = "--once" in sys.argv
        Deliverer(instance, storage.settings, is_service=not once, once=once).run()


if __name__ == "__main__":
    main()
