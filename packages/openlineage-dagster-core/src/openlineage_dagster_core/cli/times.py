"""Times as people give them on a command line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import click

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Moment:
    """A time that the user gave.

    Args:
        at: in seconds since the epoch.
        words: the user's.
    """

    at: float
    words: str


class Time(click.ParamType):  # type: ignore[type-arg]  # not generic in older versions
    """A time, as an ISO text or as how long ago."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Moment:
        """Read a time.

        Args:
            value: the user's words: `2026-01-31`, `2026-01-31T12:00+01:00`, `90m`, `24h`, `7d`.
            param: where it was given.
            ctx: of the command.

        Returns:
            The moment. A time without an offset is this machine's local time.
        """
        if isinstance(value, Moment):
            return value
        text = str(value).strip()
        try:
            if text[:-1].isdigit() and text[-1] in _UNITS:
                ago = timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
                return Moment((datetime.now().astimezone() - ago).timestamp(), text)
            return Moment(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp(), text)
        except (ValueError, OverflowError):
            message = f"{text!r} is no time: give 2026-01-31T12:00+00:00, 90m, 24h or 7d."
            self.fail(message, param, ctx)
