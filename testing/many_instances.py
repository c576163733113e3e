"""A process that makes and disposes of instances of one home, and tells what they leave behind."""

from __future__ import annotations

import gc
import json
import re
import sqlite3
import sys
import threading
from collections import Counter
from pathlib import Path

import dagster as dg

import migration_scripts

WARM_UP = 100
"""Instances before the first look: caches fill, libraries are imported."""

EVERY = 10
"""Each so many'th instance stores an event: reading the log of them all takes its time."""


def use_instances(home: str, count: int) -> None:
    """Make and dispose of instances.

    Args:
        home: the Dagster home.
        count: how many.
    """
    for number in range(count):
        with dg.DagsterInstance.from_config(home) as instance:
            if number % EVERY == 0:
                instance.report_runless_asset_event(dg.AssetMaterialization("x"))


def left_behind() -> dict[str, int]:
    """Count what a process has.

    Returns:
        By name: threads, file descriptors, memory in bytes, and objects.
    """
    gc.collect()
    objects = gc.get_objects()
    ours = Counter(
        type(each).__qualname__
        for each in objects
        if str(type(each).__module__).startswith("openlineage_dagster")
    )
    [kilobytes] = re.findall(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return {
        "threads": threading.active_count(),
        "file descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "memory": int(kilobytes) * 1024,
        "connections": sum(isinstance(each, sqlite3.Connection) for each in objects),
        "objects": len(objects),
        **{f"our {name}": count for name, count in ours.items()},
    }


def main() -> None:
    """Print, as JSON, by how much each number grew over the instances after the first."""
    home, count = sys.argv[1], int(sys.argv[2])
    # Three quarters of an instance's time, and none of what it may leave behind.
    migration_scripts.read_once()
    use_instances(home, WARM_UP)
    before = left_behind()
    use_instances(home, count)
    after = left_behind()
    growth = {name: after[name] - before.get(name, 0) for name in after}
    sys.stdout.write(json.dumps(growth) + "\n")


if __name__ == "__main__":
    main()
