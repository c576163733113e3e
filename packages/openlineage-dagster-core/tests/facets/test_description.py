import json
from typing import Any

from dagster import AssetKey, TableColumn, TableSchema
from openlineage.client.serde import Serde

from openlineage_dagster_core.facets.description import (
    dataset_documentation_facet,
    dataset_tags_facet,
    job_documentation_facet,
    job_tags_facet,
    run_tags_facet,
)
from openlineage_dagster_core.facts.model import AssetFacts
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


ASSET = AssetFacts(
    AssetKey("orders"), group="sales", tags={"tier": "1", "dagster/kind/dbt": "", "area": "\x00"}
)
OWN = [
    ("area", "\ufffd", None),
    ("dagster/kind", "dbt", None),
    ("tier", "1", None),
    ("dagster/group", "sales", None),
]


def tags(built: Any) -> list[tuple[str, str, str | None]]:
    facet = json.loads(Serde.to_json(built))
    assert facet_faults("tags", facet) == []
    assert {tag["source"] for tag in facet["tags"]} == {"DAGSTER"}
    return [(tag["key"], tag["value"], tag.get("field")) for tag in facet["tags"]]


def test_an_asset_has_tags_kinds_and_a_group() -> None:
    assert tags(dataset_tags_facet(ASSET)) == OWN
    assert tags(job_tags_facet(ASSET)) == OWN


def test_the_tags_of_columns_come_behind_with_their_column() -> None:
    columns = TableSchema(
        [
            TableColumn("name", tags={"pii": "", "level": "2"}),
            TableColumn("id"),
            TableColumn("name", tags={"again": ""}),
            TableColumn("a\nb", tags={"x": "y"}),
        ]
    )
    found = tags(dataset_tags_facet(ASSET, columns))
    assert found[:6] == [*OWN, ("level", "2", "name"), ("pii", "", "name")]
    [(key, value, field)] = found[6:]
    assert (key, value) == ("x", "y")
    assert field is not None
    assert field.startswith("a_b-")


def test_the_tags_of_assets_and_columns_come_without_secrets() -> None:
    asset = AssetFacts(AssetKey("orders"), tags={"api_key": "abc", "url": "x://u:p@h"})
    columns = TableSchema([TableColumn("id", tags={"token": "abc", "url": "x://u:p@h"})])
    own = [("api_key", "***", None), ("url", "x://***@h", None)]
    assert tags(job_tags_facet(asset)) == own
    assert tags(dataset_tags_facet(asset, columns)) == [
        *own,
        ("token", "***", "id"),
        ("url", "x://***@h", "id"),
    ]


def test_a_tag_that_is_json_loses_its_secrets() -> None:
    config = '{"container_config": {"env": [{"name": "DB_PASSWORD", "value": "hunter2"}]}}'
    assert tags(run_tags_facet({"dagster-k8s/config": config})) == [
        (
            "dagster-k8s/config",
            '{"container_config":{"env":[{"name":"DB_PASSWORD","value":"***"}]}}',
            None,
        )
    ]


def test_an_asset_without_any_has_no_facet() -> None:
    asset = AssetFacts(AssetKey("orders"))
    assert dataset_tags_facet(asset, TableSchema([TableColumn("id")])) is None
    assert job_tags_facet(asset) is None


def test_a_run_has_all_its_tags_but_hidden_ones_and_secrets() -> None:
    given = {
        ".dagster/repository": "x",
        "team": "a",
        "dagster/partition": "2026-01-01",
        "api_key": "abc",
    }
    assert tags(run_tags_facet(given)) == [
        ("api_key", "***", None),
        ("dagster/partition", "2026-01-01", None),
        ("team", "a", None),
    ]


def test_a_run_with_nothing_to_show_has_no_facet() -> None:
    assert run_tags_facet({}) is None
    assert run_tags_facet({".dagster/x": "y"}) is None
