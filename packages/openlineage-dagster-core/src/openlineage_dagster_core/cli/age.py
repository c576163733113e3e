"""Writes a duration as people say it."""

from __future__ import annotations

_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


def in_words(seconds: float) -> str:
    """Write a duration.

    Args:
        seconds: how long it is.

    Returns:
        It in the largest unit that it reaches twice, such as `90 s` or `3 h`.
    """
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
