import json

from openlineage.client.serde import Serde

from openlineage_dagster_core.facets.run import (
    Upstream,
    environment_variables_facet,
    error_facet,
    job_dependencies_facet,
)
from openlineage_dagster_core.facts.model import ErrorFacts
from openlineage_spec import facet_faults


def test_message_and_stack_come_without_secrets() -> None:
    text = "cannot connect to postgres://me:hunter2@db/x"
    facet = json.loads(Serde.to_json(error_facet(ErrorFacts(text, f"Stack: {text}"))))
    assert facet_faults("errorMessage", facet) == []
    assert facet["message"] == "cannot connect to postgres://***@db/x"
    assert facet["stackTrace"] == "Stack: cannot connect to postgres://***@db/x"


def test_both_are_made_fit() -> None:
    facet = error_facet(ErrorFacts("\x00", "x" * 10**6))
    assert facet.message == "\ufffd"
    assert facet.stackTrace is not None
    assert facet.stackTrace.endswith("x…")


def test_without_a_stack_there_is_none() -> None:
    assert error_facet(ErrorFacts("no")).stackTrace is None


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
