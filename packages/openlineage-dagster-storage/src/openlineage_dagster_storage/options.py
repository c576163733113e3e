"""The choices of the storage's own options."""

from __future__ import annotations

from enum import Enum


class Deliver(str, Enum):
    """Who starts the deliverer."""

    AUTOMATIC = "automatic"
    EXTERNAL = "external"
