"""Keeps what the process that executes a run adds to it: its parent, its environment, or silence.

Most runs have none of that. The key-value table has no delete, so a run shares a row with others,
and each row keeps the latest few.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase
from typing import Any

from openlineage_dagster_core.facts.model import Definitions, KnownRun, OutsideParent
from openlineage_dagster_core.facts.outside import parent_in_environment
from openlineage_dagster_core.key_values import LONGEST_VALUE, parsed
from openlineage_dagster_core.redaction import redacted
from openlineage_dagster_core.settings import Settings, is_disabled

ROWS = 8192
ROW_CHARACTERS = 8_000  # Characters of a row; a run alone may have more. Most have 50 to 400


def process_facts(environ: Mapping[str, str], settings: Settings) -> Definitions:
    """Return what a process with this environment adds to a run, without assets and jobs."""
    if is_disabled(environ):
        return Definitions(is_disabled=True)
    return Definitions(
        parent=parent_in_environment(environ),
        environment=allowed_variables(environ, settings.environment_variables),
    )


def allowed_variables(environ: Mapping[str, str], allowed: Sequence[str]) -> dict[str, str]:
    """Return the variables that match one of the shell patterns, by name, with secrets masked."""
    return {
        name: redacted(name, value)
        for name, value in sorted(environ.items())
        if any(fnmatchcase(name, pattern) for pattern in allowed)
    }


def run_row(run_id: str) -> str:
    """Return the key of the row that a run shares in the instance's key-value table."""
    return f"run/{zlib.crc32(run_id.encode()) % ROWS}"


def added(row: str | None, run_id: str, facts: Definitions) -> str:
    """Return a run's row, None for a new one, with the facts added and the oldest runs removed."""
    written: dict[str, Any] = {}
    if facts.parent is not None:
        written["parent"] = asdict(facts.parent)
    if facts.environment:
        written["environment"] = dict(facts.environment)
    if facts.is_disabled:
        written["disabled"] = True
    runs = {run: each for run, each in parsed(row).items() if run != run_id} | {run_id: written}
    text = json.dumps(runs, separators=(",", ":"))
    while len(text) > ROW_CHARACTERS and len(runs) > 1:
        del runs[next(iter(runs))]
        text = json.dumps(runs, separators=(",", ":"))
    if len(text) > LONGEST_VALUE:
        written.pop("environment", None)
        text = json.dumps({run_id: written}, separators=(",", ":"))
    return text


def found(row: str | None, run_id: str) -> Definitions:
    """Return what the process of a run added to it; empty where the row says nothing of it."""
    written: Any = parsed(row).get(run_id)
    if not isinstance(written, dict):
        return Definitions()
    try:
        parent = _parent(written["parent"]) if written.get("parent") else None
        environment = dict(written.get("environment") or {})
    except (KeyError, TypeError, ValueError):
        # Another version of ours wrote it: an unreadable run must not stop the others.
        parent, environment = None, {}
    disabled = bool(written.get("disabled"))
    return Definitions(parent=parent, environment=environment, is_disabled=disabled)


def _parent(written: Mapping[str, Any]) -> OutsideParent:
    root = written["root"]
    return OutsideParent(KnownRun(**written["parent"]), KnownRun(**root) if root else None)
