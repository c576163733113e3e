import json
from typing import Any

import pytest
from dagster import MetadataValue
from openlineage.client.serde import Serde

from openlineage_dagster_core.facets.output_statistics import output_statistics_facet
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
