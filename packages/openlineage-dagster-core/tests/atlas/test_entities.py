"""From an OpenLineage event to Atlas's entities."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_core.atlas.entities import qualified_name, translate
from openlineage_dagster_core.atlas.typedefs import COLUMN, COLUMN_LINEAGE, DATASET, JOB

Json = dict[str, Any]

RUN_ID = "0199a1b2-0000-7000-8000-000000000001"


def dataset(name: str, columns: list[str] | None = None, **facets: Any) -> Json:
    if columns is not None:
        facets["schema"] = {"fields": [{"name": each, "type": "int"} for each in columns]}
    return {"namespace": "dagster", "name": name, "facets": facets}


def event(state: str = "COMPLETE", **parts: Any) -> Json:
    return {
        "eventType": state,
        "eventTime": "2026-01-05T03:00:00.5Z",
        "run": {"runId": RUN_ID, "facets": parts.pop("run_facets", {})},
        "job": {"namespace": "dagster", "name": "mart/revenue", "facets": parts.pop("facets", {})},
        "inputs": [],
        "outputs": [],
        **parts,
    }


def derived(**columns: list[tuple[str, str]]) -> Json:
    """Make a facet: each column is made of columns, given with their datasets."""
    return {
        "fields": {
            column: {
                "inputFields": [
                    {"namespace": "dagster", "name": name, "field": field} for name, field in fields
                ]
            }
            for column, fields in columns.items()
        }
    }


def entities(event: Json) -> dict[str, Json]:
    """Translate; return the entities by qualified name, references replaced by names."""
    translation = translate(event)
    names = {each["guid"]: each["attributes"]["qualifiedName"] for each in translation.entities}
    assert len(set(names.values())) == len(translation.entities)

    def named(value: Any) -> Any:
        if isinstance(value, dict) and value.keys() == {"typeName", "guid"}:
            return names[value["guid"]]
        return [named(each) for each in value] if isinstance(value, list) else value

    return {
        each["attributes"]["qualifiedName"]: {
            "typeName": each["typeName"],
            **{
                key: named(value)
                for part in ("attributes", "relationshipAttributes")
                for key, value in each[part].items()
                if key != "qualifiedName"
            },
        }
        for each in translation.entities
    }


def test_a_complete_run_is_its_job_with_its_datasets_and_their_columns() -> None:
    found = entities(
        event(
            inputs=[dataset("raw/orders", ["id", "day"])],
            outputs=[dataset("mart/revenue", documentation={"description": "By day."})],
            facets={"jobType": {"jobType": "ASSET", "integration": "DAGSTER"}},
        )
    )
    job = found["job:dagster#mart/revenue@openlineage"]
    assert job == {
        "typeName": JOB,
        "name": "mart/revenue",
        "namespace": "dagster",
        "jobType": "ASSET",
        "integration": "DAGSTER",
        "state": "COMPLETE",
        "endedAt": 1767582000500,
        "runId": RUN_ID,
        "parent": None,
        "nominalStart": None,
        "nominalEnd": None,
        "error": None,
        "dagsterRunId": None,
        "url": None,
        "inputs": ["dataset:dagster#raw/orders@openlineage"],
        "outputs": ["dataset:dagster#mart/revenue@openlineage"],
        "columnLineage": [],
    }
    assert found["dataset:dagster#mart/revenue@openlineage"] == {
        "typeName": DATASET,
        "name": "mart/revenue",
        "namespace": "dagster",
        "description": "By day.",
    }
    columns = [f"column:dagster#raw/orders#{each}@openlineage" for each in ("id", "day")]
    assert found["dataset:dagster#raw/orders@openlineage"]["columns"] == columns
    assert found[columns[1]] == {
        "typeName": COLUMN,
        "name": "day",
        "type": "int",
        "position": 1,
        "dataset": "dataset:dagster#raw/orders@openlineage",
    }
    assert len(found) == 5


def test_the_edges_of_a_complete_run_are_all_that_its_job_has() -> None:
    translation = translate(event(inputs=[dataset("a"), dataset("b")], outputs=[dataset("c")]))
    assert translation.edges is not None
    assert translation.job == "job:dagster#mart/revenue@openlineage"
    assert translation.edges["inputs"] == {
        "dataset:dagster#a@openlineage",
        "dataset:dagster#b@openlineage",
    }
    assert translation.edges["outputs"] == {"dataset:dagster#c@openlineage"}


def test_a_complete_run_without_datasets_has_no_edges_any_more() -> None:
    translation = translate(event())
    assert translation.edges is not None
    assert not translation.edges["inputs"]
    assert translation.entities[0]["attributes"]["inputs"] == []


@pytest.mark.parametrize(("state", "told"), [("START", {"startedAt"}), ("RUNNING", set())])
def test_a_run_that_has_not_ended_changes_nothing_but_when_its_job_was_started(
    state: str, told: set[str]
) -> None:
    facets = {"jobType": {"jobType": "ASSET"}}
    running = event(state, inputs=[dataset("a")], outputs=[dataset("b")], facets=facets)
    [job] = entities(running).values()
    assert job.keys() == {"typeName", "name", "namespace", "jobType", *told}


@pytest.mark.parametrize("time", [None, "yesterday", "99999-01-01T00:00:00Z"])
def test_a_time_that_is_none_is_left_out(time: str | None) -> None:
    assert "endedAt" not in entities(event(eventTime=time))["job:dagster#mart/revenue@openlineage"]


@pytest.mark.parametrize("state", ["FAIL", "ABORT"])
def test_a_run_that_fails_changes_neither_datasets_nor_edges(state: str) -> None:
    failed = event(
        state,
        inputs=[dataset("a", ["id"])],
        outputs=[dataset("b")],
        run_facets={"errorMessage": {"message": "no"}},
    )
    translation = translate(failed)
    assert translation.edges is None
    [job] = translation.entities
    assert job["attributes"]["state"] == state
    assert job["attributes"]["error"] == "no"
    assert not job["attributes"].keys() & {"inputs", "outputs"}
    assert not job["relationshipAttributes"]


def test_what_a_run_says_of_itself_replaces_what_the_run_before_said() -> None:
    facets = {
        "nominalTime": {"nominalStartTime": "2026-01-05T00:00:00Z"},
        "parent": {"job": {"namespace": "dagster", "name": "nightly"}},
        "dagster_run": {"runId": "r", "url": "https://dagster.example.org/runs/r"},
    }
    job = entities(event(run_facets=facets))["job:dagster#mart/revenue@openlineage"]
    assert job["nominalStart"] == "2026-01-05T00:00:00Z"
    assert job["nominalEnd"] is None
    assert job["parent"] == "nightly"
    assert job["dagsterRunId"] == "r"
    assert job["url"] == "https://dagster.example.org/runs/r"


def test_facets_become_attributes() -> None:
    facets = {
        "ownership": {"owners": [{"name": "team:data"}, {"name": "user:ada"}]},
        "tags": {
            "tags": [
                {"key": "pii", "value": ""},
                {"key": "dagster/group", "value": "marts"},
                {"key": "pii", "value": "true", "field": "id"},
            ]
        },
        "dataSource": {"name": "x", "uri": "postgres://host:5432"},
        "datasetType": {"datasetType": "TABLE"},
        "storage": {"storageLayer": "iceberg", "fileFormat": "parquet"},
        "version": {"datasetVersion": "7"},
        "lifecycleStateChange": {"lifecycleStateChange": "TRUNCATE"},
    }
    checked = {
        **dataset("raw/orders", ["id"], **facets),
        "inputFacets": {
            "dataQualityAssertions": {
                "assertions": [
                    {"assertion": "not_null", "success": True, "column": "id"},
                    {"assertion": "is_fresh", "success": False},
                ]
            }
        },
    }
    found = entities(event(outputs=[checked]))
    described = found["dataset:dagster#raw/orders@openlineage"]
    assert described == {
        "typeName": DATASET,
        "name": "raw/orders",
        "namespace": "dagster",
        "owners": ["team:data", "user:ada"],
        "owner": "team:data, user:ada",
        "tags": ["dagster/group=marts", "pii"],
        "source": "postgres://host:5432",
        "datasetType": "TABLE",
        "storageLayer": "iceberg",
        "fileFormat": "parquet",
        "version": "7",
        "lifecycleState": "TRUNCATE",
        "assertions": {"not_null(id)": "passed", "is_fresh": "failed"},
        "columns": ["column:dagster#raw/orders#id@openlineage"],
    }
    assert found["column:dagster#raw/orders#id@openlineage"]["tags"] == ["pii=true"]


def test_the_version_of_a_dataset_is_the_one_that_was_made_last() -> None:
    version = {"version": {"datasetVersion": "7"}}
    found = entities(event(inputs=[dataset("a", **version)], outputs=[dataset("b", **version)]))
    assert "version" not in found["dataset:dagster#a@openlineage"]
    assert found["dataset:dagster#b@openlineage"]["version"] == "7"


def test_column_lineage_is_a_process_of_the_job() -> None:
    lineage = derived(total=[("raw/orders", "id"), ("raw/orders", "day")])
    lineage["fields"]["total"]["transformationDescription"] = "sum(id)"
    lineage["fields"]["total"]["inputFields"][0]["transformations"] = [
        {"type": "DIRECT", "subtype": "AGGREGATION"},
        {"type": "INDIRECT"},
    ]
    found = entities(
        event(
            inputs=[dataset("raw/orders", ["id", "day"])],
            outputs=[dataset("mart/revenue", ["total"], columnLineage=lineage)],
        )
    )
    [(name, made)] = [(k, v) for k, v in found.items() if v["typeName"] == COLUMN_LINEAGE]
    assert made == {
        "typeName": COLUMN_LINEAGE,
        "name": "mart/revenue.total",
        "inputs": [f"column:dagster#raw/orders#{each}@openlineage" for each in ("id", "day")],
        "outputs": ["column:dagster#mart/revenue#total@openlineage"],
        "kinds": ["DIRECT/AGGREGATION", "INDIRECT"],
        "expression": "sum(id)",
        "job": "job:dagster#mart/revenue@openlineage",
    }
    assert found["job:dagster#mart/revenue@openlineage"]["columnLineage"] == [name]


def names_of_lineage(**columns: list[tuple[str, str]]) -> list[str]:
    outputs = [dataset("c", ["x", "y"], columnLineage=derived(**columns))]
    found = entities(event(inputs=[dataset("a", ["id"]), dataset("b", ["id"])], outputs=outputs))
    return [name for name, each in found.items() if each["typeName"] == COLUMN_LINEAGE]


def test_column_lineage_from_other_columns_has_another_name() -> None:
    both = names_of_lineage(x=[("a", "id"), ("b", "id")])
    assert both == names_of_lineage(x=[("b", "id"), ("a", "id")])
    assert both != names_of_lineage(x=[("a", "id")])


def test_column_lineage_of_columns_that_no_schema_has_is_left_out() -> None:
    assert not names_of_lineage(z=[("a", "id")])
    assert not names_of_lineage(x=[("a", "other"), ("elsewhere", "id")])
    assert len(names_of_lineage(x=[("a", "other"), ("b", "id")], y=[("a", "id")])) == 2


def test_the_column_lineage_of_an_input_is_left_to_the_job_that_makes_it() -> None:
    read = dataset("b", ["x"], columnLineage=derived(x=[("a", "id")]))
    found = entities(event(inputs=[read, dataset("a", ["id"])], outputs=[dataset("c")]))
    assert COLUMN_LINEAGE not in {each["typeName"] for each in found.values()}


def test_a_field_inside_another_one_is_a_column_too() -> None:
    nested = {"name": "address", "type": "struct", "fields": [{"name": "city", "type": "text"}]}
    found = entities(event(outputs=[dataset("a", schema={"fields": [nested]})]))
    assert found["dataset:dagster#a@openlineage"]["columns"] == [
        "column:dagster#a#address@openlineage",
        "column:dagster#a#address.city@openlineage",
    ]


def test_a_dataset_that_its_job_reads_and_writes_is_one_entity() -> None:
    found = entities(event(inputs=[dataset("a", ["id"])], outputs=[dataset("a", ["id"])]))
    job = found["job:dagster#mart/revenue@openlineage"]
    assert job["inputs"] == job["outputs"] == ["dataset:dagster#a@openlineage"]
    assert len(found) == 3


@pytest.mark.parametrize("facets", [{}, {"schema": {"fields": []}}])
def test_the_columns_of_a_dataset_without_a_schema_stay_as_they_are(facets: Json) -> None:
    found = entities(event(outputs=[dataset("a", **facets)]))
    assert "columns" not in found["dataset:dagster#a@openlineage"]


def test_a_dataset_event_is_its_dataset() -> None:
    translation = translate({"dataset": dataset("a", ["id"]), "eventTime": "2026-01-05T03:00:00Z"})
    assert translation.edges is None
    assert [each["typeName"] for each in translation.entities] == [DATASET, COLUMN]


def test_a_job_event_declares_edges_and_says_nothing_of_a_run() -> None:
    described = {key: value for key, value in event().items() if key not in ("run", "eventType")}
    job = entities({**described, "inputs": [dataset("a")]})["job:dagster#mart/revenue@openlineage"]
    assert job["inputs"] == ["dataset:dagster#a@openlineage"]
    assert "state" not in job
    without = translate(described)
    assert without.edges is None
    assert "inputs" not in without.entities[0]["attributes"]


@given(
    st.tuples(st.text("a#%@", max_size=4), st.text("a#%@", max_size=4)),
    st.tuples(st.text("a#%@", max_size=4), st.text("a#%@", max_size=4)),
)
def test_different_datasets_have_different_names(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert (one == other) == (qualified_name(DATASET, *one) == qualified_name(DATASET, *other))
    assert qualified_name(DATASET, *one) != qualified_name(JOB, *one)


def test_an_entity_whose_name_is_empty_has_a_name_all_the_same() -> None:
    found = entities(event(outputs=[dataset("")]))
    assert found["dataset:dagster#@openlineage"]["name"] == "dataset:dagster#@openlineage"
