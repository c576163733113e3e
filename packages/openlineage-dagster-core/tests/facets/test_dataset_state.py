import json

from openlineage.client.serde import Serde

from openlineage_dagster_core.facets.dataset_state import (
    Partition,
    input_subset_facet,
    output_subset_facet,
    wiped_facet,
)
from openlineage_spec import facet_faults

PARTITIONS: list[Partition] = [
    ("2026-01-01|eu", (("region", "eu"), ("day", "2026-01-01"))),
    ("2026-01-02|\x00", ()),
]
CONDITION = {
    "type": "partition",
    "partitions": [
        {"identifier": "2026-01-01|eu", "dimensions": {"day": "2026-01-01", "region": "eu"}},
        {"identifier": "2026-01-02|\ufffd", "dimensions": {}},
    ],
}


def test_the_partitions_that_were_read_are_told() -> None:
    facet = json.loads(Serde.to_json(input_subset_facet(PARTITIONS)))
    assert facet_faults("subset", facet) == []
    assert facet["inputCondition"] == CONDITION


def test_the_partitions_that_were_made_are_told() -> None:
    facet = json.loads(Serde.to_json(output_subset_facet(PARTITIONS)))
    assert facet_faults("subset", facet) == []
    assert facet["outputCondition"] == CONDITION


def test_nothing_of_a_dataset_is_a_part_too() -> None:
    facet = json.loads(Serde.to_json(input_subset_facet([])))
    assert facet_faults("subset", facet) == []
    assert facet["inputCondition"]["partitions"] == []


def test_a_wiped_asset_is_truncated() -> None:
    facet = json.loads(Serde.to_json(wiped_facet()))
    assert facet_faults("lifecycleStateChange", facet) == []
    assert facet["lifecycleStateChange"] == "TRUNCATE"
