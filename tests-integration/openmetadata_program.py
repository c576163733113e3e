"""Gives events to OpenMetadata's own OpenLineage source, and prints what that would write.

It runs with the Python of an environment that has `openmetadata-ingestion`, and imports nothing of
ours. Standard input has `events`, and the full names of the `tables` that OpenMetadata knows, all
in the service `warehouse`. The server is the only thing replaced: its client answers from those.
"""

from __future__ import annotations

import fnmatch
import json
import logging
import sys
import uuid
import warnings
from types import SimpleNamespace
from typing import Any
from unittest import mock

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

from metadata.generated.schema.api.data.createPipeline import (  # noqa: E402
    CreatePipelineRequest,
)
from metadata.generated.schema.entity.data.pipeline import Pipeline  # noqa: E402
from metadata.ingestion.source.pipeline.openlineage.metadata import (  # noqa: E402
    OpenlineageSource,
)
from metadata.utils import fqn  # noqa: E402

SERVICE = "warehouse"
CONFIG = {
    "type": "openlineage",
    "serviceName": "openlineage_source",
    "serviceConnection": {
        "config": {
            "type": "OpenLineage",
            "brokerConfig": {
                "brokersUrl": "127.0.0.1:1",
                "topicName": "lineage",
                "consumerGroupName": "tests",
                "poolTimeout": 0.1,
                "sessionTimeout": 1,
            },
        }
    },
    "sourceConfig": {
        "config": {"type": "PipelineMetadata", "lineageInformation": {"dbServiceNames": [SERVICE]}}
    },
}


class Server:
    """Answers what the source asks of OpenMetadata's API."""

    def __init__(self, tables: list[str]) -> None:
        self.entities = {("Table", name): self._entity(name) for name in tables}
        self.client = SimpleNamespace(get=lambda _: {"serviceType": "Postgres"})

    @staticmethod
    def _entity(name: str) -> Any:
        root = uuid.uuid5(uuid.NAMESPACE_URL, name)
        return SimpleNamespace(
            id=SimpleNamespace(root=root), fullyQualifiedName=SimpleNamespace(root=name)
        )

    def add(self, kind: str, name: str) -> None:
        self.entities[kind, name] = self._entity(name)

    def name_of(self, root: uuid.UUID) -> str:
        return next(name for (_, name), each in self.entities.items() if each.id.root == root)

    def get_by_name(self, entity: Any, fqn: str, **_: Any) -> Any:
        return self.entities.get((entity.__name__, fqn))

    def es_search_from_fqn(self, entity_type: Any, fqn_search_string: str, **_: Any) -> Any:
        return [
            each
            for (kind, name), each in self.entities.items()
            if kind == entity_type.__name__ and fnmatch.fnmatch(name, fqn_search_string)
        ]

    def create_or_update(self, request: Any) -> None:
        self.add("PipelineService", request.name.root)

    def get_lineage_by_id(self, **_: Any) -> None:
        return None

    def list_all_entities(self, **_: Any) -> list[Any]:
        return []


class Consumer:
    """Gives the events as Kafka's consumer would, and then nothing."""

    def __init__(self, events: list[Any]) -> None:
        self._texts = [json.dumps(event) for event in events]

    def poll(self, **_: Any) -> Any:
        if not self._texts:
            return None
        text = self._texts.pop(0)
        return SimpleNamespace(error=lambda: None, value=lambda: text)

    def close(self) -> None:
        """Do nothing."""


def main() -> None:
    """Print pipelines, edges between tables and pipelines, and how many events it could read."""
    given = json.load(sys.stdin)
    server: Any = Server(given["tables"])
    place = "metadata.ingestion.source.pipeline.pipeline_service"
    with (
        mock.patch(f"{place}.create_connection", return_value=None),
        mock.patch(f"{place}.get_connection", return_value=Consumer(given["events"])),
        mock.patch(f"{place}.PipelineServiceSource.test_connection"),
    ):
        source = OpenlineageSource.create(CONFIG, server)
    source.prepare()
    context = source.context.get()
    context.__dict__["pipeline_service"] = "openlineage_source"
    pipelines, edges, read = [], [], 0
    for event in source.get_pipelines_list() or ():
        read += 1
        for each in source.yield_pipeline(event):
            assert isinstance(each.right, CreatePipelineRequest), each
            name, service = each.right.name.root, str(each.right.service.root)
            context.__dict__["pipeline"] = name
            full_name = fqn.build(
                server, entity_type=Pipeline, service_name=service, pipeline_name=name
            )
            server.add("Pipeline", full_name)
            pipelines.append([service, name])
        for each in source.yield_pipeline_lineage_details(event):
            edge = each.right.edge
            details = edge.lineageDetails
            ends = [server.name_of(end.id.root) for end in (edge.fromEntity, edge.toEntity)]
            columns = [
                [[column.root for column in made.fromColumns], made.toColumn.root]
                for made in details.columnsLineage or ()
            ]
            through = server.name_of(details.pipeline.id.root) if details.pipeline else None
            edges.append([*ends, through, columns])
    json.dump({"pipelines": pipelines, "edges": edges, "read": read}, sys.stdout)


if __name__ == "__main__":
    main()
