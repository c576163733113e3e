"""Both mechanisms into a real Apache Atlas: what it holds and draws, and what failures do."""

import json
import threading
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import (
    DatasetEvent,
    InputDataset,
    Job,
    JobEvent,
    OutputDataset,
    StaticDataset,
)
from openlineage.client.generated.documentation_dataset import DocumentationDatasetFacet
from openlineage.client.generated.schema_dataset import SchemaDatasetFacet, SchemaDatasetFacetFields

import demo
from atlas_server import READER, AtlasServer
from delivery import state_of
from drivers import ReplayDriver, SensorDriver, StorageDriver, opened
from graph_of_atlas import columns_of, graph_of_atlas
from lineage_graph import Column, LineageGraph, check_graph
from openlineage_dagster_core.atlas import AtlasConfig, AtlasTransport
from openlineage_dagster_core.atlas.entities import qualified_name
from openlineage_dagster_core.atlas.typedefs import COLUMN, DATASET, JOB
from openlineage_dagster_core.engine import Outcome
from openlineage_dagster_core.version import PRODUCER
from recorded_run import execute
from shop.definitions import defs
from shop_graph import nightly

Json = dict[str, Any]

CLOSED = "http://127.0.0.1:9"
"""An address where nothing listens."""


def send_to(transport: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT", json.dumps(transport))


@pytest.fixture
def namespace(atlas: AtlasServer, atlas_namespace: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A namespace of the test's own, for what this process sends to Atlas."""
    send_to(atlas.transport(), monkeypatch)
    return atlas_namespace


def dataset_name(namespace: str, name: str) -> str:
    return qualified_name(DATASET, namespace, name)


def job_name(namespace: str, name: str) -> str:
    return qualified_name(JOB, namespace, name)


def column_name(namespace: str, dataset: str, column: str) -> str:
    return qualified_name(COLUMN, namespace, dataset, column)


def run_nightly(instance: dg.DagsterInstance) -> None:
    assert not execute(defs, "nightly", instance, tags=demo.PARTITION).success


@pytest.mark.parametrize("kind", [StorageDriver, SensorDriver, ReplayDriver])
def test_it_shows_the_graph_of_the_shop(
    kind: type[StorageDriver | SensorDriver | ReplayDriver],
    atlas: AtlasServer,
    namespace: str,
    tmp_path: Path,
) -> None:
    driver, expected = kind({"namespace": namespace}), nightly(namespace)
    with opened(driver, tmp_path / "home") as instance:
        run_nightly(instance)
        assert not driver.deliver(instance, defs).parked
    check_graph(graph_of_atlas(atlas, namespace, len(expected.runs or ())), completed(expected))
    drawn = atlas.drawn(DATASET, dataset_name(namespace, "marts/revenue"))
    assert drawn == edges(completed(expected), namespace)


def completed(graph: LineageGraph) -> LineageGraph:
    """Leave out the edges of jobs that failed: a failed run changes none."""
    failed = {job for job, states in (graph.runs or {}).items() if "FAIL" in states}
    return LineageGraph(
        graph.system,
        frozenset(edge for edge in graph.reads or () if edge[1] not in failed),
        frozenset(edge for edge in graph.writes or () if edge[0] not in failed),
        graph.runs,
        columns=graph.columns,
        assertions=graph.assertions,
    )


def edges(graph: LineageGraph, namespace: str) -> set[tuple[str, str]]:
    """Return the edges that Atlas draws: those of jobs that read and write."""
    reads, writes = graph.reads or frozenset(), graph.writes or frozenset()
    both = {job for _, job in reads} & {job for job, _ in writes}
    assert all(name[0] == namespace for name in both)
    return {
        (qualified_name(DATASET, *dataset), qualified_name(JOB, *job))
        for dataset, job in reads
        if job in both
    } | {
        (qualified_name(JOB, *job), qualified_name(DATASET, *dataset))
        for job, dataset in writes
        if job in both
    }


def everything(atlas: AtlasServer, namespace: str) -> dict[str, Json]:
    found = [*atlas.entities(JOB, namespace), *atlas.entities(DATASET, namespace)]
    return {each["attributes"]["qualifiedName"]: each for each in found}


def test_a_repeated_delivery_changes_nothing(
    atlas: AtlasServer, namespace: str, tmp_path: Path
) -> None:
    driver = StorageDriver({"namespace": namespace})
    with opened(driver, tmp_path / "home") as instance:
        run_nightly(instance)
        driver.deliver(instance, defs)
        atlas.wait_for(JOB, namespace, len(nightly(namespace).runs or ()))
        before = everything(atlas, namespace)
        ReplayDriver({"namespace": namespace}).deliver(instance, defs)
    after = everything(atlas, namespace)
    assert after.keys() == before.keys()
    changed = {
        name: [
            (key, before[name][key], value)
            for key, value in each.items()
            if value != before[name][key]
        ]
        for name, each in after.items()
    }
    assert not {name: each for name, each in changed.items() if each}


class Project:
    """An asset `made` of `one` and `other`, whose definition changes from run to run."""

    def __init__(self, home: Path, namespace: str) -> None:
        self.driver = StorageDriver({"namespace": namespace})
        self.home = home

    def run(
        self,
        deps: dict[str, str],
        columns: tuple[str, ...] = ("id",),
        fails: bool = False,
        delivers: bool = True,
    ) -> None:
        """Run it; each dependency's column becomes a column of the asset."""
        lineage = {
            column: [dg.TableColumnDep(dg.AssetKey(name), "id")] for name, column in deps.items()
        }

        @dg.asset(deps=list(deps), key="made", owners=["team:data"], description="Made.")
        def made() -> dg.MaterializeResult:
            if fails:
                raise ValueError("no luck")
            return dg.MaterializeResult(
                metadata={
                    "dagster/column_schema": schema(*columns),
                    "dagster/column_lineage": dg.TableColumnLineage(lineage),
                }
            )

        sources = [
            dg.AssetSpec(name, metadata={"dagster/column_schema": schema("id")})
            for name in ("one", "other")
        ]
        job = dg.define_asset_job("job", selection=["made"])
        definitions = dg.Definitions(assets=[made, *sources], jobs=[job])
        with opened(self.driver, self.home) as instance:
            assert execute(definitions, "job", instance).success is not fails
            if delivers:
                assert not self.driver.deliver(instance, definitions).parked


def schema(*columns: str) -> dg.TableSchema:
    return dg.TableSchema(columns=[dg.TableColumn(name, "bigint") for name in columns])


@pytest.fixture
def project(namespace: str, tmp_path: Path) -> Project:
    return Project(tmp_path / "home", namespace)


def drawn_inputs(atlas: AtlasServer, namespace: str) -> set[str]:
    drawn = atlas.drawn(DATASET, dataset_name(namespace, "made"))
    names = {dataset_name(namespace, name): name for name in ("one", "other")}
    return {names[source] for source, _ in drawn if source in names}


def drawn_columns(atlas: AtlasServer, namespace: str, column: str) -> set[Column]:
    """List what Atlas draws as the sources of a column of `made`."""
    drawn = atlas.drawn(COLUMN, column_name(namespace, "made", column))
    names = {column_name(namespace, name, "id"): name for name in ("one", "other")}
    return {((namespace, names[source]), "id") for source, _ in drawn if source in names}


def test_an_input_that_is_removed_is_not_drawn(
    atlas: AtlasServer, namespace: str, project: Project
) -> None:
    project.run({"one": "id", "other": "more"}, ("id", "more"))
    assert drawn_inputs(atlas, namespace) == {"one", "other"}
    project.run({"one": "id"}, ("id", "more"))
    assert drawn_inputs(atlas, namespace) == {"one"}
    job = atlas.entity(JOB, job_name(namespace, "made"))["entity"]
    assert len(job["attributes"]["inputs"]) == 1
    project.run({"one": "id", "other": "more"}, ("id", "more"))
    assert drawn_inputs(atlas, namespace) == {"one", "other"}


def test_columns_and_their_lineage_follow_the_latest_materialization(
    atlas: AtlasServer, namespace: str, project: Project
) -> None:
    made = dataset_name(namespace, "made")
    project.run({"one": "id", "other": "more"}, ("id", "more"))
    assert columns_of(atlas, made) == {"id": "bigint", "more": "bigint"}
    assert drawn_columns(atlas, namespace, "id") == {((namespace, "one"), "id")}
    assert drawn_columns(atlas, namespace, "more") == {((namespace, "other"), "id")}
    # The inputs of a column change, a column goes, and comes back without lineage.
    project.run({"other": "id"}, ("id",))
    assert columns_of(atlas, made) == {"id": "bigint"}
    assert drawn_columns(atlas, namespace, "id") == {((namespace, "other"), "id")}
    project.run({"other": "id"}, ("id", "more"))
    assert columns_of(atlas, made) == {"id": "bigint", "more": "bigint"}
    assert drawn_columns(atlas, namespace, "more") == set()


def test_a_run_that_fails_keeps_edges_columns_and_description(
    atlas: AtlasServer, namespace: str, project: Project
) -> None:
    project.run({"one": "id"})
    project.run({"other": "id"}, fails=True)
    job = atlas.entity(JOB, job_name(namespace, "made"))["entity"]["attributes"]
    assert job["state"] == "FAIL"
    assert "no luck" in job["error"]
    assert drawn_inputs(atlas, namespace) == {"one"}
    assert columns_of(atlas, dataset_name(namespace, "made")) == {"id": "bigint"}
    dataset = atlas.entity(DATASET, dataset_name(namespace, "made"))["entity"]["attributes"]
    assert (dataset["description"], dataset["owner"]) == ("Made.", "team:data")
    assert dataset["owners"] == ["team:data"]
    project.run({"one": "id"})
    job = atlas.entity(JOB, job_name(namespace, "made"))["entity"]["attributes"]
    assert (job["state"], job["error"]) == ("COMPLETE", None)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"auth": {"type": "basic", "username": "admin", "password": "wrong"}}, "HTTP 401"),
        ({"auth": {"type": "basic", "username": READER, "password": READER}}, "HTTP 403"),
        ({"url": CLOSED}, "ConnectionError"),
    ],
    ids=["wrong password", "no permission", "dead server"],
)
def test_what_atlas_does_not_take_waits_and_arrives_later(
    atlas: AtlasServer,
    namespace: str,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    options: Json,
    said: str,
) -> None:
    send_to(atlas.transport(**options), monkeypatch)
    project.run({"one": "id"}, delivers=False)
    passes: list[Outcome] = []
    with opened(project.driver, project.home) as instance:
        storage: Any = instance.event_log_storage
        storage.run_deliverer(once=True, should_stop=lambda: bool(passes), on_pass=passes.append)
        state = state_of(instance)
    assert state.heartbeat is not None
    assert said in state.heartbeat.trouble
    assert state.cursor is not None
    assert state.cursor.behind > 0
    assert not state.cursor.last_parked
    send_to(atlas.transport(), monkeypatch)
    project.run({"one": "id"})
    assert drawn_inputs(atlas, namespace) == {"one"}


