import json
from typing import Any

import pytest
from dagster import MetadataValue, TableRecord
from hypothesis import given
from hypothesis import strategies as st
from openlineage.client.serde import Serde

from openlineage_dagster_core.facets.data_quality import (
    COLUMN_METRICS,
    LAST_UPDATED,
    dataset_metrics_facet,
    metrics_facet,
    output_statistics_facet,
)
from openlineage_spec import facet_faults


def statistics(**metadata: Any) -> dict[str, Any] | None:
    built = output_statistics_facet({key.replace("__", "/"): v for key, v in metadata.items()})
    if built is None:
        return None
    facet = json.loads(Serde.to_json(built))
    assert facet_faults("outputStatistics", facet) == []
    return {key: value for key, value in facet.items() if not key.startswith("_")}


def test_rows_bytes_and_files_are_counted() -> None:
    assert statistics(
        dagster__row_count=MetadataValue.int(10),
        openlineage__size_bytes=MetadataValue.int(2048),
        openlineage__file_count=3,
    ) == {"rowCount": 10, "size": 2048, "fileCount": 3}


def test_the_rows_of_the_partition_say_more_than_the_tables() -> None:
    rows = {"dagster__row_count": MetadataValue.int(10)}
    assert statistics(**rows, dagster__partition_row_count=MetadataValue.int(2)) == {"rowCount": 2}
    assert statistics(**rows, dagster__partition_row_count=MetadataValue.text("2")) == {
        "rowCount": 10
    }


@pytest.mark.parametrize(
    "value", [True, -1, 1.5, "7", None, 2**63, MetadataValue.float(1.0), MetadataValue.null(), []]
)
def test_what_is_no_count_is_left_out(value: Any) -> None:
    assert statistics(openlineage__size_bytes=value, openlineage__file_count=value) is None
    assert statistics(dagster__row_count=value) is None


def test_no_other_name_is_a_size() -> None:
    assert statistics(size_bytes=1, dagster__size_bytes=1) is None


def test_integrations_count_under_names_of_their_own() -> None:
    assert statistics(rows_loaded=MetadataValue.int(7), dagster__row_count=9) == {"rowCount": 7}
    assert statistics(estimated_size_mb=MetadataValue.float(1.5)) == {"size": 1_572_864}
    assert statistics(estimated_size_mb=1.5, openlineage__size_bytes=7) == {"size": 7}
    for nothing in (float("nan"), float("inf"), -1.0, True, "1", 1e300):
        assert statistics(estimated_size_mb=nothing) is None


def metrics(metadata: dict[str, Any]) -> dict[str, Any] | None:
    built = metrics_facet(metadata), dataset_metrics_facet(metadata, 1767225600.5)
    if built == (None, None):
        return None
    for_input, for_dataset = (json.loads(Serde.to_json(facet)) for facet in built)
    for facet in (for_input, for_dataset):
        assert facet_faults("dataQualityMetrics", facet) == []
        json.dumps(facet, allow_nan=False)
        del facet["_schemaURL"], facet["_producer"]
        facet.pop("_deleted", None)
    assert for_dataset.pop("captureDate") == "2026-01-01T00:00:00.500000+00:00"
    assert for_input == for_dataset
    return for_input


def test_values_may_stand_bare_or_as_metadata() -> None:
    expected = {
        "rowCount": 10,
        "lastUpdated": "2026-01-01T00:00:00+00:00",
        "columnMetrics": {"id": {"nullCount": 0}},
    }
    bare = {
        "dagster/row_count": 10,
        LAST_UPDATED: 1767225600,
        COLUMN_METRICS: {"id": {"nullCount": 0}},
    }
    assert metrics(bare) == expected
    assert (
        metrics(
            {
                "dagster/row_count": MetadataValue.int(10),
                LAST_UPDATED: MetadataValue.timestamp(1767225600.0),
                COLUMN_METRICS: MetadataValue.json({"id": {"nullCount": 0}}),
            }
        )
        == expected
    )


def test_the_rows_of_the_partition_come_first() -> None:
    assert metrics({"dagster/row_count": 10, "dagster/partition_row_count": 2}) == {
        "rowCount": 2,
        "columnMetrics": {},
    }


def test_all_that_the_schema_has_is_kept() -> None:
    column = {
        "nullCount": 1, "distinctCount": 2, "sum": 3.5, "count": 4, "min": -1, "max": 9,
        "quantiles": {"0.5": 2, "1": 9.0},
    }  # fmt: skip
    assert metrics({COLUMN_METRICS: {"a": column}}) == {"columnMetrics": {"a": column}}


@pytest.mark.parametrize(
    "column",
    [
        {"nullCount": -1}, {"nullCount": 1.5}, {"distinctCount": True}, {"sum": "3"}, {"mean": 3},
        {"min": float("nan")}, {"max": float("inf")}, {"sum": 10**400}, {"quantiles": {"0.5": "x"}},
        {"quantiles": []}, {"quantiles": {1: 2}}, {}, None, 3, [],
    ],
)  # fmt: skip
def test_what_the_schema_does_not_have_is_left_out(column: Any) -> None:
    assert metrics({COLUMN_METRICS: {"a": column, "b": {"count": 1}}}) == {
        "columnMetrics": {"b": {"count": 1}}
    }
    assert metrics({COLUMN_METRICS: {"a": column}}) is None


def test_names_of_columns_are_made_safe() -> None:
    found = metrics({COLUMN_METRICS: {"a\nb": {"count": 1}, 1: {"count": 1}}})
    assert found
    [name] = found["columnMetrics"]
    assert name.startswith("a_b-")


@pytest.mark.parametrize("seconds", [True, "now", float("nan"), float("inf"), 1e300, -1e300, None])
def test_what_is_no_time_is_left_out(seconds: Any) -> None:
    assert metrics({LAST_UPDATED: seconds}) is None


def test_without_metadata_there_is_no_facet() -> None:
    assert metrics({}) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
column_metrics = st.dictionaries(
    st.text(),
    st.dictionaries(st.sampled_from(["nullCount", "sum", "count", "quantiles", "x"]), json_values),
)


@given(json_values, json_values | st.floats(), json_values | column_metrics)
def test_no_metadata_breaks_it(rows: Any, updated: Any, columns: Any) -> None:
    metrics({"dagster/row_count": rows, LAST_UPDATED: updated, COLUMN_METRICS: columns})


def test_the_statistics_of_polars_are_metrics_of_columns() -> None:
    rows = [
        {"statistic": "count", "id": 2.0, "name": "2"},
        {"statistic": "null_count", "id": 1.0, "name": "0"},
        {"statistic": "mean", "id": 1.5, "name": ""},
        {"statistic": "min", "id": 1.0, "name": "a"},
        {"statistic": "50%", "id": float("nan"), "name": "b"},
        {"statistic": "75%", "id": 2.0, "name": ""},
    ]
    table = MetadataValue.table([TableRecord(row) for row in rows])
    found = metrics({"stats": table})
    assert found is not None
    assert found["columnMetrics"] == {
        "id": {"count": 2.0, "nullCount": 1, "min": 1.0, "quantiles": {"0.75": 2.0}},
        "name": {"count": 2.0, "nullCount": 0},
    }
