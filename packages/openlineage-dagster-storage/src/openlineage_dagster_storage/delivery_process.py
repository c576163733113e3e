"""A process of its own that sends what a run has left, so that nobody waits for the backend."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagster._core.instance.ref import InstanceRef

LOCK_NAME = "delivery-process.lock"
"""One process at a time, however many runs end: the next finds the lock taken, and leaves it."""

PATIENCE_SECONDS = 10.0
"""The process ends when it could send nothing for so long."""

START_SECONDS = 5.0
"""For the shell to have started it: it does nothing else."""

_PROGRAM = (
    "import json, sys; task = json.load(sys.stdin); sys.path[:] = task['path']; "
    f"from {__name__} import main; main(task)"
)
"""The path of the modules is this process's: it may have been begun by other means than ours."""

_DETACHED = 'exec 3<&0; "$@" <&3 3<&- >/dev/null 2>&1 &'
"""A shell that ends at once leaves no zombie here; a command in its background has no standard
input unless it is told of one."""

FIRST_DESCRIPTOR = 10
"""Shells use those below by their numbers."""


def can_outlive() -> bool:
    """Tell whether a process that is started here is still there when this one has ended.

    Returns:
        False in the first process of a container and in one that it started: the container ends
        with it.
    """
    return (
        os.name == "posix"
        and bool(sys.executable)
        and 1 not in {os.getpid(), os.getppid()}
        and "KUBERNETES_SERVICE_HOST" not in os.environ
    )


def start(instance: InstanceRef, directory: Path) -> bool:
    """Have everything in an outbox sent, without waiting for it.

    Args:
        instance: to which the events belong.
        directory: the outbox's.

    Returns:
        Whether that is seen to, here or by a process that was started before.
    """
    from dagster._serdes import serialize_value

    with locked(directory) as lock:
        if lock is None:
            return True
        task = {
            "instance": serialize_value(instance),
            "directory": str(directory),
            "path": sys.path,
            "lock": lock,
        }
        try:
            shell = subprocess.run(  # noqa: S603 -- this interpreter, with a program of ours
                ["/bin/sh", "-c", _DETACHED, "sh", sys.executable, "-c", _PROGRAM],
                input=json.dumps(task).encode(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # The new process holds the lock from its beginning to its end.
                pass_fds=[lock],
                start_new_session=True,
                timeout=START_SECONDS,
                check=False,
            )
        except (OSError, subprocess.SubprocessError, RuntimeError):
            # No shell, no memory, or too late in the life of this process.
            return False
        return shell.returncode == 0


def main(task: Mapping[str, Any]) -> None:
    """Send what waits, and end.

    Args:
        task: what `start` gave.
    """
    from dagster import DagsterInstance
    from dagster._core.instance.ref import InstanceRef
    from dagster._serdes import deserialize_value

    from openlineage_dagster_core.delivery.outbox import Outbox

    directory = Path(task["directory"])
    outbox = Outbox(directory)
    held: contextlib.AbstractContextManager[int | None] = _closing(task["lock"])
    is_left = True
    while is_left:
        with held as lock:
            # Whoever had made the instance may have thrown it away since.
            if lock is None or not outbox.path.exists():
                return
            ref = deserialize_value(task["instance"], InstanceRef)
            with DagsterInstance.from_ref(ref) as instance:
                storage: Any = instance.event_log_storage
                is_drained = storage.work_off(PATIENCE_SECONDS)
        # Somebody may have found the lock taken after the last look.
        is_left = is_drained and outbox.has_work()
        held = locked(directory)


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[int | None]:
    """Hold the lock of an outbox's delivery process, as long as it is not taken.

    Args:
        directory: the outbox's; must exist.

    Yields:
        The lock's file descriptor; None where another process has it.

    Raises:
        OSError: the file cannot be opened.
    """
    # Not filelock's: a child is to keep it.
    import fcntl

    opened = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    with _closing(opened):
        descriptor = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR)
    with _closing(descriptor):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield descriptor


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)
