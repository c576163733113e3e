"""How much memory a process has had."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

MEGABYTE = 1024 * 1024


def peak_memory() -> int:
    """Return the most memory that this process has had, in bytes.

    `getrusage` of a new process begins with the peak of the process that started it, so Linux's
    own figure comes first.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
