"""Reads foreign JSON: a value of another type than expected counts as missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from openlineage_dagster_core.cli.graph.model import Column, Name

_NOTHING: Mapping[str, Any] = {}


def mapping(value: object, *keys: str) -> Mapping[str, Any]:
    """Return the object at a path of keys, or an empty one."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else _NOTHING


def mappings(value: object) -> Iterator[Mapping[str, Any]]:
    """Yield the objects in a list."""
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict):
            yield item


def text(described: Mapping[str, Any], key: str) -> str:
    """Return the text at a key, or an empty one."""
    value = described.get(key)
    return value if isinstance(value, str) else ""


def name_of(described: Mapping[str, Any]) -> Name | None:
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


def columns_of(fields: object, prefix: str = "") -> Iterator[Column]:
    """Yield the columns of a schema's fields, each before the columns inside it."""
    for field in mappings(fields):
        if name := text(field, "name"):
            path = f"{prefix}{name}"
            yield Column(path, text(field, "type"), text(field, "description"))
            yield from columns_of(field.get("fields"), f"{path}.")
