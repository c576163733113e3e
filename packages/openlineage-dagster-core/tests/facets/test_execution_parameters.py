import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from openlineage.client.serde import Serde

from openlineage_dagster_core.facets.execution_parameters import execution_parameters_facet
from openlineage_spec import facet_faults


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
