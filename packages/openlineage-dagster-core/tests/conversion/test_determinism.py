"""The same log gives the same events: in another process, with another order of hashes, afresh."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import pytest

from golden import to_json
from openlineage_dagster_core.conversion import convert
from openlineage_dagster_core.event_log.run_log import events_of_run
from openlineage_dagster_core.facts.definitions import DefinedAssets, DefinedJobs
from openlineage_dagster_core.facts.event_log import EventLogFacts
from openlineage_dagster_core.facts.model import Definitions
from openlineage_dagster_core.identity import Identity
from openlineage_dagster_core.settings import Settings
from openlineage_dagster_core.snapshots.definitions_codec import (
    decode_asset,
    decode_job,
    encode_asset,
    encode_job,
)
from recorded_run import execute

Json = dict[str, Any]

RUNS: dict[str, dict[str, dict[str, Any]]] = {
    "test_features": {
        "materialize": {},
        "failure": {},
        "multi_asset": {},
        "checks": {},
        "observation": {},
        "ops": {},
        "partition": {"partition_key": "2026-01-05"},
    },
    "test_descriptions": {"tables": {"tags": {"team": "blue", "user": "ada"}}, "watch": {}},
    "test_partitions": {
        "balances": {
            "tags": {
                "dagster/asset_partition_range_start": "2026-01-05",
                "dagster/asset_partition_range_end": "2026-01-07",
            }
        }
    },
}
"""By the module beside this one that defines them, jobs and how to run them."""

CONVERT = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parent), *[p for p in sys.path if p.endswith("testing")]]!r}
import json, dagster as dg, test_determinism
with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    print(json.dumps(test_determinism.converted_runs(instance)))
"""


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def definitions_of(repository: dg.RepositoryDefinition) -> Definitions:
    return Definitions(DefinedAssets(repository.asset_graph), DefinedJobs(repository))


class ByModule:
    """Gives each run the definitions of the module that its tag names."""

    def __init__(self, instance: dg.DagsterInstance, known: Mapping[str, Definitions]) -> None:
        self._instance = instance
        self._known = known

    def prepare(self, run_ids: Collection[str], keys: Collection[dg.AssetKey]) -> None:
        pass

    def of_run(self, run_id: str, job_name: str, at: float) -> Definitions:
        [record] = self._instance.get_run_records(dg.RunsFilter(run_ids=[run_id]))
        return self._known[record.dagster_run.tags["module"]]

    def at(self, at: float) -> Definitions:
        return Definitions()


def written_down(definitions: Definitions, jobs: Collection[str]) -> Definitions:
    """Write definitions down and read them back."""
    return Definitions(
        {key: decode_asset(encode_asset(asset)) for key, asset in definitions.assets.items()},
        {job: decode_job(encode_job(definitions.jobs[job])) for job in jobs},
    )


def converted_runs(
    instance: dg.DagsterInstance, *, is_written_down: bool = False, is_read_afresh: bool = False
) -> list[Json]:
    """Convert all runs of an instance, each with the definitions of its module."""
    identity = Identity(Settings())
    known = {}
    for name, ran in RUNS.items():
        definitions = definitions_of(load(name).DEFINITIONS.get_repository_def())
        known[name] = written_down(definitions, ran) if is_written_down else definitions
    source = ByModule(instance, known)
    events = []
    found = EventLogFacts(lambda: instance, source)
    for record in reversed(instance.get_run_records()):
        for stored in events_of_run(instance, record.dagster_run.run_id):
            entry = stored.entry()
            if is_read_afresh:
                found = EventLogFacts(lambda: instance, source)
            facts = found.facts_of(stored, entry)
            assert facts is not None
            events += convert(entry, facts, identity)
            found.advance(entry)
    return to_json(events)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for name, jobs in RUNS.items():
            definitions = load(name).DEFINITIONS
            for job, options in jobs.items():
                tags = {**options.get("tags", {}), "module": name}
                execute(definitions, job, instance, **{**options, "tags": tags})
    return home


@pytest.fixture(scope="module")
def expected(home: Path) -> list[Json]:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        return converted_runs(instance)


@pytest.mark.parametrize("seed", ["1", "2"])
def test_another_process_gives_the_same(home: Path, expected: list[Json], seed: str) -> None:
    printed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CONVERT, str(home)],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(expected) > 50
    assert json.loads(printed.stdout) == expected


@pytest.mark.parametrize("options", [{"is_written_down": True}, {"is_read_afresh": True}])
def test_definitions_written_down_and_logs_read_afresh_give_the_same(
    home: Path, expected: list[Json], options: dict[str, bool]
) -> None:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert converted_runs(instance, **options) == expected
