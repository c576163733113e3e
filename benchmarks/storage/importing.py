"""How long importing the storage takes beyond importing dagster, in fresh interpreters.

The times are of the processor: with the files in the cache an import waits for nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.deployments import Subject

_TIMED = """\
import json, sys, time
begin = time.process_time()
import dagster
after_dagster = time.process_time()
{package}
after_package = time.process_time()
import dagster._core.storage.event_log
after_event_log = time.process_time()
{imports}
end = time.process_time()
client = any(name.split(".")[0] == "openlineage" for name in sys.modules)
print(json.dumps([
    after_dagster - begin, after_package - after_dagster, after_event_log - after_package,
    end - after_event_log, client
]))
"""
_FACADE = "from dagster_openlineage import OpenLineageEventLogStorage"
_PACKAGES = {Subject.OURS: "import openlineage_dagster_storage", Subject.PREDECESSOR: ""}
"""The predecessor's is its class's."""


@dataclass
class Imports:
    """What the imports of one subject took.

    Args:
        dagster: seconds for Dagster.
        package: seconds for the package after it.
        event_log: seconds for Dagster's event log storages after that. No storage can be defined
            without them; they bring SQLAlchemy, and a process that has an instance has them anyway.
        own: seconds for the package's storage after all of them.
        has_client: whether openlineage-python's client was imported as well.
    """

    dagster: list[float] = field(default_factory=list)
    package: list[float] = field(default_factory=list)
    event_log: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    has_client: bool = False


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
            program = _TIMED.format(package=_PACKAGES[subject], imports=_FACADE)
            command = [python, "-c", program]
            answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            dagster, package, event_log, own, has_client = json.loads(answer.stdout)
            if number == 0:
                # It may have compiled the modules.
                continue
            found[subject].dagster.append(dagster)
            found[subject].package.append(package)
            found[subject].event_log.append(event_log)
            found[subject].own.append(own)
            found[subject].has_client |= has_client
    return found
