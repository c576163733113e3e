"""Reads a file of OpenLineage events."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from openlineage_dagster_core.cli.terminal import CommandError

STANDARD_INPUT = Path("-")

NO_JSON = None  # The value of a line that is not JSON; JSON's null is not an event either


def is_address(source: str) -> bool:
    """Return True for an HTTP address, False for the path of a file."""
    return source.lower().startswith(("http://", "https://"))


def events_in(path: Path) -> Iterator[object]:
    """Read one event a line, as the file transport writes them, or one JSON array.

    Yields each JSON value, whether it is an event or not; `NO_JSON` for a line that is not JSON.
    """
    if path != STANDARD_INPUT and not path.is_file():
        raise CommandError(
            f"There is no file {path}.",
            "Name a file of OpenLineage events, or Marquez's address (http://HOST:PORT).",
        )
    with (
        contextlib.nullcontext(sys.stdin)
        if path == STANDARD_INPUT
        else path.open(encoding="utf-8", errors="replace")
    ) as lines:
        yield from _values(lines)


def _values(lines: TextIO) -> Iterator[object]:
    filled = (line for line in lines if line.strip())
    first = next(filled, None)
    if first is None:
        return
    if not first.lstrip().startswith("[") and _value(first) is not NO_JSON:
        yield _value(first)
        yield from map(_value, filled)
        return
    # An array, or an object over several lines; where it is neither, each line counts by itself.
    text = first + lines.read()
    whole = _value(text)
    if isinstance(whole, list):
        yield from whole
    elif whole is not NO_JSON:
        yield whole
    else:
        yield from (_value(line) for line in text.splitlines() if line.strip())


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return NO_JSON
