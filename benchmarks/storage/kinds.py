"""What is stored and timed."""

from __future__ import annotations

from enum import Enum

BATCH = 1000
"""How many materializations are one batch."""


class Kind(Enum):
    """What one call stores."""

    MATERIALIZATION = "materialization"
    STEP = "step"
    LOG_LINE = "log line"
    BATCH = "batch of 1,000"
