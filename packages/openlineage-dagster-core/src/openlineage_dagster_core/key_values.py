"""The instance's key-value table, where a deployment's processes leave each other word.

Dagster's own daemons use it for their cursors (`get_cursor_values`, `set_cursor_values`). It has no
delete and no compare-and-set; MySQL's column holds 64 KB and tells keys apart by their first 64
characters. On SQLite an upsert of several keys writes nothing where only some of them exist.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

from dagster import DagsterInstance

PREFIX = "openlineage/"
LONGEST_KEY = 64
LONGEST_VALUE = 60_000  # Characters of a value; all values are ASCII
ROWS_A_QUERY = 50  # Rows written by one query: each may have `LONGEST_VALUE` characters
_AFTER_COUNT = "|"


def _chunks_of(value: str) -> int:
    count = value.partition(_AFTER_COUNT)[0]
    return int(count) if count.isdigit() and len(count) < 4 else 1


class KeyValues:
    """Reads and writes our values in an instance's table; keys are without our prefix."""

    def __init__(self, instance: DagsterInstance) -> None:
        self._storage = instance.run_storage
        self._exist: set[str] = set()

    def get(self, keys: Collection[str]) -> dict[str, str]:
        """Return the values of those keys that have one, with one query."""
        if not keys:
            return {}
        found = self._storage.get_cursor_values({PREFIX + key for key in keys})
        values = {key[len(PREFIX) :]: value for key, value in found.items() if value}
        self._exist |= values.keys()
        return values

    def put(self, values: Mapping[str, str]) -> None:
        """Write values, existing keys with one query; raise ValueError if one is too long."""
        for key, value in values.items():
            if len(PREFIX + key) > LONGEST_KEY or len(value) > LONGEST_VALUE:
                msg = f"too long for the instance's key-value table: {key} ({len(value)})"
                raise ValueError(msg)
        known = {key: value for key, value in values.items() if key in self._exist}
        new = {key: value for key, value in values.items() if key not in self._exist}
        for some in (known, new):
            if some:
                self._set(some)
        if len(new) > 1:
            # Another process may have written one of them first.
            found = self.get(new.keys())
            for key, value in new.items():
                if found.get(key) != value:
                    self._set({key: value})
        self._exist |= new.keys()

    def _set(self, values: Mapping[str, str]) -> None:
        self._storage.set_cursor_values({PREFIX + key: value for key, value in values.items()})

    def get_long(self, keys: Collection[str]) -> dict[str, str]:
        """Return values that `put_long` wrote."""
        found = self.get(keys)
        rows = {
            key: [f"{key}.{number}" for number in range(1, _chunks_of(value))]
            for key, value in found.items()
        }
        others = self.get({row for more in rows.values() for row in more})
        parts = {key: [value.partition(_AFTER_COUNT)[2]] for key, value in found.items()}
        for key, more in rows.items():
            parts[key] += [others.get(row, "") for row in more]
        return {key: "".join(texts) for key, texts in parts.items()}

    def put_long(self, values: Mapping[str, str]) -> None:
        """Write values that may be longer than one row holds, in several rows."""
        rows = {}
        for key, value in values.items():
            size = LONGEST_VALUE - 10
            parts = [value[first : first + size] for first in range(0, len(value), size)] or [""]
            rows[key] = f"{len(parts)}{_AFTER_COUNT}{parts[0]}"
            rows.update({f"{key}.{number}": part for number, part in enumerate(parts) if number})
        keys = list(rows)
        # A statement has its limits, too.
        for first in range(0, len(keys), ROWS_A_QUERY):
            self.put({key: rows[key] for key in keys[first : first + ROWS_A_QUERY]})


def parsed(text: str | None) -> dict[str, Any]:
    """Return a JSON object that a process wrote; empty if the text is missing or not an object."""
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
