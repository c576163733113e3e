"""Looks into nested mappings that other systems have written."""

from typing import Any


def value_at(value: Any, *keys: str) -> Any:
    """Return what nested mappings hold under these keys, None where they do not."""
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
