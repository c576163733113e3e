"""Starts a deliverer: a process of its own that outlives the one that starts it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from dagster import DagsterInstance, deserialize_value, serialize_value
from dagster._core.instance.ref import InstanceRef

START_SECONDS = 5.0  # Seconds for the shell to start the process; it does nothing else
NICENESS = 5  # How far a deliverer that was started here yields the processor to others

_PROGRAM = (
    "import json, sys; task = json.load(sys.stdin); sys.path[:] = task['path']; "
    f"from {__name__} import main; main(task)"
)
"""The path of the modules is this process's: it may have been begun by other means than ours."""

_DETACHED = 'exec 3<&0; "$@" <&3 3<&- >/dev/null 2>&1 &'
"""A shell that ends at once leaves no zombie; a command in its background has no standard input
unless it gets one."""


def can_start() -> bool:
    """Return True if this system can start a process that outlives this one: it has a shell."""
    return os.name == "posix" and bool(sys.executable)


def start(instance: InstanceRef, *, takes_over: bool) -> bool:
    """Start a deliverer without waiting for it; return True if it was started.

    The instance may hold a password, so it goes through a pipe. `takes_over` asks a deliverer with
    another configuration to end.
    """
    task = {"instance": serialize_value(instance), "path": sys.path, "takes_over": takes_over}
    try:
        shell = subprocess.run(  # noqa: S603 -- this interpreter, with a program of ours
            ["/bin/sh", "-c", _DETACHED, "sh", sys.executable, "-c", _PROGRAM],
            input=json.dumps(task).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            timeout=START_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError, RuntimeError):
        # No shell, no memory, or too late in the life of this process.
        return False
    return shell.returncode == 0


def main(task: Mapping[str, Any]) -> None:
    """Deliver, and end when there was no news for a while: the program of the started process."""
    # Late: the process that calls `start` does not load openlineage-python's client.
    from openlineage_dagster_storage.deliverer import Deliverer

    # Runs on the same machine come first.
    os.nice(NICENESS)
    ref = deserialize_value(task["instance"], InstanceRef)
    with DagsterInstance.from_ref(ref) as instance:
        storage: Any = instance.event_log_storage
        Deliverer(instance, storage.settings, takes_over=task["takes_over"]).run()
