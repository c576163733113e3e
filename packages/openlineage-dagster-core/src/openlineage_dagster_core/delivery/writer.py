"""Who appends to an outbox: a process on a machine, and whether it may still live."""

from __future__ import annotations

import os
import socket

_HOST = socket.gethostname()


def this_writer() -> str:
    """Name this process.

    Returns:
        `host/process id`.
    """
    return f"{_HOST}/{os.getpid()}"


def is_gone(writer: str | None) -> bool:
    """Tell whether a process is known to have ended.

    Args:
        writer: from `this_writer`, in any process; None is one that said so itself.

    Returns:
        True only where it is certain: not on other machines, nor where another process has got
        the same number since.
    """
    if writer is None:
        return True
    host, _, number = writer.rpartition("/")
    # On Windows signal 0 would end the process.
    if host != _HOST or os.name == "nt":
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError):
        return False
    return False
