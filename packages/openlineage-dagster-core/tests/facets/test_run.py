import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from openlineage.client.serde import Serde

from openlineage_dagster_core.facets.run import (
    Upstream,
    environment_variables_facet,
    error_facet,
    execution_parameters_facet,
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


def test_without_upstream_there_is_no_facet() -> None:
    assert job_dependencies_facet([]) is None


def parameters(run_config: dict[Any, Any], *allowed: str) -> dict[str, str] | None:
    built = execution_parameters_facet(run_config, allowed)
    if built is None:
        return None
    facet = json.loads(Serde.to_json(built))
    assert facet_faults("executionParameters", facet) == []
    keys = [parameter["key"] for parameter in facet["parameters"]]
    assert keys == sorted(keys)
    return {parameter["key"]: parameter["value"] for parameter in facet["parameters"]}


CONFIG = {
    "ops": {"load": {"config": {"limit": 10, "names": ["a", "b"], "dry": True, "none": None}}},
    "resources": {"db": {"config": {"password": "x", "credentials": {"user": "me"}}}},
}


def test_keys_have_dots_and_items_have_an_index() -> None:
    assert parameters(CONFIG, "ops.load.config.*") == {
        "ops.load.config.dry": "true",
        "ops.load.config.limit": "10",
        "ops.load.config.names.0": "a",
        "ops.load.config.names.1": "b",
        "ops.load.config.none": "null",
    }


def test_what_is_not_allowed_is_not_told() -> None:
    assert parameters(CONFIG) is None
    assert parameters(CONFIG, "limit", "OPS.*") is None
    assert parameters({}, "*") is None


def test_a_secret_is_masked_by_its_name_and_by_its_parents() -> None:
    assert parameters(CONFIG, "resources.*") == {
        "resources.db.config.credentials.user": "***",
        "resources.db.config.password": "***",
    }


def test_a_secret_is_masked_by_the_name_beside_it() -> None:
    config = {
        "env": [
            {"name": "DB_PASSWORD", "value": "hunter2"},
            {"value": {"a": "b", "c": ""}, "key": "token"},
            {"name": "REGION", "value": "eu"},
        ],
        "args": ["--token", "x", "-v"],
        "json": '{"name": "TOKEN", "value": "x"}',
        "x://u:p@h": 1,
    }
    assert parameters(config, "*") == {
        "args.0": "--token",
        "args.1": "***",
        "args.2": "-v",
        "env.0.name": "DB_PASSWORD",
        "env.0.value": "***",
        "env.1.key": "token",
        "env.1.value.a": "***",
        "env.1.value.c": "",
        "env.2.name": "REGION",
        "env.2.value": "eu",
        "json": '{"name":"TOKEN","value":"***"}',
        "x://***@h": "1",
    }


def test_texts_are_made_fit_and_lose_their_secrets() -> None:
    config = {"url": "x://u:p@h", "text": "\x00", "long": "x" * 10**5}
    found = parameters(config, "*")
    assert found
    assert (found["url"], found["text"]) == ("x://***@h", "\ufffd")
    assert len(found["long"].encode()) == 65536


def test_what_is_no_json_is_left_out() -> None:
    config = {
        "nan": float("nan"),
        "inf": float("inf"),
        "set": {1},
        "object": object(),
        "a": [],
        1: {},
    }
    assert parameters(config, "*") == {"1": "{}", "a": "[]"}


def test_what_is_too_deep_is_left_out() -> None:
    config: dict[str, Any] = {"a": 1}
    for _ in range(5000):
        config = {"b": config}
    assert parameters({"deep": config, "x": 1}, "*") == {"x": "1"}


def test_the_order_of_a_mapping_does_not_matter() -> None:
    config = {1: "a", "1": "b", "0": "c"}
    assert parameters(config, "*") == parameters(dict(reversed(config.items())), "*")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), values, max_size=5))
def test_no_config_breaks_it(config: dict[str, Any]) -> None:
    parameters(config, "*")
