"""Facets with official names are what the official schemas say, or are left out."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openlineage.client.generated.datasource_dataset import DatasourceDatasetFacet

import openlineage_spec
from openlineage_dagster_core.conversion import custom
from openlineage_dagster_core.conversion.official import official_facets
from openlineage_dagster_core.version import PRODUCER
from recorded_run import converted, one

Json = dict[str, Any]

UUID = "0190b0a5-1c1b-7c1b-8c1b-0190b0a51c1b"
VALID: list[tuple[str, str, Json]] = [
    ("dataset", "dataSource", {"name": "db", "uri": "postgres://host/db"}),
    ("dataset", "dataSource", {}),
    ("dataset", "dataSource", {"name": None, "more": {"of": ["mine"]}}),
    ("dataset", "schema", {"fields": [{"name": "a", "fields": [{"name": "b", "x": 1}]}]}),
    ("dataset", "schema", {"fields": [{"name": "a", "ordinal_position": 1.0}]}),
    ("dataset", "ownership", {"owners": [{"name": "ada", "type": None}, None]}),
    (
        "dataset",
        "columnLineage",
        {"fields": {"a": {"inputFields": [{"namespace": "n", "name": "m", "field": "f"}]}}},
    ),
    ("dataset", "lifecycleStateChange", {"lifecycleStateChange": "DROP"}),
    ("dataset", "dataQualityMetrics", {"rowCount": 1, "columnMetrics": {"a": {"sum": 1}}}),
    (
        "dataset",
        "dataQualityMetrics",
        {"lastUpdated": "2026-02-28T12:00:00.123Z", "columnMetrics": {}},
    ),
    (
        "dataset",
        "lineage",
        {"inputs": [{"namespace": "n", "name": "m", "type": "DATASET"}], "fields": {}},
    ),
    ("dataset", "version", {"datasetVersion": "1"}),
    ("dataset", "tags", {"tags": [{"key": "a", "value": "b"}]}),
    (
        "output",
        "subset",
        {"outputCondition": {"type": "location", "locations": ["s3://bucket/a"]}},
    ),
    ("output", "outputStatistics", {"rowCount": 1}),
    ("run", "errorMessage", {"message": "a", "programmingLanguage": "PYTHON"}),
    ("run", "nominalTime", {"nominalStartTime": "2026-02-28T12:00:00+01:00"}),
    ("run", "executionParameters", {"parameters": [{"key": "a", "value": "5"}]}),
    ("job", "ownership", {"owners": [{"name": "ada"}]}),
    ("job", "sourceCodeLocation", {"type": "git", "url": "https://host/a"}),
    ("job", "sql", {"query": "select 1"}),
]
INVALID: list[tuple[str, str, Json]] = [
    ("dataset", "dataSource", {"name": 5}),
    ("dataset", "dataSource", {"name": ["a"]}),
    ("dataset", "dataSource", {"name": "db", "uri": "not an address"}),
    ("dataset", "dataSource", {"name": "db", "uri": {}}),
    ("dataset", "schema", {"fields": {"name": "a"}}),
    ("dataset", "schema", {"fields": ["a"]}),
    ("dataset", "schema", {"fields": [{"type": "int"}]}),
    ("dataset", "schema", {"fields": [{"name": "a", "fields": [{"name": 1}]}]}),
    ("dataset", "schema", {"fields": [{"name": "a", "ordinal_position": 1.5}]}),
    ("dataset", "schema", {"fields": [{"name": "a", "ordinal_position": True}]}),
    ("dataset", "ownership", {"owners": "ada"}),
    ("dataset", "columnLineage", {}),
    ("dataset", "columnLineage", {"fields": {"a": {"inputFields": [{"name": "m"}]}}}),
    ("dataset", "columnLineage", {"fields": {"a": ["b"]}}),
    ("dataset", "lifecycleStateChange", {"lifecycleStateChange": "MOVE"}),
    ("dataset", "dataQualityMetrics", {"rowCount": "many"}),
    ("dataset", "dataQualityMetrics", {"lastUpdated": "2026-02-30T12:00:00Z", "columnMetrics": {}}),
    ("dataset", "dataQualityMetrics", {"lastUpdated": "2026-02-28T12:00:00", "columnMetrics": {}}),
    ("dataset", "lineage", {"inputs": [{"namespace": "n", "name": "m", "type": "FILE"}]}),
    ("dataset", "version", {"datasetVersion": None}),
    ("output", "subset", {"outputCondition": {"type": "place", "locations": ["s3://bucket/a"]}}),
    ("output", "subset", {"outputCondition": {"locations": ["s3://bucket/a"]}}),
    ("run", "errorMessage", {"message": "a"}),
    ("run", "errorMessage", {"message": None, "programmingLanguage": "PYTHON"}),
    ("run", "nominalTime", {"nominalStartTime": "yesterday"}),
    ("run", "executionParameters", {"parameters": [{"key": "a", "more": 1}]}),
    ("run", "jobDependencies", {"upstream": [{"job": {}, "run": {"runId": "42"}}]}),
    ("job", "sourceCodeLocation", {"type": "git", "url": "a b"}),
    ("job", "sql", {"query": ["select 1"]}),
]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    custom.mistakes.clear()
    yield
    custom.mistakes.clear()


def checked(place: str, name: str, facet: object) -> Json | None:
    found = custom._checked({f"{place}_facets": {name: facet, "own": {"a": 1}}}, "orders")
    assert found[place]["own"]["a"] == 1
    return found[place].get(name)


@pytest.mark.parametrize(("place", "name", "facet"), VALID)
def test_a_valid_official_facet_gets_through_with_its_schema(
    place: str, name: str, facet: Json
) -> None:
    sent = checked(place, name, facet)
    assert sent is not None
    assert sent.items() >= facet.items()
    assert sent["_producer"] == PRODUCER
    assert sent["_schemaURL"] == official_facets(custom.PLACES[place])[name]._get_schema()
    assert openlineage_spec.facet_faults(name, _without_none(sent)) == []
    assert not custom.mistakes


@pytest.mark.parametrize(("place", "name", "facet"), INVALID)
def test_a_facet_that_is_not_what_its_official_name_says_is_left_out(
    place: str, name: str, facet: Json, caplog: pytest.LogCaptureFixture
) -> None:
    if openlineage_spec.is_present():
        kind = official_facets(custom.PLACES[place])[name]
        sent = {**_without_none(facet), "_producer": PRODUCER, "_schemaURL": kind._get_schema()}
        assert openlineage_spec.facet_faults(name, sent) != []
    with caplog.at_level(logging.ERROR, "openlineage_dagster_core"):
        assert checked(place, name, facet) is None
        assert checked(place, name, facet) is None
    [record] = caplog.records
    assert f"orders: {place} facet {name}" in record.getMessage()
    assert custom.mistakes == {"orders": 2}


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_none(item) for item in value if item is not None]
    return value


def test_events_with_official_facets_of_users_are_valid() -> None:
    facets = {"dataSource": {"name": "db", "uri": 5}, "schema": {"fields": [{"name": "mine"}]}}

    @dg.asset(
        metadata={
            "openlineage/dataset_facets": facets,
            "openlineage/run_facets": {"errorMessage": {"message": "a"}},
        }
    )
    def orders() -> dg.MaterializeResult:
        source = DatasourceDatasetFacet(name="other", uri="https://host")
        return dg.MaterializeResult(
            metadata={"openlineage/output_facets": {"outputStatistics": {"rowCount": 7}}},
            tags={"source": str(source.name)},
        )

    jobs = [dg.define_asset_job("all")]
    [written] = one(converted(dg.Definitions([orders], jobs=jobs), "all"), "orders", "COMPLETE")[
        "outputs"
    ]
    assert written["facets"]["dataSource"]["name"] == written["namespace"]
    assert [field["name"] for field in written["facets"]["schema"]["fields"]] == ["mine"]
    assert written["outputFacets"]["outputStatistics"]["rowCount"] == 7


def test_the_address_of_a_source_loses_its_secrets() -> None:
    sent = checked("dataset", "dataSource", {"uri": "postgres://user:hunter2@host/db"})
    assert sent is not None
    assert sent["uri"] == "postgres://host/db"


def test_a_wrong_value_is_not_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    for name, facet in (("dataSource", {"uri": "hunter2"}), ("schema", {"fields": "hunter2"})):
        checked("dataset", name, facet)
    checked("run", "nominalTime", {"nominalStartTime": "hunter2"})
    assert "hunter2" not in caplog.text
    assert sum(custom.mistakes.values()) == 3


def test_an_official_name_elsewhere_is_a_name_like_any_other() -> None:
    sent = checked("run", "schema", {"fields": 5})
    assert sent is not None
    assert sent["_schemaURL"].endswith("/RunFacet")


def test_every_official_facet_is_known_by_its_name() -> None:
    if not openlineage_spec.is_present():
        pytest.skip("no official schemas")
    names = {
        name
        for path in (openlineage_spec.SPEC_DIR / "facets").glob("*.json")
        for name in json.loads(path.read_text())["properties"]
    }
    known = {name for base in custom.PLACES.values() for name in official_facets(base)}
    assert known == names


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OFFICIAL = [
    (place, name) for place, base in custom.PLACES.items() for name in official_facets(base)
]


@given(st.data())
def test_what_gets_through_is_valid_whatever_it_is(data: st.DataObject) -> None:
    place, name = data.draw(st.sampled_from(OFFICIAL))
    fields = official_facets(custom.PLACES[place])[name].__slots__
    facet = data.draw(st.dictionaries(st.sampled_from(fields or ("a",)), json_values, max_size=3))
    sent = checked(place, name, facet)
    if sent is not None:
        assert openlineage_spec.facet_faults(name, _without_none(sent)) == []
