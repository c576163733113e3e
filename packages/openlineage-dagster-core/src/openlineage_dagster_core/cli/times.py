"""Reads the times that users give, and writes durations."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import click

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def in_words(seconds: float) -> str:
    """Write a duration in the largest unit that it reaches twice, such as `90 s` or `3 h`."""
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


@dataclass(frozen=True)
class Moment:
    """A time that the user gave: seconds since the epoch, and the user's words."""

    at: float
    words: str


class Time(click.ParamType):  # type: ignore[type-arg]  # not generic in older versions
    """A time: ISO 8601 (local time where it has no offset), or an age such as `90m` or `7d`."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Moment:
        """Read a time."""
        if isinstance(value, Moment):
            return value
        text = str(value).strip()
        try:
            if text[:-1].isdigit() and text[-1] in _UNITS:
                ago = timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
                return Moment((datetime.now().astimezone() - ago).timestamp(), text)
            return Moment(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp(), text)
        except (ValueError, OverflowError):
            message = f"{text!r} is not a time: give 2026-01-31T12:00+00:00, 90m, 24h or 7d."
            self.fail(message, param, ctx)
