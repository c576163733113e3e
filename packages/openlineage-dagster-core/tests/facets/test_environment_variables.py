import json

from openlineage.client.serde import Serde

from openlineage_dagster_core.facets.environment_variables import environment_variables_facet
from openlineage_spec import facet_faults


def test_variables_are_in_order_and_without_secrets() -> None:
    built = environment_variables_facet({"B_TOKEN": "x", "A": "a\x00", "C": "https://u:p@h"})
    facet = json.loads(Serde.to_json(built))
    assert facet_faults("environmentVariables", facet) == []
    assert facet["environmentVariables"] == [
        {"name": "A", "value": "a\ufffd"},
        {"name": "B_TOKEN", "value": "***"},
        {"name": "C", "value": "https://***@h"},
    ]


def test_without_variables_there_is_no_facet() -> None:
    assert environment_variables_facet({}) is None
