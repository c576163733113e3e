import json

import pytest
from openlineage.client.serde import Serde

from openlineage_dagster_core.facets.symlinks import symlinks_facet
from openlineage_spec import facet_faults


def test_each_name_comes_once_and_in_order() -> None:
    built = symlinks_facet([("s3://b", "x", "LOCATION"), ("dagster", "y", "ASSET")] * 2)
    facet = json.loads(Serde.to_json(built))
    assert facet_faults("symlinks", facet) == []
    assert facet["identifiers"] == [
        {"namespace": "dagster", "name": "y", "type": "ASSET"},
        {"namespace": "s3://b", "name": "x", "type": "LOCATION"},
    ]


@pytest.mark.parametrize("kind", ["TABLE", "table", " Table "])
def test_a_table_is_refused_since_datahub_would_rename_the_dataset(kind: str) -> None:
    with pytest.raises(ValueError, match="TABLE"):
        symlinks_facet([("s3://b", "x", kind)])
