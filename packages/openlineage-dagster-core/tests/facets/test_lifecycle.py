import json

from openlineage.client.serde import Serde

from openlineage_dagster_core.facets.lifecycle import wiped_facet
from openlineage_spec import facet_faults


def test_a_wiped_asset_is_truncated() -> None:
    facet = json.loads(Serde.to_json(wiped_facet()))
    assert facet_faults("lifecycleStateChange", facet) == []
    assert facet["lifecycleStateChange"] == "TRUNCATE"
