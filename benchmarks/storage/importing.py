"""How long importing the storage takes beyond importing dagster, in fresh interpreters.

The times are of the processor: with the files in the cache an import waits for nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.storage.deployments import Subject

_TIMED = """\
import json, sys, time
begin = time.process_time()
import dagster
after_dagster = time.process_time()
import dagster._core.storage.event_log
after_event_log = time.process_time()
{imports}
end = time.process_time()
client = any(name.split(".")[0] == "openlineage" for name in sys.modules)
print(json.dumps([
    after_dagster - begin, after_event_log - after_dagster, end - after_event_log, client
]))
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
        event_log: seconds for Dagster's event log storages after it. No storage can be defined
            without them; they bring SQLAlchemy, and a process that has an instance has them anyway.
        own: seconds for what comes after both.
        has_client: whether openlineage-python's client was imported as well.
    """

    dagster: list[float] = field(default_factory=list)
    event_log: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    has_client: bool = False

    @property
    def beyond(self) -> list[float]:
        """Seconds for everything after Dagster."""
        return [sum(each) for each in zip(self.event_log, self.own, strict=True)]


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
            dagster, event_log, own, has_client = json.loads(answer.stdout)
            if number == 0:
                # It may have compiled the modules.
                continue
            found[subject].dagster.append(dagster)
            found[subject].event_log.append(event_log)
            found[subject].own.append(own)
            found[subject].has_client |= has_client
    return found
