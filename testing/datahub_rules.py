"""DataHub's rules for OpenLineage events: a stand-in, written from the source of its converter.

The converter is Java and no registry has it: `metadata-integration/java/openlineage-converter`,
`OpenLineageToDataHub` of the releases up to 1.4, and `OpenLineageJobMapper`,
`OpenLineageRunMapper` and `OpenLineagePlatformResolver` of its main branch in autumn 2026. Only
what decides names, edges and refusals is here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

Json = dict[str, Any]

_PLATFORMS = {"awsathena": "athena", "sqlserver": "mssql"}
_FILE_SYSTEMS = ("s3", "gs", "file", "hdfs", "abfs", "abfss", "wasbs", "dbfs")


class RefusedError(Exception):
    """DataHub answers 500."""


@dataclass(frozen=True)
class Server:
    """A DataHub.

    Args:
        is_release: whether it has the rules of the releases; those of the main branch otherwise.
        orchestrator: its `DATAHUB_OPENLINEAGE_ORCHESTRATOR`.
    """

    is_release: bool = False
    orchestrator: str | None = None


@dataclass
class DataJob:
    """A data job, as its last event left it.

    Args:
        flow: the URN of its flow.
        upstream: URNs of the jobs that it comes after: edges between jobs.
        inputs: URNs of datasets.
        outputs: URNs of datasets.
        tags: of job and run.
    """

    flow: str
    upstream: set[str]
    inputs: list[str]
    outputs: list[str]
    tags: set[str]


@dataclass
class DataHub:
    """What a server has of the events that it took.

    Args:
        server: decides.
        jobs: by URN.
        refused: events that it answered with 500.
    """

    server: Server
    jobs: dict[str, DataJob] = field(default_factory=dict)
    refused: list[Json] = field(default_factory=list)

    def take(self, events: list[Json]) -> DataHub:
        """Take events one after the other.

        Args:
            events: of any kind.

        Returns:
            Itself.
        """
        for event in events:
            try:
                self._take(event)
            except RefusedError:
                self.refused.append(event)
        return self

    @property
    def flows(self) -> set[str]:
        """The names of all flows."""
        return {job.flow.split(",")[1] for job in self.jobs.values()}

    @property
    def ghosts(self) -> set[str]:
        """URNs of jobs that others name as upstream and of which no event came."""
        return {each for job in self.jobs.values() for each in job.upstream} - self.jobs.keys()

    def _take(self, event: Json) -> None:
        if "run" not in event:
            if self.server.is_release:
                raise RefusedError
            return
        job, facets = event["job"], event["run"]["facets"]
        integration = job["facets"]["jobType"]["integration"]
        engine = facets.get("processing_engine", {}).get("name")
        flow, urn = self._urns(job, self._orchestrator(engine, integration))
        upstream = set()
        if parent := facets.get("parent"):
            # Neither the engine nor the integration of the parent is in the facet.
            upstream.add(self._urns(parent["job"], self._orchestrator(None, None))[1])
        if not self.server.is_release:
            for each in facets.get("jobDependencies", {}).get("upstream", ()):
                orchestrator = self._orchestrator(engine, integration)
                upstream.add(self._urns(each["job"], orchestrator)[1])
        tags = [*_tags(job["facets"]), *_tags(facets)]
        self.jobs[urn] = DataJob(
            flow,
            upstream,
            [dataset_urn(each) for each in event["inputs"]],
            [dataset_urn(each) for each in event["outputs"]],
            {tag["key"] for tag in tags},
        )

    def _orchestrator(self, engine: str | None, integration: str | None) -> str:
        if self.server.is_release:
            candidates = (self.server.orchestrator, engine)
        else:
            candidates = (self.server.orchestrator, integration, engine)  # type: ignore[assignment]
        found = next((each.lower() for each in candidates if each), None)
        if found is None and self.server.is_release:
            raise RefusedError
        return found or "unknown"

    @staticmethod
    def _urns(job: Json, orchestrator: str) -> tuple[str, str]:
        group = job["name"].split(".")[0]
        flow = f"urn:li:dataFlow:({orchestrator},{group},{job['namespace']})"
        return flow, f"urn:li:dataJob:({flow},{job['name']})"


def dataset_urn(dataset: Json) -> str:
    """Name a dataset as DataHub does.

    Args:
        dataset: an input or output.

    Returns:
        The URN, in the environment PROD.
    """
    namespace, name = dataset["namespace"], dataset["name"]
    for symlink in dataset.get("facets", {}).get("symlinks", {}).get("identifiers", ()):
        if symlink["type"] == "TABLE":
            namespace, name = "hive", symlink["name"]
    platform = namespace
    if "://" in namespace:
        parts = urlsplit(namespace)
        platform = _PLATFORMS.get(parts.scheme, parts.scheme)
        if platform in _FILE_SYSTEMS:
            name = f"{parts.netloc}/{name}" if parts.netloc else name
    return f"urn:li:dataset:(urn:li:dataPlatform:{platform},{name},PROD)"


def _tags(facets: Json) -> list[Json]:
    found: list[Json] = facets.get("tags", {}).get("tags", [])
    return found
