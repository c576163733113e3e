"""What tests start by Pipes: it knows Pipes, and sends events with openlineage-python."""

import sys
from contextlib import closing
from datetime import datetime, timezone

from dagster_pipes import open_dagster_pipes
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.uuid import generate_new_uuid

from dagster_openlineage import parent_run_facet


def bake() -> None:
    namespace, *names = sys.argv[1:]
    with open_dagster_pipes() as pipes, closing(OpenLineageClient()) as client:
        parent = parent_run_facet()
        assert parent is not None
        assert "dagster" not in sys.modules
        run = Run(str(generate_new_uuid()), facets={"parent": parent})
        for state in (RunState.START, RunState.COMPLETE):
            event = RunEvent(
                eventType=state,
                eventTime=datetime.now(timezone.utc).isoformat(),
                run=run,
                job=Job(namespace, "oven"),
                inputs=[InputDataset(*names[:2])],
                outputs=[OutputDataset(*names[2:])],
                producer="https://example.org/oven",
            )
            client.emit(event)
        pipes.report_asset_materialization()


if __name__ == "__main__":
    bake()
