"""How long importing the storage takes beyond importing dagster, in fresh interpreters."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from benchmarks.storage.deployments import Subject

_TIMED = """\
import json, sys, time
begin = time.perf_counter()
import dagster
between = time.perf_counter()
{imports}
end = time.perf_counter()
client = any(name.split(".")[0] == "openlineage" for name in sys.modules)
print(json.dumps([between - begin, end - between, client]))
"""
_FACADE = "from dagster_openlineage import OpenLineageEventLogStorage"
_IMPORTS = {
    Subject.OURS: f"import openlineage_dagster_storage\n{_FACADE}",
    Subject.PREDECESSOR: _FACADE,
}


@dataclass
class Imports:
    """What the imports of one subject took.

    Args:
        dagster: seconds for Dagster.
        beyond: seconds for what comes after it, in the same interpreter.
        has_client: whether openlineage-python's client was imported as well.
    """

    dagster: list[float] = field(default_factory=list)
    beyond: list[float] = field(default_factory=list)
    has_client: bool = False

    @property
    def beyond_ms(self) -> float:
        """The median, in milliseconds."""
        return median(self.beyond) * 1000

    @property
    def dagster_ms(self) -> float:
        """The median, in milliseconds."""
        return median(self.dagster) * 1000


def time_imports(predecessor: str | None, rounds: int) -> Mapping[Subject, Imports]:
    """Import in turn.

    Args:
        predecessor: its interpreter.
        rounds: how often.

    Returns:
        By subject.
    """
    pythons = {Subject.OURS: sys.executable}
    if predecessor:
        pythons[Subject.PREDECESSOR] = predecessor
    found = {subject: Imports() for subject in pythons}
    for number in range(rounds + 1):
        for subject, python in pythons.items():
            command = [python, "-c", _TIMED.format(imports=_IMPORTS[subject])]
            answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            dagster, beyond, has_client = json.loads(answer.stdout)
            if number == 0:
                # It may have compiled the modules.
                continue
            found[subject].dagster.append(dagster)
            found[subject].beyond.append(beyond)
            found[subject].has_client |= has_client
    return found
