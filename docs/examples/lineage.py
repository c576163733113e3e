"""Reads an events file into what it says: jobs, runs, datasets, edges and facets."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Name = tuple[str, str]
"""Namespace and name."""

END_STATES = ("COMPLETE", "FAIL", "ABORT")


@dataclass
class Job:
    """A job and what its events say.

    Args:
        kind: JOB, STEP, ASSET or CHECK.
        runs: by run id, the event types in order.
        inputs: the datasets it reads.
        outputs: the datasets it writes.
        facets: the keys of all facets on its events.
    """

    kind: str
    runs: dict[str, list[str]] = field(default_factory=dict)
    inputs: set[Name] = field(default_factory=set)
    outputs: set[Name] = field(default_factory=set)
    facets: set[str] = field(default_factory=set)

    @property
    def ends(self) -> Counter[str]:
        """How many runs ended which way; `RUNNING` for those that have not."""
        return Counter(
            states[-1] if states[-1] in END_STATES else "RUNNING" for states in self.runs.values()
        )


@dataclass
class Lineage:
    """All jobs of an events file.

    Args:
        jobs: by namespace and name.
        observed: the datasets that were looked at.
        events: how many events there are.
    """

    jobs: dict[Name, Job] = field(default_factory=dict)
    observed: set[Name] = field(default_factory=set)
    events: int = 0

    @property
    def datasets(self) -> set[Name]:
        """The datasets that any job reads or writes, and those that were observed."""
        return self.observed.union(*(job.inputs | job.outputs for job in self.jobs.values()))

    @property
    def edges(self) -> set[tuple[Name, Name]]:
        """From dataset to dataset, through the job that makes the second of the first."""
        return {
            (source, target)
            for job in self.jobs.values()
            for source in job.inputs
            for target in job.outputs
        }


def read_events(path: Path) -> list[Json]:
    """Read an events file, as openlineage-python's file transport writes it.

    Args:
        path: one event a line; a last line that is not finished yet is left out.

    Returns:
        The events in order.
    """
    if not path.exists():
        return []
    lines = path.read_text().split("\n")[:-1]
    return [json.loads(line) for line in lines]


def read_lineage(events: Iterable[Json]) -> Lineage:
    """Gather what events say.

    Args:
        events: RunEvents and DatasetEvents, in order.

    Returns:
        The lineage.
    """
    lineage = Lineage()
    for event in events:
        lineage.events += 1
        if "dataset" in event:
            lineage.observed.add((event["dataset"]["namespace"], event["dataset"]["name"]))
            continue
        name = (event["job"]["namespace"], event["job"]["name"])
        kind = event["job"]["facets"]["jobType"]["jobType"]
        job = lineage.jobs.setdefault(name, Job(kind))
        job.runs.setdefault(event["run"]["runId"], []).append(event["eventType"])
        job.facets |= event["run"]["facets"].keys() | event["job"]["facets"].keys()
        for side, of_job in ((event["inputs"], job.inputs), (event["outputs"], job.outputs)):
            for dataset in side:
                of_job.add((dataset["namespace"], dataset["name"]))
                for key in ("facets", "inputFacets", "outputFacets"):
                    job.facets |= (dataset.get(key) or {}).keys()
    return lineage


def comparable(events: Iterable[Json]) -> dict[str, list[Json]]:
    """Make the events of two executions of the same comparable.

    Args:
        events: of one execution.

    Returns:
        By name of the job or dataset the events in order, without what differs from one Dagster
        run to the next: run ids, times, stack traces, and the data versions that Dagster makes of
        run ids.
    """
    by_job: dict[str, list[Json]] = defaultdict(list)
    for event in events:
        copy = json.loads(json.dumps(event))
        del copy["eventTime"]
        if "dataset" in copy:
            by_job[copy["dataset"]["name"]].append(copy)
            continue
        facets = copy["run"]["facets"]
        del copy["run"]["runId"]
        facets["dagster_run"].pop("runId")
        for key in ("run", "root"):
            if "parent" in facets:
                holder = facets["parent"]
                (holder["root"]["run"] if key == "root" else holder["run"]).pop("runId")
        if "errorMessage" in facets:
            facets["errorMessage"].pop("stackTrace", None)
        for dataset in copy["inputs"] + copy["outputs"]:
            dataset["facets"].pop("version", None)
        by_job[event["job"]["name"]].append(copy)
    return dict(by_job)
