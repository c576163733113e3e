"""Writes a transport's values so that they may be shown."""

from __future__ import annotations

import json
from collections.abc import Mapping

from openlineage_dagster_core.redaction import MASK, redacted

_PRIVATE = frozenset({"auth", "customheaders", "fskwargs", "headers", "storageoptions"})
"""Whatever is in there may be a secret under any name."""

_PLAIN = frozenset({"type"})


def masked(path: tuple[str, ...], value: object) -> str:
    """Write a value.

    Args:
        path: its keys in the configuration, from outside in.
        value: any JSON.

    Returns:
        The text, with secrets masked.
    """
    shown = _masked(path, value)
    return shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)


def _masked(path: tuple[str, ...], value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _masked((*path, str(key)), inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(path, inner) for inner in value]
    is_private = any(key.lower().replace("_", "") in _PRIVATE for key in path)
    if path[-1] in _PLAIN:
        return value
    if is_private:
        return MASK
    return redacted(".".join(path), value) if isinstance(value, str) else value
