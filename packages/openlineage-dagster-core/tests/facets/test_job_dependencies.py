import json

from openlineage.client.serde import Serde

from openlineage_dagster_core.facets.job_dependencies import Upstream, job_dependencies_facet
from openlineage_spec import facet_faults

RUN_ID = "0196d6a0-0000-7000-8000-000000000001"
A = Upstream("dagster", "a", RUN_ID, "DIRECT_INVOCATION")
B = Upstream("dagster", "b", None, "IMPLICIT_DEPENDENCY")


def test_upstream_runs_come_once_and_in_order() -> None:
    facet = json.loads(Serde.to_json(job_dependencies_facet([B, A, B])))
    assert facet_faults("jobDependencies", facet) == []
    assert facet["upstream"] == [
        {
            "job": {"namespace": "dagster", "name": "a"},
            "run": {"runId": RUN_ID},
            "dependency_type": "DIRECT_INVOCATION",
        },
        {
            "job": {"namespace": "dagster", "name": "b"},
            "dependency_type": "IMPLICIT_DEPENDENCY",
        },
    ]
    assert "downstream" not in facet


def test_a_run_id_that_is_none_is_left_out() -> None:
    facet = json.loads(Serde.to_json(job_dependencies_facet([Upstream("n", "a", "42", "X")])))
    assert facet_faults("jobDependencies", facet) == []
    assert "run" not in facet["upstream"][0]


def test_without_upstream_there_is_no_facet() -> None:
    assert job_dependencies_facet([]) is None
