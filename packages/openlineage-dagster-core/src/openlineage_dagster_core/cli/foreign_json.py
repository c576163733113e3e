"""Reads JSON that others wrote: files of OpenLineage events, and values that may have any type.

A value of another type than expected counts as missing.
"""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TextIO

from openlineage_dagster_core.cli.terminal import CommandError

Json = Mapping[str, Any]

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


def mapping(value: object, *keys: str) -> Json:
    """Return the object at a path of keys, or an empty one."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> Iterator[Json]:
    """Yield the objects in a list."""
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict):
            yield item


def text(described: Json, key: str) -> str:
    """Return the text at a key, or an empty one."""
    value = described.get(key)
    return value if isinstance(value, str) else ""


def name_of(described: Json) -> tuple[str, str] | None:
    """Return the namespace and name of a dataset or job; None where one is missing."""
    namespace, name = text(described, "namespace"), text(described, "name")
    return (namespace, name) if namespace and name else None


def moment(value: object) -> datetime | None:
    """Return the time of an ISO 8601 text, which is UTC if it has no offset; None for others."""
    # Comes with openlineage-python; Python's own parser reads fewer forms before 3.11.
    from dateutil.parser import isoparse  # type: ignore[import-untyped]

    try:
        time: datetime = isoparse(value)
    except (TypeError, ValueError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)
