"""Reads JSON that others wrote: where it is not what it should be, nothing is said there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from openlineage_dagster_core.cli.graph.model import Column, Name

_NOTHING: Mapping[str, Any] = {}


def mapping(value: object, *keys: str) -> Mapping[str, Any]:
    """Go down into objects.

    Args:
        value: where to begin.
        keys: the way down.

    Returns:
        The object at its end, or an empty one.
    """
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else _NOTHING


def mappings(value: object) -> Iterator[Mapping[str, Any]]:
    """Read a list of objects.

    Args:
        value: the list.

    Yields:
        Those of its items that are objects.
    """
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict):
            yield item


def text(described: Mapping[str, Any], key: str) -> str:
    """Read a text.

    Args:
        described: has it.
        key: where it is.

    Returns:
        The text, or an empty one.
    """
    value = described.get(key)
    return value if isinstance(value, str) else ""


def name_of(described: Mapping[str, Any]) -> Name | None:
    """Read how a dataset or a job is called.

    Args:
        described: has a `namespace` and a `name`.

    Returns:
        Both, or None.
    """
    namespace, name = text(described, "namespace"), text(described, "name")
    return (namespace, name) if namespace and name else None


def moment(value: object) -> datetime | None:
    """Read a time.

    Args:
        value: ISO 8601, however exact; without an offset it is UTC.

    Returns:
        The time, or None.
    """
    # openlineage-python brings it along; Python's own reads fewer forms before 3.11.
    from dateutil.parser import isoparse  # type: ignore[import-untyped]

    try:
        time: datetime = isoparse(value)
    except (TypeError, ValueError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)


def columns_of(fields: object, prefix: str = "") -> Iterator[Column]:
    """Read the fields of a schema.

    Args:
        fields: the list; fields may have fields.
        prefix: before their names.

    Yields:
        The columns, each before those inside it.
    """
    for field in mappings(fields):
        if name := text(field, "name"):
            path = f"{prefix}{name}"
            yield Column(path, text(field, "type"), text(field, "description"))
            yield from columns_of(field.get("fields"), f"{path}.")
