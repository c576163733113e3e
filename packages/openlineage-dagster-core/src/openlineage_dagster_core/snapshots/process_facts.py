"""Keeps what the process that executes a run adds to it: its parent, its environment, or silence.

Most runs have none of that. The key-value table has no delete, so a run shares a row with others,
and each row keeps the latest few.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from openlineage_dagster_core.facts.model import KnownRun, OutsideParent
from openlineage_dagster_core.key_values import LONGEST_VALUE, parsed

ROWS = 8192
RUNS_A_ROW = 8


@dataclass(frozen=True)
class ProcessFacts:
    """What a process says of the run that it executes."""

    parent: OutsideParent | None = None  # What started the process, according to its environment
    # The variables that the user wants to see
    environment: Mapping[str, str] = field(default_factory=dict)
    is_disabled: bool = False  # True if the process has `OPENLINEAGE_DISABLED`

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to keep."""
        return self == ProcessFacts()


def run_row(run_id: str) -> str:
    """Return the key of the row that a run shares in the instance's key-value table."""
    return f"run/{zlib.crc32(run_id.encode()) % ROWS}"


def added(row: str | None, run_id: str, facts: ProcessFacts) -> str:
    """Return a run's row, None for a new one, with the facts added and the oldest runs removed."""
    written = {
        "parent": asdict(facts.parent) if facts.parent is not None else None,
        "environment": dict(facts.environment),
        "disabled": facts.is_disabled,
    }
    before = {run: each for run, each in parsed(row).items() if run != run_id}
    runs = dict([*before.items(), (run_id, written)][-RUNS_A_ROW:])
    text = json.dumps(runs, separators=(",", ":"))
    while len(text) > LONGEST_VALUE and len(runs) > 1:
        del runs[next(iter(runs))]
        text = json.dumps(runs, separators=(",", ":"))
    if len(text) > LONGEST_VALUE:
        text = json.dumps({run_id: {**written, "environment": {}}}, separators=(",", ":"))
    return text


def found(row: str | None, run_id: str) -> ProcessFacts:
    """Return what a run's row says of it; empty facts where it says nothing."""
    written: Any = parsed(row).get(run_id)
    if not isinstance(written, dict):
        return ProcessFacts()
    try:
        parent = _parent(written["parent"]) if written.get("parent") else None
        environment = dict(written.get("environment") or {})
    except (KeyError, TypeError, ValueError):
        # Another version of ours wrote it: an unreadable run must not stop the others.
        parent, environment = None, {}
    return ProcessFacts(parent, environment, bool(written.get("disabled")))


def _parent(written: Mapping[str, Any]) -> OutsideParent:
    root = written["root"]
    return OutsideParent(KnownRun(**written["parent"]), KnownRun(**root) if root else None)
