import json

from openlineage.client.serde import Serde

from openlineage_dagster_core.facets.documentation import (
    dataset_documentation_facet,
    job_documentation_facet,
)
from openlineage_spec import facet_faults


def test_a_description_is_markdown_and_made_fit() -> None:
    for build in (dataset_documentation_facet, job_documentation_facet):
        facet = json.loads(Serde.to_json(build("*All* orders\x00")))
        assert facet_faults("documentation", facet) == []
        assert (facet["description"], facet["contentType"]) == (
            "*All* orders\ufffd",
            "text/markdown",
        )
        assert len(build("x" * 10**6).description.encode()) == 65536
