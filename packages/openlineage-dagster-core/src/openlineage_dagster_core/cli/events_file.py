"""Reads OpenLineage events that are in a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from openlineage_dagster_core.cli.failure import CommandError

STANDARD_INPUT = Path("-")

NO_JSON = None
"""Stands for a line that is none; JSON's null is no event either."""


def events_in(path: Path) -> Iterator[object]:
    """Read a file of one event a line, as the file transport writes it, or of one JSON array.

    Args:
        path: of the file; `-` is the standard input.

    Yields:
        What stands there, whether it is an event or not; `NO_JSON` for a line that is no JSON.

    Raises:
        CommandError: there is no such file.
        OSError: it cannot be read.
    """
    if path != STANDARD_INPUT and not path.is_file():
        raise CommandError(
            f"There is no file {path}.",
            "Name a file of OpenLineage events, or Marquez's address (http://HOST:PORT).",
        )
    if path == STANDARD_INPUT:
        yield from _values(sys.stdin)
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        yield from _values(lines)


def _values(lines: TextIO) -> Iterator[object]:
    filled = (line for line in lines if line.strip())
    first = next(filled, None)
    if first is None:
        return
    if (whole := _whole(first, lines)) is not None:
        yield from whole
        return
    yield _value(first)
    yield from map(_value, filled)


def _whole(first: str, rest: TextIO) -> list[object] | None:
    """Read an array, or an object over many lines; None where every line is for itself."""
    if not first.lstrip().startswith("[") and _value(first) is not NO_JSON:
        return None
    remaining = rest.read()
    value = _value(first + remaining)
    if isinstance(value, list):
        return value
    if value is not NO_JSON:
        return [value]
    return [_value(line) for line in (first + remaining).splitlines() if line.strip()]


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return NO_JSON