NASTY = 'a#b%c@d "quoted" \\ é☃ <b>{x}</b>'


def test_names_and_texts_arrive_as_they_are(atlas: AtlasServer, atlas_namespace: str) -> None:
    description = "NUL \x00, tab\t, newline\n, half a pair \ud800, ☃"
    made = seen(atlas_namespace)
    field = SchemaDatasetFacetFields(NASTY, "text", NASTY)
    made.dataset.name = NASTY
    made.dataset.facets = {
        "schema": SchemaDatasetFacet([field]),
        "documentation": DocumentationDatasetFacet(description),
    }
    client = OpenLineageClient(config={"transport": atlas.transport()})
    client.emit(made)
    client.close()
    name = dataset_name(atlas_namespace, NASTY)
    found = atlas.entity(DATASET, name)["entity"]["attributes"]
    assert (found["name"], found["description"]) == (NASTY, description)
    assert columns_of(atlas, name) == {NASTY: "text"}


def seen(namespace: str) -> DatasetEvent:
    return DatasetEvent(
        eventTime="2026-01-05T03:00:00Z",
        producer=PRODUCER,
        dataset=StaticDataset(namespace, "seen"),
    )


def test_other_producers_events_of_datasets_and_jobs_arrive(
    atlas: AtlasServer, atlas_namespace: str
) -> None:
    transport = {"transport": atlas.transport()}
    client = OpenLineageClient(config=transport)
    client.emit(seen(atlas_namespace))
    client.emit(
        JobEvent(
            eventTime="2026-01-05T03:00:00Z",
            producer=PRODUCER,
            job=Job(atlas_namespace, "declared"),
            inputs=[InputDataset(atlas_namespace, "seen")],
            outputs=[OutputDataset(atlas_namespace, "made")],
        )
    )
    client.close()
    assert atlas.drawn(DATASET, dataset_name(atlas_namespace, "seen")) == {
        (dataset_name(atlas_namespace, "seen"), job_name(atlas_namespace, "declared")),
        (job_name(atlas_namespace, "declared"), dataset_name(atlas_namespace, "made")),
    }


def test_transports_that_write_the_same_at_the_same_time_make_no_duplicates(
    atlas: AtlasServer, atlas_namespace: str
) -> None:
    def emit() -> None:
        transport = AtlasTransport(AtlasConfig.from_dict(atlas.transport()))
        transport.emit(seen(atlas_namespace))
        transport.close()

    threads = [threading.Thread(target=emit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(atlas.wait_for(DATASET, atlas_namespace, 1)) == 1


def test_atlas_refuses_what_is_not_valid_with_4xx(atlas: AtlasServer) -> None:
    """What the failure policy relies on: a refusal has another status than a fault."""
    unknown = {"entities": [{"typeName": "openlineage_nothing", "attributes": {}}]}
    assert atlas.request("POST", "entity/bulk", json=unknown).status_code == 400
    reader = requests.post(
        f"{atlas.url}/api/atlas/v2/entity/bulk", json=unknown, auth=(READER, READER), timeout=60
    )
    assert reader.status_code in (400, 403)
